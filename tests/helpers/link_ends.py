"""Both ends of a link, which note what they were told."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from zoneserver.link.address import LinkAddress
from zoneserver.link.carrier import LinkSecurity
from zoneserver.link.stream import StreamZoneCarrier
from zoneserver.link.stream_gateway import StreamGatewayCarrier

TOKEN = "a token of the link"


@dataclass
class ZoneEnd:
    carrier: StreamZoneCarrier
    payloads: list[tuple[str, bytes]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    def receive(self, peer: str, payload: bytes) -> None:
        self.payloads.append((peer, payload))


@dataclass
class GatewayEnd:
    carrier: StreamGatewayCarrier
    payloads: list[bytes] = field(default_factory=list)
    changes: list[bool] = field(default_factory=list)


async def open_zone(cleanup: contextlib.AsyncExitStack, address: str, security: LinkSecurity) -> ZoneEnd:
    end = ZoneEnd(StreamZoneCarrier(LinkAddress.parse(address), security))
    await end.carrier.open(end.receive, end.gone.append)
    cleanup.push_async_callback(end.carrier.close)
    return end


async def open_gateway(cleanup: contextlib.AsyncExitStack, address: str, security: LinkSecurity) -> GatewayEnd:
    end = GatewayEnd(StreamGatewayCarrier(LinkAddress.parse(address), security))
    cleanup.push_async_callback(end.carrier.close)
    await end.carrier.open(end.payloads.append, end.changes.append)
    return end
