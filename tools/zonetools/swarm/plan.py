"""The plan of a run: which bots, how many, how fast, for how long. Pure: every process computes equal values."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from zoneclient.bots.behaviours import ROLES
from zoneclient.bots.bot import Behaviour

from zoneserver.authoring.load import LoadError, load_named
from zoneserver.cli.access import Access
from zoneserver.protocol.player_names import NAME_CHARACTERS
from zoneserver.support.format import format_address
from zoneserver.support.host import is_loopback, parse_host
from zoneserver.support.parse import above_zero, at_most, parse_count, parse_integer, parse_number, parse_port
from zonetools.swarm.hostile.roles import HOSTILE_ROLES

_BOTS_PER_PROCESS = 1_000
parse_bots = at_most(65_000, above_zero(parse_count))
"""Reads a number of bots, of which no server takes more. Raises ValueError."""
parse_processes = at_most(256, above_zero(parse_integer))
"""Reads a number of worker processes. Raises ValueError."""
Client = Callable[[Any], Awaitable[object]]
"""`async def bot(zone)` with a `ZoneConnection`: it returns when it has done enough, or is cancelled at the end of the
run."""
EVERYBODY = "100%"
"""The share of all bots."""
DEFAULT_MIX = "walker=80,fighter=15,chatty=5"


def parse_mix(text: str) -> dict[str, int]:
    """Return the shares by role from a text such as `walker=80,fighter=15`. Raises ValueError.

    >>> parse_mix("walker=3,chatty=1")
    {'walker': 3, 'chatty': 1}
    """
    shares: dict[str, int] = {}
    for part in text.split(","):
        role, _, share = part.partition("=")
        if ":" in role:
            load_role(role)
        elif role not in ROLES and role not in HOSTILE_ROLES:
            raise ValueError(f"there is no role {role!r}; the roles are {', '.join((*ROLES, *HOSTILE_ROLES))}")
        if not share.isascii() or not share.isdigit():
            raise ValueError(f"{part!r} is not of the form role=share, as in walker=80")
        if role in shares:
            raise ValueError(f"the role {role!r} appears twice")
        shares[role] = int(share)
    if not any(shares.values()):
        raise ValueError("a mix needs at least one share above zero")
    if not any(share for role, share in shares.items() if role not in HOSTILE_ROLES):
        raise ValueError("a mix needs an honest role: the honest bots are the ones that are measured")
    return shares


def parse_web(text: str) -> float | int:
    """Return which bots come over WebSocket: a share from `50%`, or a number from `200`. Raises ValueError.

    >>> parse_web("50%"), parse_web("1k")
    (0.5, 1000)
    """
    if not text.endswith("%"):
        return above_zero(parse_count)(text)
    return at_most(100, above_zero(parse_number))(text[:-1]) / 100


@functools.lru_cache(maxsize=8)
def _web_numbers(seed: int, bots: int, share: float) -> frozenset[int]:
    """The numbers of the bots that come over WebSocket: random, so that each role and each process has its share."""
    return frozenset(random.Random(seed * 3_000_017).sample(range(bots), round(share * bots)))


class Address(NamedTuple):
    """An address for players: of a server, or of one of the gateways of a zone."""

    host: str
    port: int

    def __str__(self) -> str:
        return format_address(self.host, self.port)


def parse_address(text: str) -> Address:
    """Return an address from a text such as `localhost:7777` or `[::1]:7777`. Raises ValueError.

    >>> parse_address("[::1]:7777")
    Address(host='::1', port=7777)
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise ValueError(f"{text!r} is not an address with a port: write HOST:PORT, such as localhost:7777")
    return Address(parse_host(host), parse_port(port))


