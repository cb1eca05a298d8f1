"""The broadcaster: one buffer a tick to every player who can take it, and a way back for those who cannot.

A player whose send is in flight, or whose byte budget is spent, leaves the broadcast group and is behind: the
player skips frames, and costs only a cursor. Afterwards one gather send brings what the player missed: the
frames since then or a snapshot, whichever is shorter. The tick never waits; `lag_tracker` says which players
have been behind for too long.

There is one group for each form of a frame (framing, deflated or not), so a tick decides nothing session by
session. A form is made only while a player wants it.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Iterable, Sequence

from zoneserver.config import Config
from zoneserver.gateway.broadcast_group import BroadcastGroup, never_ready
from zoneserver.gateway.counters import GatewayCounters
from zoneserver.gateway.lag_tracker import LagTracker, largest_beyond
from zoneserver.gateway.leaky_bucket import LeakyBucket
from zoneserver.gateway.session import Session
from zoneserver.gateway.socket_options import set_user_timeout, unanswered_seconds
from zoneserver.protocol.codes import CloseReason
from zoneserver.zone.frame_history import Form, History, Message

__all__ = ["Broadcaster"]

# The window over which `send_rate` is kept, and how far its budget has recovered when sending goes on.
_WINDOW_SECONDS, _PAUSED_FILL = 1.0, 0.5
# How long the kernel waits for a peer that has no room: much longer than the limits of this server.
_KERNEL_PATIENCE_SECONDS = 60.0
# A peer that has answered nothing for so long is gone rather than slow: no answer can still be on its way.
_GONE_SECONDS = 1.0
_NO_SUBSCRIPTION = (None, 0)


class Broadcaster:
    """Hands the frames of one zone to its players. `now` is in seconds of the caller's clock."""

    def __init__(self, history: History, config: Config, counters: GatewayCounters) -> None:
        self.tick = history.tick
        """The tick that every player in a group has been handed."""
        self.frame_bytes = 0
        """The size of the newest frame, without framing."""
        self._history = history
        self._config = config
        self._limits = config.limits
        self._counters = counters
        self._groups: dict[Form, BroadcastGroup[Session]] = {}
        # The form that each player wants.
        self._forms: dict[Session, Form] = {}
        self.sessions_by_form = Counter[Form]()
        """How many sessions get each form."""
        # The group of each player who is in one, and the group's `bytes_total` when the player entered.
        self._subscriptions: dict[Session, tuple[BroadcastGroup[Session], int]] = {}
        # Players who skip frames.
        self._behind: dict[Session, LagTracker] = {}
        # What each player may be sent within the window; empty when `send_rate` is 0.
        self._budgets: dict[Session, LeakyBucket] = {}
        # A heap of the paused players: (when the pause ends, number of the session, session).
        self._pauses: list[tuple[float, int, Session]] = []

    @property
    def behind(self) -> int:
        """How many players skip frames at present."""
        return len(self._behind)

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for the kernel to take them, over all players."""
        return sum(session.waiting_bytes for session in self._behind)

    def lag(self, session: Session) -> LagTracker | None:
        """The tracker of a player who skips frames, or None."""
        return self._behind.get(session)

    def behind_ticks(self, session: Session) -> int:
        """How many frames the player has not been handed yet."""
        lag = self._behind.get(session)
        return 0 if lag is None else self.tick - lag.tick

    def sent_bytes(self, session: Session) -> int:
        """Bytes of this session that the kernel has taken, ever."""
        group, before = self._subscriptions.get(session, _NO_SUBSCRIPTION)
        return session.sent_bytes + (0 if group is None else group.bytes_total - before)

    # --- Groups --------------------------------------------------------------------

    def join(self, session: Session, form: Form, now: float, tick: int | None = None, whole: bool = False) -> None:
        """Queues what a player with this tick has missed, for a new player the state, and hands it every later frame.
        With `whole` it prefers the frames to a snapshot."""
        if self._config.send_rate:
            self._budgets[session] = LeakyBucket(self._config.send_rate, self._config.send_rate * _WINDOW_SECONDS)
        self._forms[session] = form
        self.sessions_by_form[form] += 1
        self._hand_over(session, tick, now, whole)

    def leave(self, session: Session) -> None:
        """Hands the session no further frames. A session that never joined may leave."""
        self._unsubscribe(session)
        form = self._forms.pop(session, None)
        if form is not None:
            self.sessions_by_form[form] -= 1
        self._behind.pop(session, None)
        self._budgets.pop(session, None)

    def blocked(self, session: Session) -> None:
        """The session's queue is no longer clear: no frame may pass it."""
        group, _ = self._subscriptions.get(session, _NO_SUBSCRIPTION)
        if group is not None:
            group.set_sender(session, never_ready)

    def cleared(self, session: Session) -> None:
        """The session's queue is clear: frames go to the kernel directly."""
        group, _ = self._subscriptions.get(session, _NO_SUBSCRIPTION)
        if group is not None:
            group.set_sender(session, session.kernel_send or never_ready)

    def stalled(self, session: Session, now: float) -> None:
        """A send of the session is in flight: the player is behind until it completes."""
        if session in self._subscriptions:
            self._fall_behind(session, now)
        if session in self._behind:
            set_user_timeout(session.socket, _KERNEL_PATIENCE_SECONDS)

    def drained(self, session: Session, now: float) -> None:
        """The send in flight is complete. Queues what the player missed, for the session to send."""
        lag = self._behind.get(session)
        if lag is not None:
            set_user_timeout(session.socket, self._limits.tcp_user_timeout_seconds)
            if not lag.is_paused:
                self._catch_up(session, lag, now)

    def _subscribe(self, session: Session) -> None:
        form = self._forms[session]
        group = self._groups.get(form)
        if group is None:
            group = self._groups[form] = BroadcastGroup()
        self._subscriptions[session] = group, group.bytes_total
        group.set_sender(session, never_ready)
        if session.is_clear:
            self.cleared(session)

    def _unsubscribe(self, session: Session) -> None:
        group, before = self._subscriptions.pop(session, _NO_SUBSCRIPTION)
        if group is not None:
            group.remove(session)
            session.accepted_bytes += group.bytes_total - before

    def _fall_behind(self, session: Session, now: float) -> LagTracker:
        self._unsubscribe(session)
        lag = self._behind[session] = LagTracker(self.tick, now, session.sent_bytes)
        return lag

    def _pause(self, session: Session, budget: LeakyBucket, now: float) -> None:
        """Sends the player nothing until the budget has recovered."""
        self._fall_behind(session, now).is_paused = True
        heapq.heappush(self._pauses, (now + budget.seconds_until(_PAUSED_FILL, now), session.number, session))

    def _catch_up(self, session: Session, lag: LagTracker, now: float) -> None:
        del self._behind[session]
        if lag.tick != self._history.tick:
            self._counters.catch_ups_total += 1
        self._hand_over(session, lag.tick, now)

    def _hand_over(self, session: Session, tick: int | None, now: float, whole: bool = False) -> None:
        """Queues what a player with this tick has missed, and takes the player into its group."""
        self._subscribe(session)
        missed = self._in_form(self._forms[session], self._history.since(tick, whole))
        if missed and not session.queue_bytes(missed):
            return  # The session is over, and has left.
        self._counters.bytes_out_total += len(missed)
        budget = self._budgets.get(session)
        if budget is not None and budget.spend(len(missed), now) >= 1.0:
            self._pause(session, budget, now)

    def _in_form(self, form: Form, missed: Sequence[Message]) -> bytes:
        """The messages joined into one piece.

        A receiver of deflated frames gets the newest message deflated, and older ones if their deflated form exists.
        """
        if not form.deflated or not missed:
            return b"".join([message.form(form) for message in missed])
        plain = Form(form.framing)
        *older, newest = missed
        parts = [message.form(form if message.has(form) else plain) for message in older]
        parts.append(self._deflate(newest, form))
        self._counters.bytes_saved_total += sum(message.saved_bytes for message in missed if message.has(form))
        return b"".join(parts)

    def _deflate(self, message: Message, form: Form) -> bytes:
        """The deflated form of a message. Counts the time that deflating takes."""
        if message.is_deflated:
            return message.form(form)
        began = time.perf_counter()
        data = message.form(form)
        self._counters.deflate_seconds_total += time.perf_counter() - began
        self._counters.deflates_total += 1
        return data

    # --- The tick ---------------------------------------------------------------------------------

    def send(self, records: int, now: float, first: Iterable[Session] = ()) -> None:
        """Sends the frames of the history since the last call to every group: one, unless the caller is behind. They
        tell `records` changes.

        The sessions in `first` are served before the others of their group.
        """
        newest, counters = self._history.newest, self._counters
        frames = [newest] if self._history.tick == self.tick + 1 else self._missed_frames()
        if not frames:
            self._bridge(now)
        self.tick, self.frame_bytes = self._history.tick, len(newest.payload)
        # The receivers are kept as they were before the send, which may end or stall sessions and so change the groups.
        charged: list[tuple[tuple[Session, ...], int]] = []
        for form, group in self._groups.items():
            count = len(group)
            if not count or not frames:
                continue
            parts = [self._deflate(frame, form) if form.deflated else frame.form(form) for frame in frames]
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            if self._config.send_rate:
                charged.append((tuple(group), len(data)))
            self._deliver(group, data, first)
            counters.frames_out_total += count * len(frames)
            counters.deliveries_out_total += count * records
            counters.bytes_out_total += count * len(data)
            if form.deflated:
                counters.frames_deflated_total += count * sum(frame.saved_bytes > 0 for frame in frames)
                counters.bytes_saved_total += count * sum(frame.saved_bytes for frame in frames)
        counters.frames_skipped_total += len(self._behind)
        for receivers, size in charged:
            self._charge(receivers, size, now)
        self._resume(now)

    def _missed_frames(self) -> list[Message]:
        """The frames since the last send, for all groups. Empty if some are missing, or have so many bytes that a
        snapshot is shorter."""
        missed = self._history.since(self.tick, whole=True)
        if sum(len(frame.payload) for frame in missed) > self._limits.send_soft_bytes:
            missed = self._history.since(self.tick)
        return missed if missed and missed[-1] is self._history.newest else []

    def _bridge(self, now: float) -> None:
        """Brings every player over ticks without a frame, which failed: to the newest tick, by a snapshot."""
        for session in list(self._subscriptions):
            self._catch_up(session, self._fall_behind(session, now), now)
            session.flush()

    def _deliver(self, group: BroadcastGroup[Session], data: bytes, first: Iterable[Session]) -> None:
        """Sends the bytes to each receiver of a group, with one send each."""
        self._counters.sends_total += len(group)
        for session, taken in group.send(data, first):
            session.send_remainder(data, taken)

    def _charge(self, receivers: Sequence[Session], size: int, now: float) -> None:
        """Charges the budgets of the receivers, and pauses players whose budget is spent."""
        for session in receivers:
            budget = self._budgets.get(session)
            if budget is not None and budget.spend(size, now) >= 1.0 and session in self._subscriptions:
                self._pause(session, budget, now)

    def _resume(self, now: float) -> None:
        """Resumes players whose pause is over."""
        while self._pauses and self._pauses[0][0] <= now:
            session = heapq.heappop(self._pauses)[2]
            lag = self._behind.get(session)
            if lag is not None and lag.is_paused:
                lag.is_paused = False
                if not session.in_flight:
                    self._catch_up(session, lag, now)
                    session.flush()

    def expire(self, now: float) -> None:
        """Ends players who have been behind for too long, and the largest queues when they exceed the memory limit."""
        limits = self._limits
        for session, lag in list(self._behind.items()):
            verdict = lag.check(
                now, session.sent_bytes, session.waiting_bytes, limits.send_soft_bytes, limits.stall_seconds
            )
            silent_seconds = unanswered_seconds(session.socket)
            # The kernel was told to leave this to the server, and knew of the silence before the server did.
            is_overdue = silent_seconds > limits.tcp_user_timeout_seconds and lag.idle_seconds(now) > _GONE_SECONDS
            if is_overdue or (verdict is not None and silent_seconds > _GONE_SECONDS):
                session.end(CloseReason.CONNECTION_LOST, f"nothing was acknowledged for {silent_seconds:.1f} s")
            elif verdict is not None:
                session.end(CloseReason.SLOW_CONSUMER, f"{verdict}, {self.tick - lag.tick} ticks behind")
        memory = self._config.send_memory_bytes
        waiting = [(session, session.waiting_bytes) for session in self._behind]
        for session in largest_beyond(memory, waiting):
            text = f"{session.waiting_bytes} bytes wait, the most of all sessions; all together may have {memory}"
            session.end(CloseReason.SLOW_CONSUMER, text)
