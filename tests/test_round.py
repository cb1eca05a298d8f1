"""The round: one call of the kernel for each, and who is told when the kernel does not take all."""

from __future__ import annotations

from collections.abc import Callable

from conftest import Bench

from zoneserver.round import Round
from zoneserver.session import Session

FRAME = b"frame"


class Receiver:
    """Takes down what is left over for it."""

    def __init__(self, members: Round[Receiver], send: Callable[[bytes], int]) -> None:
        self.rest: list[bytes] = []
        members.route(self, send)

    def send_rest(self, data: bytes, taken: int) -> None:
        self.rest.append(data[taken:])


def test_who_is_taken_everything_for_is_not_asked() -> None:
    members = Round[Receiver]()
    taken: list[bytes] = []
    receivers = [Receiver(members, lambda data: taken.append(data) or len(data)) for _ in range(3)]
    members.send(FRAME)
    assert taken == [FRAME] * 3
    assert all(taken[0] is data for data in taken), "it is one buffer"
    assert [receiver.rest for receiver in receivers] == [[], [], []]


def test_a_full_or_broken_socket_is_one_receivers_affair() -> None:
    def raises(error: OSError) -> Callable[[bytes], int]:
        def send(_data: bytes) -> int:
            raise error

        return send

    members = Round[Receiver]()
    full, gone = Receiver(members, raises(BlockingIOError())), Receiver(members, raises(ConnectionResetError()))
    half, well = Receiver(members, lambda _: 2), Receiver(members, len)
    members.send(FRAME)
    assert (full.rest, gone.rest, half.rest, well.rest) == ([FRAME], [FRAME], [b"ame"], [])


def test_who_leaves_over_a_rest_disturbs_nobody() -> None:
    class Leaver(Receiver):
        def send_rest(self, data: bytes, taken: int) -> None:
            super().send_rest(data, taken)
            members.remove(self)

    members = Round[Receiver]()
    receivers = [Leaver(members, lambda _: 0) for _ in range(4)]
    members.send(FRAME)
    assert [receiver.rest for receiver in receivers] == [[FRAME]] * 4
    assert len(members) == 0


def playing(room: int | None = None, *, direct: bool = True) -> tuple[Bench, Round[Session]]:
    bench, members = Bench(room=room, direct=direct), Round[Session]()
    bench.owner.on_stalled = lambda session: session.enter(None)
    bench.session.enter(members)
    return bench, members


def test_no_frame_overtakes_what_waits_and_both_leave_as_one_gather_send() -> None:
    bench, members = playing()
    bench.session.enqueue(b"refused")
    members.send(FRAME)
    members.send(FRAME)
    assert bench.transport.sends == [b"refused" + FRAME, FRAME]


def test_what_waits_when_it_enters_comes_first() -> None:
    bench, _ = playing()
    bench.session.enter(None)
    bench.session.enqueue(b"snapshot")
    members = Round[Session]()
    bench.session.enter(members)
    members.send(FRAME)
    assert bench.transport.kernel == b"snapshot" + FRAME


def test_what_the_kernel_does_not_take_is_in_flight_and_counted_once() -> None:
    bench, members = playing(room=3)
    members.send(FRAME)
    session = bench.session
    assert (session.accepted_bytes, session.sent_bytes, session.in_flight_bytes) == (5, 3, 2)
    assert session.round is None
    members.send(FRAME)
    bench.transport.take(100)
    assert bench.transport.kernel == FRAME


def test_frames_from_before_it_came_and_after_it_went_are_not_counted() -> None:
    members = Round[Session]()
    members.send(FRAME)
    bench = Bench()
    bench.session.enter(members)
    members.send(FRAME)
    bench.session.enter(None)
    members.send(FRAME)
    bench.session.enter(members)
    members.send(FRAME)
    assert bench.session.accepted_bytes == bench.session.sent_bytes == len(bench.transport.kernel) == 2 * len(FRAME)
