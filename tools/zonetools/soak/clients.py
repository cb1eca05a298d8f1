"""The clients of the lab: a raw client that may break every rule, and an honest client that records."""

from __future__ import annotations

import asyncio
import itertools
import math
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, Self

import msgpack
from zoneclient.protocol import ClientProtocol
from zoneclient.replica import Replica

from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.framing import Deframer, length_prefixed
from zoneserver.protocol.messages import (
    PROTOCOL_VERSION,
    RESUME,
    SERVER_PAYLOAD_BYTES,
    Act,
    Bye,
    Hello,
    Pong,
    Refusal,
    Resume,
    ServerMessage,
    Snapshot,
    Tick,
    Told,
    Welcome,
)

# Stands for the BYE of a connection that ended without one.
_NOTHING = Bye("nothing", "", retry=False)


def hello(name: str, ticket: bytes = b"", *options: str) -> bytes:
    """The HELLO packet, with framing."""
    return length_prefixed(Hello(PROTOCOL_VERSION, name, ticket, options).encode())


def resume(name: str, token: bytes, tick: int = 0) -> bytes:
    """The RESUME packet of a server's first start, with framing."""
    return length_prefixed(Resume(PROTOCOL_VERSION, name, token, 1, tick, (RESUME,)).encode())


def packet(*message: Any) -> bytes:
    """A packet with any msgpack array, for messages that no client library sends."""
    return length_prefixed(msgpack.packb(message))


def act(seq: int, *actions: tuple[object, ...]) -> bytes:
    """A packet of actions, with framing, as an honest client sends it."""
    return length_prefixed(Act(seq, actions).encode())


class RawClient:
    """One connection, byte by byte. It reads only on request."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._deframer = Deframer(SERVER_PAYLOAD_BYTES)
        self._payloads: list[bytes] = []

    @classmethod
    async def connect(cls, port: int, host: str, *, receive_bytes: int = 0) -> Self:
        """Connect from an address of this machine.

        `receive_bytes` limits what the kernel accepts while the client does not read.
        """
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if receive_bytes:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
            sock.bind((host, 0))
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except BaseException:
            sock.close()
            raise
        return cls(sock)

    async def send(self, data: bytes) -> None:
        """Send any bytes. Raises OSError if the connection has ended."""
        await self._loop.sock_sendall(self._sock, data)

    async def hello(self, name: str) -> None:
        """Send HELLO without waiting for the answer."""
        await self.send(hello(name))

    async def join(self, name: str) -> Welcome:
        """Join the zone. Raises ConnectionError with the code if the server refuses."""
        await self.hello(name)
        answer = await self.answer()
        if isinstance(answer, Bye):
            raise ConnectionError(answer.code)
        return answer

    async def answer(self) -> Welcome | Bye:
        """The answer to HELLO; a BYE with the code `nothing` if the connection ends without one."""
        while (message := await self.receive()) is not None:
            if isinstance(message, Welcome | Bye):
                return message
        return _NOTHING

    async def read(self, bytes_max: int) -> int:
        """Read at most this many bytes and keep them for `receive`. Returns how many came; 0 at the end."""
        try:
            data = await self._loop.sock_recv(self._sock, bytes_max)
        except OSError:
            return 0
        self._payloads += self._deframer.receive(data)
        return len(data)

    async def read_all(self) -> None:
        """Read until the end of the connection, and drop what comes."""
        while await self.read(65_536):
            self._payloads.clear()

    async def receive(self) -> ServerMessage | None:
        """The next message; None at the end of the connection."""
        while not self._payloads:
            if not await self.read(65_536):
                return None
        return decode_server(self._payloads.pop(0))

    async def messages(self, seconds: float = 5.0) -> list[ServerMessage]:
        """All messages until the connection ends. Raises TimeoutError."""
        found = []
        async with asyncio.timeout(seconds):
            while (message := await self.receive()) is not None:
                found.append(message)
        return found

    async def bye(self, seconds: float = 5.0) -> Bye:
        """The BYE that ends the connection; one with the code `nothing` if none came. Raises TimeoutError."""
        *_, last = (_NOTHING, *await self.messages(seconds))
        return last if isinstance(last, Bye) else _NOTHING

    def reset(self) -> None:
        """Reset the connection instead of closing it in order."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def close(self) -> None:
        """Close the connection. If there is unread data, the kernel sends a reset."""
        self._sock.close()


class RecordingClient(ClientProtocol):
    """An honest player that records everything with the time at which it arrived."""

    def __init__(self, name: str, *, resume: bool = False) -> None:
        super().__init__(name, resume=resume)
        self.frames: list[tuple[float, Tick]] = []
        self.refusals: list[Refusal] = []
        self.told: list[Told] = []
        self.pongs: dict[int, float] = {}
        """When the answer to each token arrived."""
        self.snapshots = 0
        self.replica: Replica | None = None
        self._changed = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._changed.set()

    def on_welcome(self, welcome: Welcome) -> None:
        self.replica = Replica(welcome)

    def on_snapshot(self, payload: bytes) -> None:
        snapshot = decode_server(payload)
        assert isinstance(snapshot, Snapshot) and self.replica is not None
        self.snapshots += 1
        self.replica.restore(snapshot)

    def on_tick(self, payload: bytes) -> None:
        now, tick = time.monotonic(), decode_server(payload)
        assert isinstance(tick, Tick) and self.replica is not None
        self.replica.apply(tick)
        self.frames.append((now, tick))

    def on_refused(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)

    def on_told(self, told: Told) -> None:
        self.told.append(told)

    def on_pong(self, pong: Pong) -> None:
        self.pongs[pong.token] = time.monotonic()

    def on_closed(self, bye: Bye) -> None:
        self._changed.set()

    @property
    def slot(self) -> int:
        """The slot of this player in the frames."""
        assert self.welcome is not None
        assert self.welcome.slot is not None
        return self.welcome.slot

    async def until(self, condition: Callable[[], object], seconds: float = 10.0) -> None:
        """Wait until the records fulfil the condition.

        Raises TimeoutError, and ConnectionError if the connection ends first.
        """
        async with asyncio.timeout(seconds):
            while not condition():
                if self.bye is not None:
                    raise ConnectionError(f"{self.bye.code}: {self.bye.text}")
                self._changed.clear()
                await self._changed.wait()

    async def ticks(self, count: int) -> None:
        """Wait for this many more ticks."""
        wanted = len(self.frames) + count
        await self.until(lambda: len(self.frames) >= wanted, 10.0 + count)

    async def round_trip(self, token: int) -> float:
        """The round-trip time in seconds. Each token may be used once."""
        sent = time.monotonic()
        self.ping(token)
        await self.until(lambda: token in self.pongs)
        return self.pongs[token] - sent

    def intervals(self, since: float, until: float = math.inf) -> list[float]:
        """The times between the frames that arrived in this period, in seconds."""
        moments = [moment for moment, _ in self.frames if since <= moment <= until]
        return [later - earlier for earlier, later in itertools.pairwise(moments)]
