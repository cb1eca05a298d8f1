"""Tracks each action of a bot until it is delivered, answered, superseded, refused or lost, and counts the outcomes.

A bot that comes back after a lost connection goes on with its tracker.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

from zoneserver.protocol.codes import RefusalCode
from zoneserver.protocol.messages import Refusal
from zoneserver.support.histogram import Histogram

__all__ = ["ActionCounts", "ActionTimes", "ActionTracker"]


@dataclass(slots=True)
class ActionTimes:
    """How long the actions of all bots took, in microseconds. Two of these can be added."""

    latency: Histogram = field(default_factory=Histogram)
    """From the moment an action was due to the moment its own player saw it."""
    latency_uncorrected: Histogram = field(default_factory=Histogram)
    """From the moment an action was sent to the moment its own player saw it: this hides a late sender."""
    send_delay: Histogram = field(default_factory=Histogram)
    """From the moment an action was due to the moment it was sent."""
    to_tick: Histogram = field(default_factory=Histogram)
    """From the moment an action was sent to the start of its tick, if that is known."""
    from_tick: Histogram = field(default_factory=Histogram)
    """From the start of its tick to the moment its own player saw it, if the start is known."""

    def __add__(self, other: ActionTimes) -> ActionTimes:
        return ActionTimes(*(getattr(self, f.name) + getattr(other, f.name) for f in dataclasses.fields(self)))


@dataclass(slots=True)
class ActionCounts:
    """The outcomes of all actions of the bots that share this object."""

    sent: int = 0
    delivered: int = 0
    answered: int = 0
    """Private actions that happened: their own player alone is told."""
    superseded: int = 0
    unanswered: int = 0
    """Actions whose outcome was lost with a connection."""
    resent: int = 0
    """Actions that were sent again after a lost connection."""
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    motion_kinds: set[str] = field(default_factory=set)
    """Kinds of actions that a frame has shown as motions. The last motion within a tick supersedes the others."""
    times: ActionTimes = field(default_factory=ActionTimes)
    """The times since this attribute was last replaced: a meter takes it and puts an empty one in its place."""


@dataclass(slots=True)
class _Sent:
    kind: str
    action: bytes
    """The encoded action, to send it again."""
    due: float
    sent: float
    is_timed: bool = True
    """False after a lost connection: the times would be those of the outage."""


class ActionTracker:
    """The outstanding actions of one player.

    A frame names an action by the low byte of its sequence, which tells 256 outstanding actions apart.
    Each action has exactly one outcome: delivered, answered, superseded, refused, unanswered, or lost.

    >>> counts = ActionCounts()
    >>> tracker = ActionTracker(counts)
    >>> tracker.record_sent(1, "move", due=0.0, now=0.0); tracker.record_sent(2, "move", due=0.0, now=0.0)
    >>> _ = tracker.record_seen(2, True, now=0.1); _ = tracker.record_seen(2, True, now=0.2)
    >>> counts.delivered, counts.superseded, counts.duplicated
    (1, 1, 1)
    """

    __slots__ = ("_counts", "_last_event", "_muted_from", "_newest", "_outstanding")

    def __init__(self, counts: ActionCounts) -> None:
        self._counts = counts
        # By sequence, which is also the order in which they were sent.
        self._outstanding: dict[int, _Sent] = {}
        self._last_event = 0
        # The newest public action that is known to have happened; 0 before the first one.
        self._newest = 0
        # The first action that a mute drops; None while there is no mute.
        self._muted_from: int | None = None

    def __len__(self) -> int:
        return len(self._outstanding)

    def record_sent(self, seq: int, kind: str, due: float, now: float, action: bytes = b"") -> None:
        """An action was sent now. `due` and `now` are seconds of one clock. `action` is what was sent."""
        self._outstanding[seq] = _Sent(kind, action, due, now)
        self._counts.sent += 1
        self._counts.times.send_delay.record(int((now - due) * 1e6))

    def record_seen(self, seq_byte: int, is_motion: bool, now: float, tick_began: float | None = None) -> int | None:
        """A frame contains an action of this player. `tick_began` is the start of the frame's tick, if known.

        Return the latency in microseconds; None if it is not counted.
        """
        counts = self._counts
        seq = self._full_seq(seq_byte)
        action = self._outstanding.get(seq)
        if action is None:
            counts.duplicated += 1
            return None
        del self._outstanding[seq]
        counts.delivered += 1
        self._newest = max(self._newest, seq)
        if is_motion:
            counts.motion_kinds.add(action.kind)
            if self._outstanding:
                self._supersede(seq)
        else:
            counts.reordered += seq < self._last_event
            self._last_event = max(seq, self._last_event)
        if tick_began is not None and action.is_timed:
            times = counts.times
            times.to_tick.record(int((tick_began - action.sent) * 1e6))
            times.from_tick.record(int((now - tick_began) * 1e6))
        return self._record_latency(action, now)

    def _supersede(self, seq: int) -> None:
        """Count the outstanding motions before the one with this sequence: they happened in the same tick."""
        motions = (number for number, other in self._outstanding.items() if other.kind in self._counts.motion_kinds)
        for earlier in [number for number in motions if number < seq]:
            del self._outstanding[earlier]
            self._counts.superseded += 1

    def record_answered(self, seq: int, now: float) -> int | None:
        """The private action with this sequence happened. No frame names it. Return the latency as `record_seen`."""
        action = self._outstanding.pop(seq, None)
        if action is None:
            self._counts.duplicated += 1
            return None
        self._counts.answered += 1
        return self._record_latency(action, now)

    def record_refused(self, refusal: Refusal) -> None:
        """The server refused an action of this player, warned the player, or began or ended a mute.

        A mute refuses all actions from the sequence of MUTED to that of UNMUTED, both included.
        """
        if refusal.code == RefusalCode.MUTED:
            self._muted_from = refusal.seq
        elif refusal.code == RefusalCode.UNMUTED:
            self._end_mute(refusal.seq)
        elif refusal.code == RefusalCode.WARNED:
            pass
        elif self._outstanding.pop(refusal.seq, None) is None:
            self._counts.duplicated += 1
        else:
            self._counts.refused[refusal.code] = self._counts.refused.get(refusal.code, 0) + 1

    def _end_mute(self, last: float) -> None:
        """Counts the outstanding actions that the mute has dropped, the last of them with the sequence `last`."""
        if self._muted_from is None:
            return
        dropped = [seq for seq in self._outstanding if self._muted_from <= seq <= last]
        for seq in dropped:
            del self._outstanding[seq]
        if dropped:
            code = str(RefusalCode.MUTED)
            self._counts.refused[code] = self._counts.refused.get(code, 0) + len(dropped)
        self._muted_from = None

    def record_snapshot(self, seq_byte: int) -> None:
        """A snapshot replaced frames. It contains every action of this player up to the public one with `seq_byte`."""
        if seq_byte == self._newest & 0xFF:
            return  # A frame has told it already, or it is 0: there was none.
        self._newest = next((seq for seq in reversed(self._outstanding) if seq & 0xFF == seq_byte), self._newest)
        for seq in [seq for seq in self._outstanding if seq <= self._newest]:
            del self._outstanding[seq]
            self._counts.delivered += 1

    def record_return(self, taken: int) -> list[tuple[bytes, int]]:
        """The player has come back. The zone has taken its actions up to the sequence `taken`: return the later ones,
        each with its sequence. They must be sent again."""
        self._muted_from = None  # A mute that goes on is told again.
        for action in self._outstanding.values():
            action.is_timed = False
        again = [(each.action, seq) for seq, each in self._outstanding.items() if seq > taken]
        self._counts.resent += len(again)
        return again

    def give_up(self, taken: int) -> None:
        """Count the outstanding actions up to the sequence `taken` as unanswered: some time after a return their
        outcome cannot come any more."""
        for seq in [seq for seq in self._outstanding if seq <= taken]:
            del self._outstanding[seq]
            self._counts.unanswered += 1

    def close(self, *, is_away: bool = False) -> None:
        """Count every outstanding action as lost, unless a mute dropped it: no answer can come any more.

        The actions of a player who is away count as unanswered: the connection may have lost their outcomes.
        """
        self._end_mute(math.inf)
        if is_away:
            self._counts.unanswered += len(self._outstanding)
        else:
            self._counts.lost += len(self._outstanding)
        self._outstanding.clear()

    def _record_latency(self, action: _Sent, now: float) -> int | None:
        if not action.is_timed:
            return None
        times, latency = self._counts.times, int((now - action.due) * 1e6)
        times.latency.record(latency)
        times.latency_uncorrected.record(int((now - action.sent) * 1e6))
        return latency

    def _full_seq(self, seq_byte: int) -> int:
        oldest = next(iter(self._outstanding), 0)
        return oldest + ((seq_byte - oldest) & 0xFF)
