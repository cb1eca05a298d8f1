"""TLS clients of the lab: they put records on the wire one by one, and may change their keys with each of them."""

from __future__ import annotations

import _ssl
import contextlib
import ctypes
import ssl
from typing import Any

from zonetools.soak.clients import RawClient

__all__ = ["KeyUpdateEnd", "TlsEnd", "TlsRawClient", "client_context"]


def client_context() -> ssl.SSLContext:
    """A context that trusts every server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class TlsEnd:
    """The client's end of a TLS connection, without a socket."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._incoming, self._outgoing)

    def handshake(self, received: bytes = b"") -> tuple[bool, bytes]:
        """Goes on with the handshake. Returns whether it is done, and the bytes to send."""
        self._incoming.write(received)
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            return False, self._outgoing.read()
        return True, self._outgoing.read()

    def record(self, data: bytes) -> bytes:
        """One record with this data."""
        self._ssl.write(data)
        return self._outgoing.read()

    def close_notify(self) -> bytes:
        """The record that ends the stream."""
        with contextlib.suppress(ssl.SSLError):
            self._ssl.unwrap()
        return self._outgoing.read()

    def decrypt(self, received: bytes) -> bytes:
        """The data in the bytes of the server, as far as its records are whole."""
        self._incoming.write(received)
        data = b""
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            while piece := self._ssl.read(65_536):
                data += piece
        return data


# The functions of OpenSSL that Python does not offer.
_POINTERS = ("TLS_client_method", "SSL_CTX_new", "SSL_new", "BIO_s_mem", "BIO_new")
_KEY_UPDATE_NOT_REQUESTED, _KEY_UPDATE_REQUESTED = 0, 1


def _open_ssl() -> Any | None:
    """OpenSSL as Python has loaded it; None where its functions cannot be found."""
    try:
        library = ctypes.CDLL(_ssl.__file__)
        for name in _POINTERS:
            getattr(library, name).restype = ctypes.c_void_p
    except (AttributeError, OSError):
        return None
    return library


class KeyUpdateEnd:
    """The client's end of a TLS 1.3 connection that can change its keys, which Python's `ssl` does not offer.

    Raises OSError where Python's OpenSSL cannot be reached.
    """

    @staticmethod
    def is_available() -> bool:
        """Whether Python's OpenSSL can be reached."""
        return _open_ssl() is not None

    def __init__(self) -> None:
        library = _open_ssl()
        if library is None:
            raise OSError("the functions of Python's OpenSSL cannot be found")
        self._library = library
        pointer = ctypes.c_void_p
        self._context = pointer(library.SSL_CTX_new(pointer(library.TLS_client_method())))
        self._ssl = pointer(library.SSL_new(self._context))
        memory = pointer(library.BIO_s_mem())
        self._incoming, self._outgoing = pointer(library.BIO_new(memory)), pointer(library.BIO_new(memory))
        library.SSL_set_bio(self._ssl, self._incoming, self._outgoing)
        library.SSL_set_connect_state(self._ssl)

    def close(self) -> None:
        """Frees what OpenSSL holds."""
        self._library.SSL_free(self._ssl)
        self._library.SSL_CTX_free(self._context)

    def handshake(self, received: bytes = b"") -> tuple[bool, bytes]:
        """Goes on with the handshake. Returns whether it is done, and the bytes to send."""
        self._library.BIO_write(self._incoming, received, len(received))
        done = self._library.SSL_do_handshake(self._ssl) == 1
        return done, self._take()

    def record(self, data: bytes) -> bytes:
        """One record with this data."""
        self._library.SSL_write(self._ssl, data, len(data))
        return self._take()

    def key_update(self, *, requested: bool = False) -> bytes:
        """One record that carries nothing, and changes the keys; the server has to answer it if `requested`."""
        kind = _KEY_UPDATE_REQUESTED if requested else _KEY_UPDATE_NOT_REQUESTED
        if self._library.SSL_key_update(self._ssl, kind) != 1 or self._library.SSL_do_handshake(self._ssl) != 1:
            raise OSError("the keys cannot be changed")
        return self._take()

    def decrypt(self, received: bytes) -> bytes:
        """The data in the bytes of the server, as far as its records are whole."""
        self._library.BIO_write(self._incoming, received, len(received))
        buffer = ctypes.create_string_buffer(65_536)
        data = b""
        while (count := self._library.SSL_read(self._ssl, buffer, len(buffer))) > 0:
            data += buffer.raw[:count]
        return data

    def _take(self) -> bytes:
        buffer = ctypes.create_string_buffer(65_536)
        data = b""
        while (count := self._library.BIO_read(self._outgoing, buffer, len(buffer))) > 0:
            data += buffer.raw[:count]
        return data


class TlsRawClient(RawClient):
    """One TLS connection, record by record. It reads only on request."""

    end: TlsEnd | KeyUpdateEnd

    async def shake(self, end: TlsEnd | KeyUpdateEnd) -> None:
        """Carry out the handshake, with this end."""
        self.end = end
        done, to_send = end.handshake()
        while not done:
            await self.send_ciphertext(to_send)
            done, to_send = end.handshake(await self._loop.sock_recv(self._sock, 65_536))
        await self.send_ciphertext(to_send)

    async def send_ciphertext(self, ciphertext: bytes) -> None:
        """Send records of the end, or any bytes. Raises OSError if the connection has ended."""
        await super().send(ciphertext)

    async def send(self, data: bytes) -> None:
        """Send one record with this data. Raises OSError if the connection has ended."""
        await self.send_ciphertext(self.end.record(data))

    async def read(self, bytes_max: int) -> int:
        """Read at most this much ciphertext and keep its messages. Returns its size; 0 at the end."""
        try:
            ciphertext = await self._loop.sock_recv(self._sock, bytes_max)
        except OSError:
            return 0
        self._payloads += self._deframer.receive(self.end.decrypt(ciphertext))
        return len(ciphertext)
