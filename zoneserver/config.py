"""The settings of a server, with their defaults and units."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from zoneserver.link.address import LinkAddress, parse_link
from zoneserver.notation import parse_journal_keep, parse_journal_sync, parse_port_or_off, parse_store
from zoneserver.support.addresses import parse_network
from zoneserver.support.host import is_loopback, parse_host, parse_origin
from zoneserver.support.parse import above_zero, nearest, parse_count, parse_duration, parse_integer, parse_size

__all__ = [
    "SECRET_BYTES_MIN",
    "TOKEN_BYTES_MAX",
    "Config",
    "Limits",
    "check_exposure",
    "check_secret",
    "check_zone_link",
    "parse_limits",
    "resume_ticks",
]

SECRET_BYTES_MIN = 16
"""A shorter secret could be guessed."""
TOKEN_BYTES_MAX = 1024
"""The longest token that is read."""
_PORT = 7777
# What an HTTP header can carry.
_TOKEN = re.compile(f"[!-~]{{{SECRET_BYTES_MIN},{TOKEN_BYTES_MAX}}}")


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds that protect the server and all players from a single client. A name ends with the unit.

    A pair `*_per_second` and `*_burst` is a leaky bucket: the rate that is allowed forever, and the amount that is
    allowed at once. A session at its burst is warned and read once per tick, at 1.5 times the burst it is muted, and
    at twice the burst it ends.

    Raises ValueError for a value that is not above zero, or beyond its bound: a million seconds, a billion of all else.

    >>> Limits(actions_per_second=10).actions_per_second
    10
    """

    client_frame_bytes: int = 1024
    """A session with a larger payload ends as soon as its length is read; the payload is never buffered."""
    handshake_seconds: float = 2.0
    """A connection ends if its HELLO is not complete this long after accept."""
    frames_per_callback: int = 64
    """The most packets that are read from one socket before the other sockets have a turn."""
    actions_per_tick: int = 127
    """The most actions of one player that may wait for one tick; further actions are refused."""
    event_bytes_per_tick: int = 1024
    """The bytes of events that one player may cause in one tick. Further packets of the player then wait for the next
    tick. The packet that reaches the bound may exceed it."""
    zone_actions_per_second: int = 80_000
    """The most actions of all players that the zone takes, spread evenly over its ticks; a packet counts as at least
    one action per 16 bytes. Further packets wait for the next tick, those of players with few actions the shortest."""
    joins_per_second: int = 2_560
    """The most players that join within a second, spread evenly over its ticks. Each join costs a snapshot, and a crowd
    of them would delay the tick."""
    frames_per_second: float = 128.0
    """The packets that one session may send per second."""
    frames_burst: float = 256.0
    bytes_per_second: float = 32.0 * 1024
    """The bytes that one session may send per second, framing included."""
    bytes_burst: float = 128.0 * 1024
    actions_per_second: float = 40.0
    """The actions that one session may send per second. A packet counts as at least one action per 100 bytes."""
    actions_burst: float = 200.0
    violations_per_second: float = 1.0
    """The violations of one session per second. Actions that the game refuses for another cause do not count."""
    violations_burst: float = 10.0
    address_connections_max: int = 64
    """The most connections of one address, those that are closing included; and the most players of one address that
    are in without a connection."""
    address_handshakes_max: int = 32
    """The most connections of one address that have not sent HELLO; the oldest of them makes room for a new one."""
    address_connections_per_second: float = 16.0
    """The new connections that one address may open per second."""
    address_connections_burst: float = 64.0
    address_page_connections_per_second: float = 64.0
    """The connections per second with which the browsers of one address may ask for the page and its files."""
    address_page_connections_burst: float = 512.0
    address_actions_per_second: float = 640.0
    """The actions that all sessions of one address may send per second, ended sessions included."""
    address_actions_burst: float = 3_200.0
    address_violations_per_second: float = 8.0
    """The violations of all sessions of one address per second. At its burst the address is banned."""
    address_violations_burst: float = 80.0
    addresses_max: int = 16_384
    """The most addresses without a connection whose rates are remembered; the oldest are forgotten first."""
    send_soft_bytes: int = 256 * 1024
    """A session with more bytes than this in its queue for `stall_seconds` ends with SLOW_CONSUMER."""
    send_hard_bytes: int = 1024 * 1024
    """A session with more bytes than this behind its send in flight ends with SLOW_CONSUMER at once."""
    stall_seconds: float = 5.0
    """A session whose send in flight makes no progress for this long ends with SLOW_CONSUMER."""
    linger_seconds: float = 1.0
    """The time that a client has to read its BYE before the connection is aborted."""
    history_ticks: int = 256
    """The number of recent frames that are kept for sessions that catch up."""
    socket_send_bytes: int = 128 * 1024
    """SO_SNDBUF of each connection. It is small, so that a slow reader shows at once and not after megabytes."""
    tcp_user_timeout_seconds: float = 5.0
    """TCP_USER_TIMEOUT: how long sent data may stay unacknowledged, as after a pulled cable. Linux also counts a closed
    receive window. A stalled session therefore gets a longer timeout, and the limits above decide."""

    def __post_init__(self) -> None:
        for limit in fields(self):
            # The system takes bytes and milliseconds in 32 bits.
            most = 10**6 if limit.name.endswith("_seconds") else 10**9
            if not 0 < getattr(self, limit.name) <= most:
                raise ValueError(f"{limit.name} must be above 0 and at most {most:,}, not {getattr(self, limit.name)}")


