"""A relay that makes the network slow or stalls it, for honest players with a bad network."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self


class Relay:
    """Forwards connections to a port of `host` and delays each byte by `delay_seconds`, in both directions.

    It listens at the address `listen`. Between `hold` and `release` it forwards nothing; afterwards it forwards
    everything at once.
    """

    def __init__(
        self, port: int, delay_seconds: float = 0.0, *, host: str = "127.0.0.1", listen: str = "127.0.0.1"
    ) -> None:
        self.port = 0
        """The port that the relay listens on."""
        self._target = host, port
        self._listen = listen
        self._delay_seconds = delay_seconds
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server
        # One task per connection.
        self._forwarding: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._listen, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._server.close()
        for task in self._forwarding:
            task.cancel()
        await asyncio.gather(*self._forwarding, return_exceptions=True)
        await self._server.wait_closed()

    def hold(self) -> None:
        self._flowing.clear()

    def release(self) -> None:
        """Forward everything again, beginning with what was held."""
        self._flowing.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # asyncio would log an error if its own task for a coroutine callback were cancelled.
        task = asyncio.create_task(self._forward(reader, writer))
        self._forwarding.add(task)
        task.add_done_callback(self._forwarding.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            with contextlib.suppress(OSError):
                there_reader, there_writer = await asyncio.open_connection(*self._target)
                writers.append(there_writer)
                await asyncio.gather(self._pump(reader, there_writer), self._pump(there_reader, writer))
        finally:
            for each in writers:
                each.close()
            await asyncio.gather(*(each.wait_closed() for each in writers), return_exceptions=True)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def read() -> None:
            try:
                while data := await source.read(65_536):
                    waiting.put_nowait((loop.time() + self._delay_seconds, data))
            finally:
                waiting.put_nowait((loop.time() + self._delay_seconds, b""))

        reading = asyncio.create_task(read())
        try:
            while True:
                due, data = await waiting.get()
                await asyncio.sleep(due - loop.time())
                await self._flowing.wait()
                if not data:
                    target.write_eof()
                    return
                target.write(data)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
