"""A bot of the swarm: it checks every frame, and reports to its worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from zoneclient.bots.action_tracker import ActionCounts
from zoneclient.bots.bot import Behaviour, Bot

from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Bye, Op, Pong, Refusal, Welcome, op_of
from zonetools.swarm.frame_checker import FrameChecker, FrameRecord
from zonetools.swarm.plan import Plan

# After a tick the event loop reads thousands of frames before it runs any timer. So that bots do not act late, the
# due actions are also done after every 64 frames.
_FRAMES_BETWEEN_ACTIONS = 64


class BotOwner(Protocol):
    """The worker, as its bots see it."""

    plan: Plan
    frame_checker: FrameChecker
    counts: ActionCounts

    def bots_may_act(self) -> None: ...
    def bot_joined(self, bot: SwarmBot) -> None: ...
    def bot_caught_up(self) -> None: ...
    def bot_refused(self, bot: SwarmBot, refusal: Refusal) -> None: ...
    def bot_told(self, payload: bytes) -> None: ...
    def bot_broken(self, bot: SwarmBot, error: BaseException) -> None: ...
    def bot_answered(self, seconds: float) -> None: ...
    def bot_closed(self, bot: SwarmBot, bye: Bye) -> None: ...


class SwarmBot(Bot):
    """A bot that checks every frame with the frame checker of its process."""

    def __init__(self, owner: BotOwner, number: int, behaviour: Behaviour) -> None:
        plan = owner.plan
        name, seed, ticket = plan.name(number), plan.bot_seed(number), plan.access.ticket(plan.name(number))
        super().__init__(name, behaviour, owner.counts, seed, ticket=ticket, deflate=plan.deflate)
        self.next_seq = plan.first_seq(number)
        self.number = number
        self.tick = -1
        """The newest tick that this bot received; -1 before it has joined."""
        self._owner = owner
        self._frame_checker = owner.frame_checker
        # The methods that the behaviour may have beside `decide`, or None.
        self._on_event, self._on_told, self._on_refused = (
            getattr(behaviour, name, None) for name in ("on_event", "on_told", "on_refused")
        )
        owner.frame_checker.wants_events |= self._on_event is not None

    def inflate(self, payload: bytes) -> bytes:
        return self._frame_checker.inflate(payload)

    def on_welcome(self, welcome: Welcome) -> None:
        super().on_welcome(welcome)
        self.replica = self._frame_checker.on_welcome(welcome)

    def on_snapshot(self, payload: bytes) -> None:
        snapshot = self._frame_checker.check_snapshot(payload)
        if self.tick < 0:
            self._owner.bot_joined(self)
        else:
            self._owner.bot_caught_up()
            self.tracker.record_snapshot(snapshot.seq[self.slot])
        self.tick = snapshot.tick

    def data_received(self, data: bytes) -> None:
        # Nearly every read is exactly one frame that another bot has received before. Such a read is compared
        # without taking it apart.
        record = None if self.has_partial_message else self._frame_checker.find_copy(self.tick + 1, data)
        if record is None:
            super().data_received(data)
        else:
            self.received_bytes += len(data)
            self.tick += 1
            self._track_actions(record)
        if self._frame_checker.received % _FRAMES_BETWEEN_ACTIONS == 0:
            self._owner.bots_may_act()

    def on_tick(self, payload: bytes) -> None:
        self.tick, record = self._frame_checker.check_frame(self.tick + 1, payload)
        self._track_actions(record)

    def _track_actions(self, record: FrameRecord) -> None:
        motion, events = record.motions.get(self.slot), record.events.get(self.slot, ())
        if motion is not None or events:
            now = time.monotonic()
            if motion is not None:
                self.tracker.record_seen(motion, True, now, record.tick_began)
            for seq in events:
                self.tracker.record_seen(seq, False, now, record.tick_began)
        if self._on_event is not None:
            for event in record.heard:
                self._call(self._on_event, event)

    def stop_telling(self) -> None:
        """The run is over: the behaviour is told nothing more, so that it does nothing more."""
        self._on_event = self._on_told = self._on_refused = None

    def _call(self, method: Callable[..., object], message: object) -> None:
        """Call a method of the behaviour. An exception in it is an error of the report, and nothing else."""
        try:
            method(self, message)
        except BaseException as error:  # SystemExit as well: the class is the user's.
            self._owner.bot_broken(self, error)

    def on_payload(self, payload: bytes) -> None:
        if op_of(payload) != Op.TOLD:
            super().on_payload(payload)
            return
        self._owner.bot_told(payload)
        if self._on_told is not None:
            self._call(self._on_told, decode_server(payload))

    def on_refused(self, refusal: Refusal) -> None:
        super().on_refused(refusal)
        self._owner.bot_refused(self, refusal)
        if self._on_refused is not None:
            self._call(self._on_refused, refusal)

    def on_pong(self, pong: Pong) -> None:
        self._owner.bot_answered(time.monotonic() - pong.token / 1e6)

    def on_closed(self, bye: Bye) -> None:
        self._owner.bot_closed(self, bye)
