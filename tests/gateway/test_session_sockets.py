"""Sessions on real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from helpers.gateway_fixture import OpenGateway
from helpers.raw_client import Client, Connect
from helpers.session_fixture import FINISHED, Recorder, broken
from helpers.waiting import until

from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.gateway.listeners import tcp
from zoneserver.gateway.session import Session
from zoneserver.gateway.state import SessionState
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import Bye


class SocketConnection:
    """A session and its peer, with real sockets between them."""

    def __init__(self, handler: Recorder, session: Session, client: Client) -> None:
        self.handler = handler
        self.session = session
        self.client = client

    def send(self, data: bytes) -> bool:
        queued = self.session.queue_bytes(data)
        self.session.flush()
        return bool(queued)

    def stall(self) -> bytes:
        """Sends more than the kernel takes before the peer reads; returns the bytes."""
        sent = b"".join(number.to_bytes(4) for number in range(65_536))
        assert self.send(sent)
        assert self.session.in_flight
        return sent


OpenConnection = Callable[..., Awaitable[SocketConnection]]


@pytest.fixture
def open_connection(cleanup: AsyncExitStack, connect: Connect) -> OpenConnection:
    """Opens sessions on real sockets: `await open_connection(Limits(...))`."""

    async def open_connection(limits: Limits | None = None, handler: Recorder | None = None) -> SocketConnection:
        limits = limits or Limits(socket_send_bytes=4096)
        handler = handler or Recorder()
        loop = asyncio.get_running_loop()
        sock = tcp.bind("127.0.0.1", 0, limits)
        port = sock.getsockname()[1]
        server = tcp.Listener(sock, lambda sock, address: Session(handler, limits, loop, sock.send, address=address))
        cleanup.push_async_callback(server.wait_closed)
        cleanup.push_async_callback(until, lambda: handler.told[-1:] == ["gone"])
        cleanup.callback(server.close)
        client = await connect(port, 4096)
        await until(lambda: handler.sessions)
        session = handler.sessions[0]
        return SocketConnection(handler, session, client)

    return open_connection


async def read_all(client: Client) -> bytes:
    """All bytes up to the end of the stream."""
    parts = []
    while part := await asyncio.get_running_loop().sock_recv(client.sock, 65536):
        parts.append(part)
    return b"".join(parts)


async def test_slow_peer_gets_every_byte_in_order_and_then_the_goodbye(open_connection: OpenConnection) -> None:
    connection = await open_connection()
    sent = connection.stall()
    for number in range(100):
        assert connection.send(b"%d" % number)
        sent += b"%d" % number
    assert connection.session.sent_bytes + connection.session.waiting_bytes == len(sent)
    connection.session.end(CloseReason.SERVER_STOPPING, "that is all")
    received = await read_all(connection.client)
    assert received.startswith(sent)
    assert b"SERVER_STOPPING" in received[len(sent) :]
    assert connection.session.sent_bytes == connection.session.accepted_bytes == len(received)


async def test_session_stalls_and_drains_repeatedly(open_connection: OpenConnection) -> None:
    connection = await open_connection()
    for _ in range(5):
        sent = connection.stall()
        received = 0
        while connection.session.in_flight:
            received += len(await asyncio.get_running_loop().sock_recv(connection.client.sock, 65536))
        while received < len(sent):
            received += len(await asyncio.get_running_loop().sock_recv(connection.client.sock, 65536))
        assert connection.session.waiting_bytes == 0
    assert connection.handler.told == ["opened", *["stalled", "drained"] * 5]


@pytest.mark.parametrize("frames", [100, 2000])
async def test_client_that_sends_while_it_is_ended_still_reads_the_goodbye(
    open_connection: OpenConnection, frames: int
) -> None:
    connection = await open_connection(Limits(linger_seconds=10.0))
    connection.handler.on_received = lambda session: session.end(CloseReason.PROTOCOL_ERROR, "enough")
    sending = asyncio.create_task(connection.client.say_bytes(length_prefixed(b"x" * 1000) * frames))
    bye = await connection.client.ended()
    assert (bye.code, bye.text) == ("PROTOCOL_ERROR", "enough")
    assert connection.handler.received == [b"x" * 1000]
    # A session does not read beyond the bytes that it discards, so only the linger time would end it.
    sending.cancel()
    connection.session.abort()


async def test_stuck_peer_is_dropped_after_the_linger_time(open_connection: OpenConnection) -> None:
    connection = await open_connection(Limits(linger_seconds=0.05, socket_send_bytes=4096))
    sent = connection.stall()
    connection.session.end(CloseReason.SLOW_CONSUMER)
    await until(lambda: connection.session.state is SessionState.CLOSED)
    assert connection.handler.told == ["opened", "stalled", "ended", "gone"]
    assert 0 < connection.session.dropped_bytes <= connection.session.accepted_bytes
    assert connection.session.accepted_bytes > len(sent)


async def test_peer_that_shuts_down_its_sending_side_reads_the_goodbye(open_connection: OpenConnection) -> None:
    connection = await open_connection()
    connection.client.sock.shutdown(socket.SHUT_WR)
    assert (await connection.client.ended()).code == "CONNECTION_LOST"
    await until(lambda: connection.handler.told == FINISHED)


async def test_peer_that_shuts_down_its_sending_side_gets_the_send_in_flight(open_connection: OpenConnection) -> None:
    connection = await open_connection()
    sent = connection.stall()
    connection.client.sock.shutdown(socket.SHUT_WR)
    await until(lambda: connection.session.is_over)
    received = await read_all(connection.client)
    assert received.startswith(sent)
    await until(lambda: connection.handler.told == ["opened", "stalled", "ended", "gone"])


async def test_connection_reset_by_the_peer_ends_the_session_once(open_connection: OpenConnection) -> None:
    connection = await open_connection()
    connection.stall()
    connection.client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.client.sock.close()
    await until(lambda: connection.session.state is SessionState.CLOSED)
    assert connection.session.reason is CloseReason.CONNECTION_LOST
    assert connection.handler.told == ["opened", "stalled", "ended", "gone"]


async def test_end_of_a_session_whose_peer_just_closed_logs_nothing(
    open_connection: OpenConnection, caplog: pytest.LogCaptureFixture
) -> None:
    connection = await open_connection()
    connection.client.sock.close()
    # The loop has not noticed yet: the goodbye and the end of the stream meet a reset.
    connection.session.end(CloseReason.SERVER_STOPPING)
    await until(lambda: connection.session.state is SessionState.CLOSED)
    assert connection.handler.told == FINISHED
    assert not caplog.records


async def test_handler_that_raises_ends_only_one_session(open_connection: OpenConnection) -> None:
    connection, other = await open_connection(), await open_connection()
    connection.handler.on_received = broken
    await connection.client.say_bytes(length_prefixed(b"x"))
    assert (await connection.client.ended()).code == "INTERNAL_ERROR"
    await other.client.say_bytes(length_prefixed(b"still here"))
    await until(lambda: other.handler.received)
    assert other.session.state is SessionState.OPEN


async def test_flood_of_small_payloads_is_served_whole_and_in_order(open_connection: OpenConnection) -> None:
    connection = await open_connection()
    payloads = [b"%d" % number for number in range(20_000)]
    await connection.client.say_bytes(b"".join(map(length_prefixed, payloads)))
    await until(lambda: len(connection.handler.received) >= len(payloads))
    assert connection.handler.received == payloads


async def test_deferred_payloads_are_served_before_the_end_of_the_stream(open_connection: OpenConnection) -> None:
    connection = await open_connection()
    await connection.client.say_bytes(length_prefixed(b"x") * 500)
    connection.client.sock.shutdown(socket.SHUT_WR)
    await until(lambda: connection.session.is_over)
    assert len(connection.handler.received) == 500


async def test_client_that_sends_after_the_end_is_not_read_and_gets_the_reason(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, limits=Limits(linger_seconds=600.0))
    client = await node.connect()
    (session,) = node.gateway._connections
    sending = asyncio.create_task(client.say_bytes(b"\xff" * (64 * 1024 * 1024)))
    assert (await client.read_a(Bye)).code == "PROTOCOL_ERROR"
    read = -1
    while read != session._discarded_bytes:
        read = session._discarded_bytes
        for _ in range(50):
            await asyncio.sleep(0)
    assert 128 * 1024 < read < 1024 * 1024
    assert not sending.done(), "the flood backs up at its client"
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
