"""Which code a game consists of, so that a restart can tell a changed game from one that is not deterministic."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from zoneserver.support.version import __version__

__all__ = ["VERSIONS", "code_of", "target_of"]

VERSIONS = f"zoneserver {__version__}, Python {sys.version.split()[0]}"
"""What runs a game, for people."""


def code_of(game: type) -> str:
    """A digest of the versions, and of the modules of the game: those of its class and of the classes that it is made
    of, and all that are imported from the folders of these."""
    own = {Path(path).parent for base in game.__mro__ if (path := _path_of(base.__module__)) is not None}
    paths = {path for name in list(sys.modules) if (path := _path_of(name)) is not None and Path(path).parent in own}
    digest = hashlib.sha256(VERSIONS.encode())
    for path in sorted(paths):
        try:
            digest.update(Path(path).read_bytes())
        except OSError:
            continue  # It was removed meanwhile.
    return digest.hexdigest()


def target_of(game: type) -> str:
    """The game as `module:Class`; empty for one that cannot be imported by such a name."""
    found = getattr(sys.modules.get(game.__module__), game.__qualname__, None)
    return f"{game.__module__}:{game.__qualname__}" if found is game and game.__module__ != "__main__" else ""


def _path_of(module: str) -> str | None:
    """The file of a module that is neither part of Python nor of this package's machinery."""
    if module.startswith("zoneserver.") and not module.startswith("zoneserver.games."):
        return None
    if module.partition(".")[0] in sys.stdlib_module_names:
        return None
    path: str | None = getattr(sys.modules.get(module), "__file__", None)
    return path
