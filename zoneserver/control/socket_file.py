"""The file of the control socket: where it is."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from zoneserver.support.socket_file import folder_objection

__all__ = ["default_path"]


def default_path(port: int) -> Path:
    """The socket of the server whose players connect to this port, if no other path is given.

    It lies in `$XDG_RUNTIME_DIR` if that is a folder of this user, else in a folder of this user among the temporary
    files.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and folder_objection(Path(runtime), is_own=True) is None:
        return Path(runtime) / f"zoneserver-{port}.ctl"
    return Path(tempfile.gettempdir()) / f"zoneserver-{os.getuid()}" / f"{port}.ctl"
