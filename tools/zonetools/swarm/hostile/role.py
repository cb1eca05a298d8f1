"""A role of hostile bots: a script for one connection, and how the server should end that connection."""

from __future__ import annotations

import random
from typing import ClassVar

from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.websocket import NO_RETRY, RETRY
from zonetools.swarm.hostile.connection import HostileConnection

BANNING = frozenset({CloseReason.FLOOD, CloseReason.PROTOCOL_ERROR})
"""The close codes that also ban the address for some time."""


class Role:
    """A script, and the close code that it should lead to. An instance is one bot, with many connections in turn."""

    connection_class: ClassVar[type[HostileConnection]] = HostileConnection
    expected: ClassVar[CloseReason]
    """The close code of every connection."""
    refusals: ClassVar[tuple[str, ...]] = ()
    """Codes of refusals and warnings that the bot should receive before the end, each at least once."""
    is_banned: ClassVar[bool] = True
    """Whether a close code of BANNING bans the address."""
    is_web_only: ClassVar[bool] = False
    """Whether the bot comes over WebSocket in any case."""
    options: ClassVar[tuple[tuple[int, int, int | bytes], ...]] = ()
    """Options of its socket, set before it connects."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.turn = seed % 2
        """The number of its connections so far, plus 0 or 1, so that half of the bots begin with the other variant."""

    @property
    def pause_seconds(self) -> float:
        """The pause before the next connection. A banned bot comes back from another address."""
        return 10.0 if self.expected in BANNING and self.is_banned else 0.25

    @property
    def close_status(self) -> int:
        """The status that the close frame of a WebSocket should have."""
        return RETRY if self.expected.retry else NO_RETRY

    def judge(self, code: str, connection: HostileConnection) -> str:
        """Return the close code, with a remark if the close frame of a WebSocket does not agree with it."""
        status = connection.close_status
        if code != self.expected or code == CloseReason.CONNECTION_LOST or not connection.is_websocket:
            return code
        return code if status == self.close_status else f"{code}, closed with {status} and not {self.close_status}"

    async def play(self, connection: HostileConnection) -> None:
        """Join, then run the script. Raises ConnectionEnded when the connection ends first."""
        await connection.wait_joined()
        await self.act(connection)

    async def act(self, connection: HostileConnection) -> None:
        """Run the script of a player that has joined. Without a script the player leaves."""
        connection.leave()
