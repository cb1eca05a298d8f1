"""The frame of every command: read its settings, set up the log, print an error in one line, return an exit code."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from zoneserver.cli.parser import Parser
from zoneserver.support.errors import CannotStartError, CommandError, Exit
from zoneserver.support.logs import drain_logs, print_error, set_up_logs
from zoneserver.support.process import discard_output, print_output, raise_open_files

__all__ = ["is_quiet", "parse_output", "print_result", "require_open_files", "run_command", "write_output"]

_log = logging.getLogger(__name__)

# With fewer, an event loop fails halfway in its start.
_OPEN_FILES_MIN = 64


def run_command(
    parser: Parser, body: Callable[[argparse.Namespace], int | Coroutine[Any, Any, int]], argv: Sequence[str] | None
) -> int:
    """Runs `body` with the settings of `argv` and returns the exit code. If `body` returns a coroutine, it runs on a
    new event loop.

    A CommandError or an OSError ends the command with one line on stderr, which is an object if the log has the format
    `json`; at the log level `debug` the traceback is logged as well. An interrupt or a closed standard output ends it
    silently.
    """
    arguments = parser.read(argv)
    set_up_logs(arguments.log_level, arguments.log_format)
    if arguments.no_color:
        os.environ["NO_COLOR"] = "1"
        os.environ.pop("FORCE_COLOR", None)
    try:
        _require_current_folder()
        require_open_files(_OPEN_FILES_MIN, "the command needs")
        outcome = body(arguments)
        return outcome if isinstance(outcome, int) else asyncio.run(outcome)
    except BrokenPipeError:
        discard_output()
        return Exit.OK
    except (KeyboardInterrupt, asyncio.CancelledError):
        return Exit.INTERRUPTED
    except (CommandError, OSError) as error:
        _log.debug("%s ends with an error", parser.prog, exc_info=True)
        if arguments.log_format == "json":
            _log.error("%s", _error_text(error))
        else:
            print_error(f"{parser.prog}: {_error_text(error)}")
        return error.exit_code if isinstance(error, CommandError) else Exit.CANNOT_START
    finally:
        drain_logs()


def _require_current_folder() -> None:
    """Raises CannotStartError if the current folder was removed: relative paths and imports would fail one by one."""
    try:
        Path.cwd()
    except OSError:
        raise CannotStartError("the current folder does not exist any more: cd to a folder that does") from None


def _error_text(error: CommandError | OSError) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def is_quiet() -> bool:
    """Whether the user asked for problems only."""
    return not logging.getLogger().isEnabledFor(logging.INFO)


def require_open_files(needed: int, need: str) -> None:
    """Raises the limit of open files to `needed`. If the system does not allow it, raises CannotStartError with the
    line to type; `need` is the beginning of its text, such as "1,000 bots need"."""
    if raise_open_files(needed) < needed:
        raise CannotStartError(f"{need} {needed} open files: ulimit -n {needed}")


def parse_output(text: str) -> str:
    """A path that can be written, or - for standard output. Raises ValueError before the run rather than after it."""
    if text != "-":
        try:
            Path(text).open("a").close()
        except OSError as error:
            raise ValueError(f"cannot write {text}: {error.strerror}") from None
    return text


def print_result(text: str) -> None:
    """Prints the result of a command on standard output. If that fails, a line on stderr says so, and the command still
    ends with the exit code that its work deserves."""
    error = print_output(text)
    if error is not None:
        print_error(f"the result is lost: cannot write to standard output: {error.strerror}")


def write_output(file: str, text: str) -> None:
    """Writes a text to a file, or to standard output for -. Raises CannotStartError."""
    if file == "-":
        error = print_output(text)
        if error is not None:
            raise CannotStartError(f"cannot write to standard output: {error.strerror}")
    else:
        try:
            Path(file).write_text(text, encoding="utf-8")
        except OSError as error:
            raise CannotStartError(f"cannot write {file}: {error.strerror}") from None
