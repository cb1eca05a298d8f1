"""The exit codes of all commands, the errors that lead to them, and how an exception is told in one line."""

from __future__ import annotations

import enum
import functools
import os
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

__all__ = [
    "LIBRARIES",
    "CannotStartError",
    "CommandError",
    "Exit",
    "GameError",
    "MissingExtraError",
    "UsageError",
    "is_users_module",
    "path_text",
    "raised_by",
    "where_defined",
    "where_raised",
    "where_running",
]

_OWN = ("zoneserver", "zoneclient", "zonetools")
LIBRARIES = tuple(sysconfig.get_paths()[kind] + os.sep for kind in ("stdlib", "platstdlib", "purelib", "platlib"))
"""The folders of Python itself and of installed packages: no user writes files there."""


class Exit(enum.IntEnum):
    """The exit codes of every command."""

    OK = 0
    FAILED = 1
    """The command ran, and a check that it made has failed."""
    USAGE = 2
    CANNOT_START = 3
    INTERRUPTED = 130
    """The code that a shell gives to a program ended by SIGINT."""


class CommandError(Exception):
    """Ends a command with `exit_code`, for the reason in the text."""

    exit_code = Exit.FAILED


class UsageError(CommandError):
    """The arguments make no sense."""

    exit_code = Exit.USAGE


class CannotStartError(CommandError):
    """The command could not start its work."""

    exit_code = Exit.CANNOT_START


class MissingExtraError(CannotStartError):
    """An optional package is needed and not installed; the text has the line that installs it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed: pip install 'zoneserver[{extra}]'")


class GameError(CannotStartError):
    """A game cannot run, for the reason in the text. The game's own exception is the cause."""

    def __init__(self, what: str, error: BaseException) -> None:
        super().__init__(f"{what} raised {raised_by(error)}")


def raised_by(error: BaseException) -> str:
    """An exception in one line: its type, its text, and the innermost place in the user's own files, as in
    `ZeroDivisionError: division by zero (tag.py:12)`."""
    try:
        text = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    except Exception:  # The text of an exception may be a game's own code.
        text = "its text cannot be shown"
    return f"{type(error).__name__}{f': {text}' if text else ''}{where_raised(error)}"


def where_raised(error: BaseException) -> str:
    """The innermost place in the user's own files, as ` (tag.py:12)`. Without one, the innermost place in a library;
    without that, nothing."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({path_text(error.filename)}:{error.lineno})"
    places = list(_places(error))
    own = [place for place in places if not place[0].startswith(LIBRARIES)]
    return "".join(f" ({path_text(path)}:{line})" for path, line in (own or places)[-1:])


def where_defined(function: object) -> str:
    """Where a function was written, as ` (tag.py:12)`; nothing for one that was not written in Python."""
    while isinstance(function, functools.partial):
        function = function.func
    code = getattr(function, "__code__", None)
    return "" if code is None else f" ({path_text(code.co_filename)}:{code.co_firstlineno})"


def where_running(frame: FrameType) -> str:
    """The innermost place in the user's own files that the call `frame` is in, as `Tag.on_tick (tag.py:12)`; without
    one, the innermost place at all."""
    places = [(found, line) for found, line in traceback.walk_stack(frame) if _is_users(found)]
    places = [place for place in places if not place[0].f_code.co_filename.startswith(LIBRARIES)]
    found, line = (places or [(frame, frame.f_lineno)])[0]
    return f"{found.f_code.co_qualname} ({path_text(found.f_code.co_filename)}:{line})"


def _places(error: BaseException) -> Iterator[tuple[str, int]]:
    """(file, line) of each call in the traceback, without those in own packages and in the import machinery."""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if _is_users(frame):
            yield frame.f_code.co_filename, line


def is_users_module(name: str) -> bool:
    """Whether a module is none of these packages; their example games count as a user's."""
    package, module, *_ = f"{name}.".split(".")
    return package not in _OWN or module == "games"


def _is_users(frame: FrameType) -> bool:
    return is_users_module(str(frame.f_globals.get("__name__"))) and not frame.f_code.co_filename.startswith("<frozen ")


def path_text(path: str) -> str:
    """A path relative to the current folder if it lies below it, else the whole path."""
    try:
        here = Path.cwd()
    except OSError:  # The folder was removed.
        return path
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path
