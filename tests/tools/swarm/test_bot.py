"""A bot of the swarm reads frames, whole or in pieces."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.fake_loop import FakeLoop
from helpers.fake_transport import FakeTransport
from helpers.tick_frames import FrameStream
from zoneclient.bots.action_tracker import ActionCounts
from zoneclient.bots.behaviours import Chatty
from zonetools.swarm.bot import SwarmBot
from zonetools.swarm.plan import Plan

from zoneserver.protocol.framing import length_prefixed


class OwnerStub:
    """An owner of bots without connections: tests call `data_received`."""

    def __init__(self, stream: FrameStream) -> None:
        self.plan = Plan(bots=2, mix={"chatty": 1})
        self.frame_checker = stream.checker
        self.counts = ActionCounts()
        self.turns = 0

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None

    def bots_may_act(self) -> None:
        self.turns += 1

    def bot(self, slot: int) -> SwarmBot:
        bot = SwarmBot(self, slot, Chatty())
        bot.connection_made(FakeTransport(FakeLoop(), bot))
        bot.slot, bot.tick = slot, 1
        return bot


@pytest.mark.parametrize("cut", [None, 3, 11, -1])
async def test_known_frame_counts_alike_in_one_read_or_two(cut: int | None) -> None:
    stream = FrameStream()
    owner = OwnerStub(stream)
    first, second = owner.bot(0), owner.bot(1)
    stream.zone.submit(1, 1, [("say", "hello")])
    data, more = length_prefixed(stream.payload()), length_prefixed(stream.payload())
    first.data_received(data + more)
    second.tracker.record_sent(1, "say", 0.0, 0.0)
    for part in (data, more) if cut is None else (data[:cut], data[cut:], more):
        second.data_received(part)
    assert stream.counts() == {"received": 4, "mismatched": 0, "gaps": 0, "diverged": 0}
    assert stream.checker.deliveries == 2
    assert (first.tick, second.tick, second.received_bytes) == (3, 3, len(data + more))
    assert (owner.counts.delivered, owner.counts.duplicated) == (1, 0)


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
