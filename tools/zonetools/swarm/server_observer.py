"""Reads the statistics of the server from its admin port, before, during and after a run."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable

from zoneserver.admin.stats import Stats
from zonetools.common.admin_client import ANSWER_SECONDS, AdminClient, ServerUnreachable

# An overloaded server answers late, and its statistics matter most then.
_PATIENCE_SECONDS = 10.0


def is_one_start(before: Stats, after: Stats) -> bool:
    """Whether the server was not restarted between two readings: then its counters go on.

    A server that replaces itself by a new program keeps its process id.
    """
    began = [stats.time_unix_s - stats.uptime_s for stats in (before, after)]
    return before.pid == after.pid and abs(began[1] - began[0]) < 1.0


class ServerObserver:
    """The statistics of one server. Without an admin port there are none."""

    def __init__(self, host: str, stats_port: int | None, token: str = "") -> None:
        self._host = host
        self._stats_port = stats_port
        self._token = token

    async def read(self) -> Stats | None:
        """Return the present statistics, or None if the admin port does not answer."""
        if self._stats_port is None:
            return None
        try:
            with contextlib.closing(self._client(self._stats_port, _PATIENCE_SECONDS)) as client:
                return await client.stats()
        except ServerUnreachable:
            return None

    async def watch(self, on_second: Callable[[int, Stats, Stats], None]) -> None:
        """Call `on_second(second, before, after)` with the statistics at the start and at the end of each whole
        second of the monotonic clock, at which the workers cut their counters too."""
        if self._stats_port is None:
            return
        with contextlib.closing(self._client(self._stats_port)) as client:
            # Connect now: a test that counts the descriptors of the server expects this connection from the start.
            with contextlib.suppress(ServerUnreachable):
                await client.stats()
            before, boundary = None, math.floor(time.monotonic()) + 1
            while True:
                await asyncio.sleep(boundary - time.monotonic())
                try:
                    after = await client.stats()
                except ServerUnreachable:
                    after = None
                if before is not None and after is not None:
                    on_second(boundary - 1, before, after)
                before, boundary = after, max(boundary + 1, math.ceil(time.monotonic()))

    def _client(self, stats_port: int, patience_seconds: float = ANSWER_SECONDS) -> AdminClient:
        return AdminClient(self._host, stats_port, patience_seconds, token=self._token)
