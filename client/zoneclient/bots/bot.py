"""A scripted player, and the book it keeps of what became of each of its actions."""

from __future__ import annotations

import dataclasses
import random
import time
from dataclasses import dataclass, field
from typing import Protocol

from zoneclient.protocol import ClientProtocol
from zoneclient.replica import Replica
from zoneserver.protocol.messages import Refusal, Value, Welcome
from zoneserver.support.histogram import Histogram

__all__ = ["ActionCounts", "ActionTracker", "Behaviour", "Bot", "Times"]

ActionOf = tuple[str, tuple[Value, ...]]
"""What a behaviour decides on: the kind of an action and its arguments."""


class Behaviour(Protocol):
    """What a bot does when its next action is due: subclass it for bots of your own, one object for each.

    >>> class Greeter(Behaviour):
    ...     def decide(self, bot: Bot, replica: Replica) -> ActionOf | None:
    ...         return "say", (f"hello from {bot.name}",)

    `zone-swarm --bot mybots:Greeter` sends a thousand of them, those of `mybots.py` where you stand.
    """

    motion_kinds: frozenset[str] = frozenset()
    """Kinds that become motions, of which the last within a tick makes the others void: `{"move"}`."""

    def decide(self, bot: Bot, replica: Replica) -> ActionOf | None:
        """The next action, or None to let this turn pass."""


@dataclass(slots=True)
class Times:
    """How long actions took, over all bots that share it, in microseconds. Times add up."""

    latency: Histogram = field(default_factory=Histogram)
    """From the moment an action was due to the moment its own player saw it."""
    latency_uncorrected: Histogram = field(default_factory=Histogram)
    """The same from the moment it was sent, which forgives a sender that is late."""
    send_delay: Histogram = field(default_factory=Histogram)
    """How long after it was due an action was sent."""
    to_tick: Histogram = field(default_factory=Histogram)
    """From the moment it was sent to the tick that took it, where that is known."""
    from_tick: Histogram = field(default_factory=Histogram)
    """From there to the moment its own player saw it."""

    def __add__(self, other: Times) -> Times:
        return Times(*(getattr(self, f.name) + getattr(other, f.name) for f in dataclasses.fields(self)))


@dataclass(slots=True)
class ActionCounts:
    """What became of actions, over all bots that share it."""

    sent: int = 0
    delivered: int = 0
    superseded: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    times: Times = field(default_factory=Times)
    """Since these were last taken away: whoever measures a stretch of time swaps them."""


@dataclass(slots=True)
class _Sent:
    is_motion: bool
    due: float
    sent: float


class ActionTracker:
    """The actions of one player that have been sent and not been accounted for.

    Frames name an action by the low byte of its sequence, which tells 256 outstanding ones apart.
    Each action ends exactly once: delivered, superseded, refused, or lost.

    >>> fates = ActionCounts()
    >>> book = ActionTracker(fates)
    >>> book.sent(1, True, due=0.0, now=0.0); book.sent(2, True, due=0.0, now=0.0)
    >>> book.seen(2, True, now=0.1); book.seen(2, True, now=0.2)
    >>> fates.delivered, fates.superseded, fates.duplicated
    (1, 1, 1)
    """

    __slots__ = ("_fates", "_last_event", "_outstanding")

    def __init__(self, fates: ActionCounts) -> None:
        self._fates = fates
        # By sequence, which is also the order in which they were sent.
        self._outstanding: dict[int, _Sent] = {}
        self._last_event = 0

    def __len__(self) -> int:
        return len(self._outstanding)

    def sent(self, seq: int, is_motion: bool, due: float, now: float) -> None:
        """An action left; it was due at `due`, in seconds of the same clock as `now`."""
        self._outstanding[seq] = _Sent(is_motion, due, now)
        fates = self._fates
        fates.sent += 1
        fates.times.send_delay.record(int((now - due) * 1e6))

    def seen(self, seq_byte: int, is_motion: bool, now: float, tick_began: float | None = None) -> None:
        """A frame holds an action of ours; its tick began at `tick_began`, where that is known."""
        fates = self._fates
        seq = self._full(seq_byte)
        action = self._outstanding.get(seq)
        if action is None or action.is_motion is not is_motion:
            fates.duplicated += 1
            return
        del self._outstanding[seq]
        fates.delivered += 1
        if is_motion:
            for earlier in [seq_ for seq_, other in self._outstanding.items() if seq_ < seq and other.is_motion]:
                del self._outstanding[earlier]
                fates.superseded += 1
        else:
            fates.reordered += seq < self._last_event
            self._last_event = max(seq, self._last_event)
        times = fates.times
        times.latency.record(int((now - action.due) * 1e6))
        times.latency_uncorrected.record(int((now - action.sent) * 1e6))
        if tick_began is not None:
            times.to_tick.record(int((tick_began - action.sent) * 1e6))
            times.from_tick.record(int((now - tick_began) * 1e6))

    def refused(self, refusal: Refusal) -> None:
        """The server says that one of ours did not happen."""
        if self._outstanding.pop(refusal.seq, None) is None:
            self._fates.duplicated += 1
        else:
            self._fates.refused[refusal.code] = self._fates.refused.get(refusal.code, 0) + 1

    def caught_up(self, seq_byte: int) -> None:
        """A snapshot took the place of frames; it holds everything up to this action of ours."""
        for seq in [seq for seq in self._outstanding if (seq_byte - seq) & 0xFF < 128]:
            del self._outstanding[seq]
            self._fates.delivered += 1

    def close(self) -> None:
        """Nothing more will come: what is outstanding is lost."""
        self._fates.lost += len(self._outstanding)
        self._outstanding.clear()

    def _full(self, seq_byte: int) -> int:
        oldest = next(iter(self._outstanding), 0)
        return oldest + ((seq_byte - oldest) & 0xFF)


class Bot(ClientProtocol):
    """A player that acts when it is told that something is due, and accounts for every action.

    Subclasses decide what to do with frames, and report to the book what those hold of this bot. A
    behaviour is given one to decide for: `bot.slot`, `bot.name`, `bot.welcome`, `bot.random`.

    >>> def anywhere(bot: Bot) -> ActionOf:
    ...     return "move", (bot.random.randint(-9, 9), bot.random.randint(-9, 9))
    """

    def __init__(
        self, name: str, behaviour: Behaviour, fates: ActionCounts, seed: int, *, deflate: bool = False
    ) -> None:
        super().__init__(name, deflate=deflate)
        self.behaviour = behaviour
        self.book = ActionTracker(fates)
        self.random = random.Random(seed)
        self.slot = -1
        """Who this bot is in the frames; -1 before the welcome."""

    def on_welcome(self, welcome: Welcome) -> None:
        self.slot = welcome.slot

    def perform(self, due: float, replica: Replica) -> None:
        """Does what its behaviour decides, as one packet, on account of the moment it was due."""
        decision = self.behaviour.decide(self, replica)
        if decision is None or self.bye is not None:
            return
        kind, arguments = decision
        seq = self.act(kind, *arguments)
        self.book.sent(seq, kind in self.behaviour.motion_kinds, due, time.monotonic())
        self.flush()

    def on_refused(self, refusal: Refusal) -> None:
        if refusal.seq:  # else it is a warning, and about no action
            self.book.refused(refusal)
