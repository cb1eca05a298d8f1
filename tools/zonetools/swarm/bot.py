"""A bot of the swarm: it checks every frame that it gets, and tells its worker what happens to it."""

from __future__ import annotations

import time
from typing import Protocol

from zoneclient.bots.action_tracker import ActionCounts
from zoneclient.bots.bot import Behaviour, Bot

from zoneserver.protocol.messages import Bye, Pong, Refusal, Welcome
from zonetools.swarm.frame_checker import FrameChecker, Record
from zonetools.swarm.plan import Plan

__all__ = ["BotOwner", "SwarmBot"]

# The loop reads everything that has come before it looks at a clock: thousands of frames when a tick has come.
_FRAMES_IN_A_ROW = 64


class BotOwner(Protocol):
    """Whoever has a crowd of bots, and is told what happens to each."""

    plan: Plan
    behaviours: dict[str, type[Behaviour]]
    frame_checker: FrameChecker
    counts: ActionCounts

    def bots_may_act(self) -> None:
        """Many frames were read in a row: whoever has to act meanwhile acts."""

    def bot_joined(self, bot: SwarmBot) -> None:
        """It is in."""

    def bot_caught_up(self) -> None:
        """A snapshot took the place of frames that it did not get."""

    def bot_refused(self, bot: SwarmBot, refusal: Refusal) -> None:
        """One of its actions did not happen, or it is warned of all that it sends."""

    def bot_answered(self, seconds: float) -> None:
        """A PING came back so much later."""

    def bot_closed(self, bot: SwarmBot, bye: Bye) -> None:
        """Its connection is gone."""


class SwarmBot(Bot):
    """A bot that checks every frame against the frame_checker of its process."""

    def __init__(self, owner: BotOwner, number: int) -> None:
        plan = owner.plan
        behaviour = owner.behaviours[plan.role(number)]()
        seed = plan.seed * 7_919 + number
        super().__init__(plan.name(number), behaviour, owner.counts, seed, deflate=plan.deflate)
        self.next_seq = plan.first_seq(number)
        self.number = number
        self.tick = -1
        """The newest tick this bot has."""
        self._owner = owner
        self._frame_checker = owner.frame_checker

    def inflate(self, payload: bytes) -> bytes:
        return self._frame_checker.inflated(payload)

    def on_welcome(self, welcome: Welcome) -> None:
        super().on_welcome(welcome)
        self._frame_checker.welcome(welcome)

    def on_snapshot(self, payload: bytes) -> None:
        snapshot = self._frame_checker.snapshot(payload)
        if self.tick < 0:
            self._owner.bot_joined(self)
        else:
            self._owner.bot_caught_up()
            self.tracker.record_snapshot(snapshot.seq[self.slot])
        self.tick = snapshot.tick

    def data_received(self, data: bytes) -> None:
        # Nearly every read is a frame that another bot has read already, and nothing else: it need not be taken
        # apart to be compared.
        record = None if self.is_within_frame else self._frame_checker.repeated(self.tick + 1, data)
        if record is None:
            super().data_received(data)
        else:
            self.received_bytes += len(data)
            self.tick += 1
            self._saw(record)
        if self._frame_checker.received % _FRAMES_IN_A_ROW == 0:
            self._owner.bots_may_act()

    def on_tick(self, payload: bytes) -> None:
        self.tick, record = self._frame_checker.frame(self.tick + 1, payload)
        self._saw(record)

    def _saw(self, record: Record) -> None:
        moved, events = record.motions.get(self.slot), record.events.get(self.slot, ())
        if moved is not None or events:
            now = time.monotonic()
            if moved is not None:
                self.tracker.record_seen(moved, True, now, record.tick_began)
            for seq in events:
                self.tracker.record_seen(seq, False, now, record.tick_began)

    def on_refused(self, refusal: Refusal) -> None:
        super().on_refused(refusal)
        self._owner.bot_refused(self, refusal)

    def on_pong(self, pong: Pong) -> None:
        self._owner.bot_answered(time.monotonic() - pong.token / 1e6)

    def on_closed(self, bye: Bye) -> None:
        self._owner.bot_closed(self, bye)
