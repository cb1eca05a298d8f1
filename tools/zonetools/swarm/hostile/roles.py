"""The roles of hostile bots: one class for each way in which a client can be malicious or broken.

A role is a script for one connection, and the close code with which the server should end that connection. Any
client can do what these scripts do; the server promises that no other player notices.
"""

from __future__ import annotations

import socket
import struct

from zoneserver.protocol.codes import CloseReason, RefusalCode
from zoneserver.protocol.messages import PROTOCOL_VERSION, Act, Hello, Ping
from zoneserver.protocol.values import ACTIONS_PER_PACKET
from zonetools.swarm.hostile.connection import (
    HostileConnection,
    NoHelloConnection,
    OptionsConnection,
    OutdatedConnection,
    ReplicatingConnection,
    WatchingConnection,
)
from zonetools.swarm.hostile.role import Role
from zonetools.swarm.hostile.web_roles import WEB_ROLES

# The largest token makes the largest PONG.
_TOKEN_MAX = 2**63 - 1
# The kernel raises this to its minimum: 2,304 bytes on Linux.
_SMALL_RECEIVE_BUFFER = (socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
_RESET_ON_CLOSE = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
# The interval between actions that should be refused: about one tick.
_ACTION_SECONDS = 0.05


class Stuck(Role):
    """Joins and never reads again, like a laptop whose lid was closed. It continues to send PINGs.

    It cannot read its BYE. After the server has dropped the connection, the next PING is answered with a reset.
    """

    expected = CloseReason.SLOW_CONSUMER
    options = (_SMALL_RECEIVE_BUFFER,)

    async def act(self, connection: HostileConnection) -> None:
        connection.stop_reading()
        _fill(connection)
        while True:
            await connection.pause(0.5)
            connection.ping(0)


class Slow(Role):
    """Reads nothing for two seconds, then a little at a time, then everything. The server must skip frames for it,
    then send a snapshot, and never kick it. It leaves when a state hash has confirmed its replica."""

    connection_class = ReplicatingConnection
    expected = CloseReason.CLIENT_LEFT
    options = (_SMALL_RECEIVE_BUFFER,)

    async def act(self, connection: HostileConnection) -> None:
        assert isinstance(connection, ReplicatingConnection)
        connection.stop_reading()
        _fill(connection)
        await connection.pause(2.0)
        for _ in range(10):
            connection.read_once()
            await connection.pause(0.1)
        connection.resume_reading()
        # The PONG overtakes the snapshot, and names the tick that the replica has to reach.
        connection.ping(1)
        await connection.wait_until(lambda: connection.pong is not None and connection.pong.token == 1)
        caught_up = connection.pong
        assert caught_up is not None
        await connection.wait_until(lambda: connection.replica.tick >= caught_up.tick)
        checked = connection.replica.hashes_checked
        await connection.wait_until(lambda: connection.replica.hashes_checked > checked)
        connection.leave()


class Flood(Role):
    """Sends packets without end, each full of legal actions."""

    expected = CloseReason.FLOOD
    refusals = (RefusalCode.WARNED, RefusalCode.MUTED)

    async def act(self, connection: HostileConnection) -> None:
        while True:
            for _ in range(ACTIONS_PER_PACKET * 4):
                connection.act("emote", 0)
            connection.flush()
            await connection.pause(0.01)


class Private(Role):
    """Sends packets without end, each full of private actions with a long answer. Every game has this one."""

    expected = CloseReason.FLOOD
    refusals = (RefusalCode.WARNED, RefusalCode.MUTED)

    async def act(self, connection: HostileConnection) -> None:
        while True:
            for _ in range(ACTIONS_PER_PACKET * 4):
                connection.act("/game.json")
            connection.flush()
            await connection.pause(0.01)


class Tiny(Role):
    """Sends 256 KB of the smallest message at once: 37,449 PINGs."""

    expected = CloseReason.FLOOD
    refusals = (RefusalCode.WARNED, RefusalCode.MUTED)

    async def act(self, connection: HostileConnection) -> None:
        smallest = connection.framing.wrap(Ping(0).encode())
        connection.write(smallest * (256 * 1024 // len(smallest)))


class Garbage(Role):
    """Joins, then sends noise: alternately as a framed payload, and without framing."""

    expected = CloseReason.PROTOCOL_ERROR

    @property
    def close_status(self) -> int:
        return super().close_status if self.turn % 2 else 1002

    async def act(self, connection: HostileConnection) -> None:
        noise = self.random.randbytes(200)
        # 0xc1 is not used in msgpack. 0xff as the first byte of a length announces 4 GB, and has reserved bits.
        connection.write(connection.framing.wrap(b"\xc1" + noise) if self.turn % 2 else b"\xff" + noise)


class Oversize(Role):
    """Announces a payload that is too large, by one byte or by 4 GB, and sends none of it."""

    expected = CloseReason.PROTOCOL_ERROR
    close_status = 1009

    async def act(self, connection: HostileConnection) -> None:
        assert connection.welcome is not None
        size = 2**32 - 1 if self.turn % 2 else connection.welcome.payload_bytes_max + 1
        web_head = b"\x82\xff" + size.to_bytes(8) if self.turn % 2 else b"\x82\xfe" + size.to_bytes(2)
        connection.write(web_head if connection.is_web else size.to_bytes(4))


class Slowloris(Role):
    """Sends HELLO one byte at a time, so slowly that it never ends."""

    connection_class = NoHelloConnection
    expected = CloseReason.HANDSHAKE_TIMEOUT

    async def play(self, connection: HostileConnection) -> None:
        hello = Hello(PROTOCOL_VERSION, connection.name, b"").encode()
        await connection.write_slowly(connection.framing.wrap(hello))


class Spoof(Role):
    """Sends actions in the name of others, with missing targets, of unknown kinds, and with invalid arguments."""

    expected = CloseReason.PROTOCOL_ERROR
    refusals = (RefusalCode.BAD_PAYLOAD, RefusalCode.UNKNOWN_ACTION, RefusalCode.NO_TARGET)

    async def act(self, connection: HostileConnection) -> None:
        assert connection.welcome is not None
        assert connection.welcome.slot is not None
        other_slot = connection.welcome.slot ^ 1
        while True:
            for kind, *arguments in (
                ("move", other_slot, 1, 1),
                ("become", other_slot),
                ("strike", 65_535),
                ("move", float("nan"), 0),
                ("move", "1", True),
                ("move", None, 2**63),
                ("__init__",),
            ):
                connection.act_now(kind, *arguments)
                await connection.pause(_ACTION_SECONDS)


class Misfit(Role):
    """Sends arguments of every type that the protocol has, to actions that take others."""

    expected = CloseReason.PROTOCOL_ERROR
    refusals = (RefusalCode.BAD_PAYLOAD,)

    async def act(self, connection: HostileConnection) -> None:
        while True:
            for argument in (None, b"", b"\xff" * 400, [], [1] * 16, [None, b"\x00", 1.5, "x"], "x" * 400, True):
                for kind, *arguments in (("say", argument), ("move", argument, argument), ("heal", argument)):
                    if kind != "say" or not isinstance(argument, str):
                        connection.act_now(kind, *arguments)
                await connection.pause(_ACTION_SECONDS)


class Watcher(Role):
    """Watches, and acts nevertheless. A watcher has no player, and its address is not banned."""

    connection_class = WatchingConnection
    expected = CloseReason.PROTOCOL_ERROR
    is_banned = False

    async def act(self, connection: HostileConnection) -> None:
        connection.write(connection.framing.wrap(Act(1, [("say", "boo")]).encode()))


class Outdated(Role):
    """Insists on a version of the game that no server has."""

    connection_class = OutdatedConnection
    expected = CloseReason.GAME_VERSION


class Options(Role):
    """Asks for as many options as HELLO may name, all of them long and unknown. It breaks no rule."""

    connection_class = OptionsConnection
    expected = CloseReason.CLIENT_LEFT


class Teleport(Role):
    """Moves repeatedly, far faster than the rules allow."""

    expected = CloseReason.PROTOCOL_ERROR
    refusals = ("TOO_FAST",)

    async def act(self, connection: HostileConnection) -> None:
        while True:
            connection.act_now("move", 127, -127)
            await connection.pause(_ACTION_SECONDS)


class Reset(Role):
    """Joins, acts, and resets the connection (RST) instead of leaving."""

    expected = CloseReason.CONNECTION_LOST
    options = (_RESET_ON_CLOSE,)

    async def act(self, connection: HostileConnection) -> None:
        connection.act_now("emote", 0)
        await connection.pause(0.1)
        connection.abort()


class Churn(Role):
    """Joins, says hello, leaves properly, and joins again. It breaks no rule."""

    expected = CloseReason.CLIENT_LEFT

    async def act(self, connection: HostileConnection) -> None:
        connection.act_now("say", "hello and goodbye")
        await connection.pause(0.25)
        connection.leave()


class BannedRetry(Role):
    """Connects from a banned address, and leaves if the server lets it in nevertheless."""

    expected = CloseReason.BANNED


def _fill(connection: HostileConnection) -> None:
    """Ask for more answers than the small buffers hold, so that the server cannot send everything at once."""
    connection.write(connection.framing.wrap(Ping(_TOKEN_MAX).encode()) * 100)


HOSTILE_ROLES: dict[str, type[Role]] = {
    role.__name__.lower(): role
    for role in (
        *(Stuck, Slow, Flood, Private, Tiny, Garbage, Oversize, Slowloris, Spoof, Misfit, Teleport, Watcher, Outdated),
        *(Options, Reset, Churn, *WEB_ROLES),
    )
}
