"""What a swarm is to do: who, how many, how fast, for how long. Pure, and the same in every process."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

from zoneclient.bots.behaviours import ROLES
from zoneclient.bots.bot import Behaviour

from zoneserver.authoring.load import LoadError, load_class
from zoneserver.protocol.names import NAME_CHARACTERS
from zoneserver.support.process import address_text
from zonetools.swarm.hostile.roles import HOSTILE_ROLES

__all__ = ["DEFAULT_MIX", "Plan", "behaviour_of", "check_target", "is_this_machine", "parse_mix"]

DEFAULT_MIX = "walker=80,fighter=15,chatty=5"


def parse_mix(text: str) -> dict[str, int]:
    """Shares by role from `walker=80,fighter=15`. Raises ValueError.

    >>> parse_mix("walker=3,chatty=1")
    {'walker': 3, 'chatty': 1}
    """
    shares: dict[str, int] = {}
    for part in text.split(","):
        role, _, share = part.partition("=")
        if ":" in role:
            behaviour_of(role)
        elif role not in ROLES and role not in HOSTILE_ROLES:
            raise ValueError(f"there is no role {role!r}; there are {', '.join((*ROLES, *HOSTILE_ROLES))}")
        if not share.isascii() or not share.isdigit():
            raise ValueError(f"{part!r} is not of the form role=share, as in walker=80")
        if role in shares:
            raise ValueError(f"the role {role!r} is there twice")
        shares[role] = int(share)
    if not any(shares.values()):
        raise ValueError("a mix needs a share above zero")
    if not any(share for role, share in shares.items() if role not in HOSTILE_ROLES):
        raise ValueError("a mix needs an honest role: without one there is nobody to be spared")
    return shares


def behaviour_of(role: str) -> type[Behaviour]:
    """What bots of an honest role do; `module:Class` is a role of somebody's own. Raises ValueError.

    >>> behaviour_of("walker") is behaviour_of("zoneclient.bots.behaviours:Walker")
    True
    """
    if role in ROLES:
        return ROLES[role]
    try:
        return load_class(role, "Behaviour", lambda found: hasattr(found, "decide") and hasattr(found, "motion_kinds"))
    except LoadError as error:
        raise ValueError(str(error)) from None


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
    """

    host: str = "127.0.0.1"
    port: int = 7777
    bots: int = 1_000
    """All of them, honest and hostile."""
    ramp: float = 500.0
    """Connections per second."""
    seconds: float = 30.0
    """How long to measure once everybody is in; 0 means until interrupted."""
    rate: float = 5.0
    """Actions per second and bot."""
    seed: int = 1
    processes: int = 1
    mix: dict[str, int] = dataclasses.field(default_factory=lambda: parse_mix(DEFAULT_MIX))
    deflate: bool = False
    """Whether the honest bots ask for frames and snapshots to be deflated."""

    @property
    def hostile(self) -> dict[str, int]:
        """How many bots have each of the hostile roles; empty when all are honest."""
        if not any(self.mix.get(role) for role in HOSTILE_ROLES):
            return {}
        # Each whole round of the mix holds exactly its shares.
        rounds, rest = divmod(self.bots, sum(self.mix.values()))
        roles = Counter({role: share * rounds for role, share in self.mix.items()})
        roles.update(self.role(number) for number in range(rest))
        return {role: roles[role] for role in HOSTILE_ROLES if roles[role]}

    @property
    def honest(self) -> Plan:
        """The same without the hostile bots: what the others do beside them, and in a control run."""
        bots = self.bots - sum(self.hostile.values())
        return dataclasses.replace(self, bots=bots, mix={r: n for r, n in self.mix.items() if r not in HOSTILE_ROLES})

    @property
    def address(self) -> str:
        """Where the server is, for people to read."""
        return address_text(self.host, self.port)

    def numbers(self, process: int) -> range:
        """The bots of one of the processes."""
        return range(process, self.bots, self.processes)

    @property
    def open_files_per_process(self) -> int:
        """The open-file limit that the largest share of the bots asks for."""
        return len(self.numbers(0)) + 64

    def name(self, number: int) -> str:
        """What a bot is called: by its role, or the class of one of somebody's own."""
        role = self.role(number).rpartition(":")[2]
        return f"{role[: NAME_CHARACTERS - 6]}-{number}"

    def role(self, number: int) -> str:
        """Who a bot is: shares as evenly spread over the numbers as they can be, so that any stretch
        of the ramp holds the same mix."""
        whole = sum(self.mix.values())
        roles = [role for role, share in self.mix.items() if share]
        # The bot takes the role whose share, of all bots up to this one, is furthest behind.
        counts = dict.fromkeys(roles, 0)
        for place in range(1, number % whole + 2):
            role = max(roles, key=lambda role: self.mix[role] * place / whole - counts[role])
            counts[role] += 1
        return role

    def connects_at(self, number: int) -> float:
        """Seconds from the start at which a bot connects."""
        return number / self.ramp

    def phase(self, number: int) -> float:
        """Seconds within the action period at which a bot acts: seeded, so that bots do not march."""
        return random.Random(self.seed * 1_000_003 + number).random() / self.rate

    def first_seq(self, number: int) -> int:
        """The sequence of a bot's first action. Players have been there for different times: if all counted alike,
        the sequences in a frame would be alike too, and deflate to nothing. (In a snapshot 0 means none yet; far
        above 64 it could be taken for one.)"""
        return 1 + random.Random(self.seed * 2_000_003 + number).randrange(64)

    def to_json(self) -> dict[str, Any]:
        """As plain values, for another process."""
        return dataclasses.asdict(self)


def is_this_machine(host: str) -> bool:
    """Whether an address is this machine's for certain. No name but `localhost` is: others are not looked up.

    >>> is_this_machine("localhost"), is_this_machine("127.3.4.5"), is_this_machine("::1")
    (True, True, True)
    >>> is_this_machine("192.0.2.7"), is_this_machine("zone.example"), is_this_machine("0.0.0.0")
    (False, False, False)
    """
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def check_target(plan: Plan, yes_remote: bool) -> None:
    """Whether a plan may go where it wants to: a load is for one's own server, and an attack never leaves this
    machine. Connects to nothing. Raises ValueError."""
    if is_this_machine(plan.host):
        return
    if not yes_remote:
        raise ValueError(f"{plan.host} is not this machine; --yes-remote says that the server there is yours to load")
    if plan.hostile:
        raise ValueError(f"{plan.host} is not this machine, and hostile bots attack no other: leave them out of --mix")
