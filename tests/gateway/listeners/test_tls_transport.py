"""The TLS transport on real sockets: turns, records that carry nothing, slow readers, and every kind of end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import struct
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from helpers.raw_client import Connect
from helpers.servers import OpenServer
from helpers.session_fixture import Recorder
from helpers.tls import Pki
from helpers.waiting import PATIENCE_SECONDS, until
from zonetools.soak.tls_client import KeyUpdateEnd, TlsEnd, client_context

from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.gateway.listeners import tls
from zoneserver.gateway.listeners.tls_stream import RECORD_DATA_BYTES_MAX, TlsStream
from zoneserver.gateway.listeners.tls_transport import TlsTransport
from zoneserver.gateway.listeners.turn_queue import TurnQueue
from zoneserver.gateway.session import Session
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import PROTOCOL_VERSION, Goodbye, Hello, Ping


class TlsClient:
    """A client that puts its records on the wire itself."""

    def __init__(self, sock: socket.socket, end: TlsEnd | KeyUpdateEnd | None = None) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.end = end or TlsEnd(client_context())
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.sock, data)

    async def receive(self) -> bytes:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._loop.sock_recv(self.sock, 65_536)

    async def shake(self) -> None:
        done, to_send = self.end.handshake()
        while not done:
            await self.send(to_send)
            done, to_send = self.end.handshake(await self.receive())
        await self.send(to_send)

    async def join(self, name: str) -> None:
        await self.shake()
        await self.send(self.end.record(length_prefixed(Hello(PROTOCOL_VERSION, name, b"").encode())))
        while b"plaza" not in self.end.decrypt(await self.receive()):
            pass

    async def read_to_the_end(self) -> bytes:
        data = b""
        with contextlib.suppress(ConnectionError):
            while received := await self.receive():
                data += self.end.decrypt(received)
        return data


@pytest.fixture
def key_update_end() -> Iterator[KeyUpdateEnd]:
    if not KeyUpdateEnd.is_available():
        pytest.skip("the functions of Python's OpenSSL cannot be found")
    end = KeyUpdateEnd()
    yield end
    end.close()


class Reads:
    """Counts the records that are read in each turn of the loop, from `start` on."""

    def __init__(self) -> None:
        self.by_turn: list[int] = [0]

    def start(self) -> None:
        self.by_turn = [0]
        self._count_turn()

    def _count_turn(self) -> None:
        self.by_turn.append(0)
        asyncio.get_running_loop().call_soon(self._count_turn)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    counted, read_record = Reads(), TlsStream.read_record

    def read(stream: TlsStream) -> bytes | None:
        counted.by_turn[-1] += 1
        return read_record(stream)

    monkeypatch.setattr(TlsStream, "read_record", read)
    return counted


# --- Attacks on a server ---------------------------------------------------------------------------------


@pytest.mark.parametrize("requested", [False, True])
async def test_client_that_changes_its_keys_again_and_again_is_ended(
    open_server: OpenServer, connect: Connect, pki: Pki, key_update_end: KeyUpdateEnd, requested: bool
) -> None:
    server = await open_server(Plaza, tls_cert=pki.cert, tls_key=pki.key)
    client = TlsClient((await connect(server.port)).sock, key_update_end)
    await client.join("eve")
    with contextlib.suppress(ConnectionError):
        await client.send(b"".join(key_update_end.key_update(requested=requested) for _ in range(2_000)))
    await until(lambda: server.gateway.counters.closes)
    assert server.gateway.counters.closes == {"FLOOD": 1}
    client.sock.close()


async def test_few_new_keys_disturb_nobody(
    open_server: OpenServer, connect: Connect, pki: Pki, key_update_end: KeyUpdateEnd
) -> None:
    server = await open_server(Plaza, tls_cert=pki.cert, tls_key=pki.key)
    client = TlsClient((await connect(server.port)).sock, key_update_end)
    await client.join("ann")
    for _ in range(8):
        await client.send(key_update_end.key_update(requested=True))
    await client.send(key_update_end.record(length_prefixed(Goodbye().encode())))
    assert b"CLIENT_LEFT" in await client.read_to_the_end()


async def test_client_that_sends_a_byte_per_record_is_ended(
    open_server: OpenServer, connect: Connect, pki: Pki, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "_RECORDS_SECONDS", 0.0)
    # Four packets may take 64 records; the packet below is too long for them.
    limits = Limits(frames_per_second=1.0, frames_burst=4.0)
    server = await open_server(Plaza, tls_cert=pki.cert, tls_key=pki.key, limits=limits)
    client = TlsClient((await connect(server.port)).sock)
    await client.join("eve")
    reads.start()
    packet = length_prefixed(bytes(1_000))
    with contextlib.suppress(ConnectionError):
        await client.send(b"".join(client.end.record(packet[at : at + 1]) for at in range(len(packet))))
    await until(lambda: server.gateway.counters.closes)
    assert [(ended.code, ended.text) for ended in server.gateway.closed] == [
        ("FLOOD", "too many TLS records for what they carry")
    ]
    assert sum(reads.by_turn) <= 64
    client.sock.close()


async def test_players_with_many_records_share_the_turns_of_the_loop(
    open_server: OpenServer, connect: Connect, pki: Pki, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "_RECORDS_SECONDS", 0.0)
    limits = Limits(frames_per_callback=8)
    server = await open_server(Plaza, tls_cert=pki.cert, tls_key=pki.key, limits=limits)
    clients = [TlsClient((await connect(server.port)).sock) for _ in range(3)]
    for number, client in enumerate(clients):
        await client.join(f"player-{number}")
    before = server.gateway.counters.packets_in_total
    reads.start()
    for client in clients:
        client.sock.send(b"".join(client.end.record(length_prefixed(Ping(1).encode())) for _ in range(100)))
    await until(lambda: server.gateway.counters.packets_in_total == before + 300)
    assert max(reads.by_turn) == 8
    assert not server.gateway.counters.closes


async def test_turn_of_the_loop_does_one_step_of_the_handshakes_that_wait(
    open_server: OpenServer, connect: Connect, pki: Pki, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "_HANDSHAKE_SECONDS", 0.0)
    server = await open_server(Plaza, tls_cert=pki.cert, tls_key=pki.key)
    clients = [TlsClient((await connect(server.port)).sock) for _ in range(20)]
    greetings = [client.end.handshake()[1] for client in clients]
    reads.start()
    for client, greeting in zip(clients, greetings, strict=True):
        client.sock.send(greeting)
    for client in clients:
        assert await client.receive()
    assert sum(reads.by_turn) == 20
    assert max(reads.by_turn) == 1


async def test_packets_that_came_with_the_end_of_the_stream_are_served(
    open_server: OpenServer, connect: Connect, pki: Pki
) -> None:
    server = await open_server(Plaza, tls_cert=pki.cert, tls_key=pki.key)
    client = TlsClient((await connect(server.port)).sock)
    await client.join("ann")
    assert isinstance(client.end, TlsEnd)
    packets = [client.end.record(length_prefixed(Ping(token).encode())) for token in range(100)]
    goodbye = client.end.record(length_prefixed(Goodbye().encode()))
    await client.send(b"".join(packets) + goodbye + client.end.close_notify())
    await until(lambda: server.gateway.counters.closes)
    assert server.gateway.counters.closes == {"CLIENT_LEFT": 1}
    # HELLO, the packets and the goodbye.
    assert server.gateway.counters.packets_in_total == 102
    await until(lambda: server.gateway.connections == 0)


# --- One connection --------------------------------------------------------------------------------------


class HeldQueue(TurnQueue):
    """A queue whose steps run when the test says so."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop(), 0.0)
        self.held: deque[Callable[[], object]] = deque()

    def add(self, step: Callable[[], object]) -> None:
        self.held.append(step)

    def run(self) -> None:
        self.held.popleft()()


