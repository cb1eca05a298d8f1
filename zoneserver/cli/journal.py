"""`zoneserver journal`: says what a journal holds, checks it, and cuts off what is broken."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zoneserver.cli.command import print_result
from zoneserver.cli.parser import Parser
from zoneserver.journal.directory import JournalDirectory
from zoneserver.journal.reader import JournalReader
from zoneserver.journal.survey import Fault, check, cut_at, facts_of
from zoneserver.support.errors import CommandError, Exit, UsageError
from zoneserver.support.format import format_duration, format_size

__all__ = ["journal", "journal_settings"]

_EXAMPLES = """\
  zoneserver journal info DIR                     what it holds, also while a server writes it
  zoneserver journal check DIR                    reads everything, and names each place that is broken
  zoneserver journal cut DIR                      cuts off an end that is no whole tick, as the next start does
  zoneserver journal cut DIR --at FILE:OFFSET     how many ticks are lost from a broken place on; --yes drops them
"""
_EXIT_CODES = "0 done, 1 a place is broken, or --yes is missing, 2 wrong usage, 3 the journal cannot be read or cut"


def journal_settings(parser: Parser) -> None:
    """Declares the command `journal`."""
    command = parser.command(
        "journal",
        "look at a journal, check it, or cut it",
        "Look at the journal that a zone wrote (run --journal DIR), check it, or cut off what is broken.",
        examples=_EXAMPLES,
        exit_codes=_EXIT_CODES,
        usage="info|check|cut DIR [flags]",
    )
    command.add_argument("what", choices=("info", "check", "cut"), metavar="info|check|cut", help="what to do")
    command.add_argument("directory", type=Path, metavar="DIR", help="the directory of the journal")
    command.switch("--json", help="info: print a JSON object")
    command.setting("--at", metavar="FILE:OFFSET", help="cut: drop everything from this place on, as `check` names it")
    command.switch("--yes", help="cut: drop whole ticks too")
    command.common()


def journal(arguments: argparse.Namespace) -> int:
    """Runs the command. Raises CommandError."""
    if arguments.at and arguments.what != "cut":
        raise UsageError("--at is for `zoneserver journal cut`")
    if arguments.what == "info":
        facts = facts_of(arguments.directory)
        print_result(json.dumps(facts) if arguments.json else _table(facts))
    elif arguments.what == "check":
        return _check(arguments.directory)
    elif arguments.at:
        _cut_at(arguments.directory, arguments.at, is_sure=arguments.yes)
    else:
        _cut_torn(arguments.directory)
    return Exit.OK


def _table(facts: dict[str, Any]) -> str:
    first, last, hz = facts["first_tick"], facts["last_tick"], facts["hz"]
    epochs = [segment["epoch"] for segment in facts["segments"]]
    torn = f"; {facts['torn_bytes']:,} bytes at the end are torn" if facts["torn_bytes"] else ""
    code = f", code {facts['code']:.12}" if facts["code"] else ""
    rows = {
        "game": f"{facts['game']} ({facts['target'] or 'its class is not known'}{code})",
        "written by": facts["versions"] or "unknown",
        "ticks": f"{first:,} to {last:,}: {format_duration((last - first) / hz)} at {hz} Hz",
        "time": f"{_moment(facts['first_unix_s'])} to {_moment(facts['last_unix_s'])}",
        "size": f"{format_size(facts['bytes'])} in {_segments(len(epochs))}, "
        f"{format_size(facts['bytes_per_hour'])} an hour{torn}",
        "checkpoints": f"{facts['checkpoints']:,}, the newest of them at tick {facts['last_checkpoint_tick']:,}",
        "epochs": f"{epochs[0]} to {epochs[-1]}, one for each start of the server",
    }
    return "\n".join(f"{name:<12} {text}" for name, text in rows.items())


def _segments(count: int) -> str:
    return f"{count:,} segment{'' if count == 1 else 's'}"


def _moment(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _check(directory: Path) -> int:
    found = check(directory)
    lines = [f"{fault.path}:{fault.offset}: {fault.text}" for fault in found.faults]
    lines.append(f"{found.ticks:,} ticks in {_segments(found.segments)}, {format_size(found.bytes)}: ")
    count = len(found.faults)
    lines[-1] += f"{count:,} places are broken" if count > 1 else f"{'1 place' if count else 'nothing'} is broken"
    if found.faults:
        lines.append(f"to drop everything from the first one on: {_command_to_cut(directory, found.faults[0])}")
    if found.torn_bytes:
        why = "as when a server is killed in a write"
        lines.append(f"{found.torn_bytes:,} bytes at the end are torn, {why}: the next start cuts them off")
    print_result("\n".join(lines))
    return Exit.FAILED if found.faults else Exit.OK


def _command_to_cut(directory: Path, fault: Fault) -> str:
    return f"zoneserver journal cut {directory} --at {fault.path.name}:{fault.offset}"


def _cut_torn(directory: Path) -> None:
    _ = JournalReader(directory).first_tick  # Raises an error for a directory without a journal.
    with JournalDirectory(directory) as locked:
        last_tick, torn = locked.repair()
    for fault in () if torn else check(directory).faults:
        text = f"no end is torn, but the journal is broken elsewhere: {fault.path}:{fault.offset}: {fault.text}"
        raise CommandError(f"{text}; to drop everything from there on: {_command_to_cut(directory, fault)}")
    lines = [f"cut {size:,} bytes off the end of {path}" for path, size in torn]
    lines = lines or ["there was nothing to cut off: the journal ends with a whole tick, and nothing in it is broken"]
    print_result("\n".join([*lines, f"the journal ends at tick {last_tick}"]))


def _cut_at(directory: Path, place: str, *, is_sure: bool) -> None:
    name, _, offset = place.rpartition(":")
    reader = JournalReader(directory)
    segment = next((segment for segment in reader.segments if segment.path.name == Path(name).name), None)
    if segment is None or not offset.isdecimal():
        raise UsageError(f"{place} is no place in {directory}: write FILE:OFFSET as `zoneserver journal check` does")
    with JournalDirectory(directory) as locked:
        cut = cut_at(reader, segment, int(offset))
        lost = f"{cut.lost_ticks:,} whole ticks behind tick {cut.last_tick}"
        if not is_sure:
            raise CommandError(f"the cut would drop {lost}: say --yes, and keep a copy of {directory}")
        locked.cut(cut.segment, cut.offset)
    print_result(f"dropped {lost}: the journal ends there")
