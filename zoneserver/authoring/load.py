"""Loads what is named `module:Name`, such as a class, from the current folder or from an installed package."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from zoneserver.support.errors import CannotStartError, Exit, raised_by, where_raised

__all__ = ["LoadError", "TargetError", "load_class", "load_named"]


class LoadError(CannotStartError):
    """The class cannot be loaded, for the reason in the text."""


class TargetError(LoadError):
    """The target is not of the form `module:Class`."""

    exit_code = Exit.USAGE


def load_class(target: str, kind: str, is_one: Callable[[type], bool]) -> type:
    """The class that `target` names as `module:Class`, if `is_one(class)` is true. Raises as `load_named` does."""
    found: type = load_named(target, kind, lambda found: isinstance(found, type) and is_one(found))
    return found


def load_named(target: str, kind: str, is_one: Callable[[Any], bool]) -> Any:
    """What `target` names as `module:Name`, if `is_one` of it is true.

    Raises LoadError with one line, in which `kind` is the noun for such a thing, as in "Rules class". An exception of
    the author's module is named with its place in the author's files.
    """
    module_name, _, name = target.partition(":")
    if not name or not all(part.isidentifier() for part in module_name.split(".")):
        raise TargetError(f"{target!r} is not of the form module:Class, as in mygame:Tag")
    # Authors usually start the command in the folder of their module.
    sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise LoadError(f"there is no module {module_name!r} here ({os.getcwd()})") from None
        text = f"{module_name} needs the module {error.name}, which is not installed{where_raised(error)}"
        raise LoadError(text) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise LoadError(f"{module_name} cannot be imported: {raised_by(error)}") from error
    finally:
        sys.path.pop(0)
    found = getattr(module, name, None)
    if is_one(found):
        return found
    if getattr(module, "__file__", None) is None and hasattr(module, "__path__"):
        raise LoadError(f"{module_name!r} is a folder, not a module: cd into it first")
    own = {other: value for other, value in vars(module).items() if getattr(value, "__module__", "") == module_name}
    names = [other for other, value in own.items() if is_one(value)]
    hint = f"; it has {', '.join(names)}" if names else ""
    raise LoadError(f"{module_name} has no {kind} named {name!r}{hint}")
