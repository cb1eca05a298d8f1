"""Packages that import their public names at the first use."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["import_name"]


def import_name(package: str, name: str, homes: Sequence[str]) -> Any:
    """The public name of a package, from the first of its modules `homes` that exports this name. Afterwards the name
    is an attribute of the package. Raises AttributeError for a name that the package does not export."""
    exporting = sys.modules[package]
    if name in exporting.__all__:
        for home in map(importlib.import_module, homes):
            if name in home.__all__:
                setattr(exporting, name, getattr(home, name))
                return getattr(home, name)
    raise AttributeError(f"module {package!r} has no attribute {name!r}")
