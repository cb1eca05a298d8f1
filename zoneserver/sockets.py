"""What we ask of a TCP socket beyond reading and writing, each where the system has it."""

from __future__ import annotations

import socket
import struct
import sys
from typing import Any

__all__ = ["is_unanswered", "set_send_limits", "set_user_timeout"]

# Linux's struct tcp_info begins with 8 bytes; 32-bit fields follow. The fifth is `tcpi_unacked`, the
# segments that are sent and not acknowledged, the thirteenth `tcpi_last_ack_recv`, in milliseconds.
_TCP_INFO = struct.Struct("8x16xI28xI")


def set_send_limits(sock: socket.socket, send_bytes: int) -> None:
    """Lets the kernel hold little for a peer that has no room, so that this shows at once.

    SO_SNDBUF bounds what it holds in all. TCP_NOTSENT_LOWAT of one byte lets it take more only while
    all it has is on its way: otherwise a peer that stopped reading shows when the buffer is full,
    which in a quiet zone takes minutes.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_bytes)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 1)


def set_user_timeout(sock: Any, seconds: float) -> None:
    """How long the kernel waits for a peer that acknowledges nothing, or has no room, before it gives up."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


def is_unanswered(sock: Any) -> bool:
    """Whether what was sent has not been acknowledged for a second: a peer that is alive and has no room
    acknowledges all that reached it. False where the system does not tell."""
    if sys.platform != "linux":
        return False
    unacknowledged, silent_ms = _TCP_INFO.unpack(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size))
    return bool(unacknowledged and silent_ms > 1000)
