"""How a command of ours ends: its exit codes, and the errors that lead to them."""

from __future__ import annotations

import enum

__all__ = ["CannotStartError", "CommandError", "Exit", "UsageError"]


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
