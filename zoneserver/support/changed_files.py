"""Files that change: which of them have been written since the last look, and which files a program is made of."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from zoneserver.support.errors import LIBRARIES

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
    """The source files of all modules that this process has loaded, without those that are installed. `with_neighbours`
    adds the other Python files of their folders."""
    # Attributes of a module may be its own code.
    attributes = [getattr(module, "__dict__", {}) for module in list(sys.modules.values())]
    files = {file for each in attributes if isinstance(file := each.get("__file__"), str)}
    own = {file for file in files if file.endswith(".py") and not file.startswith(LIBRARIES)}
    if with_neighbours:
        own |= {str(each) for folder in {Path(file).parent for file in own} for each in folder.glob("*.py")}
    return sorted(own)
