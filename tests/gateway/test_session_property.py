"""Properties of a session under any order of events: its bytes, its sends and its end."""

from __future__ import annotations

from helpers.session_fixture import Subscriber
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from zoneserver.config import Limits
from zoneserver.gateway.broadcast_group import BroadcastGroup
from zoneserver.gateway.session import Session
from zoneserver.gateway.state import SessionState
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.framing import length_prefixed

LIMITS = Limits(client_frame_bytes=8, frames_per_callback=3, send_hard_bytes=150, linger_seconds=1.0)
DATA = st.binary(min_size=1, max_size=60)


class SessionMachine(RuleBasedStateMachine):
    """One session on a fake transport and a fake loop."""

    @initialize(room=st.none() | st.integers(0, 100), direct=st.booleans())
    def connect(self, room: int | None, direct: bool) -> None:
        self.connection = Subscriber(BroadcastGroup[Session](), limits=LIMITS, room=room, direct=direct)
        self.session, self.transport = self.connection.session, self.connection.transport
        self.connection.handler.on_drained = self.catch_up
        self.connection.handler.on_received = self.hear
        self.connection.handler.on_ended = self.note_the_end
        # All bytes that the session accepted, the goodbye included.
        self.accepted = b""
        # The bytes that the handler queues when a send is complete.
        self.missed: list[bytes] = []
        # The bytes that the peer has sent and the transport has not delivered; the payloads of whole frames in them.
        self.wire = b""
        self.peer_said: list[bytes] = []
        self.peer_hung_up = False
        # What the handler does with the next payload.
        self.on_next: str = ""

    # Calls of the handler within the callbacks of the session.

    def catch_up(self, session: Session) -> None:
        for data in self.missed:
            if session.queue_bytes(data):
                self.accepted += data
        self.missed = []
        if not session.is_over:
            self.connection.enter()

    def hear(self, session: Session) -> None:
        doing, self.on_next = self.on_next, ""
        if doing == "end":
            session.end(CloseReason.CLIENT_LEFT)
        elif doing == "fail":
            raise ZeroDivisionError

    def note_the_end(self, session: Session) -> None:
        self.connection.leave()
        if session.state is SessionState.CLOSING and session.reason is not CloseReason.CONNECTION_LOST:
            self.accepted += self.connection.goodbye

    def reading(self) -> bool:
        return self.transport.reading and not self.transport.broken

    def was_over(self) -> bool:
        return "ended" in self.connection.handler.told

    # --- Events -----------------------------------------------------------------------------------

    @rule(data=DATA)
    def send(self, data: bytes) -> None:
        was_over = self.was_over()
        if self.connection.send(data):
            assert not was_over
            self.accepted += data

    @rule(data=DATA)
    def enqueue(self, data: bytes) -> None:
        was_over = self.was_over()
        if self.session.queue_bytes(data):
            assert not was_over
            self.accepted += data

    @precondition(lambda self: not self.was_over() and not self.session.in_flight)
    @rule(within=st.booleans())
    def comes_or_goes(self, within: bool) -> None:
        if within:
            self.connection.enter()
        else:
            self.connection.leave()

    @rule(data=DATA)
    def frame_goes_round(self, data: bytes) -> None:
        if self.connection.is_in:
            self.accepted += data
        self.connection.broadcast(data)

    @rule()
    def flush(self) -> None:
        self.session.flush()

    @rule(data=DATA)
    def handler_queues_more_when_the_send_completes(self, data: bytes) -> None:
        self.missed.append(data)

    @precondition(lambda self: not self.transport.broken)
    @rule(count=st.integers(1, 80) | st.just(1000))
    def kernel_takes(self, count: int) -> None:
        self.transport.take(count)

    @precondition(lambda self: not self.peer_hung_up)
    @rule(payloads=st.lists(st.binary(min_size=1, max_size=8), min_size=1, max_size=8))
    def peer_sends(self, payloads: list[bytes]) -> None:
        self.peer_said += payloads
        self.wire += b"".join(map(length_prefixed, payloads))

    @precondition(lambda self: self.wire and self.reading())
    @rule(count=st.integers(1, 60))
    def some_of_it_arrives(self, count: int) -> None:
        data, self.wire = self.wire[:count], self.wire[count:]
        self.transport.deliver(data)

    @precondition(lambda self: self.reading() and not self.wire and not self.peer_hung_up)
    @rule()
    def peer_hangs_up(self) -> None:
        self.peer_hung_up = True
        lost = not self.was_over()
        self.transport.deliver_eof()
        if lost:
            assert self.session.reason is CloseReason.CONNECTION_LOST
            # This goodbye is sent too, since the peer may still read.
            self.accepted += self.connection.goodbye

    @rule(doing=st.sampled_from(["end", "fail"]))
    def next_frame_ends_it(self, doing: str) -> None:
        self.on_next = doing

    @rule(reason=st.sampled_from([CloseReason.SERVER_STOPPING, CloseReason.SLOW_CONSUMER]))
    def end(self, reason: CloseReason) -> None:
        first = self.session.reason
        self.session.end(reason)
        assert self.session.reason is (first or reason)

    @rule()
    def abort(self) -> None:
        self.session.abort()

    @precondition(lambda self: self.session.state is not SessionState.CLOSED)
    @rule()
    def connection_breaks(self) -> None:
        self.transport.fail(ConnectionResetError("reset by peer"))

    @rule()
    def loop_turns(self) -> None:
        self.connection.loop.turn()

    @rule(seconds=st.sampled_from([0.5, 1.0]))
    def time_passes(self, seconds: float) -> None:
        self.connection.loop.pass_time(seconds)

    # --- Invariants -------------------------------------------------------------------------------

    @invariant()
    def the_kernel_has_a_prefix_of_what_was_accepted(self) -> None:
        assert self.accepted.startswith(bytes(self.transport.kernel))
        assert self.connection.accepted_bytes == len(self.accepted)

    @invariant()
    def accepted_bytes_are_sent_waiting_or_dropped(self) -> None:
        session, sent = self.session, len(self.transport.kernel)
        if not self.transport.broken:
            assert self.connection.accepted_bytes == sent + session.waiting_bytes
            assert session.in_flight == bool(self.transport.buffer)
        if session.state is SessionState.CLOSED:
            assert session.waiting_bytes == 0
            assert session.sent_bytes + session.dropped_bytes == session.accepted_bytes
            assert session.sent_bytes <= sent + self.transport.swallowed_bytes

    @invariant()
    def waiting_bytes_are_bounded(self) -> None:
        # Beyond the bound there may be one send that found the queue empty, and the goodbye.
        assert self.session.waiting_bytes <= LIMITS.send_hard_bytes + 300

    @invariant()
    def handler_receives_the_payloads_of_the_peer_in_order(self) -> None:
        heard = self.connection.handler.received
        assert heard == self.peer_said[: len(heard)]

    @invariant()
    def the_end_is_told_once_and_in_order(self) -> None:
        told = [word for word in self.connection.handler.told if word in ("ended", "gone")]
        assert told == ["ended", "gone"][: len(told)]
        assert self.session.is_over == bool(told)
        assert (self.session.state is SessionState.CLOSED) == (len(told) == 2)
        assert len(self.connection.group) == self.connection.is_in <= (not told)

    def teardown(self) -> None:
        if not hasattr(self, "connection"):
            return
        loop, session = self.connection.loop, self.session
        loop.run()
        # A session that lives has served everything that arrived.
        while self.wire and self.reading():
            self.some_of_it_arrives(5)
            loop.run()
        if not session.is_over:
            assert self.connection.handler.received == self.peer_said
            session.end(CloseReason.SERVER_STOPPING)
        loop.pass_time(LIMITS.linger_seconds)
        assert session.state is SessionState.CLOSED
        assert loop.timers == 0
        self.accepted_bytes_are_sent_waiting_or_dropped()
        self.the_end_is_told_once_and_in_order()


SessionMachine.TestCase.settings = settings(stateful_step_count=30, database=None)
TestSession = SessionMachine.TestCase