def default_processes(bots: int, addresses: Sequence[Address], cores: int) -> int:
    """Return the number of worker processes: one for each core that the servers of this machine leave, but at most one
    for every 1,000 bots. Several addresses of this machine are gateways, beside which there is a zone.

    >>> default_processes(5_000, [Address("127.0.0.1", 7777)], cores=2)
    1
    >>> [default_processes(5_000, [Address(host, 7777)] * 2, cores=8) for host in ("::1", "zone.example")]
    [5, 5]
    >>> default_processes(50_000, [Address("::1", 7777)] * 2, cores=8), default_processes(10, [], cores=8)
    (5, 1)
    """
    local = sum(is_loopback(address.host) for address in addresses)
    return max(1, min(cores - local - (local > 1), -(-bots // _BOTS_PER_PROCESS)))


def parse_client(text: str) -> dict[str, int]:
    """Return a mix of one client of the user's own, from a text such as `play:bot`. Raises ValueError."""
    try:
        load_named(text, "client", inspect.iscoroutinefunction)
    except LoadError as error:
        raise ValueError(f"{error}; a client is an async function: async def bot(zone)") from None
    return {text: 1}


def load_role(role: str) -> type[Behaviour] | Client:
    """Return the behaviour class of an honest role, or its client. Raises ValueError.

    A role may also be `module:Class`, or `module:function` for an async function.

    >>> load_role("walker") is load_role("zoneclient.bots.behaviours:Walker")
    True
    """
    if role in ROLES:
        return ROLES[role]
    try:
        found: type[Behaviour] | Client = load_named(role, "Behaviour", _is_role)
    except LoadError as error:
        raise ValueError(str(error)) from None
    return found


def _is_role(found: object) -> bool:
    is_behaviour = isinstance(found, type) and callable(getattr(found, "decide", None))
    return is_behaviour or inspect.iscoroutinefunction(found)


@dataclass(frozen=True, slots=True)
class Plan:
    """One run of the swarm.

    >>> plan = Plan(bots=8, mix={"walker": 3, "chatty": 1})
    >>> [plan.role(number) for number in range(4)]
    ['walker', 'walker', 'chatty', 'walker']
    >>> Plan(ramp=500).connects_at(250)
    0.5
    >>> plan = Plan(bots=10, mix={"walker": 8, "stuck": 2})
    >>> plan.hostile, plan.honest == Plan(bots=8, mix={"walker": 8})
    ({'stuck': 2}, True)
    >>> sum(map(Plan(bots=8, web=0.5).is_web, range(8)))
    4
    >>> plan = Plan(others=(Address("127.0.0.1", 7779),), processes=2)
    >>> [plan.place(number) for number in range(6)]
    [0, 0, 1, 1, 0, 0]
    """

    host: str = "127.0.0.1"
    port: int = 7777
    others: tuple[Address, ...] = ()
    """Further addresses of the same zone."""
    bots: int = 1_000
    """The number of all bots, honest and hostile."""
    ramp: float = 500.0
    """Connections per second."""
    seconds: float = 30.0
    """How long to measure after all bots have joined; 0 means until interrupted."""
    rate: float = 5.0
    """Actions per second and bot."""
    seed: int = 1
    processes: int = 1
    mix: dict[str, int] = dataclasses.field(default_factory=lambda: parse_mix(DEFAULT_MIX))
    deflate: bool = False
    """Whether the honest bots ask for frames and snapshots to be deflated."""
    resume: bool = False
    """Whether every honest bot comes back after a lost connection."""
    roam: bool = False
    """Whether a bot that comes back does so at another address."""
    web: float = 0.0
    """The share of the bots that come over WebSocket, as browsers do. Each hostile bot comes so with this chance."""
    access: Access = dataclasses.field(default_factory=Access)
    """How the bots get in: with TLS, and with tickets."""

    @property
    def hostile(self) -> dict[str, int]:
        """The number of bots of each hostile role that has any."""
        if not any(self.mix.get(role) for role in HOSTILE_ROLES):
            return {}
        # The mix repeats: each repetition has exactly the shares, and the rest is counted one by one.
        repetitions, rest = divmod(self.bots, sum(self.mix.values()))
        roles = Counter({role: share * repetitions for role, share in self.mix.items()})
        roles.update(self.role(number) for number in range(rest))
        return {role: roles[role] for role in HOSTILE_ROLES if roles[role]}

    @property
    def honest(self) -> Plan:
        """This plan without the hostile bots. The workers and the control run use it."""
        bots = self.bots - sum(self.hostile.values())
        return dataclasses.replace(self, bots=bots, mix={r: n for r, n in self.mix.items() if r not in HOSTILE_ROLES})

    @property
    def addresses(self) -> tuple[Address, ...]:
        """All addresses; the bots take them in turn."""
        return Address(self.host, self.port), *self.others

    @property
    def address(self) -> str:
        return str(self.addresses[0])

    def place(self, number: int) -> int:
        """At which of the addresses a bot joins. Each process has bots at all of them."""
        return number // self.processes % (1 + len(self.others))

    def is_web(self, number: int) -> bool:
        """Whether a bot comes over WebSocket."""
        return self.web > 0 and number in _web_numbers(self.seed, self.bots, self.web)

    def web_host(self, number: int, place: int = 0) -> str:
        """The name of the server at one of the addresses for a bot that comes over WebSocket; empty for any other."""
        return str(self.addresses[place]) if self.is_web(number) else ""

    def numbers(self, process: int) -> range:
        """The numbers of the bots of one worker."""
        return range(process, self.bots, self.processes)

    @property
    def open_files_per_process(self) -> int:
        """The open-file limit that the worker with the most bots needs."""
        return len(self.numbers(0)) + 64

    def name(self, number: int) -> str:
        """The name of a bot: its role, or the class of a role `module:Class`, and its number."""
        role = self.role(number).rpartition(":")[2]
        return f"{role[: NAME_CHARACTERS - 6]}-{number}"

    def role(self, number: int) -> str:
        """The role of a bot. Roles are spread evenly over the numbers, so every part of the ramp has the mix."""
        whole = sum(self.mix.values())
        roles = [role for role, share in self.mix.items() if share]
        # Each bot takes the role that is furthest behind its share of the bots up to this one.
        counts = dict.fromkeys(roles, 0)
        for place in range(1, number % whole + 2):
            role = max(roles, key=lambda role: self.mix[role] * place / whole - counts[role])
            counts[role] += 1
        return role

    def connects_at(self, number: int) -> float:
        """When a bot connects, in seconds from the start of the ramp."""
        return number / self.ramp

    def phase(self, number: int) -> float:
        """When a bot acts within each action period, in seconds: random by the seed, so bots do not act at once."""
        return random.Random(self.seed * 1_000_003 + number).random() / self.rate

    def bot_seed(self, number: int) -> int:
        """The seed of everything that a bot decides."""
        return self.seed * 7_919 + number

    def first_seq(self, number: int) -> int:
        """The sequence of a bot's first action: random from 1 to 64.

        Real players have joined at different times. If all bots started at 1, the sequences in a frame would be
        equal and deflate to almost nothing. In a snapshot 0 means "no action yet", which the tracker would confuse
        with a much higher sequence.
        """
        return 1 + random.Random(self.seed * 2_000_003 + number).randrange(64)


def check_target(plan: Plan, yes_remote: bool) -> None:
    """Raise ValueError if the plan must not or cannot run against its target. Connects to nothing.

    A server on another machine needs `yes_remote`: the user says that they may load it. Hostile bots never attack
    another machine.
    """
    if plan.hostile and plan.access.is_tls:
        raise ValueError("hostile bots speak no TLS: remove them from --mix, or attack a server without TLS")
    for host, _ in plan.addresses:
        if is_loopback(host):
            continue
        if not yes_remote:
            raise ValueError(f"{host} is not this machine; --yes-remote confirms that you may load the server there")
        if plan.hostile:
            raise ValueError(
                f"{host} is not this machine, and hostile bots attack only this machine: remove them from --mix"
            )
