"""A process of cheap players (`cheap_players`), from the outside."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from typing import Any, Self

__all__ = ["CheapCrowd"]

_JOIN_SECONDS_MAX = 60.0


class CheapCrowd:
    """Players that act and do not look at what they get, until the end of the block.

    All have said HELLO when the block begins. Once the zone has let them in, `act` makes them act.
    Raises ConnectionError if they cannot connect.
    """

    def __init__(self, port: int, count: int, rate: float, first: int = 0) -> None:
        self.ended = 0
        """How many of their connections have ended; set at the end of the block."""
        words = map(str, (port, count, rate, first))
        self._command = (sys.executable, "-P", "-m", "zonetools.common.cheap_players", *words)
        self._process: Process

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, stdout=PIPE)
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(_JOIN_SECONDS_MAX):
                if await self._process.stdout.readline() != b"joined\n":
                    raise ConnectionError("a process of cheap players could not connect")
        except BaseException:
            await self._kill()
            raise
        return self

    def act(self) -> None:
        """Let the players act from now on."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"act\n")

    async def __aexit__(self, *_exc: object) -> None:
        try:
            async with asyncio.timeout(10):
                out, _ = await self._process.communicate(b"")
            found: dict[str, Any] = json.loads(out)
            self.ended = found["ended"]
        finally:
            await self._kill()

    async def _kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
