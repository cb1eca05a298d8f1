"""The roles of hostile bots that break the rules of WebSocket. These bots come over WebSocket in any case."""

from __future__ import annotations

from zoneserver.protocol.codes import CloseReason, RefusalCode
from zoneserver.protocol.messages import Ping
from zoneserver.protocol.websocket import Opcode, frame, masked_frame
from zonetools.swarm.hostile.connection import HostileConnection, SilentConnection
from zonetools.swarm.hostile.role import Role


class SlowUpgrade(Role):
    """Sends the request of the opening handshake one byte at a time, so slowly that it never ends."""

    connection_class = SilentConnection
    expected = CloseReason.HANDSHAKE_TIMEOUT
    is_web_only = True

    async def play(self, connection: HostileConnection) -> None:
        assert isinstance(connection, SilentConnection)
        await connection.write_slowly(connection.request)


class Unmasked(Role):
    """Sends a message of WebSocket without a mask, as only a server does."""

    expected = CloseReason.PROTOCOL_ERROR
    is_web_only = True
    close_status = 1002

    async def act(self, connection: HostileConnection) -> None:
        connection.write(frame(Ping(0).encode()))


class Text(Role):
    """Sends a text message."""

    expected = CloseReason.PROTOCOL_ERROR
    is_web_only = True
    close_status = 1003

    async def act(self, connection: HostileConnection) -> None:
        connection.write(masked_frame(b"hello", Opcode.TEXT))


class Fragments(Role):
    """Sends a message in fragments without end: alternately empty ones, and a byte in each."""

    expected = CloseReason.FLOOD
    refusals = (RefusalCode.WARNED, RefusalCode.MUTED)
    is_web_only = True

    async def act(self, connection: HostileConnection) -> None:
        connection.write(_not_last(masked_frame(b"", Opcode.BINARY)))
        piece = _not_last(masked_frame(b"" if self.turn % 2 else b"x", Opcode.CONTINUATION))
        while True:
            connection.write(piece * 40)
            await connection.pause(0.01)


class Pings(Role):
    """Sends control frames without end: alternately pings and pongs, as large as they may be."""

    expected = CloseReason.FLOOD
    refusals = (RefusalCode.WARNED, RefusalCode.MUTED)
    is_web_only = True

    async def act(self, connection: HostileConnection) -> None:
        control = masked_frame(bytes(125), Opcode.PING if self.turn % 2 else Opcode.PONG)
        while True:
            connection.write(control * 40)
            await connection.pause(0.01)


class BadClose(Role):
    """Sends a close frame that no peer may send: alternately with a status that is none, and with a broken reason."""

    expected = CloseReason.PROTOCOL_ERROR
    is_web_only = True

    @property
    def close_status(self) -> int:
        return 1002 if self.turn % 2 else 1007

    async def act(self, connection: HostileConnection) -> None:
        said = (1005).to_bytes(2) if self.turn % 2 else (1000).to_bytes(2) + b"\xff"
        connection.write(masked_frame(said, Opcode.CLOSE))


def _not_last(made: bytes) -> bytes:
    """A frame as a fragment that more fragments follow."""
    return bytes((made[0] & 0x7F,)) + made[1:]


WEB_ROLES = (SlowUpgrade, Unmasked, Text, Fragments, Pings, BadClose)
