"""A process that is killed while it writes loses nothing of what it was told is written."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from helpers.journals import tick_of
from helpers.paths import ROOT

from zoneserver.journal.reader import JournalReader
from zoneserver.journal.values import RecordedTick
from zoneserver.journal.writer import Journal

# Writes ticks as fast as it can, and prints each one that is written. The frames are large and a checkpoint is
# written now and then, some of them in a new segment, so that a kill meets every kind of write.
SCRIPT = """
import os, sys
from helpers.journals import HEADER, checkpoint_of, output_of, tick_of
from zoneserver.journal import writer

writer.SEGMENT_BYTES = 2_000_000
journal = writer.Journal.open(sys.argv[1])
tick = journal.last_tick or 0
journal.begin(HEADER, checkpoint_of(tick))
while True:
    tick += 1
    recorded = tick_of(tick)._replace(frame=b"%d " % tick * 15_000)
    journal.record(recorded.tick_input, output_of(recorded))
    os.write(1, b"%d\\n" % tick)
    if tick % 10 == 0:
        journal.checkpoint(checkpoint_of(tick, game=1, size=300_000))
"""


def test_kill_loses_no_tick_that_was_written(tmp_path: Path) -> None:
    chance = random.Random(7)
    told = 0
    for _ in range(4):
        environment = {"PYTHONPATH": f"{ROOT}:{ROOT}/tests"}
        with subprocess.Popen([sys.executable, "-c", SCRIPT, tmp_path], stdout=-1, env=environment) as process:
            assert process.stdout is not None
            before = told
            for _ in range(chance.randrange(1, 60)):
                told = int(process.stdout.readline())
            process.kill()
            told = int([told, *process.stdout.read().split()][-1])
        assert told > before
        reader = JournalReader(tmp_path)
        ticks = [entry for entry in reader.entries() if isinstance(entry, RecordedTick)]
        # One tick may be written whole, and not be told any more.
        assert ticks[-1].tick in (told, told + 1)
        first = ticks[0].tick
        for tick, entry in enumerate(ticks, first):
            assert entry == tick_of(tick)._replace(frame=b"%d " % tick * 15_000)
        told = ticks[-1].tick
    journal = Journal.open(tmp_path)
    assert journal.last_tick == told
    journal.close()
