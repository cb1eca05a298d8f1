"""An echo over WebSocket, for conformance cases: the frame layer of the product, with text allowed and a high limit."""

from __future__ import annotations

import asyncio
import re
from typing import cast

from zoneserver.protocol.upgrade import accept_key, upgrade_request
from zoneserver.protocol.websocket import Opcode, WebSocketReader, frame, masked_frame

__all__ = ["Echo", "EchoClient"]

PAYLOAD_BYTES_MAX = 1 << 24
INVALID = 1007


class Text(bytes):
    """A text message."""


class Empty(bytes):
    """A binary message without bytes, unlike the empty payload of a control frame."""


class EchoReader(WebSocketReader):
    __slots__ = ()

    DATA_OPCODES = frozenset({Opcode.TEXT, Opcode.BINARY})

    def _complete(self, opcode: int, message: bytes) -> bytes | None:
        if opcode == Opcode.BINARY:
            return message or Empty()
        try:
            message.decode()
        except UnicodeDecodeError:
            self._fail(INVALID, "a text message that is not UTF-8")
            return None
        return Text(message)


class Echo(asyncio.Protocol):
    """The server: answers the opening handshake, then sends every message back."""

    frame = staticmethod(frame)

    def __init__(self) -> None:
        self.head = b""
        self.reader = EchoReader(PAYLOAD_BYTES_MAX)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if b"\r\n\r\n" not in self.head:
            self.head, found, data = (self.head + data).partition(b"\r\n\r\n")
            self.head += found
            if not found:
                return
            self.opened()
        reader = self.reader
        payloads = reader.receive(data)
        self.transport.writelines(reader.replies)
        reader.replies.clear()
        for payload in payloads:
            if payload or isinstance(payload, Text | Empty):
                self.message(payload, Opcode.TEXT if isinstance(payload, Text) else Opcode.BINARY)
        if reader.error and not self.transport.is_closing():
            said = reader.goodbye(b"", "", False)
            # No BYE, which the cases do not know.
            self.transport.write(said if reader.is_ended else said[len(self.frame(b"")) :])
            self.end()

    def opened(self) -> None:
        """The head of the request is there."""
        key = re.search(rb"(?i)\r\nsec-websocket-key: *(\S+)", self.head)
        assert key is not None
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_key(key[1].decode()).encode() + b"\r\n\r\n"
        )

    def message(self, payload: bytes, opcode: int) -> None:
        self.transport.write(self.frame(payload, opcode))

    def end(self) -> None:
        """Both have sent their close frames."""
        self.transport.close()


class EchoClient(Echo):
    """The client: asks for a path, sends every message back, and keeps the first."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.reader = EchoReader(PAYLOAD_BYTES_MAX, is_client=True)
        self.path = path
        self.first: bytes | None = None
        self.closed = asyncio.get_running_loop().create_future()

    frame = staticmethod(masked_frame)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        request, self.accept = upgrade_request("localhost", self.path)
        self.transport.write(request)

    def opened(self) -> None:
        """The head of the response is there."""
        assert f"sec-websocket-accept: {self.accept}\r\n".lower() in self.head.decode().lower()

    def message(self, payload: bytes, opcode: int) -> None:
        self.first = payload if self.first is None else self.first
        super().message(payload, opcode)

    def end(self) -> None:
        """The server closes the connection."""

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set_result(None)
