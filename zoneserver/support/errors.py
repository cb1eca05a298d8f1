"""How a command of ours ends: its exit codes, and the errors that lead to them."""

from __future__ import annotations

import enum
import os
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

__all__ = ["CannotStartError", "CommandError", "Exit", "GameError", "UsageError", "raised_by", "where_raised"]

# Where Python itself and what is installed lie: nobody's own files.
_LIBRARIES = tuple(sysconfig.get_paths()[kind] + os.sep for kind in ("stdlib", "platstdlib", "purelib", "platlib"))


class Exit(enum.IntEnum):
    """The exit codes of every command."""

    OK = 0
    FAILED = 1
    """It ran, and what it looked at did not hold."""
    USAGE = 2
    CANNOT_START = 3
    INTERRUPTED = 130
    """What a shell makes of SIGINT."""


class CommandError(Exception):
    """A command ends for the reason in the text, with this exit code."""

    exit_code = Exit.FAILED


class UsageError(CommandError):
    """What was asked for makes no sense."""

    exit_code = Exit.USAGE


class CannotStartError(CommandError):
    """Nothing was started."""

    exit_code = Exit.CANNOT_START


class GameError(CannotStartError):
    """A game cannot be run, for the reason in the text; what it raised is the cause.

    >>> str(GameError("on_start", ValueError("there is no map")))
    'on_start raised ValueError: there is no map'
    """

    def __init__(self, what: str, error: Exception) -> None:
        super().__init__(f"{what} raised {raised_by(error)}")


def raised_by(error: BaseException) -> str:
    """An exception in one line, with the last place on its way that is neither the server's nor a library's:
    `ZeroDivisionError: division by zero (tag.py:12)`.

    >>> try:
    ...     1 / 0
    ... except ZeroDivisionError as error:
    ...     raised_by(error).partition(" (")[0]
    'ZeroDivisionError: division by zero'
    """
    text = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    return f"{type(error).__name__}{f': {text}' if text else ''}{where_raised(error)}"


def where_raised(error: BaseException) -> str:
    """The place in somebody's own files, as ` (tag.py:12)`; a library's where there is no other, else nothing."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({_path_text(error.filename)}:{error.lineno})"
    places = list(_places(error))
    own = [place for place in places if not place[0].startswith(_LIBRARIES)]
    return "".join(f" ({_path_text(path)}:{line})" for path, line in (own or places)[-1:])


def _places(error: BaseException) -> Iterator[tuple[str, int]]:
    """(file, line) of each call on its way that is not the server's own, nor the import itself."""
    for frame, line in traceback.walk_tb(error.__traceback__):
        package, module, *_ = f"{frame.f_globals.get('__name__')}.".split(".")
        path = frame.f_code.co_filename
        if (package != "zoneserver" or module == "games") and not path.startswith("<frozen "):
            yield path, line


def _path_text(path: str) -> str:
    """A file as seen from where we stand, if it lies there."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path
