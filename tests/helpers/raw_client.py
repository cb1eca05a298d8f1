"""A client on a raw socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from helpers.waiting import PATIENCE_SECONDS

from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.framing import Deframer, length_prefixed
from zoneserver.protocol.messages import (
    PROTOCOL_VERSION,
    SERVER_PAYLOAD_BYTES,
    Act,
    Bye,
    Goodbye,
    Hello,
    Ping,
    Resume,
    ServerMessage,
    Snapshot,
    Welcome,
)

Message = TypeVar("Message", bound=ServerMessage)


class Client:
    """A client on a raw socket. It reads only when the test tells it to, so it can be slow."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._loop = asyncio.get_running_loop()
        self._deframer = Deframer(SERVER_PAYLOAD_BYTES)
        self._payloads: deque[bytes] = deque()

    async def say(self, *messages: Hello | Resume | Act | Ping | Goodbye) -> None:
        await self.say_bytes(b"".join(length_prefixed(message.encode()) for message in messages))

    async def say_bytes(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.sock, data)

    async def hello(self, name: str, version: int = PROTOCOL_VERSION) -> None:
        await self.say(Hello(version, name, b""))

    async def read_payload(self) -> bytes:
        """The next payload. Raises EOFError at the end of the stream."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self._payloads:
                data = await self._loop.sock_recv(self.sock, 65536)
                if not data:
                    raise EOFError
                self._payloads.extend(self._deframer.receive(data))
        return self._payloads.popleft()

    async def read(self) -> ServerMessage:
        return decode_server(await self.read_payload())

    async def read_a(self, kind: type[Message]) -> Message:
        """The next message, which must be of this kind."""
        message = await self.read()
        assert isinstance(message, kind), message
        return message

    async def read_until(self, kind: type[Message]) -> Message:
        """The next message of this kind; those before it are dropped."""
        while not isinstance(message := await self.read(), kind):
            pass
        return message

    async def welcomed(self) -> tuple[Welcome, Snapshot]:
        return await self.read_a(Welcome), await self.read_a(Snapshot)

    async def ended(self) -> Bye:
        """Reads to the end of the stream; the last message must be the goodbye."""
        last: ServerMessage | None = None
        with contextlib.suppress(EOFError):
            while True:
                last = await self.read()
        assert isinstance(last, Bye), last
        return last


Connect = Callable[..., Awaitable[Client]]