def parse_limits(text: str) -> dict[str, float]:
    """Values of Limits by name, from `actions_per_second=10,stall_seconds=3`. Raises ValueError otherwise."""
    kinds = {limit.name: limit.type for limit in fields(Limits)}
    limits: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        if name not in kinds:
            raise ValueError(f"there is no limit {name!r}; {nearest(name, tuple(kinds))}")
        try:
            limits[name] = int(number) if kinds[name] == "int" else float(number)
        except ValueError:
            kind = "whole number" if kinds[name] == "int" else "number"
            raise ValueError(f"{part!r} is not of the form limit=number: {name} is a {kind}") from None
    Limits(**limits)  # type: ignore[arg-type]
    return limits


def check_secret(secret: bytes) -> None:
    """Raises ValueError for a secret that could be guessed."""
    if len(secret) < SECRET_BYTES_MIN:
        raise ValueError(f"a secret must have at least {SECRET_BYTES_MIN} bytes, not {len(secret)}")


def _setting(
    default: Any,
    text: str,
    parse: Callable[[str], Any] = str,
    shown: str | None = None,
    metavar: str | None = None,
    *,
    repeats: bool = False,
    is_private: bool = False,
) -> Any:
    """Declares a field that `zoneserver run` can set. The metadata are the arguments of the flag. With `repeats` the
    flag may be given again and again, `parse` reads one value, and the field is a tuple of all values. A private field
    may have a password in it, and is not in the representation of the settings."""
    flag = {"help": text, "parse": parse, "shown": shown, "metavar": metavar, "repeats": repeats}
    return field(default=default, metadata=flag, repr=not is_private)


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one server. Raises ValueError for values that are out of range or exclude each other.

    >>> Config(port=0, hz=10).hz
    10
    """

    host: str = _setting("127.0.0.1", "address to listen on; a name stands for all its addresses", parse_host)
    port: int | None = _setting(
        "", "port for players, or off; 0 takes any free port", parse_port_or_off, f"{_PORT}, or off with --link", "N"
    )
    """None, which may be given as `off`, lets players connect through gateways alone."""
    link: str = _setting(
        "",
        "address at which gateways find the zone: unix:PATH, tcp:HOST:PORT or nats://HOST:PORT/ZONE",
        parse_link,
        "none: players connect to this process",
        "ADDRESS",
        is_private=True,
    )
    link_token: str = field(default="", repr=False)
    """What a gateway has to know to connect to a `tcp` link, which needs one."""
    link_cert: str | None = _setting(
        None, "PEM file with a certificate chain: gateways connect by TLS to a tcp link, as other machines have to"
    )
    link_key: str | None = _setting(None, "PEM file with the key, if it is not in the file of the certificate")
    link_ca: str | None = _setting(
        None,
        "PEM file with the authority of the other end's certificate: of the zone (tcp), or of the broker (tls)",
        shown="the authorities that this machine trusts",
    )
    link_creds: str | None = _setting(None, "file with the credentials (.creds) for the broker of a nats or tls link")
    page: str = _setting(
        "",
        "the page at the port for players: on, off, or the folder of a page of your own",
        str,
        "on without a secret, off with one",
        "PAGE",
    )
    origin: tuple[str, ...] = _setting(
        (),
        "address of another server's page that may connect, or of a proxy, as https://play.example; may be given again",
        parse_origin,
        "none: pages of this server only",
        "URL",
        repeats=True,
    )
    """The name in it is accepted as one of this server."""
    forwarded_from: tuple[str, ...] = _setting(
        (),
        "address or network of proxies that are trusted to tell the addresses of players; may be given again",
        parse_network,
        "none: all players behind a proxy have its address",
        "ADDRESS",
        repeats=True,
    )
    """A connection from there may begin with a PROXY header or, by HTTP, have X-Forwarded-For or Forwarded."""
    stats_port: int | None = _setting(
        7778,
        "admin port: a page, /stats, /metrics, /sessions, /map, /game.json and /healthz; 0 takes any free port",
        parse_integer,
    )
    """None serves no statistics."""
    stats_host: str = _setting(
        "127.0.0.1", "address of the admin port; other machines need a token to read it", parse_host
    )
    stats_token: str = field(default="", repr=False)
    """What a request for statistics has to send; empty for none. It is required if other machines can send requests."""
    hz: int = _setting(20, "ticks per second", parse_integer)
    max_players: int = _setting(10_000, "most players in the zone at once", parse_count)
    max_watchers: int = _setting(100, "most watchers at once, who see the zone and have no player in it", parse_count)
    resume_seconds: float = _setting(
        15.0,
        "how long a player whose connection is lost stays in and may come back; 0: such a player leaves",
        parse_duration,
    )
    seed: int = _setting(1, "seed of the game's random source", parse_integer)
    """With one seed, equal inputs give equal bytes."""
    send_rate: float = _setting(
        0.0, "most bytes per second to a player, as in 64KiB; a player over it skips frames", parse_size, "0, no bound"
    )
    send_memory_bytes: int = _setting(
        256 * 2**20, "most bytes in all send queues; beyond it players with the largest queues are kicked", parse_size
    )
    secret: bytes = field(default=b"", repr=False)
    """The key that signs join tickets. With a secret every player needs a ticket; without one anyone may join."""
    zone_name: str = _setting("", "name of this zone in join tickets", str, "the name of the game")
    """Zones that share a secret need different names, or a ticket of one is good at the others too."""
    is_open: bool = _setting(False, "let anyone join from other machines too, without a ticket")
    tls_cert: str | None = _setting(None, "PEM file with a certificate chain: players connect by TLS")
    tls_key: str | None = _setting(None, "PEM file with the key, if it is not in the file of the certificate")
    ban_seconds: float = _setting(
        60.0, "how long an address is banned after a player there ended with FLOOD or PROTOCOL_ERROR", parse_duration
    )
    stats_interval_seconds: float = _setting(
        10.0, "interval of the log's statistics line while nothing reads the admin port; 0 is never", parse_duration
    )
    store: Any = field(
        default="",
        repr=False,
        metadata={
            "help": "where players are saved: a file of SQLite, postgresql://user@host/database, or memory:",
            "parse": parse_store,
            "shown": "none: no player is saved",
        },
    )
    """If it is empty, no player is saved. It may also be an object with the methods of
    `zoneserver.store.backend.Backend`."""
    store_interval_seconds: float = _setting(
        60.0, "how often each player in the zone is saved, beside on leaving", above_zero(parse_duration)
    )
    game: Mapping[str, Any] = field(default_factory=dict)
    """Values of the game's own settings, by name; a setting that is not here has its default."""
    journal: str = _setting("", "directory of the journal of this zone", str, "none: a restart begins anew", "DIR")
    """With a journal, a restart loses nothing that a player was told."""
    journal_sync: str = _setting(
        "200ms",
        "when the disk is told to keep the journal: an interval, tick or never",
        parse_journal_sync,
        None,
        "INTERVAL",
    )
    journal_keep: str = _setting(
        "",
        "how much of the journal is kept beside what a restart needs, as in 1h, 10GB or all",
        parse_journal_keep,
        "nothing; 10 GB at most",
        "AMOUNT",
    )
    drain_seconds: float = 5.0
    """How long a shutdown may wait for sessions to close."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        # The class is frozen for its users.
        object.__setattr__(self, "host", parse_host(self.host))
        object.__setattr__(self, "origin", tuple(map(parse_origin, self.origin)))
        object.__setattr__(self, "forwarded_from", tuple(map(parse_network, self.forwarded_from)))
        port: Any = self.port
        if port in ("", "off"):
            object.__setattr__(self, "port", None if port or self.link else _PORT)
        ports = ("port", 0, 65535), ("stats_port", 0, 65535)
        for name, low, high in (*ports, ("hz", 1, 100), ("max_players", 1, 65_000), ("max_watchers", 0, 65_000)):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name} must be from {low} to {high}, not {value}")
        if self.port and self.port == self.stats_port:
            raise ValueError(f"port and stats_port must differ: both are {self.port}")
        if self.tls_key is not None and self.tls_cert is None:
            raise ValueError("a TLS key needs its certificate")
        for name, token in (("stats", self.stats_token), ("link", self.link_token)):
            if token and not _TOKEN.fullmatch(token):
                text = f"must have {SECRET_BYTES_MIN} to {TOKEN_BYTES_MAX} characters, all visible ASCII ones"
                raise ValueError(f"a {name} token {text}")
        if self.stats_port is not None and not is_loopback(self.stats_host) and not self.stats_token:
            raise ValueError(
                f"without a token anyone who can reach {self.stats_host} may read the statistics: "
                "set a token (--stats-token-file)"
            )
        _check_link(self)
        if isinstance(self.store, str):
            parse_store(self.store)
        if not 0 <= self.resume_seconds <= 10**6:
            raise ValueError(f"resume_seconds must be from 0 to a million, not {self.resume_seconds}")
        if not 0 < self.store_interval_seconds <= 10**6:
            raise ValueError(f"store_interval_seconds must be above 0, not {self.store_interval_seconds}")
        parse_journal_sync(self.journal_sync)
        parse_journal_keep(self.journal_keep)
        if self.secret:
            check_secret(self.secret)
        if not self.page:
            object.__setattr__(self, "page", "off" if self.secret else "on")
        if self.port is not None:
            check_exposure(self, self.host)


def resume_ticks(config: Config) -> int:
    """How many ticks a player whose connection is lost stays in."""
    return math.ceil(config.resume_seconds * config.hz)


def check_exposure(config: Config, host: str) -> None:
    """Raises ValueError if anyone could join at this address from other machines, and no setting allows that."""
    if not config.secret and not config.is_open and not is_loopback(host):
        raise ValueError(
            f"without a secret anyone who can reach {host} may join under any name: "
            "set a secret (--secret-file), or allow it (--open)"
        )


def _check_link(config: Config) -> None:
    """Raises ValueError for a link that neither a zone nor a gateway could use."""
    parse_link(config.link)
    if config.link_key is not None and config.link_cert is None:
        raise ValueError("the key of the link needs its certificate (--link-cert)")
    if config.link and LinkAddress.parse(config.link).scheme == "tcp" and not config.link_token:
        raise ValueError(f"the link {config.link} needs a token, by which gateways are known: set --link-token-file")


def check_zone_link(config: Config) -> None:
    """Raises ValueError for a link that a gateway could use, and at which no zone may listen."""
    objection = LinkAddress.parse(config.link).zone_objection(config.link_cert) if config.link else None
    if objection is not None:
        raise ValueError(objection)
