"""The round: one call of the kernel for each, and who is told when the kernel does not take all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from helpers.session_fixture import SessionFixture

from zoneserver.gateway.broadcast_group import BroadcastGroup
from zoneserver.gateway.session import Session

FRAME = b"frame"


class Receiver:
    """Takes down what is left over for it."""

    def __init__(self, members: BroadcastGroup[Receiver], send: Callable[[bytes], int]) -> None:
        self.rest: list[bytes] = []
        members.route(self, send)

    def send_remainder(self, data: bytes, taken: int) -> None:
        self.rest.append(data[taken:])


def test_who_is_taken_everything_for_is_not_asked() -> None:
    members = BroadcastGroup[Receiver]()
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

    members = BroadcastGroup[Receiver]()
    full, gone = Receiver(members, raises(BlockingIOError())), Receiver(members, raises(ConnectionResetError()))
    half, well = Receiver(members, lambda _: 2), Receiver(members, len)
    members.send(FRAME)
    assert (full.rest, gone.rest, half.rest, well.rest) == ([FRAME], [FRAME], [b"ame"], [])


def test_who_leaves_over_a_rest_disturbs_nobody() -> None:
    class Leaver(Receiver):
        def send_remainder(self, data: bytes, taken: int) -> None:
            super().send_remainder(data, taken)
            members.remove(self)

    members = BroadcastGroup[Receiver]()
    receivers = [Leaver(members, lambda _: 0) for _ in range(4)]
    members.send(FRAME)
    assert [receiver.rest for receiver in receivers] == [[FRAME]] * 4
    assert len(members) == 0


def test_who_is_first_is_served_first_and_everybody_once() -> None:
    order: list[int] = []
    members, strangers = BroadcastGroup[Receiver](), BroadcastGroup[Receiver]()

    def send_of(number: int) -> Callable[[bytes], int]:
        return lambda data: order.append(number) or len(data)

    receivers = [Receiver(members, send_of(number)) for number in range(5)]
    stranger = Receiver(strangers, len)
    members.send(FRAME, [receivers[3], stranger, receivers[1]])
    assert order == [3, 1, 0, 2, 4]
    assert stranger not in members
    members.send(FRAME)
    assert order[5:] == [0, 1, 2, 3, 4]


def test_who_is_first_and_not_taken_everything_for_is_told_once() -> None:
    members = BroadcastGroup[Receiver]()
    first, second = Receiver(members, lambda _: 1), Receiver(members, lambda _: 2)
    members.send(FRAME, [second])
    assert (first.rest, second.rest) == ([b"rame"], [b"ame"])


def test_a_send_that_fails_altogether_leaves_everybody_in_his_place() -> None:
    def broken(_data: bytes) -> int:
        raise MemoryError

    members = BroadcastGroup[Receiver]()
    ann, bob = Receiver(members, lambda _: 0), Receiver(members, broken)
    with pytest.raises(MemoryError):
        members.send(FRAME, [ann])
    members.route(bob, len)
    members.send(FRAME)
    assert ann.rest == [FRAME]


def playing(room: int | None = None, *, direct: bool = True) -> tuple[SessionFixture, BroadcastGroup[Session]]:
    bench, members = SessionFixture(room=room, direct=direct), BroadcastGroup[Session]()
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
    members = BroadcastGroup[Session]()
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
    members = BroadcastGroup[Session]()
    members.send(FRAME)
    bench = SessionFixture()
    bench.session.enter(members)
    members.send(FRAME)
    bench.session.enter(None)
    members.send(FRAME)
    bench.session.enter(members)
    members.send(FRAME)
    assert bench.session.accepted_bytes == bench.session.sent_bytes == len(bench.transport.kernel) == 2 * len(FRAME)
