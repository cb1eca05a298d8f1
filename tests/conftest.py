"""Both event loops for every test that needs one, and the few helpers that several tests share."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from html.parser import HTMLParser
from typing import Any, TypeVar

import pytest

from zoneserver.closing import CloseReason
from zoneserver.config import Config, Limits
from zoneserver.delivery import GATEWAYS
from zoneserver.listeners import tcp
from zoneserver.round import take_nothing
from zoneserver.rules import Rules
from zoneserver.server import ZoneServer
from zoneserver.session import Session
from zoneserver.state import State
from zoneserver.wire.decoding import decode_server
from zoneserver.wire.framing import Deframer, frame
from zoneserver.wire.messages import (
    PROTOCOL_VERSION,
    SERVER_PAYLOAD_BYTES,
    Act,
    Bye,
    Goodbye,
    Hello,
    Ping,
    ServerMessage,
    Snapshot,
    Welcome,
)
from zoneserver.zone import Zone

try:
    import uvloop
except ImportError:
    uvloop = None

PATIENCE_SECONDS = 10.0
"""How long a test waits for what must come. Only a failing test ever waits so long."""

Message = TypeVar("Message", bound=ServerMessage)


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Runs every async test on asyncio's loop and on uvloop's; event loop policies are on their way out."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if uvloop is not None:
        factories["uvloop"] = uvloop.new_event_loop
    return factories


async def until(condition: Callable[[], object]) -> None:
    """Lets the loop run until something holds that nobody announces."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0)


@pytest.fixture
async def cleanup() -> AsyncIterator[contextlib.AsyncExitStack]:
    """Closes what a test opened, the last first; then fails it if an exception reached the event loop.

    In production the loop would log such an exception, and nobody would be the wiser.
    """
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    async with contextlib.AsyncExitStack() as stack:
        yield stack
    # What closing connections have still to say is said within a few turns.
    for _ in range(5):
        await asyncio.sleep(0)
    assert not complaints


# --- A player, down to its socket -----------------------------------------------------------------


class Client:
    """The raw other end of a connection. It reads only when it is asked to, so it can be slow."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._loop = asyncio.get_running_loop()
        self._deframer = Deframer(SERVER_PAYLOAD_BYTES)
        self._payloads: deque[bytes] = deque()

    async def say(self, *messages: Hello | Act | Ping | Goodbye) -> None:
        await self.say_bytes(b"".join(frame(message.encode()) for message in messages))

    async def say_bytes(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.sock, data)

    async def hello(self, name: str, version: int = PROTOCOL_VERSION) -> None:
        await self.say(Hello(version, name, b""))

    async def read_payload(self) -> bytes:
        """The next payload. Raises EOFError when the server has sent its last."""
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


@pytest.fixture
def connect(cleanup: contextlib.AsyncExitStack) -> Connect:
    """Connects clients to a port of this machine: `await connect(port, receive_bytes=4096)`."""

    async def connect(port: int, receive_bytes: int | None = None) -> Client:
        sock = cleanup.enter_context(socket.socket())
        sock.setblocking(False)
        if receive_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        return Client(sock)

    return connect


# --- Servers --------------------------------------------------------------------------------------


OpenServer = Callable[..., Awaitable[ZoneServer]]


@pytest.fixture
def open_server(cleanup: contextlib.AsyncExitStack) -> OpenServer:
    """Whole servers on ports of the system's choice: `await open_server(Plaza, hz=100)`."""

    async def open_server(rules: type[Rules], **settings: Any) -> ZoneServer:
        return await cleanup.enter_async_context(ZoneServer(rules, **{"port": 0, "stats_port": 0} | settings))

    return open_server


