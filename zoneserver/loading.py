"""Finds a class that somebody names as `module:Class`, in the folder where they stand or installed; and
says of what it raises where in their own files that was."""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from zoneserver.exits import CannotStartError, Exit

__all__ = ["GameError", "LoadError", "TargetError", "load_class", "raised_by"]

# Where Python itself and what is installed lie: nobody's own files.
_LIBRARIES = tuple(sysconfig.get_paths()[kind] + os.sep for kind in ("stdlib", "platstdlib", "purelib", "platlib"))


class LoadError(CannotStartError):
    """There is no such class, for the reason in the text."""


class TargetError(LoadError):
    """What was given does not name a class at all."""

    exit_code = Exit.USAGE


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
    return f"{type(error).__name__}{f': {text}' if text else ''}{_where(error)}"


def _where(error: BaseException) -> str:
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


def load_class(target: str, kind: str, is_one: Callable[[type], bool]) -> type:
    """The class named by `module:Class`, a `kind` such as "Rules class". Raises LoadError with one line.

    >>> load_class("fractions:Fraction", "number", lambda found: hasattr(found, "numerator"))
    <class 'fractions.Fraction'>
    >>> load_class("fractions:Decimal", "number", lambda found: hasattr(found, "numerator"))
    Traceback (most recent call last):
    zoneserver.loading.LoadError: fractions has no number named 'Decimal'; it has Fraction
    """
    module_name, _, class_name = target.partition(":")
    if not class_name or not all(part.isidentifier() for part in module_name.split(".")):
        raise TargetError(f"{target!r} is not of the form module:Class, as in mygame:Tag")
    # What somebody writes usually lies in the directory they stand in.
    sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise LoadError(f"there is no module {module_name!r} here ({os.getcwd()})") from None
        text = f"{module_name} needs the module {error.name}, which is not installed{_where(error)}"
        raise LoadError(text) from error
    except (Exception, SystemExit) as error:
        raise LoadError(f"{module_name} cannot be imported: {raised_by(error)}") from error
    finally:
        sys.path.pop(0)
    found = getattr(module, class_name, None)
    if isinstance(found, type) and is_one(found):
        return found
    if getattr(module, "__file__", None) is None and hasattr(module, "__path__"):
        raise LoadError(f"{module_name!r} is a folder here, not a module: cd into it first")
    names = [
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and is_one(value) and value.__module__ == module_name
    ]
    hint = f"; it has {', '.join(names)}" if names else ""
    raise LoadError(f"{module_name} has no {kind} named {class_name!r}{hint}")
