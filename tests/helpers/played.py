"""Journals of zones that were played, as a server writes them, and restarts from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from helpers.bazaar import HZ

from zoneserver.config import Limits
from zoneserver.journal.reader import JournalReader
from zoneserver.journal.restart import Restarted, first_checkpoint, restart
from zoneserver.journal.values import Checkpoint, Header
from zoneserver.journal.writer import Journal
from zoneserver.zone.link import Requests, TickInput, TickOutput
from zoneserver.zone.parameters import ZoneParameters
from zoneserver.zone.rules import Rules
from zoneserver.zone.zone import Zone

PARAMETERS = ZoneParameters(
    hz=HZ,
    seed=3,
    limits=Limits(joins_per_second=HZ, event_bytes_per_tick=20),
    players_max=4,
    watchers_max=1,
    resume_ticks=15,
    save_ticks=6,
)
"""Bounds that are met often."""


def play(
    directory: Path,
    rules: Rules,
    script: Iterable[TickInput],
    checkpoints: Sequence[int] = (),
    parameters: ZoneParameters = PARAMETERS,
    mark: int = 0,
) -> Zone:
    """Plays a new zone, with a checkpoint after each of these ticks, until the server is killed. The store has what
    was saved up to the tick `mark`."""
    zone = Zone(rules, **parameters.for_zone())
    journal = Journal.open(directory, sync="never")
    header = Header(1, zone.info, "helpers.bazaar:Bazaar", "c0de", "", parameters.to_plain())
    journal.begin(header, first_checkpoint(zone))
    record(journal, zone, script, checkpoints, mark)
    return zone


def go_on(
    directory: Path, again: Restarted, script: Iterable[TickInput], parameters: ZoneParameters = PARAMETERS
) -> None:
    """Plays on after a restart, until the server is killed."""
    journal = Journal.open(directory, sync="never")
    journal.begin(Header(again.epoch, again.zone.info, "", "", "", parameters.to_plain()), again.checkpoint)
    record(journal, again.zone, script)


def record(
    journal: Journal, zone: Zone, script: Iterable[TickInput], checkpoints: Sequence[int] = (), mark: int = 0
) -> None:
    for tick_input in script:
        journal.record(tick_input, zone.tick(tick_input))
        if zone.world.tick == mark:
            journal.mark_saved(mark)
        if zone.world.tick in checkpoints:
            journal.checkpoint(Checkpoint(zone.world.tick, zone.snapshot(), zone.state()))
    journal.close()


def brought_back(
    directory: Path, new_rules: Callable[[], Rules], parameters: ZoneParameters = PARAMETERS, code: str = "c0de"
) -> Restarted:
    """Restarts from a journal."""
    running = restart(JournalReader(directory), new_rules(), parameters, code=code)
    while True:
        try:
            next(running)
        except StopIteration as end:
            restarted: Restarted = end.value
            return restarted


def step(zone: Zone, **requests: list[object]) -> TickOutput:
    """Runs one more tick."""
    given = Requests(**requests)  # type: ignore[arg-type]
    return zone.tick(TickInput(zone.world.tick + 1, 0.0, 100, given))
