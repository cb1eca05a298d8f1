"""A restart from a journal: the zone as it was after the last recorded tick.

The recorded inputs run through the rules again, from the newest point with which a zone can begin, and every frame is
compared with the recorded one. If one differs, the game was changed or is not deterministic: the world is then taken
from the recorded frames, and the game begins anew in it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import chain, islice
from typing import NamedTuple

from zoneserver.journal.reader import JournalReader
from zoneserver.journal.rerun import Rerun
from zoneserver.journal.roster import NewestSaves, Roster, snapshot_of
from zoneserver.journal.unsaved import Unsaved
from zoneserver.journal.values import Checkpoint, JournalError, RecordedTick
from zoneserver.protocol.world import World
from zoneserver.protocol.zone_info import ZoneInfo
from zoneserver.zone.game_class import info_of, new_game, problems_of
from zoneserver.zone.game_state import NEW_GAME
from zoneserver.zone.parameters import ZoneParameters
from zoneserver.zone.rules import Rules
from zoneserver.zone.stopwatch import no_clock
from zoneserver.zone.zone import Zone

__all__ = ["Restarted", "beginning", "first_checkpoint", "misfit", "restart"]


class Restarted(NamedTuple):
    """A zone that goes on."""

    zone: Zone
    checkpoint: Checkpoint
    """The state after the last recorded tick. The segment of the new epoch begins with it."""
    epoch: int
    """The epoch of the server that goes on."""
    unsaved: Unsaved
    """What was saved and may not be in the store."""
    ticks: int
    """How many ticks were run again, up to the first difference."""
    difference: str
    """Why the world was taken from the recorded frames, for people; empty if the re-run gave equal frames."""
    is_other_code: bool
    """Whether the game's code is another one than that which wrote the journal."""


def first_checkpoint(zone: Zone) -> Checkpoint:
    """The checkpoint with which the journal of a new zone begins. Its world is empty, since the frame of tick 1 tells
    what `on_start` has put into the zone."""
    return Checkpoint(0, World(zone.info).snapshot().encode(), zone.state() | {"game": NEW_GAME})


def beginning(reader: JournalReader, ticks: Iterable[int]) -> int | None:
    """The first of these checkpoints that a zone can begin with: it has the state of the game, or the game began there.
    None if there is none."""
    for tick in ticks:
        _, checkpoint = islice(reader.entries(tick), 2)
        assert isinstance(checkpoint, Checkpoint)
        if checkpoint.state["game"] is not None:
            return tick
    return None


def restart(
    reader: JournalReader,
    rules: Rules,
    parameters: ZoneParameters,
    *,
    code: str = "",
    secret: bytes = b"",
    clock: Callable[[], float] = no_clock,
) -> Generator[int, None, Restarted]:
    """Brings back the zone of a journal, which has a segment at least, and lets it go on with these parameters. Yields
    the number of ticks that were run so far, so that the caller may do something else. Returns the zone.

    `rules` is the game, which has not started. If it fails, another game of its class begins in the restored world.

    Raises JournalError for a journal that cannot be read, or that this game cannot go on with, TypeError for a game
    that cannot run, and GameError for one that raises when it begins anew.
    """
    problems = list(problems_of(type(rules), rules))
    if problems:
        raise TypeError("; ".join(problems))
    header = reader.segments[-1].header
    objection = misfit(header.game, info_of(rules, parameters.hz))
    if objection:
        advice = "start the game as it was, or give it another directory (--journal)"
        raise JournalError(f"{objection}: the zone cannot go on; {advice}")
    # More than one game is made where the first one leaves the journal.
    games = chain((rules,), iter(lambda: new_game(type(rules)), None))
    rerun = Rerun(games.__next__, secret, clock)
    checkpoints = reader.checkpoints()
    begin = beginning(reader, reversed(checkpoints))
    unsaved = Unsaved(reader.saved_tick)
    if begin is None:
        difference = "the journal does not reach back to a point at which the game can begin"
    else:
        yield from _run_again(reader, begin, rerun, unsaved)
        difference = rerun.difference
    if not difference:
        zone = rerun.zone
        zone.end_rerun()
        zone.change(parameters, secret)
        checkpoint = rerun.begun_with
        if rerun.ticks:
            checkpoint = Checkpoint(zone.world.tick, zone.snapshot(), zone.state())
    else:
        checkpoint = yield from _world_alone(reader, checkpoints[-1], header.game)
        verifying = secret if parameters.needs_ticket else b""
        zone = Zone(next(games), **parameters.for_zone(), secret=verifying, clock=clock)
        zone.restore(snapshot_of(checkpoint.snapshot), checkpoint.state)
    if difference or (begin is not None and begin > unsaved.tick):
        for entry in reader.entries(unsaved.tick):
            unsaved.take(entry)
            yield rerun.ticks
    is_other = header.code != code
    return Restarted(zone, checkpoint, header.epoch + 1, unsaved, rerun.ticks, difference, is_other)


def _run_again(reader: JournalReader, begin: int, rerun: Rerun, unsaved: Unsaved) -> Iterator[int]:
    for entry in reader.entries(begin):
        unsaved.take(entry)
        rerun.take(entry)
        if rerun.difference:
            return
        yield rerun.ticks


def _world_alone(reader: JournalReader, begin: int, info: ZoneInfo) -> Generator[int, None, Checkpoint]:
    """The state of the world at the end of the journal, by its frames. The game begins anew."""
    roster: Roster | None = None
    # Everybody who is in was saved within one interval.
    save_ticks = ZoneParameters.from_plain(reader.segments[-1].header.parameters).save_ticks
    newest = NewestSaves()
    for number, entry in enumerate(reader.entries(max(0, begin - save_ticks))):
        if isinstance(entry, Checkpoint) and entry.tick >= begin:
            roster = Roster(info, entry, newest)
        elif isinstance(entry, RecordedTick):
            if roster is not None:
                roster.apply(entry)
            else:
                newest.take(entry)
        yield number
    assert roster is not None, "a journal begins with a checkpoint"
    world = roster.world
    return Checkpoint(world.tick, world.snapshot().encode(), roster.state() | {"game": NEW_GAME})


def misfit(recorded: ZoneInfo, present: ZoneInfo) -> str:
    """Why a game cannot go on with a journal, since its world is of another shape; empty if it can."""
    for (what, was), (_, now) in zip(_shape(recorded), _shape(present), strict=True):
        if was != now:
            return f"the journal was written with {what} {was}, and now it is {now}"
    return ""


def _shape(info: ZoneInfo) -> Iterator[tuple[str, str]]:
    yield "the game", info.name
    yield "--hz", str(info.hz)
    yield "a width of", str(info.width)
    yield "a height of", str(info.height)
    yield "a speed_step of", str(info.speed_step)
    yield "the kinds", ", ".join(f"{kind.name}({', '.join(stat for stat, _ in kind.stats)})" for kind in info.kinds)
    yield "the board", ", ".join(f"{name}: {type(first).__name__}" for name, first in info.board) or "of nothing"
