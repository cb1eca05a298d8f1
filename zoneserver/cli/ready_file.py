"""The file of `--ready-file`: it exists while a server accepts players, and names the ports."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from zoneserver.gateway_server import GatewayServer
from zoneserver.http.pages import page_url
from zoneserver.protocol.messages import PROTOCOL_VERSION
from zoneserver.server import ZoneServer
from zoneserver.support.errors import CannotStartError
from zoneserver.support.files import read_file

__all__ = ["ReadyFile"]


class ReadyFile:
    """Opened before the server starts, written when players can connect, removed when the server stops.

    Raises CannotStartError if the file could not be written, and removes what an ended server has left there, so that
    nobody reads old ports.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # The file is moved into place when it is complete, so that no program reads half of it.
        self._aside = path.parent / f"{path.name}.new"
        try:
            if path.exists() and not path.is_file():
                raise CannotStartError(f"cannot write the ready file {path}: it is a folder or a device")
            self._aside.touch()
            self._aside.unlink()
            if _is_of_ended_process(path):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise self._cannot_write(error) from None

    def write(self, server: ZoneServer | GatewayServer) -> None:
        """Writes the process id and the ports as JSON. Raises CannotStartError."""
        ready = {
            "pid": os.getpid(),
            "port": server.port,
            "stats_port": server.stats_port,
            "page": page_url(server.config, server.port),
            "protocol": PROTOCOL_VERSION,
        }
        try:
            self._aside.write_text(json.dumps(ready) + "\n")
            self._aside.replace(self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._aside.unlink(missing_ok=True)
            raise self._cannot_write(error) from None

    def remove(self) -> None:
        """Removes the file, unless another server has replaced it."""
        if _pid_in(self._path) == os.getpid():
            with contextlib.suppress(OSError):
                self._path.unlink()

    def _cannot_write(self, error: OSError) -> CannotStartError:
        return CannotStartError(f"cannot write the ready file {self._path}: {error.strerror}")


def _pid_in(path: Path) -> int | None:
    """The process that a ready file names; None if there is no such file."""
    try:
        pid = json.loads(read_file(path))["pid"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return pid if isinstance(pid, int) else None


def _is_of_ended_process(path: Path) -> bool:
    pid = _pid_in(path)
    if pid is None or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        return False
    # In a container every server may have the process id of the one before it.
    return pid == os.getpid()
