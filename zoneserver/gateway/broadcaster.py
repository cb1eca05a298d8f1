"""The round: one buffer a tick to everybody who can take it, and a way back for who could not.

Whoever can take no more, because a send is in flight or the byte budget of the window is spent,
leaves the round and is behind: it skips frames, at the cost of a cursor. When that is over, it gets
what it missed in one gather send: the frames since, or a snapshot, whichever is shorter. The tick
waits for nobody; `pacing` says who has been behind for too long.

Who asked for it gets the buffer deflated: one more encode a tick for all of them together, and none
while there are none.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable, Sequence

from zoneserver.config import Config
from zoneserver.gateway.broadcast_group import BroadcastGroup
from zoneserver.gateway.counters import Counters
from zoneserver.gateway.lag import LagTracker, largest_beyond
from zoneserver.gateway.leaky_bucket import LeakyBucket
from zoneserver.gateway.session import Session
from zoneserver.gateway.socket_options import set_user_timeout, unanswered_seconds
from zoneserver.protocol.codes import CloseReason
from zoneserver.zone.history import Buffer, History

__all__ = ["Broadcaster"]

# The window over which `send_rate` is kept, and how far its budget has recovered when sending goes on.
_WINDOW_SECONDS, _RESTED_FILL = 1.0, 0.5
# How long the kernel is to put up with a peer that has no room: longer than we do, by far.
_KERNEL_PATIENCE_SECONDS = 60.0
# Whoever has answered nothing for so long is gone, rather than slow, and no answer is still on its way.
_GONE_SECONDS = 1.0


class Broadcaster:
    """Hands the frames of one zone to those who play in it. `now` is in seconds of the caller's clock."""

    def __init__(self, history: History, config: Config, counters: Counters) -> None:
        self.tick = history.tick
        """The tick that everybody in the round has been handed."""
        self.frame_bytes = 0
        """The size of its frame, as it is."""
        self._history = history
        self._config = config
        self._limits = config.limits
        self._counters = counters
        # Those who get every frame as it is made, and those who get it deflated: two rounds, so that a tick
        # decides nothing session by session.
        self._plain = BroadcastGroup[Session]()
        self._deflating = BroadcastGroup[Session]()
        # Those who skip frames.
        self._behind: dict[Session, LagTracker] = {}
        # What each may be sent within the window; empty when there is no such bound.
        self._budgets: dict[Session, LeakyBucket] = {}
        # When those who rest go on, the earliest first: (moment, number of the session, session).
        self._rests: list[tuple[float, int, Session]] = []

    @property
    def behind(self) -> int:
        """How many skip frames at present."""
        return len(self._behind)

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for the kernel to take them, over all who play."""
        return sum(session.waiting_bytes for session in self._behind)

    def lag(self, session: Session) -> LagTracker | None:
        """Of one that skips frames."""
        return self._behind.get(session)

    # --- Who is in the round ----------------------------------------------------------------------

    def join(self, session: Session, now: float) -> None:
        """From now on it gets every frame; the state that they follow comes first."""
        if self._config.send_rate:
            self._budgets[session] = LeakyBucket(self._config.send_rate, self._config.send_rate * _WINDOW_SECONDS)
        self._hand_over(session, None, now)

    def leave(self, session: Session) -> None:
        """It gets nothing more; one that never joined gets nothing anyway."""
        session.enter(None)
        self._behind.pop(session, None)
        self._budgets.pop(session, None)

    def stalled(self, session: Session, now: float) -> None:
        """A send of the session is in flight: it is behind until that completes."""
        if session.round is not None:
            self._fall_behind(session, now)
        if session in self._behind:
            set_user_timeout(session.socket, _KERNEL_PATIENCE_SECONDS)

    def drained(self, session: Session, now: float) -> None:
        """That send is complete; what was missed is queued, for the session to send."""
        lag = self._behind.get(session)
        if lag is not None:
            set_user_timeout(session.socket, self._limits.tcp_user_timeout_seconds)
            if not lag.is_resting:
                self._catch_up(session, lag, now)

    def _fall_behind(self, session: Session, now: float) -> LagTracker:
        session.enter(None)
        lag = self._behind[session] = LagTracker(self.tick, now, session.sent_bytes)
        return lag

    def _rest(self, session: Session, budget: LeakyBucket, now: float) -> None:
        """The budget is spent: sends nothing to it until that has recovered."""
        lag = self._fall_behind(session, now)
        lag.is_resting = True
        heapq.heappush(self._rests, (now + budget.seconds_until(_RESTED_FILL, now), session.number, session))

    def _catch_up(self, session: Session, lag: LagTracker, now: float) -> None:
        del self._behind[session]
        if lag.tick != self._history.tick:
            self._counters.catch_ups_total += 1
        self._hand_over(session, lag.tick, now)

    def _hand_over(self, session: Session, tick: int | None, now: float) -> None:
        """Queues what somebody with this tick misses, and takes it into the round."""
        session.enter(self._deflating if session.wants_deflate else self._plain)
        missed = self._in_form(session, self._history.since(tick))
        size = len(missed)
        if missed and not session.enqueue(missed):
            return  # It is over, and has left.
        self._counters.bytes_out_total += size
        budget = self._budgets.get(session)
        if budget is not None and budget.spend(size, now) >= 1.0:
            self._rest(session, budget, now)

    def _in_form(self, session: Session, missed: Sequence[Buffer]) -> bytes:
        """What somebody missed as one piece: for who wants it deflated, what is there in that form, and what is
        of the last tick in any case."""
        if not session.wants_deflate or not missed:
            return b"".join([buffer.plain for buffer in missed])
        *older, newest = missed
        deflated = b"".join([*(buffer.deflated or buffer.plain for buffer in older), self._deflate(newest)])
        self._counters.bytes_saved_total += sum(len(buffer.plain) for buffer in missed) - len(deflated)
        return deflated

    def _deflate(self, buffer: Buffer) -> bytes:
        """The deflated form, and what it took to make it."""
        if buffer.deflated is None:
            began = time.perf_counter()
            buffer.deflate()
            self._counters.deflate_seconds_total += time.perf_counter() - began
            self._counters.deflates_total += 1
        return buffer.deflate()

    # --- The round --------------------------------------------------------------------------------

    def send(self, records: int, now: float, first: Iterable[Session] = ()) -> None:
        """One round with the newest frame of the history, which tells each receiver so many things. It begins
        with `first`, whether or not they are in the round."""
        newest = self._history.newest
        self.tick, self.frame_bytes = self._history.tick, len(newest.plain)
        rounds = [(self._plain, newest.plain)]
        if self._deflating:
            rounds.append((self._deflating, self._deflate(newest)))
        counters = self._counters
        # A send may end its session or find that it stalls: both change the rounds.
        charged = [(tuple(members), data) for members, data in rounds] if self._config.send_rate else []
        for members, data in rounds:
            count = len(members)
            self._deliver(members, data, first)
            counters.frames_out_total += count
            counters.deliveries_out_total += count * records
            counters.bytes_out_total += count * len(data)
            if data is not newest.plain:
                counters.frames_deflated_total += count
                counters.bytes_saved_total += count * (len(newest.plain) - len(data))
        counters.frames_skipped_total += len(self._behind)
        for receivers, data in charged:
            self._charge(receivers, len(data), now)
        self._wake(now)

    def _deliver(self, members: BroadcastGroup[Session], data: bytes, first: Iterable[Session]) -> None:
        """One send to each, now."""
        self._counters.sends_total += len(members)
        members.send(data, first)

    def _charge(self, receivers: Sequence[Session], size: int, now: float) -> None:
        """Where there is a bound on the rate: who has spent its budget rests."""
        for session in receivers:
            budget = self._budgets.get(session)
            if budget is not None and budget.spend(size, now) >= 1.0 and session.round is not None:
                self._rest(session, budget, now)

    def _wake(self, now: float) -> None:
        """Who has rested goes on."""
        while self._rests and self._rests[0][0] <= now:
            session = heapq.heappop(self._rests)[2]
            lag = self._behind.get(session)
            if lag is not None and lag.is_resting:
                lag.is_resting = False
                if not session.in_flight:
                    self._catch_up(session, lag, now)
                    session.flush()

    def expire(self, now: float) -> None:
        """Ends those who have been behind for too long, and those for whom memory does not suffice."""
        limits = self._limits
        for session, lag in list(self._behind.items()):
            verdict = lag.verdict(
                now, session.sent_bytes, session.waiting_bytes, limits.send_soft_bytes, limits.stall_seconds
            )
            silent_seconds = unanswered_seconds(session.socket)
            # The kernel was told to leave this to us, and knew of the silence before we knew of a stall.
            is_overdue = silent_seconds > limits.tcp_user_timeout_seconds and lag.idle_seconds(now) > _GONE_SECONDS
            if is_overdue or (verdict is not None and silent_seconds > _GONE_SECONDS):
                session.end(CloseReason.CONNECTION_LOST, f"nothing was acknowledged for {silent_seconds:.1f} s")
            elif verdict is not None:
                session.end(CloseReason.SLOW_CONSUMER, f"{verdict}, {self.tick - lag.tick} ticks behind")
        memory = self._config.send_memory_bytes
        waiting = [(session, session.waiting_bytes) for session in self._behind]
        for session in largest_beyond(memory, waiting):
            text = f"{session.waiting_bytes} bytes wait, the most of all, and {memory} are all there is for everybody"
            session.end(CloseReason.SLOW_CONSUMER, text)
