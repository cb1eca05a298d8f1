"""The history: messages whose forms are made once, and the shortest way to catch up."""

import random

import msgpack
import pytest

from zoneserver.protocol.decoding import inflate_message
from zoneserver.protocol.framing import LENGTH_PREFIX, Deframer, PayloadReader
from zoneserver.protocol.messages import Op, Tick
from zoneserver.zone import frame_history as module
from zoneserver.zone.frame_history import Form, History, Message

PLAIN, DEFLATED = Form(LENGTH_PREFIX), Form(LENGTH_PREFIX, deflated=True)
BIG = Tick(7, 100, None, movers=range(300), seqs=bytes(300), vx=bytes(300), vy=bytes(300)).encode()


class Marked:
    """A framing that puts a mark before each payload."""

    overhead_bytes = 1

    def __init__(self) -> None:
        self.wrapped: list[bytes] = []

    def wrap(self, payload: bytes) -> bytes:
        self.wrapped.append(payload)
        return b"!" + payload

    def reader(self, payload_bytes_max: int) -> PayloadReader:
        return Deframer(payload_bytes_max)


# --- Message --------------------------------------------------------------------------------------


def test_message_makes_each_form_once() -> None:
    framing, message = Marked(), Message(b"payload")
    assert not message.has(Form(framing))
    assert message.form(Form(framing)) is message.form(Form(framing))
    assert framing.wrapped == [b"payload"]
    assert message.form(PLAIN) == LENGTH_PREFIX.wrap(b"payload")


def test_message_deflated_holds_its_payload() -> None:
    message = Message(BIG)
    (payload,) = Deframer(1000).receive(message.form(DEFLATED))
    assert inflate_message(payload) == BIG
    assert message.saved_bytes == len(BIG) - len(payload) > 0


def test_message_is_deflated_once_for_all_framings(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bytes] = []
    monkeypatch.setattr(module, "deflate", lambda data, _seams: calls.append(data) or b"short")
    message = Message(BIG)
    assert not message.is_deflated
    assert message.form(DEFLATED)[4:] == message.form(Form(Marked(), deflated=True))[1:]
    assert (message.is_deflated, calls) == (True, [BIG])


def test_message_that_gets_no_shorter_is_sent_as_it_is() -> None:
    noise = Message(msgpack.packb([Op.TICK, random.Random(1).randbytes(500)]))
    assert noise.form(DEFLATED) == noise.form(PLAIN)
    assert noise.saved_bytes == 0


def test_message_that_is_short_is_not_deflated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "deflate", None)
    short = Message(msgpack.packb([Op.TICK, bytes(58)]))
    assert short.form(DEFLATED) == short.form(PLAIN)


# --- History --------------------------------------------------------------------------------------


class Snapshots:
    """A snapshot of a given length that counts how often it was made."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.made = 0

    def __call__(self) -> bytes:
        self.made += 1
        return b"s" * self.length


def history_of(ticks: int, snapshots: Snapshots, keep: int = 10) -> History:
    """A history of one-byte frames: frame t is the byte t."""
    history = History(keep, snapshots)
    for tick in range(1, ticks + 1):
        history.append(tick, bytes([tick]))
    return history


def since(history: History, tick: int | None) -> list[bytes]:
    """The payloads that a receiver with this tick has missed."""
    return [message.payload for message in history.since(tick)]


def test_since_the_newest_tick_is_empty_and_makes_no_snapshot() -> None:
    snapshots = Snapshots(100)
    assert history_of(5, snapshots).since(5) == []
    assert snapshots.made == 0


@pytest.mark.parametrize("tick", [0, 2, 4])
def test_since_an_earlier_tick_is_the_frames_in_order(tick: int) -> None:
    assert since(history_of(5, Snapshots(100)), tick) == [bytes([missed]) for missed in range(tick + 1, 6)]


def test_since_nothing_is_a_snapshot() -> None:
    assert since(history_of(5, Snapshots(100)), None) == [b"s" * 100]


def test_history_without_ticks_has_only_the_snapshot() -> None:
    history = history_of(0, Snapshots(3))
    assert history.since(0) == []
    assert since(history, None) == [b"sss"]


def test_history_keeps_exactly_its_number_of_frames() -> None:
    history = history_of(9, Snapshots(100), keep=4)
    assert since(history, 5) == [bytes([tick]) for tick in (6, 7, 8, 9)]
    assert since(history, 4) == [b"s" * 100]


@pytest.mark.parametrize(("length", "frames"), [(3, True), (4, True), (2, False)])
def test_since_takes_the_shorter_of_frames_and_snapshot(length: int, frames: bool) -> None:
    answer = since(history_of(5, Snapshots(length)), 2)
    assert answer == ([b"\x03", b"\x04", b"\x05"] if frames else [b"s" * length])


def test_since_ends_with_the_newest_frame() -> None:
    history = history_of(5, Snapshots(100))
    assert history.newest.payload == b"\x05"
    assert history.since(2)[-1] is history.newest


def test_snapshot_is_made_once_per_tick() -> None:
    snapshots = Snapshots(2)
    history = history_of(5, snapshots)
    for _ in range(3):
        history.since(None)
        history.since(1)
        history.snapshot()
    assert snapshots.made == history.snapshots_total == 1
    history.append(6, b"\x06")
    history.snapshot()
    assert snapshots.made == history.snapshots_total == 2


def test_snapshot_is_not_made_unless_asked_for() -> None:
    snapshots = Snapshots(2)
    history_of(50, snapshots)
    assert snapshots.made == 0


def test_history_with_a_missing_tick_forgets_the_frames_before_it() -> None:
    history = history_of(2, Snapshots(100))
    history.append(4, b"\x04")
    assert since(history, 2) == [b"s" * 100]
    assert since(history, 3) == [b"\x04"]


def test_history_of_another_zone_has_its_own_snapshot() -> None:
    snapshots = iter((b"of this zone", b"of another"))
    history = History(4, snapshots.__next__)
    for tick in (1, 2, 1, 2):
        history.append(tick, b"frame")
        if tick == 2:
            newest = history.snapshot().payload
    assert newest == b"of another"
