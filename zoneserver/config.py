"""What may be set of a server, with its default and its unit."""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass, field, fields

from zoneserver.support.parse import nearest

__all__ = [
    "SECRET_BYTES_MIN",
    "Config",
    "Limits",
    "parse_limits",
]

SECRET_BYTES_MIN = 16
"""A shorter secret can be guessed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds that protect everybody from anybody. Bytes, seconds and counts, as the names say.

    >>> Config(limits=Limits(actions_per_second=10)).limits.actions_per_second
    10
    """

    client_frame_bytes: int = 1024
    """A larger frame is refused on its header; its body is never buffered."""
    handshake_seconds: float = 2.0
    """Time from accept to a complete HELLO, whatever trickles in meanwhile."""
    frames_per_callback: int = 64
    """Frames taken from one socket before everybody else has a turn."""
    actions_per_tick: int = 127
    """Actions of one player that wait for one tick; what exceeds it is refused."""
    event_bytes_per_tick: int = 1024
    """What one player may have everybody told within one tick; when it has, its further packets wait for
    the next. One packet may go beyond it."""
    joins_per_second: int = 2_560
    """Players who come in within a second, as many with each tick: each takes a snapshot, and a crowd of them must
    not hold a tick up."""
    frames_per_second: float = 128.0
    """Frames that one session may send for as long as it likes; `frames_burst` is how many at once. Beyond
    the burst it is warned, and read once a tick; at half as much again muted; at twice as much ended."""
    frames_burst: float = 256.0
    bytes_per_second: float = 32.0 * 1024
    """The same in bytes."""
    bytes_burst: float = 128.0 * 1024
    actions_per_second: float = 40.0
    """The same in actions; of a packet, every 16 bytes count as one where that is more. Everybody is told."""
    actions_burst: float = 200.0
    violations_per_second: float = 20.0
    """The same in refused actions; one that no honest client would try counts as twenty."""
    violations_burst: float = 200.0
    address_connections_max: int = 64
    """Connections that one address may hold, those that say goodbye among them."""
    address_handshakes_max: int = 32
    """Connections of one address that have not said HELLO yet."""
    address_connections_per_second: float = 16.0
    """New connections of one address, for as long as it likes; and so many at once."""
    address_connections_burst: float = 64.0
    address_actions_per_second: float = 640.0
    """Actions of all sessions of one address together, those that are gone among them, and so many at once;
    what exceeds it is refused."""
    address_actions_burst: float = 3_200.0
    address_violations_per_second: float = 160.0
    """The same in refused actions; an address beyond it is banned."""
    address_violations_burst: float = 1_600.0
    addresses_max: int = 16_384
    """Addresses that are remembered beyond their last connection; the longest gone are forgotten first."""
    send_soft_bytes: int = 256 * 1024
    """What may wait for one session for `stall_seconds` together; longer ends it with SLOW_CONSUMER."""
    send_hard_bytes: int = 1024 * 1024
    """What may queue up behind the send in flight of one session; more ends it with SLOW_CONSUMER at once."""
    stall_seconds: float = 5.0
    """A send in flight that makes no progress for longer ends the session with SLOW_CONSUMER."""
    linger_seconds: float = 1.0
    """How long a closed session may take to read its BYE before the connection is aborted."""
    history_ticks: int = 256
    """How many recent frames are kept for those who catch up."""
    socket_send_bytes: int = 128 * 1024
    """SO_SNDBUF: small, so that a slow reader shows at once rather than after megabytes."""
    tcp_user_timeout_seconds: float = 5.0
    """How long sent data may stay unacknowledged (a pulled cable), where the system has it. Linux counts a
    peer that has no room for more as well; a session that stalls therefore gets more of it, and is ours."""


def parse_limits(text: str) -> dict[str, float]:
    """Some of the Limits by name, from `actions_per_second=10,stall_seconds=3`. Raises ValueError.

    >>> Limits(**parse_limits("actions_per_second=10")).actions_per_second
    10.0
    """
    kinds = {limit.name: limit.type for limit in fields(Limits)}
    limits: dict[str, float] = {}
    for part in text.split(","):
        name, _, figure = part.partition("=")
        if name not in kinds:
            raise ValueError(f"there is no limit {name!r}; {nearest(name, tuple(kinds))}")
        try:
            limits[name] = int(figure) if kinds[name] == "int" else float(figure)
        except ValueError:
            raise ValueError(f"{part!r} is not of the form limit=figure, as in stall_seconds=5") from None
        if not 0 < limits[name] < math.inf:
            raise ValueError(f"{part}: a limit is above zero")
    return limits


@dataclass(frozen=True, slots=True)
class Config:
    """How one server runs.

    >>> Config(port=0, hz=10).hz
    10
    """

    host: str = "127.0.0.1"
    port: int = 7777
    """0 lets the system choose."""
    stats_port: int | None = 7778
    """The loopback admin port; 0 lets the system choose, None serves no statistics."""
    hz: int = 20
    """Ticks per second."""
    max_players: int = 10_000
    seed: int = 1
    """Seeds the game's random source: the same input then gives the same bytes."""
    send_rate: float = 0.0
    """Bytes per second that one player is sent at the most; one whose budget is spent skips frames and
    catches up. 0 is no bound."""
    send_memory_bytes: int = 256 * 1024 * 1024
    """What may wait for all sessions together; beyond it those go for whom most waits."""
    secret: bytes = field(default=b"", repr=False)
    """Who knows it makes the tickets without which nobody comes in; empty: anyone may join."""
    is_open: bool = False
    """Whether anyone may join from other machines too, without a ticket."""
    tls_cert: str | None = None
    """Certificate chain in a PEM file: players connect by TLS."""
    tls_key: str | None = None
    """Its key in a PEM file; None: in the same file."""
    ban_seconds: float = 60.0
    """How long nobody may come in from an address after a player from there was thrown out."""
    stats_interval_seconds: float = 10.0
    """How often the log gets a line of statistics while nobody asks the admin port for any; 0 is never."""
    drain_seconds: float = 5.0
    """How long a shutdown may take to tell everybody."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for name, low, high in (
            ("port", 0, 65535),
            ("stats_port", 0, 65535),
            ("hz", 1, 100),
            ("max_players", 1, 65_000),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name} must be from {low} to {high}, not {value}")
        if self.port and self.port == self.stats_port:
            raise ValueError(f"port and stats_port must differ: both are {self.port}")
        if self.tls_key is not None and self.tls_cert is None:
            raise ValueError("a TLS key needs its certificate")
        if self.secret and len(self.secret) < SECRET_BYTES_MIN:
            raise ValueError(f"a secret has at least {SECRET_BYTES_MIN} bytes, this one {len(self.secret)}")
        if not self.secret and not self.is_open and not _is_loopback(self.host):
            raise ValueError(
                f"without a secret anyone who reaches {self.host} may join under any name: give one "
                "(--secret-file), or say that this is meant (--open)"
            )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name: it may lead anywhere
