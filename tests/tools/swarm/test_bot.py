"""A bot of the swarm reads frames, whole or in pieces."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.fake_loop import FakeLoop
from helpers.fake_transport import FakeTransport
from helpers.tick_frames import FrameStream, NoReader, changed
from zoneclient.bots.action_tracker import ActionCounts
from zoneclient.bots.behaviours import Chatty
from zoneclient.protocol import ClientProtocol
from zonetools.swarm.bot import SwarmBot
from zonetools.swarm.measure.places import Place, Places
from zonetools.swarm.plan import Plan

from zoneserver.protocol.framing import LENGTH_PREFIX, Framing, length_prefixed
from zoneserver.protocol.websocket import WEBSOCKET


class OwnerStub:
    """An owner of bots without connections: tests call `data_received`."""

    def __init__(self, stream: FrameStream, web: float = 0.0) -> None:
        self.plan = Plan(bots=2, mix={"chatty": 1}, web=web)
        self.frame_checker = stream.checker
        self.reader = NoReader()
        self.counts = ActionCounts()
        self.places = Places([Place()])
        self.turns = 0

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None

    def bots_may_act(self) -> None:
        self.turns += 1

    def bot(self, slot: int) -> SwarmBot:
        bot = SwarmBot(self, slot, Chatty())
        bot.connection_made(FakeTransport(FakeLoop(), bot))
        bot._upgrade = None  # The opening handshake is over.
        bot.slot, bot.tick = slot, 1
        return bot


@pytest.mark.parametrize("cut", [None, 3, 11, -1])
@pytest.mark.parametrize("framing", [LENGTH_PREFIX, WEBSOCKET])
async def test_known_frame_counts_alike_in_one_read_or_two(cut: int | None, framing: Framing) -> None:
    stream = FrameStream()
    owner = OwnerStub(stream, web=float(framing is WEBSOCKET))
    first, second = owner.bot(0), owner.bot(1)
    stream.zone.submit(1, 1, [("say", "hello")])
    data, more = framing.wrap(stream.payload()), framing.wrap(stream.payload())
    first.data_received(data + more)
    second.tracker.record_sent(1, "say", 0.0, 0.0)
    for part in (data, more) if cut is None else (data[:cut], data[cut:], more):
        second.data_received(part)
    assert stream.counts() == {"received": 4, "mismatched": 0, "gaps": 0, "diverged": 0}
    assert stream.checker.deliveries == 2
    assert (first.tick, second.tick, second.received_bytes) == (3, 3, len(data + more))
    assert (owner.counts.delivered, owner.counts.duplicated) == (1, 0)


@pytest.mark.parametrize("web", [0.0, 0.5, 1.0])
async def test_read_of_one_whole_frame_is_not_taken_apart(web: float, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = FrameStream()
    owner = OwnerStub(stream, web)
    bots = [owner.bot(0), owner.bot(1)] * 3
    forms = [(bot, (WEBSOCKET if bot.is_web else LENGTH_PREFIX)) for bot in bots]
    assert {bot.is_web for bot in bots} == {0.0: {False}, 0.5: {False, True}, 1.0: {True}}[web]
    payload = stream.payload()
    # The first bot of each way takes the frame apart.
    for bot, form in forms[:2]:
        bot.data_received(form.wrap(payload))
    monkeypatch.setattr(ClientProtocol, "data_received", lambda *_: pytest.fail("a known frame was taken apart"))
    for bot, form in forms[2:]:
        bot.tick -= 1
        bot.data_received(form.wrap(payload))
    assert stream.counts() == {"received": 6, "mismatched": 0, "gaps": 0, "diverged": 0}


async def test_changed_frame_over_web_socket_is_a_mismatch() -> None:
    stream = FrameStream()
    first, second = (OwnerStub(stream, web=0.5).bot(slot) for slot in (0, 1))
    payload = stream.payload()
    for bot, sent in ((first, payload), (second, changed(payload, dilation_percent=99))):
        bot.data_received((WEBSOCKET if bot.is_web else LENGTH_PREFIX).wrap(sent))
    assert stream.counts()["mismatched"] == 1


async def test_frame_after_a_partial_frame_is_not_taken_for_a_copy() -> None:
    stream = FrameStream()
    owner = OwnerStub(stream)
    first, second = owner.bot(0), owner.bot(1)
    data = length_prefixed(stream.payload())
    first.data_received(data)
    # The frame without its end, then the whole frame: the bytes no longer form a valid frame.
    second.data_received(data[:-2])
    second.data_received(data)
    assert second.tick == 1
    assert second.bye is not None, "the first two bytes of the second copy were taken for the end of the first copy"


async def test_due_actions_are_done_after_every_64_frames() -> None:
    stream = FrameStream()
    owner = OwnerStub(stream)
    bots = [owner.bot(slot) for slot in range(200)]
    data = length_prefixed(stream.payload())
    for bot in bots:
        bot.data_received(data)
    assert owner.turns == 200 // 64


@pytest.mark.parametrize("web", [0.0, 1.0])
async def test_one_altered_byte_is_found_wherever_it_is(web: float) -> None:
    stream = FrameStream()
    owner = OwnerStub(stream, web)
    wrap = WEBSOCKET.wrap if web else LENGTH_PREFIX.wrap
    stream.zone.submit(1, 1, [("say", "hello"), ("move", 3, 4)])
    altered, after = wrap(stream.payload()), wrap(stream.payload())
    owner.bot(0).data_received(altered + after)
    for place in range(len(altered)):
        before, bot = stream.counts(), owner.bot(1)
        data = bytearray(altered + after)
        data[place] ^= 1
        bot.read(data, len(data))
        counts = {name: count - before[name] for name, count in stream.counts().items()}
        is_broken = bot.bye is not None or bot.has_partial_message
        assert is_broken or counts["mismatched"] or counts["gaps"], place


async def test_bytes_behind_the_size_of_a_read_are_not_read() -> None:
    stream = FrameStream()
    owner = OwnerStub(stream)
    first, second = owner.bot(0), owner.bot(1)
    data = length_prefixed(stream.payload())
    first.read(bytearray(data), len(data))
    # What an earlier read has left in the buffer completes the frame.
    second.read(bytearray(data), len(data) - 1)
    assert (second.tick, second.has_partial_message, second.received_bytes) == (1, True, len(data) - 1)
    second.read(bytearray(data[-1:] + data), 1)
    assert (second.tick, second.has_partial_message, second.received_bytes) == (2, False, len(data))
    assert stream.counts() == {"received": 2, "mismatched": 0, "gaps": 0, "diverged": 0}
