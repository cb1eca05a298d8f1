"""The files of control sockets: where they are."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from zoneserver.support.socket_file import folder_objection

__all__ = ["default_path", "default_ports"]


def default_path(port: int) -> Path:
    """The socket of the server whose players connect to this port, if no other path is given.

    It lies in `$XDG_RUNTIME_DIR` if that is a folder of this user, else in a folder of this user among the temporary
    files.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and folder_objection(Path(runtime), is_own=True) is None:
        return Path(runtime) / f"zoneserver-{port}.ctl"
    return Path(tempfile.gettempdir()) / f"zoneserver-{os.getuid()}" / f"{port}.ctl"


def default_ports() -> list[int]:
    """The ports for which `default_path` has a file, which a server may have left there."""
    path = default_path(0)
    name = re.compile(re.escape(path.name).replace("0", "([0-9]+)"))
    try:
        found = [name.fullmatch(each.name) for each in path.parent.iterdir()]
    except OSError:
        return []
    return sorted(int(each[1]) for each in found if each is not None)