class Connection:
    """A session on a TLS transport, and its client."""

    def __init__(self, pki: Pki, limits: Limits, handshakes: TurnQueue | None = None) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.client = TlsClient(theirs)
        self.handler = Recorder()
        self.session = Session(self.handler, limits, loop)
        self.session.accepted(("192.0.2.1", 5000))
        turns = TurnQueue(loop, 0.001)
        self.ended: list[TlsTransport] = []
        self.transport = TlsTransport(
            ours,
            ("192.0.2.1", 5000),
            pki.server_context(),
            self.session,
            limits,
            handshakes or turns,
            turns,
            self.ended.append,
        )


Open = Callable[..., Connection]


@pytest.fixture
def open_connection(cleanup: contextlib.AsyncExitStack, pki: Pki) -> Open:
    def open_connection(handshakes: TurnQueue | None = None, **limits: Any) -> Connection:
        connection = Connection(pki, Limits(**limits), handshakes)
        cleanup.callback(connection.client.sock.close)
        return connection

    return open_connection


async def opened(connection: Connection) -> None:
    await connection.client.shake()
    await until(lambda: "opened" in connection.handler.told)


async def closed(connection: Connection) -> None:
    """Closes the client's end, and waits for the session to notice."""
    connection.client.sock.close()
    await until(lambda: "gone" in connection.handler.told)


