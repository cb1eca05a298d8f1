"""The admin port: a few documents over HTTP, for operators and their tools.

h11 parses HTTP. This module moves bytes and looks up documents.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import h11

__all__ = ["AdminProtocol", "Document", "PlainText"]


@dataclass(frozen=True, slots=True)
class PlainText:
    """A document that is not JSON."""

    content_type: str
    body: bytes


Document = Callable[[Mapping[str, str]], tuple[HTTPStatus, Mapping[str, Any] | PlainText]]
"""Makes one document when it is requested, from the query of the request."""

_IDLE_SECONDS = 60.0
# Operators and their tools are few, and players need the descriptors.
_CONNECTIONS_MAX = 16
_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


class AdminProtocol(asyncio.Protocol):
    """One HTTP connection. It answers GET and HEAD of `documents`, by path."""

    def __init__(self, documents: Mapping[str, Document], connections: set[AdminProtocol]) -> None:
        self._documents = documents
        self._connections = connections
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=8192)
        # The request that is being served, or None.
        self._request: h11.Request | None = None
        # True from an answer until the loop has had a turn and the answer is sent. Nothing is read meanwhile.
        self._has_answered = False
        # True while the kernel has not taken an answer.
        self._is_stalled = False
        self._transport: asyncio.Transport
        self._idle: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass of it
        self._transport = transport
        transport.set_write_buffer_limits(high=0)
        self._connections.add(self)
        self._idle = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self.close)
        if len(self._connections) > _CONNECTIONS_MAX:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._idle.cancel()

    def close(self) -> None:
        """Ends the connection."""
        self._transport.abort()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._is_stalled = True

    def resume_writing(self) -> None:
        self._is_stalled = False
        if self._has_answered:
            asyncio.get_running_loop().call_soon(self._serve)

    def data_received(self, data: bytes) -> None:
        self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self.close)
        self._http.receive_data(data)
        if not self._has_answered:
            self._serve()

    def _serve(self) -> None:
        """Serves one request. A further request waits for a turn of the loop.

        Making a document takes time, so a client that sends many requests at once must not delay the ticks.
        """
        if self._transport.is_closing() or self._is_stalled:
            return
        try:
            while (answered := self._handle(self._http.next_event())) is None:
                pass
        except h11.RemoteProtocolError as error:
            if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                self._answer(HTTPStatus(error.error_status_hint), {"error": str(error)})
            self._transport.close()
            return
        if answered:
            self._has_answered = True
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._serve)
        elif self._has_answered:
            self._has_answered = False
            self._transport.resume_reading()

    def _handle(self, event: Any) -> bool | None:
        """Handles one event of the parser.

        Returns True after an answer, None when another event is to follow, False when there is none.
        """
        if event is h11.NEED_DATA:
            return False
        if event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
            self._transport.close()
            return False
        if isinstance(event, h11.Request):
            self._request = event
        elif isinstance(event, h11.EndOfMessage):
            assert self._request is not None
            self._answer(*self._look_up(self._request))
            self._request = None
            if self._http.our_state is h11.MUST_CLOSE:
                self._transport.close()
                return False
            self._http.start_next_cycle()
            return True
        return None

    def _look_up(self, request: h11.Request) -> tuple[HTTPStatus, Mapping[str, Any] | PlainText]:
        # A web page may give its own name the server's address (DNS rebinding), but its requests carry that name.
        host = dict(request.headers).get(b"host")
        if host is not None and not _is_loopback(host.decode("ascii", "replace")):
            return HTTPStatus.MISDIRECTED_REQUEST, {"error": "the Host header must be 127.0.0.1 or localhost"}
        path, _, query = request.target.decode("ascii", "replace").partition("?")
        if path not in self._documents:
            return HTTPStatus.NOT_FOUND, {"error": "no such path", "paths": sorted(self._documents)}
        if request.method not in (b"GET", b"HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, {"error": "only GET and HEAD are served"}
        return self._documents[path](dict(parse_qsl(query)))

    def _answer(self, status: HTTPStatus, document: Mapping[str, Any] | PlainText) -> None:
        if not isinstance(document, PlainText):
            document = PlainText("application/json", json.dumps(document, separators=(",", ":")).encode() + b"\n")
        headers = [
            ("Content-Type", document.content_type),
            ("Content-Length", str(len(document.body))),
            ("Cache-Control", "no-store"),
        ]
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("Allow", "GET, HEAD"))
        response = h11.Response(status_code=status.value, reason=status.phrase.encode(), headers=headers)
        parts: list[Any] = [response, h11.EndOfMessage()]
        if self._request is None or self._request.method != b"HEAD":
            parts.insert(1, h11.Data(data=document.body))
        self._transport.write(b"".join(self._http.send(part) or b"" for part in parts))


def _is_loopback(host: str) -> bool:
    """Whether a Host header, with or without a port, names the loopback address."""
    try:
        return urlsplit(f"//{host}").hostname in _HOSTS
    except ValueError:
        return False
