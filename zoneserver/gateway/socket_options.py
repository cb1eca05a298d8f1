"""Options and measurements of TCP sockets. Each does nothing on a system that does not offer it."""

from __future__ import annotations

import socket
import struct
import sys
from typing import Any

__all__ = ["round_trip_seconds", "set_send_limits", "set_user_timeout", "unanswered_seconds"]

# Linux's struct tcp_info begins with 8 bytes, the fourth of which is `tcpi_probes`, the unanswered probes
# of a closed window; 32-bit fields follow. The fifth is `tcpi_unacked`, the segments that are sent and
# not acknowledged, the thirteenth `tcpi_last_ack_recv`, in milliseconds.
_TCP_INFO = struct.Struct("3xB4x16xI28xI")
# The sixteenth is `tcpi_rtt`, the smoothed round trip in microseconds.
_TCP_INFO_RTT = struct.Struct("8x60xI")


def set_send_limits(sock: socket.socket, send_bytes: int) -> None:
    """Bounds the bytes that the kernel holds for a peer, so that a peer without room is noticed at once.

    SO_SNDBUF bounds all of them. With TCP_NOTSENT_LOWAT of one byte the kernel takes more bytes only while all
    earlier ones are on their way. Otherwise the server would notice a peer that stopped reading only when the
    send buffer is full, which takes minutes in a quiet zone.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_bytes)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 1)


def set_user_timeout(sock: Any | None, seconds: float) -> None:
    """Sets how long the kernel waits for a peer that acknowledges nothing, or has no room, before it gives up."""
    if sock is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


def unanswered_seconds(sock: Any | None) -> float:
    """The seconds for which the peer has owed an answer and sent none; 0.0 when it owes no answer.

    A living peer without room still acknowledges what reached it, and answers every probe.
    0.0 where the system does not tell.
    """
    if sock is None or sys.platform != "linux":
        return 0.0
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    except OSError:
        return 0.0  # As below.
    probes, unacknowledged, silent_ms = _TCP_INFO.unpack(info)
    return silent_ms / 1000 if probes or unacknowledged else 0.0


def round_trip_seconds(sock: Any | None) -> float | None:
    """The smoothed round trip as the kernel measures it; None where it does not tell."""
    if sock is None or sys.platform != "linux":
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_RTT.size)
    except OSError:
        return None  # The socket is closed. Its session learns of that in the next turn of the loop.
    return float(_TCP_INFO_RTT.unpack(info)[0]) / 1e6
