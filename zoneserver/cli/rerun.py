"""`zoneserver rerun`: runs the ticks of a journal through a game again, and says where it first differs."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from zoneserver.cli.command import print_result
from zoneserver.cli.parser import Parser
from zoneserver.journal.game_code import code_of
from zoneserver.journal.reader import JournalReader
from zoneserver.journal.rerun import Rerun
from zoneserver.journal.restart import beginning, misfit
from zoneserver.support.errors import CannotStartError, Exit, UsageError
from zoneserver.support.parse import parse_count
from zoneserver.zone.game_class import info_of, new_game, problems_of
from zoneserver.zone.rules import Rules

__all__ = ["rerun", "rerun_settings"]

_EXAMPLES = """\
  zoneserver rerun DIR                      with the game that wrote the journal, as its code is now
  zoneserver rerun DIR mygame:Mygame        with another game
  zoneserver rerun DIR --from 12000         from the newest point at or before this tick on"""


def rerun_settings(parser: Parser) -> None:
    """Declares the command `rerun`."""
    command = parser.command(
        "rerun",
        "run a journal through a game again",
        "Run the ticks of a journal through a game again, and say where it first differs from what was recorded.",
        examples=_EXAMPLES,
        exit_codes="0 no tick differs, 1 one does, 2 wrong usage, 3 the journal or the game cannot be used",
        usage="DIR [module:Rules] [flags]",
    )
    command.add_argument("directory", type=Path, metavar="DIR", help="the directory of the journal")
    text = "the game: a class of a module"
    command.setting("rules", metavar="module:Rules", help=text, shown="the one that wrote the journal")
    text = "begin at the newest point at or before this tick from which the game can be run"
    command.setting("--from", dest="from_tick", parse=parse_count, metavar="TICK", help=text, shown="the first one")
    command.common()


def rerun(arguments: argparse.Namespace, load: Callable[[str], type[Rules]]) -> int:
    """Runs the command; `load` finds a game by its name. Raises CommandError."""
    reader = JournalReader(arguments.directory)
    _ = reader.first_tick  # Raises an error for a directory without a journal.
    header = reader.segments[-1].header
    target = arguments.rules or header.target
    if not target:
        raise UsageError("the journal does not say which game wrote it: name it, as in zoneserver rerun DIR mygame:Tag")
    game = load(target)
    problems = list(problems_of(game))
    if problems:
        raise CannotStartError("; ".join(problems))
    # The zone may have had a name of its own.
    objection = misfit(header.game, info_of(new_game(game), header.game.hz)._replace(name=header.game.name))
    if objection:
        raise CannotStartError(f"{objection}: the ticks cannot run in this game")
    ticks = [tick for tick in reader.checkpoints() if arguments.from_tick is None or tick <= arguments.from_tick]
    begin = beginning(reader, ticks if arguments.from_tick is None else reversed(ticks))
    if begin is None:
        raise CannotStartError("the journal has no start there, and no state of a game, with which a run can begin")
    again, began = Rerun(lambda: new_game(game)), time.perf_counter()
    for entry in reader.entries(begin):
        again.take(entry)
        if again.difference:
            print_result(_told(again, header.code != code_of(game)))
            return Exit.FAILED
    seconds, played = time.perf_counter() - began, again.ticks / header.game.hz
    faster = f"{seconds:.1f} s, {played / max(seconds, 0.001):.0f} times as fast as they were played"
    print_result(f"{again.ticks:,} ticks from tick {begin:,} on were run again in {faster}: 0 differences")
    return Exit.OK


def _told(again: Rerun, is_other_code: bool) -> str:
    code = "another code than that which wrote the journal" if is_other_code else "the code that wrote the journal"
    return f"{again.difference}\n{again.ticks:,} ticks before it are the same; the game is of {code}"
