"""What the program gets of each tick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from zoneserver.protocol.messages import Answered, Refusal, Told

__all__ = ["Event", "Update", "merged"]


@dataclass(frozen=True, slots=True)
class Event:
    """An action of a player, or an event of the zone itself (then `slot` and `name` are None).

    >>> Event(0, "ann", "say", ("hello",)).values
    ('hello',)
    """

    slot: int | None
    name: str | None
    kind: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Update:
    """One tick as the program sees it. The replica has the state at the end of this tick, or of a later one if `done`
    or `ask` has received more meanwhile.

    >>> update = Update(7, 1.0, {0: "ann"}, {}, [Event(0, "ann", "say", ("hello",))])
    >>> [event.name for event in update.events]
    ['ann']
    """

    tick: int
    dilation: float
    """1.0 when the zone runs at full speed."""
    joined: dict[int, str]
    left: dict[int, str]
    events: list[Event] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    """The refusals of our own actions since the last update."""
    told: list[Told] = field(default_factory=list)
    """What the game told this player alone since the last update, each with `kind` and `values`."""
    answered: list[Answered] = field(default_factory=list)
    """The answers to our own private actions since the last update, each with `seq` and `values`."""
    resynced: bool = False
    """True when ticks were skipped and their events are lost: at the start, and after falling far behind."""
    resumed: bool = False
    """True in the first update after the connection was lost and the client came back."""
    missed: int = 0
    """How many ticks the client has only the outcome of: their events are lost. 0 in the first update."""


def merged(updates: Sequence[Update]) -> Update:
    """The last of these updates, in place of all: with everybody who came and went, and without what happened.

    >>> first, last = Update(1, 1.0, {0: "ann", 1: "bob"}, {}), Update(2, 0.5, {1: "cid"}, {1: "bob"})
    >>> merged([first, last]).joined, merged([first, last]).left, merged([first, last]).missed
    ({0: 'ann', 1: 'cid'}, {}, 2)
    """
    joined: dict[int, str] = {}
    left: dict[int, str] = {}
    for update in updates:
        left |= {slot: name for slot, name in update.left.items() if joined.pop(slot, None) is None}
        joined |= update.joined
    resumed = any(update.resumed for update in updates)
    missed = sum(update.missed if update.resynced else 1 for update in updates)
    return Update(updates[-1].tick, updates[-1].dilation, joined, left, resynced=True, resumed=resumed, missed=missed)
