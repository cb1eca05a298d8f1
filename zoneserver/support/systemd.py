"""What systemd hands to a service, and what a service tells systemd: sockets, and the state of the service."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import time
from collections.abc import Sequence

from zoneserver.support.errors import CannotStartError

__all__ = ["hand_over", "notify", "notify_reloading", "take_sockets"]

_FIRST_DESCRIPTOR = 3


def take_sockets() -> list[tuple[str, socket.socket]]:
    """The listening sockets that the process was started with (`LISTEN_FDS`), each with its name (`LISTEN_FDNAMES`);
    none without socket activation.

    Programs that this process starts do not get them. Raises CannotStartError for a descriptor that is no listening
    TCP socket.
    """
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count.isascii() or not count.isdigit():
        return []
    sockets = [_listening(descriptor) for descriptor in range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + int(count))]
    return list(itertools.zip_longest(names[: len(sockets)], sockets, fillvalue=""))  # type: ignore[arg-type]


def hand_over(named: Sequence[tuple[str, socket.socket]]) -> None:
    """Puts listening sockets where the program that this process becomes by `exec` takes them.

    Nothing but `exec` may follow: other files of this process lose their descriptors. Names are without colons.
    """
    import fcntl

    # First away from all places that they are to have.
    beyond = _FIRST_DESCRIPTOR + len(named)
    moved = [fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD_CLOEXEC, beyond) for _, sock in named]
    for place, descriptor in enumerate(moved, _FIRST_DESCRIPTOR):
        os.dup2(descriptor, place)
    os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = str(os.getpid()), str(len(named))
    os.environ["LISTEN_FDNAMES"] = ":".join(name for name, _ in named)


def _listening(descriptor: int) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
        is_listening = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if is_listening and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setblocking(False)
            return sock
        sock.detach()
    except OSError:
        pass
    raise CannotStartError(
        f"descriptor {descriptor} of socket activation is no listening TCP socket: "
        "the socket unit needs ListenStream= with a port, and Accept=no"
    )


def notify(*states: str) -> None:
    """Tells the supervisor that asked for it (`NOTIFY_SOCKET`) about the state of this process, such as READY=1."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    # A supervisor that does not listen is no reason to stop.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        # An address with @ is one of the abstract namespace of Linux.
        sock.sendto("\n".join(states).encode(), address.replace("@", "\0", 1))


def notify_reloading() -> None:
    """Tells the supervisor that the process reads its files again; `READY=1` is the end of it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
