"""The carrier for an address, and how its ends know each other by the settings of a command."""

from __future__ import annotations

import importlib
from typing import Any

from zoneserver.link.address import LinkAddress
from zoneserver.link.carrier import GatewayCarrier, LinkSecurity, ZoneCarrier
from zoneserver.link.stream import StreamZoneCarrier
from zoneserver.link.stream_gateway import StreamGatewayCarrier

__all__ = ["link_security", "open_gateway_carrier", "open_zone_carrier"]


def link_security(settings: Any) -> LinkSecurity:
    """The security that the settings of a link say: a Config, or the arguments of a command, whose attributes are
    called `link_token`, `link_cert`, `link_key`, `link_ca` and `link_creds`. One that is missing counts as not set."""
    return LinkSecurity(
        token=getattr(settings, "link_token", ""),
        cert=getattr(settings, "link_cert", None),
        key=getattr(settings, "link_key", None),
        ca=getattr(settings, "link_ca", None),
        creds=getattr(settings, "link_creds", None),
    )


def open_zone_carrier(address: str, security: LinkSecurity) -> ZoneCarrier:
    """The zone's end of the link at an address, to be opened. Raises ValueError for an address that cannot be read, and
    MissingExtraError if the client of the broker is not installed."""
    found = LinkAddress.parse(address)
    if not found.is_broker:
        return StreamZoneCarrier(found, security)
    nats: Any = importlib.import_module("zoneserver.link.nats")
    carrier: ZoneCarrier = nats.NatsZoneCarrier(found, security)
    return carrier


def open_gateway_carrier(address: str, name: str, security: LinkSecurity) -> GatewayCarrier:
    """The gateway's end, for a gateway of this name. Raises as `open_zone_carrier` does."""
    found = LinkAddress.parse(address)
    if not found.is_broker:
        return StreamGatewayCarrier(found, security)
    nats: Any = importlib.import_module("zoneserver.link.nats")
    carrier: GatewayCarrier = nats.NatsGatewayCarrier(found, name, security)
    return carrier
