"""What carries payloads between a zone and its gateways, seen from either end.

A carrier keeps the order of what it delivers, and may lose what it was given: a payload for a peer that is away, or
that does not read, is skipped. The user of a carrier numbers the payloads and asks for those that are missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

__all__ = [
    "IGNORED_SECONDS",
    "PAYLOAD_BYTES_MAX",
    "PAYLOAD_UP_BYTES_MAX",
    "QUEUE_BYTES_MAX",
    "GatewayCarrier",
    "LinkSecurity",
    "ZoneCarrier",
]

PAYLOAD_BYTES_MAX = 64 * 1024 * 1024
"""The largest payload of a zone by a stream. A broker may have a lower bound."""
PAYLOAD_UP_BYTES_MAX = 1024 * 1024
"""The largest payload of a gateway: reading one takes the zone some tens of milliseconds at most."""
QUEUE_BYTES_MAX = 4 * 1024 * 1024
"""A peer for which more bytes than this wait is skipped, so that it costs at most these bytes and one payload."""

IGNORED_SECONDS = 10.0
"""For how long a zone does not listen to a gateway at a broker that it has dropped."""


@dataclass(frozen=True, slots=True)
class LinkSecurity:
    """How the ends of a link know each other. Which fields are needed depends on the address.

    >>> LinkSecurity(token="a secret of the link")
    LinkSecurity(cert=None, key=None, ca=None, creds=None)
    """

    token: str = field(default="", repr=False)
    """What a gateway has to say first on a `tcp` link."""
    cert: str | None = None
    """The zone's end: a PEM file with its certificate chain."""
    key: str | None = None
    """The zone's end: a PEM file with the key, if it is not in the file of the certificate."""
    ca: str | None = None
    """The gateway's end, and both ends of a broker: a PEM file with the authorities to trust; None trusts those of the
    system."""
    creds: str | None = None
    """A broker's file with credentials (.creds)."""


class ZoneCarrier(Protocol):
    """The zone's end of a link, which many gateways use.

    A peer is a text that names the way to one gateway: `#1` on a stream, the name of the gateway at a broker.
    """

    names_peers: bool
    """Whether a peer is the name of the gateway, and nobody else can speak as this peer."""

    @property
    def address(self) -> str:
        """The address for people, without a password: `unix:/run/zone.sock`. On a stream it is where the zone listens,
        so a port 0 has become the port that was taken."""

    @property
    def is_up(self) -> bool:
        """False while no gateway can be reached at all, because the broker is away."""

    async def open(self, receive: Callable[[str, bytes], None], gone: Callable[[str], None]) -> None:
        """Lets gateways reach the zone from now on.

        `receive(peer, payload)` is called for each payload of a gateway. With an empty peer, another zone of this name
        has published the payload; only a broker can tell that. `gone(peer)` is called when the way to a peer is closed,
        also after `drop`, and never by `close`. Neither is called before this method has returned, and neither may
        raise.

        Raises CannotStartError with what to do: the address is taken, there is no broker, the token is wrong.
        """

    def accept(self, peer: str) -> None:
        """Makes `publish` reach this peer from now on. A peer that is not there is ignored, here and below."""

    def publish(self, payload: bytes) -> None:
        """Sends a payload to all accepted peers; never blocks. A peer with more than QUEUE_BYTES_MAX in its queue is
        skipped."""

    def send(self, peer: str, payload: bytes) -> None:
        """Sends a payload to one peer, accepted or not; never blocks. The bound is the same."""

    def drop(self, peer: str) -> None:
        """Closes the way to a peer, after what was sent has left. Nothing more is received from it; at a broker, where
        there is no way to close, not for IGNORED_SECONDS."""

    def reload_certificate(self) -> None:
        """Reads the files of the zone's certificate again, for connections that begin from now on. Without one it does
        nothing. Raises OSError if they cannot be used; the former certificate then stays."""

    async def close(self) -> None:
        """Sends what is queued, for a bounded time, and closes all ways. It may be called more than once, and without
        `open`."""


class GatewayCarrier(Protocol):
    """A gateway's end of a link, which leads to one zone."""

    @property
    def address(self) -> str:
        """The address for people, without a password."""

    @property
    def is_up(self) -> bool:
        """Whether the way to the zone stands, or at a broker to the broker. The zone may be away all the same."""

    async def open(self, receive: Callable[[bytes], None], changed: Callable[[bool], None]) -> None:
        """Looks for the zone from now on, every 0.2 s and for ever. It returns after the first attempt, or after a
        second at most, whether the zone was there or not.

        `changed(True)` is called each time the way stands, `changed(False)` each time it is lost; neither by `close`.
        `receive(payload)` is called for each payload of the zone. Neither may raise, and both may be called before this
        method has returned. An outage is logged once with its cause, and so is its end.

        Raises CannotStartError if the first attempt shows what no waiting mends: the token is wrong, the certificate is
        not accepted, a file cannot be read, a package is missing.
        """

    def send(self, payload: bytes) -> None:
        """Sends a payload to the zone; never blocks. It is lost while the way does not stand, and while more than
        QUEUE_BYTES_MAX wait."""

    async def close(self) -> None:
        """Sends what is queued, for a bounded time, and closes the way. It may be called more than once, and without
        `open`."""
