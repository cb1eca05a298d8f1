"""What may be set, with its default and its unit, and how such values are written by people."""

from __future__ import annotations

import argparse
import ipaddress
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeVar

__all__ = [
    "DELIVERIES",
    "SECRET_BYTES_MIN",
    "Config",
    "Limits",
    "Parser",
    "above_zero",
    "checked",
    "parse_count",
    "parse_duration",
    "parse_port",
    "parse_size",
]

SECRET_BYTES_MIN = 16
"""A shorter secret can be guessed."""

DELIVERIES = ("zone", "session", "immediate")
"""How what players do reaches everybody: a buffer per tick, or, for comparison, a frame per action,
gathered by each session or sent at once."""

_Parsed = TypeVar("_Parsed")
_Number = TypeVar("_Number", int, float)

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_COUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kM]?)")
_SIZE_UNITS = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_SIZE = re.compile(rf"([0-9]+(?:\.[0-9]+)?) ?({'|'.join(_SIZE_UNITS)})")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def parse_duration(text: str) -> float:
    """Seconds from `30`, `30s`, `2m`, `1h30m` or `250ms`. Raises ValueError otherwise.

    >>> parse_duration("1h30m")
    5400.0
    """
    parts = [(text, "s")] if _NUMBER.fullmatch(text) else _DURATION_PART.findall(text)
    seconds = sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts)
    if not parts or "".join(map("".join, parts)) not in {text, text + "s"} or math.isinf(seconds):
        raise ValueError(f"{text!r} is not a duration: write 30s, 2m or 1h30m")
    return seconds


class Parser(argparse.ArgumentParser):
    """Takes `-5s` for a value rather than for a flag: whoever writes it is told what is wrong with it."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._negative_number_matcher = re.compile(r"-\.?\d")


def checked(parse: Callable[[str], _Parsed]) -> Callable[[str], _Parsed]:
    """A parser for argparse, which shows the words of its ValueError as they are."""

    def checked(text: str) -> _Parsed:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


def above_zero(parse: Callable[[str], _Number]) -> Callable[[str], _Number]:
    """The same parser for argparse, which takes nothing but numbers above zero.

    >>> above_zero(parse_count)("10k")
    10000
    """

    def above_zero(text: str) -> _Number:
        value = parse(text)
        if not 0 < value < math.inf:
            raise ValueError(f"{text} is not above zero")
        return value

    return checked(above_zero)


def parse_count(text: str) -> int:
    """A whole number from `1000`, `10k` or `1.5M`. Raises ValueError otherwise.

    >>> parse_count("10k")
    10000
    """
    match = _COUNT.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a count: write 1000, 10k or 1.5M")
    value = Fraction(match[1]) * {"": 1, "k": 1_000, "M": 1_000_000}[match[2]]
    if value.denominator != 1:
        raise ValueError(f"{text!r} is not a whole number")
    return value.numerator


def parse_port(text: str) -> int:
    """A port that somebody listens on. Raises ValueError for what is none.

    >>> parse_port("7777")
    7777
    """
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ValueError(f"{text!r} is no port: write 1 to 65535")
    return int(text)


def parse_size(text: str) -> int:
    """Bytes from `65536`, `64KiB`, `1.5MiB` or `100kB`. Raises ValueError otherwise.

    >>> parse_size("64KiB")
    65536
    """
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a size: write 65536, 64KiB or 1.5MiB")
    return int(Fraction(match[1]) * _SIZE_UNITS[match[2]])


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
    joins_per_tick: int = 128
    """Players who come in with one tick: each takes a snapshot, and a crowd of them must not hold it up."""
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
    glitches_per_second: float = 20.0
    """The same in refused actions; one that no honest client would try counts as twenty."""
    glitches_burst: float = 200.0
    address_connections_max: int = 64
    """Connections that one address may hold, those that say goodbye among them."""
    address_handshakes_max: int = 32
    """Connections of one address that have not said HELLO yet."""
    address_connections_per_second: float = 16.0
    """New connections of one address, for as long as it likes; and so many at once."""
    address_connections_burst: float = 64.0
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
    drain_seconds: float = 5.0
    """How long a shutdown may take to tell everybody."""
    delivery: str = "zone"
    """One of DELIVERIES; all but the first are there to be compared with it."""
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
        if self.delivery not in DELIVERIES:
            raise ValueError(f"delivery must be one of {', '.join(DELIVERIES)}, not {self.delivery!r}")
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
