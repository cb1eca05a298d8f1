"""The inputs of a journal are enough to rebuild everything: run again, they give the recorded frames."""

from __future__ import annotations

import random
from pathlib import Path

from zoneserver.games.plaza import Plaza
from zoneserver.journal.bodies import recorded_tick
from zoneserver.journal.reader import JournalReader
from zoneserver.journal.values import Checkpoint, Header, RecordedTick
from zoneserver.journal.writer import Journal
from zoneserver.zone.link import Command, Join, Requests, TickInput
from zoneserver.zone.zone import Zone

TICKS, REFS = 120, range(1, 9)


def requests_of(tick: int, chance: random.Random) -> Requests:
    if tick == 1:
        return Requests(joins=[Join(ref, f"p{ref}", b"", "127.0.0.1", token=b"t" * 32) for ref in REFS])
    actions = [
        (ref, 2 * tick, (("move", chance.randint(-9, 9), chance.randint(-9, 9)), ("strike", chance.randrange(8))))
        for ref in chance.sample(REFS, 4)
    ]
    lost = [chance.choice(REFS)] if tick % 20 == 0 else []
    return Requests(actions=actions, drops=lost, commands=[Command(1, ("say", "\ud800"))] if tick == 60 else [])


def test_recorded_inputs_give_the_recorded_outputs(tmp_path: Path) -> None:
    chance = random.Random(3)
    zone = Zone(Plaza(), hz=20, seed=1)
    journal = Journal.open(tmp_path, sync="never")
    journal.begin(Header(1, zone.info), Checkpoint(0, zone.snapshot(), {"game": None}))
    for tick in range(1, TICKS + 1):
        tick_input = TickInput(tick, 1000.0 + tick / 20, 100, requests_of(tick, chance))
        journal.record(tick_input, zone.tick(tick_input))
    journal.close()
    again = Zone(Plaza(), hz=20, seed=1)
    header, checkpoint, *ticks = JournalReader(tmp_path).entries()
    assert header == Header(1, again.info)
    assert isinstance(checkpoint, Checkpoint)
    assert checkpoint.snapshot == again.snapshot()
    assert len(ticks) == TICKS
    for entry in ticks:
        assert isinstance(entry, RecordedTick)
        assert recorded_tick(entry.tick_input, again.tick(entry.tick_input)) == entry
    assert again.snapshot() == zone.snapshot()
