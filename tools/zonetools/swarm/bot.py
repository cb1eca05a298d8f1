"""A bot of the swarm: it checks every frame, and reports to its worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol, Self

from zoneclient.bots.action_tracker import ActionCounts
from zoneclient.bots.bot import Behaviour, Bot
from zoneclient.protocol import Returning

from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Answered, Bye, Op, Pong, Refusal, Told, Welcome, op_of
from zoneserver.protocol.values import Value
from zonetools.swarm.crowd_reader import CrowdReader
from zonetools.swarm.frame_checker import FrameChecker, FrameRecord, form_of
from zonetools.swarm.measure.places import Places
from zonetools.swarm.plan import Plan

# After a tick the event loop reads thousands of frames before it runs any timer. So that bots do not act late, the
# due actions are also done after every 64 frames.
_FRAMES_BETWEEN_ACTIONS = 64
_PRIVATE_OPS = {Op.REFUSED, Op.TOLD, Op.ANSWERED}


class BotOwner(Protocol):
    """The worker, as its bots see it."""

    plan: Plan
    frame_checker: FrameChecker
    reader: CrowdReader
    counts: ActionCounts
    places: Places

    def bots_may_act(self) -> None: ...
    def bot_joined(self, bot: SwarmBot) -> None: ...
    def bot_caught_up(self) -> None: ...
    def bot_returned(self, bot: SwarmBot) -> None: ...
    def bot_missed(self, ticks: int) -> None: ...
    def bot_refused(self, bot: SwarmBot, refusal: Refusal) -> None: ...
    def bot_told(self, payload: bytes) -> None: ...
    def bot_broken(self, bot: SwarmBot, error: BaseException) -> None: ...
    def bot_saw(self, bot: SwarmBot, microseconds: int) -> None: ...
    def bot_answered(self, seconds: float) -> None: ...
    def bot_closed(self, bot: SwarmBot, bye: Bye) -> None: ...


class SwarmBot(Bot):
    """A bot that checks every frame with the frame checker of its process.

    An object is one connection. A bot whose connection was lost comes back as its `successor`.
    """

    def __init__(
        self, owner: BotOwner, number: int, behaviour: Behaviour, former: SwarmBot | None = None, place: int = 0
    ) -> None:
        plan = owner.plan
        name, seed, ticket = plan.name(number), plan.bot_seed(number), plan.access.ticket(plan.name(number))
        resume = plan.resume or getattr(behaviour, "resumes", False)
        settings = {
            "ticket": ticket,
            "deflate": plan.deflate,
            "resume": resume,
            "web_host": plan.web_host(number, place),
        }
        if former is not None:
            # Half of the returns ask for every frame, so that both ways are tried.
            settings |= {"returning": former._returning(), "whole": former.random.random() < 0.5}
        super().__init__(name, behaviour, owner.counts, seed, **settings)
        self.number = number
        self.is_web = plan.is_web(number)
        """Whether the connection is a WebSocket."""
        self.place = place
        """The number of the address to which the connection goes."""
        self.tick = -1
        """The newest tick that this bot received; -1 before it has joined."""
        self.attempt: asyncio.Future[Bye | None] = self.loop.create_future()
        """The result of a connection that comes back: None, or why it ended before the WELCOME."""
        self._former = former
        # The private messages whose frame has not come yet, each with its tick. After a drop they come again.
        self._ahead: list[tuple[int, bytes]] = []
        # Those that came before a drop already, and now come again.
        self._repeats: list[bytes] = []
        self._owner = owner
        self._frame_checker = owner.frame_checker
        self._counts_here = owner.places.each[place]
        # Whether latencies are also counted by address.
        self._has_places = len(owner.places.each) > 1
        self._form = form_of(is_web=self.is_web, is_deflated=plan.deflate)
        # Whether the bytes read so far end in the middle of a message.
        self._is_amid = False
        # The payload of the frame that is read, if that is deflated.
        self._deflated = b""
        # The methods that the behaviour may have beside `decide`, or None.
        self._on_event, self._on_told, self._on_refused = (
            getattr(behaviour, name, None) for name in ("on_event", "on_told", "on_refused")
        )
        # Whether the bot is read at once also while it only watches: somebody wants to know when something came.
        self._is_eager = any((self._on_event, self._on_told, self._on_refused))
        # How many PINGs have no PONG.
        self._pings = 0
        owner.frame_checker.wants_events |= self._on_event is not None

    # --- Coming back ------------------------------------------------------------------------------

    @property
    def may_return(self) -> bool:
        """Whether the bot may come back to its player after the loss of this connection."""
        return self.tick >= 0 and self.welcome is not None and self.welcome.resume is not None

    def _returning(self) -> Returning:
        assert self.welcome is not None and self.welcome.resume is not None
        token, _, epoch, _ = self.welcome.resume
        return Returning(token, epoch, self.tick)

    def successor(self, place: int | None = None) -> Self:
        """Return the connection with which this bot comes back, to be opened: it goes on with everything. It goes to
        the same address, or to another one."""
        place = self.place if place is None else place
        bot = type(self)(self._owner, self.number, self.behaviour, self, place)
        bot.tick, bot.tracker, bot.random = self.tick, self.tracker, self.random
        bot._on_event, bot._on_told, bot._on_refused = self._on_event, self._on_told, self._on_refused
        bot._ahead = [(tick, payload) for tick, payload in self._ahead if tick > self.tick]
        bot._repeats = [payload for _, payload in bot._ahead]
        return bot

    def _go_on(self, welcome: Welcome, former: SwarmBot) -> None:
        """The server let the bot come back. Raises ValueError if it is not to the player that was lost."""
        before = former.welcome
        assert before is not None and before.resume is not None
        if welcome.resume is None or welcome.slot != before.slot:
            raise ValueError(f"the player who comes back is in slot {welcome.slot}, and was in slot {before.slot}")
        if welcome.resume.epoch != before.resume.epoch:
            # The ticks of another start of the server are due at other times.
            self._frame_checker.grid = None
        self._owner.bot_returned(self)
        for action, seq in self.tracker.record_return(welcome.resume.seq):
            self.send_action(action, seq)
        self.flush()
        self.next_seq = former.next_seq
        self.attempt.set_result(None)

    # --- What arrives -----------------------------------------------------------------------------

    def inflate(self, payload: bytes) -> bytes:
        return self._frame_checker.inflate(payload)

    def on_welcome(self, welcome: Welcome) -> None:
        super().on_welcome(welcome)
        self.replica = self._frame_checker.on_welcome(welcome)
        if self._former is None:
            self.next_seq = self._owner.plan.first_seq(self.number)
        else:
            self._go_on(welcome, self._former)
            self._former = None
        self._owner.reader.add(self, welcome.zone.hz)
        if welcome.resume is not None:
            # The token before is good until the server has read something behind WELCOME.
            self.ping(int(time.monotonic() * 1e6))

    def on_snapshot(self, payload: bytes) -> None:
        snapshot = self._frame_checker.check_snapshot(payload)
        if self.tick < 0:
            self._owner.bot_joined(self)
        else:
            assert self.welcome is not None
            if snapshot.tick == self.welcome.tick:
                self._owner.bot_missed(max(0, snapshot.tick - self.tick))
            else:
                self._owner.bot_caught_up()
            self.tracker.record_snapshot(snapshot.seq[self.slot])
        self.tick = snapshot.tick

    def data_received(self, data: bytes) -> None:
        self.read(data, len(data))
        if self._frame_checker.received % _FRAMES_BETWEEN_ACTIONS == 0:
            self._owner.bots_may_act()

    def read(self, buffer: bytes | bytearray, size: int) -> None:
        """Read the first `size` bytes of the buffer.

        Nearly every read is one frame that another bot has received before. Such frames are compared in the buffer;
        only what is left is taken apart.
        """
        start, checker = 0, self._frame_checker
        while not self._is_amid and (record := checker.records.get(self.tick + 1)) is not None:
            copy = record.forms[self._form]
            end = start + len(copy)
            if end > size or not copy or not buffer.startswith(copy, start):
                break
            start = end
            self.tick += 1
            self._counts_here.frames += 1
            checker.received += 1
            checker.deliveries += record.actions
            if self.slot in record.motions or self.slot in record.events or record.heard:
                self._track_actions(record)
        self.received_bytes += start
        if start < size:
            super().data_received(bytes(buffer[start:size]))
            self._is_amid = self.has_partial_message

    @property
    def is_waiting(self) -> bool:
        return self._is_eager or self._is_amid or self.tick < 0 or self._pings > 0 or len(self.tracker) > 0

    def end_reading(self, error: OSError | None) -> None:
        """The connection has ended: its transport does the rest."""
        if error is not None:
            self.record_end(Bye(str(CloseReason.CONNECTION_LOST), str(error), True))
            self.abort()
        elif not self.transport.is_closing():
            self.transport.resume_reading()

    def on_deflated(self, payload: bytes) -> None:
        self._deflated = payload
        super().on_deflated(payload)
        self._deflated = b""

    def on_tick(self, payload: bytes) -> None:
        self.tick, record = self._frame_checker.check_frame(self.tick + 1, payload, self._form, self._deflated)
        self._counts_here.frames += 1
        self._track_actions(record)

    def _track_actions(self, record: FrameRecord) -> None:
        motion, events = record.motions.get(self.slot), record.events.get(self.slot, ())
        if motion is not None or events:
            now = time.monotonic()
            if motion is not None:
                self.on_latency(self.tracker.record_seen(motion, True, now, record.tick_began))
            for seq in events:
                self.on_latency(self.tracker.record_seen(seq, False, now, record.tick_began))
        if self._on_event is not None:
            for event in record.heard:
                self._call(self._on_event, event)

    def drop(self, deaf_seconds: float = 0.0) -> None:
        if deaf_seconds:
            self._owner.reader.remove(self)
        super().drop(deaf_seconds)

    def stop_telling(self) -> None:
        """The run is over: the behaviour is told nothing more, so that it does nothing more."""
        self._on_event = self._on_told = self._on_refused = None

    def _call(self, method: Callable[..., object], message: object) -> None:
        """Call a method of the behaviour. An exception in it is an error of the report, and nothing else."""
        try:
            method(self, message)
        except BaseException as error:  # SystemExit as well: the class is the user's.
            self._owner.bot_broken(self, error)

    def _is_repeated(self, payload: bytes) -> bool:
        """Whether a private message came before the loss of the connection already, ahead of a frame that did not."""
        if payload in self._repeats:
            self._repeats.remove(payload)
            return True
        message = decode_server(payload)
        assert isinstance(message, Refusal | Told | Answered)
        if self._ahead and self._ahead[0][0] <= self.tick:
            self._ahead = [(tick, payload) for tick, payload in self._ahead if tick > self.tick]
        self._ahead.append((message.tick, payload))
        return False

    def on_payload(self, payload: bytes) -> None:
        op = op_of(payload)
        if op in _PRIVATE_OPS and self.may_return and self._is_repeated(payload):
            return
        if op != Op.TOLD:
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

    def on_latency(self, microseconds: int | None) -> None:
        if self._has_places and microseconds is not None:
            self._owner.bot_saw(self, microseconds)

    def _act(self, due: float, kind: str, arguments: tuple[Value, ...]) -> int:
        seq = super()._act(due, kind, arguments)
        self._owner.reader.hurry(self)
        return seq

    def ping(self, token: int) -> None:
        self._pings += 1
        super().ping(token)
        self._owner.reader.hurry(self)

    def on_pong(self, pong: Pong) -> None:
        self._pings -= 1
        self._owner.bot_answered(time.monotonic() - pong.token / 1e6)

    def on_closed(self, bye: Bye) -> None:
        self._owner.reader.remove(self)
        if self._former is None:
            self._owner.bot_closed(self, bye)
        elif not self.attempt.done():
            self.attempt.set_result(bye)
