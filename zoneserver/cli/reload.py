"""`zoneserver run --reload`: starts the server again when its game or its settings have changed, with its players."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from zoneserver.cli.console import say
from zoneserver.cli.restart import Restart
from zoneserver.support.changed_files import ChangedFiles, loaded_files
from zoneserver.support.errors import path_text

__all__ = ["Reload"]

_POLL_SECONDS = 0.5
_NAMED_MAX = 3


class Reload:
    """Watches the files of the game's modules, and the file of settings, and tells the author what happens.

    Made before the server starts, so that no change after that is missed.
    """

    def __init__(self, restart: Restart, settings_file: str | None, log_format: str) -> None:
        self._restart = restart
        self._settings_files = [] if settings_file is None else [settings_file]
        self._log_format = log_format
        # After an error in the new code: the file that needs an edit may be one that was never loaded.
        self._has_failed = False
        self._files = ChangedFiles()
        self._changed()

    def _changed(self) -> list[str]:
        return self._files.changed(loaded_files(with_neighbours=self._has_failed) + self._settings_files)

    async def watch(self) -> None:
        """Restarts the server after a change with which it can run, and returns then."""
        changed: list[str] = []
        while True:
            if not changed:
                await asyncio.sleep(_POLL_SECONDS)
                changed = await asyncio.to_thread(self._changed)
                continue
            self._say(f"{_named(changed)} changed: checking ...")
            check = asyncio.create_task(self._restart.objection())
            try:
                changed = []
                while not (changed or check.done()):
                    await asyncio.wait({check}, timeout=_POLL_SECONDS)
                    # What was written meanwhile is checked in place of what was there before.
                    changed = await asyncio.to_thread(self._changed)
            finally:
                check.cancel()
            if not changed:
                objection = check.result()
                self._has_failed = bool(objection)
                changed = await asyncio.to_thread(self._changed)
            if changed:
                continue
            if not objection:
                self._say(self._restart.request_restart())
                return
            self._say(f"{objection}\nthe server goes on as it was", is_problem=True)

    def _say(self, text: str, *, is_problem: bool = False) -> None:
        say(text, self._log_format, is_problem=is_problem)


def _named(paths: Sequence[str]) -> str:
    names = [path_text(path) for path in paths[:_NAMED_MAX]]
    if len(paths) > _NAMED_MAX:
        names.append(f"{len(paths) - _NAMED_MAX} more")
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
