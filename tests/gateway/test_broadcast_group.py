"""Broadcast groups: one call of the kernel for each receiver, and the receivers that did not take everything."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from helpers.session_fixture import Subscriber

from zoneserver.gateway.broadcast_group import BroadcastGroup
from zoneserver.gateway.session import Session

FRAME = b"frame"
Send = Callable[[bytes], int]


def group_of(**senders: Send) -> BroadcastGroup[str]:
    group = BroadcastGroup[str]()
    for name, send in senders.items():
        group.set_sender(name, send)
    return group


def raises(error: BaseException) -> Send:
    def send(_data: bytes) -> int:
        raise error

    return send


def test_send_gives_every_socket_the_same_buffer() -> None:
    taken: list[bytes] = []

    def take(data: bytes) -> int:
        taken.append(data)
        return len(data)

    assert group_of(ann=take, bob=take, cid=take).send(FRAME) == []
    assert len(taken) == 3
    assert all(data is FRAME for data in taken)


def test_send_reports_full_and_broken_sockets_and_serves_the_others() -> None:
    served: list[bytes] = []
    group = group_of(
        full=raises(BlockingIOError()),
        gone=raises(ConnectionResetError()),
        half=lambda _: 2,
        well=lambda data: served.append(data) or len(data),
    )
    assert group.send(FRAME) == [("full", 0), ("gone", 0), ("half", 2)]
    assert served == [FRAME]


def test_send_serves_the_first_before_the_others_and_each_receiver_once() -> None:
    order: list[str] = []

    def sender(name: str) -> Send:
        return lambda data: order.append(name) or len(data)

    group = group_of(**{name: sender(name) for name in "abcde"})
    group.send(FRAME, ["d", "stranger", "b"])
    assert order == ["d", "b", "a", "c", "e"]
    assert "stranger" not in group
    group.send(FRAME)
    assert order[5:] == list("abcde")


def test_send_reports_a_first_receiver_once() -> None:
    assert group_of(ann=lambda _: 1, bob=lambda _: 2).send(FRAME, ["bob"]) == [("bob", 2), ("ann", 1)]


def test_send_that_fails_altogether_leaves_all_senders_in_place() -> None:
    group = group_of(ann=lambda _: 0, bob=raises(MemoryError()))
    with pytest.raises(MemoryError):
        group.send(FRAME, ["ann"])
    group.set_sender("bob", len)
    assert group.send(FRAME) == [("ann", 0)]


# --- With sessions --------------------------------------------------------------------------------


def subscriber(room: int | None = None) -> Subscriber:
    made = Subscriber(BroadcastGroup[Session](), room=room)
    made.enter()
    return made


def test_frame_does_not_overtake_the_queue_and_leaves_with_it_in_one_send() -> None:
    made = subscriber()
    made.session.queue_bytes(b"refused")
    made.broadcast(FRAME)
    made.broadcast(FRAME)
    assert made.transport.sends == [b"refused" + FRAME, FRAME]


def test_queue_of_a_session_that_enters_comes_before_frames() -> None:
    made = subscriber()
    made.leave()
    made.session.queue_bytes(b"snapshot")
    made.enter()
    made.broadcast(FRAME)
    assert made.transport.kernel == b"snapshot" + FRAME


def test_remainder_of_a_frame_is_in_flight_and_counted_once() -> None:
    made = subscriber(room=3)
    made.broadcast(FRAME)
    session = made.session
    assert (session.accepted_bytes, session.sent_bytes, session.waiting_bytes) == (5, 3, 2)
    assert not made.is_in
    made.broadcast(FRAME)
    made.transport.take(100)
    assert made.transport.kernel == FRAME


def test_frames_before_entering_and_after_leaving_are_not_counted() -> None:
    made = subscriber()
    made.leave()
    made.broadcast(FRAME)
    made.enter()
    made.broadcast(FRAME)
    made.leave()
    made.broadcast(FRAME)
    made.enter()
    made.broadcast(FRAME)
    assert made.accepted_bytes == len(made.transport.kernel) == 2 * len(FRAME)
