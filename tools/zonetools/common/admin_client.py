"""A client of a server's admin port, over one connection that stays open."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import http.client
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from zoneserver.admin.stats import SessionList, Stats
from zoneserver.support.format import format_address
from zoneserver.support.host import is_loopback

Answer = TypeVar("Answer")

# A server under full load still answers between two ticks. One that needs longer than this counts as unreachable.
ANSWER_SECONDS = 2.0
# The map of 2,000 players takes about 25 kB and a list of sessions less. A much longer answer does not come
# from a zone server.
_ANOTHER_PORT = "this is not the admin port of a zone"
_ANSWER_BYTES = 4 * 1024 * 1024


class ServerUnreachable(Exception):
    """The server gave no answer, or not the answer of a zone server. The text says which and is printable."""

    def __init__(self, text: str) -> None:
        super().__init__(_printable(text))


@dataclass(frozen=True, slots=True)
class ZoneMap:
    """Where players and things are: `positions` is x, y, x, y, ... of some or all of the `players`, and
    `thing_positions` of some or all things."""

    width: int
    height: int
    players: int
    positions: list[int]
    thing_positions: list[int] = dataclasses.field(default_factory=list)

    @classmethod
    def from_json(cls, document: Any) -> Self:
        """Raises ValueError, TypeError or KeyError if the document is not a map."""
        positions = [int(value) for value in document["positions"]]
        things = [int(value) for value in document.get("thing_positions", ())]
        return cls(max(1, document["width"]), max(1, document["height"]), document["players"], positions, things)


class AdminClient:
    """Asks one server, one question at a time. After ServerUnreachable, the next question connects again.

    With `ascii` every character of an answer that is not ASCII becomes a question mark. Every question carries the
    `token`, unless that is empty.
    """

    def __init__(
        self,
        host: str,
        port: int,
        patience_seconds: float = ANSWER_SECONDS,
        ascii: bool = False,  # noqa: A002
        token: str = "",
    ) -> None:
        self.address = format_address(host, port)
        self._ascii = ascii
        self._patience_seconds = patience_seconds
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        # Connects on the first request, and again after it was closed.
        self._connection = http.client.HTTPConnection(host, port, timeout=patience_seconds)
        self._is_closed = False

    async def stats(self) -> Stats:
        """The present statistics. Raises ServerUnreachable."""
        return await self._ask("/stats", Stats.from_json)

    async def map(self) -> ZoneMap:
        """The present map. Raises ServerUnreachable."""
        return await self._ask("/map", ZoneMap.from_json)

    async def sessions(self, sort: str, limit: int) -> SessionList:
        """The first sessions, sorted by one of SESSION_SORTS, and those that closed last. Raises ServerUnreachable."""
        return await self._ask(f"/sessions?sort={sort}&limit={limit}", SessionList.from_json)

    def close(self) -> None:
        """Close the connection for good. A request that still waits in its thread gets an error."""
        self._is_closed = True
        if self._connection.sock is not None:
            # close() alone would not wake a thread that is reading.
            with contextlib.suppress(OSError):
                self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    async def _ask(self, path: str, read: Callable[[Any], Answer]) -> Answer:
        document = await asyncio.to_thread(self._ask_blocking, path)
        try:
            return read(document)
        except (KeyError, TypeError, ValueError) as error:
            raise ServerUnreachable(f"the answer to {path} cannot be read: {error}") from None

    def _ask_blocking(self, path: str) -> Any:
        try:
            try:
                body = self._get(path)
            except ConnectionError:
                # The server closed the idle connection, or was restarted. It may well answer a new connection.
                self._connection.close()
                if self._is_closed:
                    raise
                body = self._get(path)
            return _printable(json.loads(body), self._ascii)
        except TimeoutError:
            reason = f"no answer within {self._patience_seconds:g} s"
        except ConnectionRefusedError:
            reason = "connection refused"
        except http.client.RemoteDisconnected as error:
            reason = str(error)
        except (http.client.BadStatusLine, http.client.LineTooLong):
            reason = _ANOTHER_PORT
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        except ValueError:
            reason = "the answer is not JSON"
        self._connection.close()
        raise ServerUnreachable(reason)

    def _get(self, path: str) -> bytes:
        if self._connection.sock is None:
            self._connect()
        self._connection.request("GET", path, headers=self._headers)
        response = self._connection.getresponse()
        body = response.read(_ANSWER_BYTES)
        if not response.isclosed():
            raise http.client.HTTPException("the answer is too long")
        if response.status == http.HTTPStatus.UNAUTHORIZED:
            raise http.client.HTTPException("the admin port wants its token (--stats-token-file)")
        if response.status == http.HTTPStatus.NOT_FOUND:
            # The port for players serves documents too, but not these.
            raise http.client.HTTPException(f"{_ANOTHER_PORT}: it has no {path}")
        if response.status != http.HTTPStatus.OK:
            raise http.client.HTTPException(f"the server answered {path} with {response.status} {response.reason}")
        return body

    def _connect(self) -> None:
        try:
            self._connection.connect()
        except OSError:
            # A server whose players come to another address of this machine, such as ::1, usually has its statistics at
            # 127.0.0.1.
            if not is_loopback(self._connection.host):
                raise
            self._connection.host = "127.0.0.1"
            self._connection.connect()


def _printable(value: Any, ascii: bool = False) -> Any:  # noqa: A002
    """Remove from all text in the value the characters that could control a terminal."""
    match value:
        case str():
            text = value if value.isprintable() else "".join(filter(str.isprintable, value))
            return text.encode("ascii", "replace").decode() if ascii else text
        case list():
            return [_printable(element, ascii) for element in value]
        case dict():
            return {_printable(key, ascii): _printable(element, ascii) for key, element in value.items()}
    return value
