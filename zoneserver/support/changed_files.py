"""Files that change: which of them have been written since the last look, and which files a program is made of."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from zoneserver.support.errors import LIBRARIES, is_users_module

__all__ = ["ChangedFiles", "loaded_files"]

_Mark = tuple[int, int]


class ChangedFiles:
    """Remembers when each file was written.

    >>> files = ChangedFiles()
    >>> files.changed(["/no/such/file", sys.executable])
    []
    """

    def __init__(self) -> None:
        # (time of the last write, size) of each file that was seen.
        self._marks: dict[str, _Mark] = {}

    def changed(self, paths: Iterable[str]) -> list[str]:
        """The files that were written since the last call, in order. A file that is seen for the first time has not
        changed, and neither has one that is gone: an editor may be about to replace it."""
        changed = []
        for path in sorted(set(paths)):
            try:
                status = Path(path).stat()
            except (OSError, ValueError):
                continue
            mark = status.st_mtime_ns, status.st_size
            if self._marks.setdefault(path, mark) != mark:
                self._marks[path] = mark
                changed.append(path)
        return changed


def loaded_files(*, with_neighbours: bool = False) -> list[str]:
    """The source files of a user's modules that this process has loaded, without installed ones. `with_neighbours` adds
    the other Python files of their folders."""
    # `vars`, since what `getattr` finds may be a module's own code.
    loaded = [vars(module).get("__file__") for name, module in list(sys.modules.items()) if _is_watched(name, module)]
    own = {file for file in loaded if isinstance(file, str) and file.endswith(".py")}
    own = {file for file in own if not file.startswith(LIBRARIES)}
    if with_neighbours:
        own |= {str(each) for folder in {Path(file).parent for file in own} for each in folder.glob("*.py")}
    return sorted(own)


def _is_watched(name: str, module: object) -> bool:
    return is_users_module(name) and name != "__main__" and isinstance(module, ModuleType)
