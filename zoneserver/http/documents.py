"""The documents of a port: which connection is served when, and who may read which document."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote

from zoneserver.http.access import Access

__all__ = ["Answer", "Connection", "Content", "Document", "DocumentServer", "Order", "Request", "complaint"]


@dataclass(frozen=True, slots=True)
class Content:
    """The body of an answer."""

    content_type: str
    body: bytes
    etag: str = ""
    """A browser that has the body with this tag already gets no second copy; empty for a body that is always new."""
    encoding: str = ""
    """How the body is compressed; empty if it is not."""
    compressed: Content | None = None
    """The compressed form of the body, for browsers that take it."""


Document = Callable[[Mapping[str, str]], tuple[HTTPStatus, Mapping[str, Any] | Content]]
"""Makes one document when it is requested, from the query of the request."""

Answer = tuple[HTTPStatus, Content]

Order = Callable[["Request", asyncio.BaseTransport], Awaitable[Answer]]
"""Does what a POST asks for. The transport is that of the connection by which the request came."""

log = logging.getLogger(__name__)

_LOOPBACK = Access(is_local=True)
# The most addresses whose last turn is remembered.
_ADDRESSES_MAX = 1_024
# A port for more connections than this is for many addresses.
_SHARED_MIN = 32
# The most different targets whose newest documents are kept.
_KEPT_MAX = 16
# After each request the port rests for this many times the CPU time that the request took, so that all connections
# together take a tenth of the loop's time.
_REST_FACTOR = 9
# A single request makes the next one wait no longer than this.
_REST_SECONDS_MAX = 1.0
# The document that needs no token, since a probe cannot always send one. It says nothing about players.
_OPEN_PATHS = frozenset({"/healthz"})


@dataclass(frozen=True, slots=True)
class Request:
    """The parts of a request that decide its answer."""

    method: bytes
    target: bytes
    host: str | None
    origin: str | None
    authorization: bytes
    mark: str | None = None
    """The header `X-Zone`, which a browser sends for a page of another server only with the consent of this one."""


class Connection(Protocol):
    """A connection, as the server of the documents sees it."""

    host: str
    """The address of the client."""

    def serve(self) -> None:
        """Serves at most one request."""

    def close(self) -> None:
        """Ends the connection at once."""


class DocumentServer:
    """The documents of a port by path, the connections that ask for them, and the order in which these are served.

    It serves one request per turn of the loop over all connections, and rests between requests. A tick is therefore
    late by one document at most, however many clients ask. Addresses take turns: one that asks for much waits longer.

    With a token every document needs it but `/healthz` and those in `open_paths`. Without `access` requests are
    served whatever their `Host` and `Origin` are. `connections_max` and `idle_seconds` bound the connections, of
    which one address has half at most. If the documents are not `is_listed`, nobody is told their paths.
    """

    def __init__(
        self,
        documents: Mapping[str, Document],
        access: Access | None = _LOOPBACK,
        token: str = "",
        *,
        open_paths: Collection[str] = (),
        connections_max: int = 16,
        idle_seconds: float = 60.0,
        is_listed: bool = True,
    ) -> None:
        self.documents = dict(documents)
        self.orders: dict[str, Order] = {}
        """What a POST may ask for, by path."""
        self.idle_seconds = idle_seconds
        """How long a connection may ask nothing."""
        self._access = access
        self._token = token.encode()
        self._open_paths = _OPEN_PATHS | {*open_paths}
        self._connections_max = connections_max
        self._loop = asyncio.get_running_loop()
        # Open connections. The connection whose last answer is the oldest comes first.
        self._connections: dict[Connection, None] = {}
        # Connections that wait for their turn, in the order of their arrival, each with the last turn before that.
        self._waiting: dict[Connection, int] = {}
        self._turns = 0
        # The last turn of each address. An address that is not here has had none lately.
        self._turn_of: dict[str, int] = {}
        self._is_listed = is_listed
        # The last turn before the present request began to wait.
        self._asked_after = 0
        self._next_turn: asyncio.Handle | None = None
        # The loop's time before which no request is served.
        self._rest_until = 0.0
        # The newest documents by target, each with the turn in which it was made.
        self._made: dict[bytes, tuple[int, Answer]] = {}

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._connections)

    def close(self) -> None:
        """Ends all connections."""
        for connection in tuple(self._connections):
            connection.close()

    def opened(self, connection: Connection) -> None:
        """Adds a connection. If there are too many, or too many of its address, the one that has been idle longest of
        these ends."""
        self._connections[connection] = None
        others = [other for other in self._connections if other is not connection]
        own = [other for other in others if other.host == connection.host]
        # A port for few connections is for one address, as a rule.
        if self._connections_max > _SHARED_MIN and len(own) >= self._connections_max // 2:
            others = own
        if others is own or len(self._connections) > self._connections_max:
            idle = next((other for other in others if other not in self._waiting), others[0])
            del self._connections[idle]
            idle.close()

    def closed(self, connection: Connection) -> None:
        """Removes a connection."""
        self._connections.pop(connection, None)
        self._waiting.pop(connection, None)

    def answered(self, connection: Connection) -> None:
        """Notes that a connection has just got an answer, so that it has been idle for the shortest time."""
        if connection in self._connections:
            del self._connections[connection]
            self._connections[connection] = None

    def wait(self, connection: Connection) -> None:
        """Lets a connection wait for its turn, in which `serve` is called once."""
        self._waiting[connection] = self._turns
        self._schedule()

    def _schedule(self) -> None:
        if self._next_turn is None and self._waiting:
            if self._rest_until > self._loop.time():
                self._next_turn = self._loop.call_at(self._rest_until, self._take_turn)
            else:
                self._next_turn = self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._next_turn = None
        if not self._waiting:
            return  # The connections that waited are gone.
        self._turns += 1
        began = time.thread_time()
        # The first of those that arrived, if several addresses have waited for equally long.
        connection = min(self._waiting, key=lambda each: self._turn_of.get(each.host, 0))
        self._asked_after = self._waiting.pop(connection)
        if len(self._turn_of) >= _ADDRESSES_MAX:
            self._turn_of.clear()
        self._turn_of[connection.host] = self._turns
        try:
            connection.serve()
        except Exception:
            log.exception("exception while serving a document")
            connection.close()
        finally:
            rest = min(_REST_FACTOR * (time.thread_time() - began), _REST_SECONDS_MAX)
            self._rest_until = self._loop.time() + rest
            self._schedule()

    # --- Answers ----------------------------------------------------------------------------------

    def order(self, request: Request) -> Order | None:
        """What is to be done for a request that is an order and may be one; None for all that `answer` answers."""
        if request.method != b"POST" or self._refuse(request) is not None:
            return None
        return self.orders.get(_split(request)[0])

    def reader_of(self, request: Request) -> str:
        """The origin of another server's page that may read the answer; empty if there is none."""
        origin = request.origin or ""
        return origin if self._access is not None and origin in (self._access.origins or ()) else ""

    def answer(self, request: Request) -> Answer:
        """The answer to a request."""
        refusal = self._refuse(request)
        if refusal is not None:
            return refusal
        path, query = _split(request)
        if path not in self.documents:
            listed = {"paths": sorted(self.documents)} if self._is_listed else {}
            return complaint(HTTPStatus.NOT_FOUND, "no such path", **listed)
        if request.method not in (b"GET", b"HEAD"):
            return complaint(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD are served")
        # A document that was made while this request waited is as new as one that would be made now.
        made_in, made = self._made.get(request.target, (0, None))
        if made is None or made_in <= self._asked_after:
            status, document = self.documents[path](dict(parse_qsl(query)))
            made = status, document if isinstance(document, Content) else _as_json(document)
            if len(self._made) >= _KEPT_MAX:
                self._made.clear()
            self._made[request.target] = self._turns, made
        return made

    def _refuse(self, request: Request) -> Answer | None:
        """The answer to a request that may not read any document."""
        objection = self._access.objection(request.host, request.origin) if self._access is not None else None
        if objection is not None:
            return complaint(HTTPStatus.FORBIDDEN, objection)
        if self._token and _split(request)[0] not in self._open_paths:
            scheme, _, given = request.authorization.partition(b" ")
            if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self._token):
                return complaint(HTTPStatus.UNAUTHORIZED, "send the token: Authorization: Bearer TOKEN")
        return None


def _split(request: Request) -> tuple[str, str]:
    """The path that a request asks for, as people write it, and its query."""
    target = request.target.decode("ascii", "replace")
    if not target.startswith("/"):
        # A client may name the server in the target as well.
        target = "/" + target.partition("://")[2].partition("/")[2]
    path, _, query = target.partition("?")
    return unquote(path), query


def complaint(status: HTTPStatus, text: str, **more: Any) -> Answer:
    """The answer to a request that gets no document."""
    return status, _as_json({"error": text, **more})


def _as_json(document: Mapping[str, Any]) -> Content:
    return Content("application/json", json.dumps(document, separators=(",", ":")).encode() + b"\n")
