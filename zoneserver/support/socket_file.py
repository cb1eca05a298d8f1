"""The file of a Unix socket: who may use it, and how a process takes the place of a dead one."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from zoneserver.support.errors import CannotStartError

__all__ = ["Peer", "bind", "folder_objection", "is_trusted", "peer_of", "remove"]

_MODE = 0o600
_WRITE_FOR_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_LOCK_SECONDS = 2.0
# How long a process that is alive may take to accept a connection.
_ANSWER_SECONDS = 1.0
_BACKLOG = 64

Peer = tuple[int, int]
"""(pid, uid) of the process at the other end of a connection."""


def bind(path: Path, hint: str, *, is_own_folder: bool = False) -> socket.socket:
    """Listens at a path. With `is_own_folder` the folder is made, and has to belong to this user.

    The socket of a process that has ended is replaced, one that is in use is not. Raises CannotStartError with what is
    wrong, and `hint`, which says how another path is given.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if is_own_folder:
            with contextlib.suppress(FileExistsError):
                path.parent.mkdir(mode=0o700)
        objection = folder_objection(path.parent, is_own=is_own_folder)
        if objection is not None:
            raise CannotStartError(f"{objection}: {path}; {hint}")
        sock.setblocking(False)
        # The file has this mode from the first moment on.
        os.fchmod(sock.fileno(), _MODE)
        with _locked(path.parent):
            _make_way(path, hint)
            sock.bind(os.fspath(path))
            path.chmod(_MODE)
            sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise CannotStartError(f"{error.strerror or error}: {path}; {hint}") from None
    except BaseException:
        sock.close()
        raise
    return sock


def remove(path: Path, inode: int) -> None:
    """Removes the file of a socket if it is still the one with this inode."""
    with contextlib.suppress(OSError):
        if path.lstat().st_ino == inode:
            path.unlink()


def folder_objection(folder: Path, *, is_own: bool) -> str | None:
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
    """Keeps other processes from taking a socket in this folder meanwhile. Raises OSError."""
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


def _make_way(path: Path, hint: str) -> None:
    """Removes the socket of a process that has ended. Raises CannotStartError for anything else in its place."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise CannotStartError(f"{path} is in the way and is no socket: remove it, or {hint}")
    holder = "another server"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_ANSWER_SECONDS)
        try:
            probe.connect(os.fspath(path))
            peer = peer_of(probe)
        except OSError as error:
            if error.errno in (errno.ECONNREFUSED, errno.ENOENT):
                path.unlink(missing_ok=True)
                return
        else:
            holder = "another server" if peer is None else f"another server (pid {peer[0]})"
    raise CannotStartError(f"{holder} listens at {path} already: {hint}")


def peer_of(sock: socket.socket) -> Peer | None:
    """The process at the other end; None where the system does not tell."""
    if sys.platform != "linux":
        return None
    pid, uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return pid, uid


def is_trusted(peer: Peer | None) -> bool:
    """Whether the peer is this user or root. Where the system does not tell, the mode of the file has to do."""
    return peer is None or peer[1] in (0, os.geteuid())
