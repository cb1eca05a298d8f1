"""The start of a zone with a journal: a new zone, or the one that the journal has."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import NamedTuple

from zoneserver.journal.game_code import VERSIONS, code_of, target_of
from zoneserver.journal.reader import JournalReader
from zoneserver.journal.recorder import Recorder
from zoneserver.journal.restart import Restarted, first_checkpoint, restart
from zoneserver.journal.unsaved import Unsaved
from zoneserver.journal.values import Header
from zoneserver.journal.writer import Journal
from zoneserver.support.format import format_duration
from zoneserver.support.logs import fields
from zoneserver.zone.game_class import can_save
from zoneserver.zone.parameters import ZoneParameters
from zoneserver.zone.rules import Rules
from zoneserver.zone.zone import Zone

__all__ = ["Started", "start_zone"]

_REPORT_SECONDS = 5.0

log = logging.getLogger(__name__)


class Started(NamedTuple):
    """A zone and its recorder."""

    zone: Zone
    epoch: int
    recorder: Recorder
    unsaved: Unsaved
    """What was saved and may not be in the store."""


def start_zone(
    journal: Journal,
    directory: str | Path,
    rules: Rules,
    parameters: ZoneParameters,
    secret: bytes,
    clock: Callable[[], float],
) -> Generator[int, None, Started]:
    """Makes the zone of a journal that has been opened, and begins its next segment. Yields and raises as `restart`
    does; it also raises JournalError when the segment cannot be written."""
    code, target = code_of(type(rules)), target_of(type(rules))
    unsaved = Unsaved()
    if journal.last_tick is None:
        zone = Zone(rules, **parameters.for_zone(), secret=secret, clock=clock)
        epoch, checkpoint = 1, first_checkpoint(zone)
    else:
        began = time.perf_counter()
        running = restart(JournalReader(directory), rules, parameters, code=code, secret=secret, clock=clock)
        again = yield from _reporting(running)
        _report(again, directory, time.perf_counter() - began)
        zone, epoch, checkpoint, unsaved = again.zone, again.epoch, again.checkpoint, again.unsaved
    header = Header(epoch, zone.info, target, code, VERSIONS, parameters.to_plain(), time.time())
    # A server that dies before the store has them hands them over once more.
    journal.begin(header, checkpoint, unsaved.tick if unsaved.texts else checkpoint.tick)
    # Who wrote a game without save() has been told at its first start.
    has_told = epoch > 1 and not can_save(type(rules))
    return Started(zone, epoch, Recorder(journal, zone, has_told=has_told), unsaved)


def _reporting(running: Generator[int, None, Restarted]) -> Generator[int, None, Restarted]:
    """Runs a restart, and logs how far it is now and then."""
    due = time.monotonic() + _REPORT_SECONDS
    while True:
        try:
            ticks = next(running)
        except StopIteration as end:
            again: Restarted = end.value
            return again
        if time.monotonic() > due:
            due += _REPORT_SECONDS
            log.info("%d ticks of the journal have been run again so far", ticks, extra=fields(ticks_rerun=ticks))
        yield ticks


def _report(again: Restarted, directory: str | Path, seconds: float) -> None:
    """Logs how a restart went. A line of the log is short, so that there are several."""
    attendance, tick = again.zone.attendance, again.checkpoint.tick
    about = fields(tick=tick, epoch=again.epoch, ticks_rerun=again.ticks, rerun_seconds=round(seconds, 3))
    ran = f"{again.ticks:,} of its ticks were run again in {seconds:.1f} s"
    if again.difference:
        # Changed code may do something else; equal code may not.
        level, why = logging.WARNING, "the game is not the one that wrote the journal: its code has changed"
        if not again.is_other_code:
            level = logging.ERROR
            why = "the game is the one that wrote the journal: zoneserver check --rerun finds the cause"
        rest = "players and things keep their places, and what the game knew besides begins anew (on_restore)"
        log.log(level, "DIVERGED: %s", again.difference, extra=about | fields(difference=again.difference))
        for text in (why, rest):
            log.log(level, "%s", text, extra=about)
    else:
        log.info("the journal %s ends at tick %d: %s, 0 differences", directory, tick, ran, extra=about)
    players = sum(map(attendance.parking.may_return, attendance.by_ref))
    if not players:
        return
    grace = attendance.parking.grace_ticks / again.zone.info.hz
    who = f"{players:,} player{'' if players == 1 else 's'}"
    log.info("%s may come back within %s", who, format_duration(grace), extra=about)