class FakeLoop(asyncio.AbstractEventLoop):
    """A loop that does nothing by itself: the test says when it turns, and what time it is."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[asyncio.TimerHandle] = []

    def get_debug(self) -> bool:
        return False

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(self.now + delay, callback, args, self, context)
        self._timers.append(timer)
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        if handle in self._timers:
            self._timers.remove(handle)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        raise context["exception"]

    @property
    def timers(self) -> int:
        """Timers that have neither fired nor been cancelled."""
        return len(self._timers)

    def turn(self) -> bool:
        """Runs what is ready now, but not what that makes ready; whether there was anything."""
        ready, self._ready = self._ready, deque()
        for handle in ready:
            if not handle.cancelled():
                handle._run()
        return bool(ready)

    def run(self) -> None:
        """Turns until nothing is ready."""
        while self.turn():
            pass

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for timer in [timer for timer in self._timers if timer.when() <= self.now]:
            if timer in self._timers:  # else one that fired before it cancelled it
                self._timers.remove(timer)
                timer._run()
        self.run()


class Hall:
    """A gateway on a real port whose ticks and whose clock are the test's."""

    def __init__(self, rules: Rules, config: Config, connections_max: int) -> None:
        self.clock = FakeLoop()
        self.zone = Zone(rules, hz=config.hz, seed=config.seed, limits=config.limits)
        self.gateway = GATEWAYS[config.delivery](self.zone, config, self.clock, connections_max)
        self.config = config
        self.port = 0

    def listen(self, connect: Connect) -> tcp.Listener:
        self._connect = connect
        loop, limits = asyncio.get_running_loop(), self.config.limits
        sock = tcp.bind("127.0.0.1", 0, limits)
        self.port = sock.getsockname()[1]
        return tcp.Listener(sock, lambda sock: Session(self.gateway, limits, loop, sock.send))

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.gateway.tick()

    def pass_time(self, seconds: float) -> None:
        """So much time goes by, with a tick every half second at the most."""
        while seconds > 0:
            self.clock.now += min(seconds, 0.5)
            seconds -= 0.5
            self.tick()

    async def connect(self, receive_bytes: int | None = None) -> Client:
        """A connection that the gateway knows of."""
        before = self.gateway.counters.connections_total
        client = await self._connect(self.port, receive_bytes)
        await until(lambda: self.gateway.counters.connections_total > before)
        return client

    async def greet(self, client: Client, name: str) -> None:
        """Says HELLO; returns when the gateway has heard it."""
        before = self.gateway.counters.packets_in_total
        await client.hello(name)
        await until(lambda: self.gateway.counters.packets_in_total > before)

    async def join(self, name: str, receive_bytes: int | None = None) -> Client:
        """A player who has come in with a tick of its own, and has read its snapshot."""
        client = await self.connect(receive_bytes)
        await self.greet(client, name)
        self.tick()
        await client.welcomed()
        return client


OpenHall = Callable[..., Awaitable[Hall]]


@pytest.fixture
def open_hall(cleanup: contextlib.AsyncExitStack, connect: Connect) -> OpenHall:
    """Gateways without a beat: `await open_hall(Plaza, limits=Limits(...), max_players=1)`."""

    async def open_hall(rules: type[Rules], *, connections_max: int = 1000, **settings: Any) -> Hall:
        hall = Hall(rules(), Config(**{"hz": 1} | settings), connections_max)
        server = hall.listen(connect)
        cleanup.push_async_callback(server.wait_closed)
        cleanup.push_async_callback(hall.gateway.close, 0.0)
        cleanup.callback(server.close)
        return hall

    return open_hall


# --- A session without a network ------------------------------------------------------------------


