"""A client of the admin port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any


@dataclass
class Answer:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class Browser:
    """A keep-alive connection to the admin port."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, request: str) -> Answer:
        """Sends one request line, such as `GET /stats`, and returns the answer."""
        self.writer.write(f"{request} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return await self.answer(has_body=not request.startswith("HEAD"))

    async def answer(self, *, has_body: bool = True) -> Answer:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-1])}
        body = await self.reader.readexactly(int(headers["content-length"])) if has_body else b""
        return Answer(int(head[0].split()[1]), headers, body)

    async def closed(self) -> bool:
        """Whether the server closes the connection without another byte."""
        return await self.reader.read() == b""


Browse = Callable[[], Awaitable[Browser]]


async def open_browser(port: int | None, cleanup: AsyncExitStack) -> Browser:
    """A browser at the admin port of a server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    cleanup.push_async_callback(wait_closed, writer)
    cleanup.callback(writer.close)
    return Browser(reader, writer)


async def wait_closed(writer: asyncio.StreamWriter) -> None:
    await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer
