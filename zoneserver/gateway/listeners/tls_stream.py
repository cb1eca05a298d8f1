"""The TLS stream: one end of a TLS connection, record by record, without a socket.

TLS hands out no bound on its work: a few hundred kilobytes of ciphertext can hold ten thousand records that carry
nothing and change the keys. So the stream takes ciphertext apart by the headers of its records, and gives TLS one
record at a time, when its caller asks for it. Pure.
"""

from __future__ import annotations

import contextlib
import ssl

__all__ = ["RECORD_DATA_BYTES_MAX", "TlsStream"]

RECORD_DATA_BYTES_MAX = 16 * 1024
"""The most bytes of data in one record."""

_HEADER_BYTES = 5
# The types of records: change_cipher_spec, alert, handshake, application_data. All versions since SSL 3.0 have 3 as
# the first byte of the version.
_TYPES = frozenset({20, 21, 22, 23})
_MAJOR_VERSION = 3
# A record of TLS 1.2 may be this much larger than its data, and one of TLS 1.3 less.
_RECORD_BYTES_MAX = RECORD_DATA_BYTES_MAX + 2048


class TlsStream:
    """The server's end of one TLS connection.

    Every call may leave ciphertext for the peer in `ciphertext_to_send`.
    """

    __slots__ = ("_ciphertext", "_incoming", "_outgoing", "is_open", "ssl_object")

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl_object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.is_open = False
        """Whether the handshake is done."""
        # Ciphertext that was received and not read, from the beginning of a record.
        self._ciphertext = b""

    def receive(self, ciphertext: bytes) -> None:
        """Keeps ciphertext of the peer for `read_record`."""
        self._ciphertext += ciphertext

    def discard(self) -> None:
        """Drops the ciphertext that was received and not read."""
        self._ciphertext = b""

    @property
    def has_record(self) -> bool:
        """Whether a whole record waits, or bytes that are none."""
        return 0 < self._record_bytes() <= len(self._ciphertext)

    def _record_bytes(self) -> int:
        """The size of the first record; 0 while its header is incomplete. Bytes that are no record count as one."""
        waiting = self._ciphertext
        if len(waiting) < _HEADER_BYTES:
            return 0
        size = _HEADER_BYTES + (waiting[3] << 8 | waiting[4])
        is_record = waiting[0] in _TYPES and waiting[1] == _MAJOR_VERSION
        return size if is_record and size <= _HEADER_BYTES + _RECORD_BYTES_MAX else _HEADER_BYTES

    def read_record(self) -> bytes | None:
        """Reads one record, of which `has_record` was told. Returns the data of the peer in it, which may be none.

        Returns None for a close_notify: the peer sends nothing more. Raises ssl.SSLError for everything that is
        not allowed. `is_open` becomes True with the last record of the handshake.
        """
        size = self._record_bytes()
        record, self._ciphertext = self._ciphertext[:size], self._ciphertext[size:]
        self._incoming.write(record)
        try:
            if self.is_open:
                return self.ssl_object.read(RECORD_DATA_BYTES_MAX) or None
            self.ssl_object.do_handshake()
            self.is_open = True
        except ssl.SSLWantReadError:
            if self._incoming.pending or size == _HEADER_BYTES:
                raise ssl.SSLError(ssl.SSL_ERROR_SSL, "not a TLS record") from None
        except ssl.SSLZeroReturnError:
            return None
        return b""

    def encrypt(self, data: bytes | memoryview) -> bytes:
        """Puts at most RECORD_DATA_BYTES_MAX into one record. Returns all ciphertext for the peer."""
        self.ssl_object.write(data)
        return self._outgoing.read()

    def end(self) -> None:
        """Ends the stream to the peer by a close_notify."""
        # It raises when the peer has sent no close_notify yet, or nonsense. Nothing is read any more.
        with contextlib.suppress(ssl.SSLError):
            self.ssl_object.unwrap()

    def ciphertext_to_send(self) -> bytes:
        """Takes the ciphertext that waits for the peer: of the handshake, of new keys, or an alert."""
        return self._outgoing.read() if self._outgoing.pending else b""