class Recorder:
    """An owner that writes down what it is told. Each `on_...` may be replaced, to do or raise something."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.received: list[bytes] = []
        self.sessions: list[Session] = []
        self.on_received: Callable[[Session], object] = bool
        self.on_stalled: Callable[[Session], object] = bool
        self.on_drained: Callable[[Session], object] = bool
        self.on_ended: Callable[[Session], object] = bool

    def session_accepted(self, session: Session) -> CloseReason | None:
        self.told.append("accepted")
        return None

    def session_opened(self, session: Session) -> None:
        self.told.append("opened")
        self.sessions.append(session)

    def session_received(self, session: Session, payload: bytes) -> None:
        self.received.append(payload)
        self.on_received(session)

    def session_stalled(self, session: Session) -> None:
        self.told.append("stalled")
        self.on_stalled(session)

    def session_drained(self, session: Session) -> None:
        self.told.append("drained")
        self.on_drained(session)

    def session_ended(self, session: Session) -> None:
        self.told.append("ended")
        self.on_ended(session)

    def session_gone(self, session: Session) -> None:
        self.told.append("gone")


def expect(condition: object, complaint: str) -> None:
    """Fails the test, even from within code that catches every Exception."""
    if not condition:
        pytest.fail(complaint)


class FakeTransport(asyncio.Transport):
    """A transport over a kernel that takes as many bytes as the test gives it room for.

    It behaves as asyncio's does with a write buffer limited to zero: it tries at once, pauses the
    protocol while anything is left, and resumes it when all is taken. What would go wrong on a real
    loop fails the test.
    """

    def __init__(self, loop: FakeLoop, protocol: asyncio.Protocol, room: int | None = None) -> None:
        super().__init__({"peername": ("192.0.2.1", 5000)})
        self._loop = loop
        self._protocol = protocol
        self.room = room
        """Bytes that the kernel takes from here on; None is no bound."""
        self.kernel = bytearray()
        """What the kernel has taken."""
        self.buffer = bytearray()
        """What was written and not taken: the send in flight."""
        self.sends: list[bytes] = []
        """What each send handed over."""
        self.swallowed_bytes = 0
        """Written after the connection broke: asyncio says nothing and drops it."""
        self.reading = True
        self.at_eof = False
        self.broken = False
        self._closing = False
        self._resuming = False
        self._gone = False

    # What the session calls.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        expect(not self._gone, "written to after connection_lost")
        expect(not self.buffer, "two sends in flight")
        if self.at_eof:
            raise RuntimeError("written to after write_eof")
        if self.broken:
            self.swallowed_bytes += len(data)
            return
        self.sends.append(bytes(data))
        self.buffer += data
        self._move()
        if self.buffer:
            self._protocol.pause_writing()

    def send(self, data: bytes) -> int:
        """What the socket beneath does: takes what there is room for, or says that there is none."""
        expect(not self.buffer, "a frame overtakes what is in flight")
        expect(not self.at_eof, "a frame after the goodbye")
        if self.broken:
            raise OSError(errno.EBADF, "the socket is closed")
        count = len(data) if self.room is None else min(self.room, len(data))
        if not count:
            raise BlockingIOError
        self.sends.append(data[:count])
        self.kernel += data[:count]
        if self.room is not None:
            self.room -= count
        return count

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        expect((high, low) == (0, 0), "a write buffer that is not limited to zero")

    def get_write_buffer_size(self) -> int:
        return len(self.buffer)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = not self._closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        expect(not self._gone, "write_eof after connection_lost")
        self.at_eof = True

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            # asyncio's transport says connection_lost twice if it is closed there.
            expect(not self._resuming, "closed within resume_writing")
            self._closing, self.reading = True, False
            if not self.buffer:
                self._lose(None)

    def abort(self) -> None:
        expect(not self._gone, "aborted after connection_lost")
        expect(not self._resuming, "aborted within resume_writing")
        self.fail(None)

    # What the test does.

    def take(self, count: int) -> None:
        """The kernel has room for so many bytes more, and takes what waits."""
        self.room = (self.room or 0) + count
        waited = bool(self.buffer)
        self._move()
        if waited and not self.buffer:
            self._resuming = True
            try:
                self._protocol.resume_writing()
            finally:
                self._resuming = False
            if self._closing and not self.buffer:
                self._lose(None)

    def deliver(self, data: bytes) -> None:
        """Bytes arrive from the peer."""
        expect(self.reading, "the test delivers while reading is paused")
        self._protocol.data_received(data)

    def deliver_eof(self) -> None:
        """The peer sends nothing more."""
        expect(self.reading, "the test delivers while reading is paused")
        self.reading = False
        if not self._protocol.eof_received():
            self.close()

    def fail(self, error: Exception | None) -> None:
        """The connection breaks; the protocol hears of it with the next turn."""
        if not self.broken:
            self._closing, self.reading = True, False
            self.buffer.clear()
            self._lose(error)

    def _move(self) -> None:
        count = len(self.buffer) if self.room is None else min(self.room, len(self.buffer))
        self.kernel += self.buffer[:count]
        del self.buffer[:count]
        if self.room is not None:
            self.room -= count

    def _lose(self, error: Exception | None) -> None:
        if not self.broken:
            self.broken = True
            self._loop.call_soon(self._connection_lost, error)

    def _connection_lost(self, error: Exception | None) -> None:
        self._gone = True
        self._protocol.connection_lost(error)


class Bench:
    """A session on a fake transport and a fake loop, playing unless it is told otherwise.

    Its frames go to the kernel directly, or by the transport as they do by TLS.
    """

    def __init__(
        self, limits: Limits | None = None, *, room: int | None = None, playing: bool = True, direct: bool = True
    ) -> None:
        self.loop = FakeLoop()
        self.owner = Recorder()
        self.session = Session(self.owner, limits or Limits(), self.loop, self._send if direct else take_nothing)
        self.transport = FakeTransport(self.loop, self.session, room)
        self.session.connection_made(self.transport)
        if playing:
            self.session.advance(State.JOINING)
            self.session.advance(State.PLAYING)

    def _send(self, data: bytes) -> int:
        return self.transport.send(data)

    @property
    def goodbye(self) -> bytes:
        """The last frame that the peer of this session is sent, once it is over."""
        reason = self.session.reason
        assert reason is not None
        return frame(Bye(str(reason), self.session.reason_text[:200], reason.retry).encode())


def assert_whole_page(text: str) -> None:
    """An HTML page whose tags are all closed, and which loads nothing from anywhere."""

    class Checker(HTMLParser):
        open_tags: list[str]

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag not in {"script", "link", "img", "iframe", "object", "embed", "base"}
            assert not {name for name, _ in attrs} & {"src", "href", "xlink:href", "data", "action"}
            if tag != "meta":
                self.open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open_tags.pop() == tag

    checker = Checker()
    checker.open_tags = []
    checker.feed(text)
    checker.close()
    assert checker.open_tags == []
    assert text.startswith("<!doctype html>")
    assert "url(" not in text
    assert "@import" not in text
