"""What the bots counted at each address of the plan."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from itertools import zip_longest

from zoneserver.support.histogram import Histogram


@dataclass(slots=True)
class Place:
    """The counts of one address. Two of these can be added."""

    bots: int = 0
    """Bots that were to join here."""
    joined: int = 0
    failed: int = 0
    """Bots that failed to join."""
    closed_early: int = 0
    """Bots whose session ended here before they left, and that did not come back."""
    connected: int = 0
    """Bots that are connected here now, or were at the end of the run."""
    frames: int = 0
    drops: int = 0
    """Lost connections of bots that come back."""
    returned: int = 0
    """How often a bot came back here, wherever it was before."""
    moved: int = 0
    """How often a bot whose connection was lost here came back at another address."""
    away: Histogram = field(default_factory=Histogram)
    """The time from the loss of a connection here until the bot was back somewhere, in microseconds."""
    latency: Histogram = field(default_factory=Histogram)
    """From the moment an action was due to the moment its own player saw it, in microseconds, while measuring."""

    def __add__(self, other: Place) -> Place:
        return Place(*(getattr(self, f.name) + getattr(other, f.name) for f in dataclasses.fields(self)))


class Places:
    """The counts of each address, in the order of the plan. Two of these can be added.

    >>> sum([Places([Place(joined=2), Place(joined=1)]), Places([Place(joined=2)])], Places()).each[0].joined
    4
    """

    __slots__ = ("each",)

    def __init__(self, each: list[Place] | None = None) -> None:
        self.each = each or []

    def __add__(self, other: Places) -> Places:
        return Places([one + two for one, two in zip_longest(self.each, other.each, fillvalue=Place())])
