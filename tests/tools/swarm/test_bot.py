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

from zoneserver.protocol.framing import frame


class Crowd:
    """An owner of bots that have no connection, and are handed what they read."""

    def __init__(self, stage: FrameStream) -> None:
        self.plan = Plan(bots=2, mix={"chatty": 1})
        self.behaviours = {"chatty": Chatty}
        self.frame_checker = stage.frame_checker
        self.counts = ActionCounts()
        self.turns = 0

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None

    def bots_may_act(self) -> None:
        self.turns += 1

    def bot(self, slot: int) -> SwarmBot:
        bot = SwarmBot(self, slot)
        bot.connection_made(FakeTransport(FakeLoop(), bot))
        bot.slot, bot.tick = slot, 1
        return bot


@pytest.mark.parametrize("cut", [None, 3, 11, -1])
async def test_a_frame_that_others_have_read_is_seen_alike_in_one_piece_or_in_two(cut: int | None) -> None:
    stage = FrameStream()
    crowd = Crowd(stage)
    first, second = crowd.bot(0), crowd.bot(1)
    stage.zone.submit(1, 1, [("say", "hello")])
    data, more = frame(stage.payload()), frame(stage.payload())
    first.data_received(data + more)
    second.tracker.record_sent(1, False, 0.0, 0.0)
    for part in (data, more) if cut is None else (data[:cut], data[cut:], more):
        second.data_received(part)
    assert stage.counts() == {"received": 4, "mismatched": 0, "gaps": 0, "diverged": 0}
    assert stage.frame_checker.deliveries == 2
    assert (first.tick, second.tick, second.received_bytes) == (3, 3, len(data + more))
    assert (crowd.counts.delivered, crowd.counts.duplicated) == (1, 0)


async def test_a_frame_within_a_frame_is_no_repetition() -> None:
    stage = FrameStream()
    crowd = Crowd(stage)
    first, second = crowd.bot(0), crowd.bot(1)
    data = frame(stage.payload())
    first.data_received(data)
    # It is cut short, and comes once more: what now follows the beginning is not what should.
    second.data_received(data[:-2])
    second.data_received(data)
    assert second.tick == 1
    assert second.bye is not None, "its last two bytes are another frame's first"


async def test_whoever_has_to_act_does_while_thousands_of_frames_are_read() -> None:
    stage = FrameStream()
    crowd = Crowd(stage)
    bots = [crowd.bot(slot) for slot in range(200)]
    data = frame(stage.payload())
    for bot in bots:
        bot.data_received(data)
    assert crowd.turns == 200 // 64
