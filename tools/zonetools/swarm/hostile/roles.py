"""Bots that mean no good, or cannot do better: one class for each thing that can be wrong with a client.

A role is a script for one connection, and the end that the server should make of it. What they do is
part of any client's power; that nobody else notices is the server's promise.
"""

from __future__ import annotations

import abc
import random
import socket
import struct
from typing import ClassVar

from zoneserver.protocol.codes import CloseReason, RefusalCode
from zoneserver.protocol.framing import frame
from zoneserver.protocol.messages import ACTIONS_PER_PACKET, PROTOCOL_VERSION, Hello, Ping
from zonetools.swarm.hostile.connection import HostileConnection, NoHelloConnection, ReplicatingConnection

__all__ = ["BANNING", "HOSTILE_ROLES", "BannedRetry", "Role"]

BANNING = frozenset({CloseReason.FLOOD, CloseReason.PROTOCOL_ERROR})
"""Kicks after which the address is banned for a while."""

# The largest token makes the largest PONG.
_TOKEN_MAX = 2**63 - 1
# As small as the system lets it be: 2,304 bytes on Linux.
_SMALL_RECEIVE_BUFFER = (socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
_RESET_ON_CLOSE = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
# How often those act who want to be refused: about once a tick.
_ACTION_SECONDS = 0.05


class Role(abc.ABC):
    """A script, and what should come of it. One instance is one bot, connection after connection."""

    line: ClassVar[type[HostileConnection]] = HostileConnection
    expected: ClassVar[CloseReason]
    """What the server should end every connection with."""
    refusals: ClassVar[tuple[str, ...]] = ()
    """What the server should have refused before, or said of it: each of these at least once."""
    options: ClassVar[tuple[tuple[int, int, int | bytes], ...]] = ()
    """Options of its socket, set before it connects."""
    rest_seconds: ClassVar[float] = 0.25
    """How long it stays away after a connection has ended. Who is banned comes back from elsewhere."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.turn = seed % 2
        """Counts its connections, from 0 or 1: who does things by turns does not do as its neighbour does."""

    @abc.abstractmethod
    async def play(self, line: HostileConnection) -> None:
        """Everything that it does with one connection. Raises OverError when that ends meanwhile."""


class Stuck(Role):
    """Joins and never reads again: a laptop lid. Its PINGs go on, and their answers wait for it too.

    It cannot read its BYE. A connection that the server has dropped answers the next PING with a reset.
    """

    expected = CloseReason.SLOW_CONSUMER
    options = (_SMALL_RECEIVE_BUFFER,)

    async def play(self, line: HostileConnection) -> None:
        await line.joined()
        line.stop_reading()
        _fill(line)
        while True:
            await line.pause(0.5)
            line.ping(0)


class Slow(Role):
    """Reads nothing for two seconds, then in sips, then all: it must be spared frames, be caught up, and
    never be kicked. It leaves when a state hash has confirmed its replica."""

    line = ReplicatingConnection
    expected = CloseReason.CLIENT_LEFT
    options = (_SMALL_RECEIVE_BUFFER,)

    async def play(self, line: HostileConnection) -> None:
        assert isinstance(line, ReplicatingConnection)
        await line.joined()
        line.stop_reading()
        _fill(line)
        await line.pause(2.0)
        for _ in range(10):
            line.sip()
            await line.pause(0.1)
        line.read_on()
        # Its answer is sent ahead of what catches it up, and says how far that has to go.
        line.ping(1)
        await line.until(lambda: line.pong is not None and line.pong.token == 1)
        caught_up = line.pong
        assert caught_up is not None
        await line.until(lambda: line.replica.tick >= caught_up.tick)
        checked = line.replica.hashes_checked
        await line.until(lambda: line.replica.hashes_checked > checked)
        line.leave()


class Flood(Role):
    """Acts without end: packet upon packet, each full of actions that anybody may do."""

    expected = CloseReason.FLOOD
    refusals = (RefusalCode.WARNED, RefusalCode.MUTED)
    rest_seconds = 10.0

    async def play(self, line: HostileConnection) -> None:
        await line.joined()
        while True:
            for _ in range(ACTIONS_PER_PACKET * 4):
                line.act("emote", 0)
            line.flush()
            await line.pause(0.01)


class Tiny(Role):
    """Writes 256 KB of the smallest frames there are, at once: 37,449 PINGs."""

    expected = CloseReason.FLOOD
    refusals = (RefusalCode.WARNED, RefusalCode.MUTED)
    rest_seconds = 10.0

    async def play(self, line: HostileConnection) -> None:
        await line.joined()
        smallest = frame(Ping(0).encode())
        line.write(smallest * (256 * 1024 // len(smallest)))


class Garbage(Role):
    """Sends what is no message once it is in: a frame of noise, or noise that is no frame, by turns."""

    expected = CloseReason.PROTOCOL_ERROR
    rest_seconds = 10.0

    async def play(self, line: HostileConnection) -> None:
        await line.joined()
        noise = self.random.randbytes(200)
        # msgpack has no use for the one byte, and no frame is as long as the other says.
        line.write(frame(b"\xc1" + noise) if self.turn % 2 else b"\xff" + noise)


class Oversize(Role):
    """Announces a frame that is larger than allowed, by one byte or by all there are, and sends none of it."""

    expected = CloseReason.PROTOCOL_ERROR
    rest_seconds = 10.0

    async def play(self, line: HostileConnection) -> None:
        await line.joined()
        assert line.welcome is not None
        size = 2**32 - 1 if self.turn % 2 else line.welcome.payload_bytes_max + 1
        line.write(size.to_bytes(4))


class Slowloris(Role):
    """Says HELLO a byte at a time, so slowly that it never ends."""

    line = NoHelloConnection
    expected = CloseReason.HANDSHAKE_TIMEOUT

    async def play(self, line: HostileConnection) -> None:
        for byte in _hello(line.name)[:-1]:
            line.write(bytes((byte,)))
            await line.pause(0.5)


class Spoof(Role):
    """Acts for others, at nobody, in kinds that there are not, and with arguments that are none."""

    expected = CloseReason.PROTOCOL_ERROR
    refusals = (RefusalCode.BAD_PAYLOAD, RefusalCode.UNKNOWN_ACTION, RefusalCode.NO_TARGET)
    rest_seconds = 10.0

    async def play(self, line: HostileConnection) -> None:
        await line.joined()
        assert line.welcome is not None
        somebody = line.welcome.slot ^ 1
        while True:
            for kind, *arguments in (
                ("move", somebody, 1, 1),
                ("become", somebody),
                ("strike", 65_535),
                ("move", float("nan"), 0),
                ("move", "1", True),
                ("move", None, 2**63),
                ("__init__",),
            ):
                line.do(kind, *arguments)
                await line.pause(_ACTION_SECONDS)


class Teleport(Role):
    """Moves again and again, far faster than anybody may."""

    expected = CloseReason.PROTOCOL_ERROR
    refusals = ("TOO_FAST",)
    rest_seconds = 10.0

    async def play(self, line: HostileConnection) -> None:
        await line.joined()
        while True:
            line.do("move", 127, -127)
            await line.pause(_ACTION_SECONDS)


class Reset(Role):
    """Joins, acts, and resets the connection (RST) instead of leaving, again and again."""

    expected = CloseReason.CONNECTION_LOST
    options = (_RESET_ON_CLOSE,)

    async def play(self, line: HostileConnection) -> None:
        await line.joined()
        line.do("emote", 0)
        await line.pause(0.1)
        line.abort()


class Churn(Role):
    """Joins, says hello, leaves as one should, and joins again: a bother, and no fault."""

    expected = CloseReason.CLIENT_LEFT

    async def play(self, line: HostileConnection) -> None:
        await line.joined()
        line.do("say", "hello and goodbye")
        await line.pause(0.25)
        line.leave()


class BannedRetry(Role):
    """Comes back from an address that is banned, and leaves if it is let in all the same."""

    expected = CloseReason.BANNED

    async def play(self, line: HostileConnection) -> None:
        await line.joined()
        line.leave()


def _fill(line: HostileConnection) -> None:
    """Has the server send more than the small buffers take, and thereby fall short at once."""
    line.write(frame(Ping(_TOKEN_MAX).encode()) * 100)


def _hello(name: str) -> bytes:
    return frame(Hello(PROTOCOL_VERSION, name, b"").encode())


HOSTILE_ROLES: dict[str, type[Role]] = {
    role.__name__.lower(): role
    for role in (Stuck, Slow, Flood, Tiny, Garbage, Oversize, Slowloris, Spoof, Teleport, Reset, Churn)
}
