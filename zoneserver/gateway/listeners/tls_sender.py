"""The sending half of a TLS connection: data are encrypted only as the kernel takes them.

So a slow reader costs the few kilobytes on their way, and a reference to the frame.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from zoneserver.gateway.listeners.tls_stream import RECORD_DATA_BYTES_MAX, TlsStream

__all__ = ["TlsSender"]


class TlsSender:
    """Sends what a TLS stream has for its peer.

    `drained` is called when everything is sent that the kernel did not take at once, and `broken` with the error
    when that fails.
    """

    __slots__ = ("_broken", "_data", "_drained", "_is_watching", "_loop", "_position", "_sock", "_stream", "_unsent")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        stream: TlsStream,
        drained: Callable[[], object],
        broken: Callable[[OSError], object],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._stream = stream
        self._drained: Callable[[], object] | None = drained
        self._broken: Callable[[OSError], object] | None = broken
        # The data of the send in flight, and how many of its bytes are encrypted.
        self._data = b""
        self._position = 0
        # Ciphertext that the kernel has not taken.
        self._unsent = b""
        # True while the loop watches the socket for room: while ciphertext is unsent, and until that is noticed.
        self._is_watching = False

    @property
    def is_clear(self) -> bool:
        """Whether the kernel has taken everything."""
        return not self._data and not self._unsent

    @property
    def waiting_bytes(self) -> int:
        """How many bytes of the data the kernel has not taken, to within the few that encryption adds."""
        return len(self._data) - self._position + min(len(self._unsent), self._position)

    def send(self, data: bytes) -> bool:
        """Begins to send data, of which none may be waiting. Returns whether the kernel has taken all of them.

        Raises OSError, and ssl.SSLError, when the connection is broken.
        """
        assert not self._data, "two sends in flight"
        self._data = data
        self._encrypt()
        return not self._data

    def send_ciphertext(self) -> None:
        """Sends what the stream itself has for the peer. Raises OSError when the connection is broken."""
        ciphertext = self._stream.ciphertext_to_send()
        if ciphertext:
            self._send(ciphertext)

    def _encrypt(self) -> None:
        data, size = self._data, len(self._data)
        while self._position < size and not self._unsent:
            piece: bytes | memoryview = data
            if size > RECORD_DATA_BYTES_MAX:
                piece = memoryview(data)[self._position : self._position + RECORD_DATA_BYTES_MAX]
            ciphertext = self._stream.encrypt(piece)
            self._position += len(piece)
            self._send(ciphertext)
        if not self._unsent:
            self._data, self._position = b"", 0

    def _send(self, ciphertext: bytes) -> None:
        if self._unsent:
            self._unsent += ciphertext
            return
        try:
            taken = self._sock.send(ciphertext)
        except (BlockingIOError, InterruptedError):
            taken = 0
        if taken < len(ciphertext):
            self._unsent = ciphertext[taken:]
            if not self._is_watching:
                self._is_watching = True
                self._loop.add_writer(self._sock, self._write_ready)

    def _write_ready(self) -> None:
        ciphertext, self._unsent = self._unsent, b""
        assert self._broken is not None and self._drained is not None
        try:
            self._send(ciphertext)
            self._encrypt()
        except OSError as error:
            self._broken(error)
            return
        if not self._unsent:
            self._unwatch()
            self._drained()

    def _unwatch(self) -> None:
        if self._is_watching:
            self._is_watching = False
            self._loop.remove_writer(self._sock)

    def close(self) -> None:
        """Leaves the socket alone, and drops everything unsent."""
        self._unwatch()
        self._data, self._position, self._unsent = b"", 0, b""
        # Without these references a closed connection is in no cycle, so it is freed without the garbage collector.
        self._drained = self._broken = None
