"""The file of the control socket: where it is, who may use it, and how a server takes the place of a dead one."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from zoneserver.support.errors import CannotStartError

__all__ = ["Peer", "bind", "default_path", "may_command", "peer_of", "remove"]

_MODE = 0o600
_WRITE_FOR_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_LOCK_SECONDS = 2.0
# How long a server that is alive may take to accept a connection.
_ANSWER_SECONDS = 1.0
_BACKLOG = 8

Peer = tuple[int, int]
"""(pid, uid) of the process at the other end of a connection."""


def default_path(port: int) -> Path:
    """The socket of the server whose players connect to this port, if no other path is given.

    It lies in `$XDG_RUNTIME_DIR` if that is a folder of this user, else in a folder of this user among the temporary
    files.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and _objection(Path(runtime), is_own=True) is None:
        return Path(runtime) / f"zoneserver-{port}.ctl"
    return Path(tempfile.gettempdir()) / f"zoneserver-{os.getuid()}" / f"{port}.ctl"


def bind(path: Path, *, is_default: bool) -> socket.socket:
    """Listens at a path; the folder of a default path is made. Raises CannotStartError with what to do.

    The socket of a server that has ended is replaced, one that is in use is not.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if is_default:
            with contextlib.suppress(FileExistsError):
                path.parent.mkdir(mode=0o700)
        objection = _objection(path.parent, is_own=is_default)
        if objection is not None:
            raise CannotStartError(f"{objection}: {path}; give another path: --ctl PATH")
        sock.setblocking(False)
        # The file has this mode from the first moment on.
        os.fchmod(sock.fileno(), _MODE)
        with _locked(path.parent):
            _make_way(path)
            sock.bind(os.fspath(path))
            path.chmod(_MODE)
            sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise CannotStartError(f"{error.strerror or error}: {path}; give another path: --ctl PATH") from None
    except BaseException:
        sock.close()
        raise
    return sock


def remove(path: Path, inode: int) -> None:
    """Removes the file of a socket if it is still the one with this inode."""
    with contextlib.suppress(OSError):
        if path.lstat().st_ino == inode:
            path.unlink()


def _objection(folder: Path, *, is_own: bool) -> str | None:
    """Why a folder is no place for the socket; None if nobody else can write to it. With `is_own` it belongs to this
    user, and is no link."""
    try:
        found = folder.lstat() if is_own else folder.stat()
    except OSError as error:
        return f"its folder: {error.strerror}"
    if not stat.S_ISDIR(found.st_mode):
        return "its folder is no folder"
    if found.st_uid != os.geteuid() and (is_own or found.st_uid != 0):
        return "its folder belongs to another user"
    if found.st_mode & _WRITE_FOR_OTHERS:
        return "other users can write to its folder"
    return None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keeps other servers from taking a socket in this folder meanwhile. Raises OSError."""
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def _make_way(path: Path) -> None:
    """Removes the socket of a server that has ended. Raises CannotStartError for anything else in its place."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise CannotStartError(f"{path} is in the way and is no socket: remove it, or give another path: --ctl PATH")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_ANSWER_SECONDS)
        try:
            probe.connect(os.fspath(path))
        except OSError as error:
            if error.errno in (errno.ECONNREFUSED, errno.ENOENT):
                path.unlink(missing_ok=True)
                return
    raise CannotStartError(
        f"a server listens at {path} already: give this one another path with --ctl PATH, or none with --ctl none"
    )


def peer_of(sock: socket.socket) -> Peer | None:
    """The process at the other end; None where the system does not tell."""
    if sys.platform != "linux":
        return None
    pid, uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return pid, uid


def may_command(peer: Peer | None) -> bool:
    """Whether the peer is this user or root. Where the system does not tell, the mode of the file has to do."""
    return peer is None or peer[1] in (0, os.geteuid())