async def test_handshake_that_waits_for_its_turn_is_not_late(open_connection: Open) -> None:
    queue = HeldQueue()
    connection = open_connection(queue, handshake_seconds=0.2)
    silent = open_connection(handshake_seconds=0.2)
    loop = asyncio.get_running_loop()
    shaking = asyncio.create_task(connection.client.shake())
    await until(lambda: queue.held)
    late = loop.time() + 0.3
    await until(lambda: silent.session.is_over and loop.time() > late)
    assert silent.session.reason is CloseReason.HANDSHAKE_TIMEOUT
    while not connection.session.is_over and "opened" not in connection.handler.told:
        while queue.held:
            queue.run()
        await asyncio.sleep(0)
    await shaking
    assert connection.handler.told == ["accepted", "opened"]
    assert connection.ended == [connection.transport]
    await closed(connection)


async def test_slow_reader_costs_one_record_beside_its_data(open_connection: Open) -> None:
    connection = open_connection()
    await opened(connection)
    session, transport = connection.session, connection.transport
    data = bytes(range(256)) * 16_384
    session.queue_bytes(data)
    session.flush()
    assert session.in_flight
    sender = transport._sender
    assert sender._data is data, "the data are not copied"
    received, waiting = b"", [session.waiting_bytes]
    while len(received) < len(data):
        assert len(sender._unsent) < RECORD_DATA_BYTES_MAX + 256
        received += connection.client.end.decrypt(await connection.client.receive())
        waiting.append(session.waiting_bytes)
    assert received == data
    await until(lambda: not session.in_flight)
    assert waiting == sorted(waiting, reverse=True)
    assert (session.sent_bytes, transport.get_write_buffer_size()) == (len(data), 0)
    await closed(connection)


async def test_peer_that_closes_its_half_reads_the_goodbye(open_connection: Open) -> None:
    connection = open_connection()
    await opened(connection)
    end = connection.client.end
    assert isinstance(end, TlsEnd)
    await connection.client.send(end.close_notify())
    await until(lambda: connection.session.is_over)
    assert connection.session.reason is CloseReason.CONNECTION_LOST
    assert await connection.client.receive(), "a goodbye and a close_notify"
    await closed(connection)


async def test_end_of_the_session_is_a_goodbye_a_close_notify_and_the_end_of_tcp(open_connection: Open) -> None:
    connection = open_connection()
    await opened(connection)
    connection.session.end(CloseReason.SERVER_STOPPING)
    assert b"SERVER_STOPPING" in await connection.client.read_to_the_end()
    assert connection.client.end.decrypt(b"") == b"", "the stream has its end"
    # What the peer still sends is ignored, even when it is no TLS.
    await connection.client.send(bytes(70_000))
    await closed(connection)
    assert connection.handler.told == ["accepted", "opened", "ended", "gone"]


async def test_peer_that_ignores_the_end_is_aborted(open_connection: Open) -> None:
    connection = open_connection(linger_seconds=0.1)
    await opened(connection)
    connection.session.end(CloseReason.SERVER_STOPPING)
    await until(lambda: "gone" in connection.handler.told)


@pytest.mark.parametrize("after", ["accept", "hello", "handshake"])
async def test_reset_ends_the_session_once(open_connection: Open, after: str) -> None:
    connection = open_connection()
    client = connection.client
    if after == "hello":
        await client.send(client.end.handshake()[1])
    elif after == "handshake":
        await opened(connection)
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await closed(connection)
    assert connection.session.reason is CloseReason.CONNECTION_LOST
    assert connection.handler.told.count("ended") == connection.handler.told.count("gone") == 1
    assert connection.ended == [connection.transport]


async def test_garbage_after_the_handshake_ends_the_session(open_connection: Open) -> None:
    connection = open_connection()
    await opened(connection)
    await connection.client.send(b"\x17\x03\x03\x00\x20" + bytes(32))
    await until(lambda: "gone" in connection.handler.told)
    assert connection.session.reason is CloseReason.CONNECTION_LOST
    assert await connection.client.receive(), "an alert"


async def test_session_that_takes_no_data_is_not_read(open_connection: Open) -> None:
    connection = open_connection()
    await opened(connection)
    connection.transport.pause_reading()
    await connection.client.send(connection.client.end.record(length_prefixed(b"later")))
    for _ in range(20):
        await asyncio.sleep(0)
    assert connection.handler.received == []
    connection.transport.resume_reading()
    await until(lambda: connection.handler.received == [b"later"])
    await closed(connection)


async def test_closed_connection_is_freed_without_the_collector(open_connection: Open) -> None:
    connection = open_connection()
    await opened(connection)
    await closed(connection)
    gone = weakref.ref(connection.transport.get_extra_info("ssl_object"))
    gc.collect()
    gc.disable()
    try:
        del connection.session, connection.transport, connection.ended[:], connection.handler.sessions[:]
        await until(lambda: gone() is None)
    finally:
        gc.enable()
