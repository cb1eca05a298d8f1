"""Writes a long journal in a short time: a crowd that walks and talks, run as fast as it goes."""

from __future__ import annotations

import random
from pathlib import Path

from zoneserver.config import Config
from zoneserver.games.plaza import Plaza
from zoneserver.journal.start import Started, start_zone
from zoneserver.journal.writer import Journal
from zoneserver.zone.link import Actions, Join, Requests, TickInput
from zoneserver.zone.parameters import ZoneParameters
from zoneserver.zone.stopwatch import no_clock

__all__ = ["write_journal"]

# Each player acts once in so many ticks: five times a second.
_TICKS_PER_ACTION = 4


def write_journal(directory: Path, players: int, seconds: float, seed: int) -> int:
    """Write the journal of a server of the demo game that ran so long with so many players; return its last tick."""
    config, chance = Config(journal=str(directory), seed=seed), random.Random(seed)
    journal = Journal.open(directory, sync="never")
    starting = start_zone(journal, directory, Plaza(), ZoneParameters.of(config), b"", no_clock)
    try:
        while True:
            next(starting)
    except StopIteration as end:
        started: Started = end.value
    zone, recorder = started.zone, started.recorder
    joins = [Join(ref, f"walker-{ref}", b"", "127.0.0.1", token=b"%d" % ref) for ref in range(1, players + 1)]
    for tick in range(1, round(seconds * config.hz) + 1):
        requests = Requests(joins=joins[:100], actions=_actions(tick, players, chance) if not joins else [])
        joins = joins[100:]
        tick_input = TickInput(tick, 0.0, 100, requests)
        recorder.record(tick_input, zone.tick(tick_input))
        recorder.write_what_is_due()
    journal.close()
    return zone.world.tick


def _actions(tick: int, players: int, chance: random.Random) -> list[Actions]:
    acting = range(1 + tick % _TICKS_PER_ACTION, players + 1, _TICKS_PER_ACTION)
    return [(ref, tick, [("move", chance.randint(-14, 14), chance.randint(-14, 14))]) for ref in acting]
