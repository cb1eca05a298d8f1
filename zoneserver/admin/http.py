"""HTTP of the admin port: one connection. h11 parses; this module moves bytes."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, cast

import h11

from zoneserver.admin.port import AdminPort, Answer, Request, complaint

__all__ = ["AdminProtocol"]

_IDLE_SECONDS = 60.0
# The most bytes that wait for a turn. They are parsed in one go, and so many header lines take 5 ms.
_READ_BYTES = 8192
# How long a refused client may read its answer. The bytes that it still sends are not read.
_LINGER_SECONDS = 1.0


class AdminProtocol(asyncio.BufferedProtocol):
    """One HTTP connection. It serves one request in each turn that its port gives it.

    It reads nothing while it waits for a turn, and no body at all: a request with a body is refused on its headers.
    """

    def __init__(self, port: AdminPort) -> None:
        self._port = port
        self._loop = asyncio.get_running_loop()
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_READ_BYTES)
        self._received = bytearray(_READ_BYTES)
        # True while the kernel has not taken an answer.
        self._is_stalled = False
        # True if bytes wait that need a turn once the kernel has taken the answer.
        self._has_more = False
        self._transport: asyncio.Transport
        self._idle: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass of it
        self._transport.set_write_buffer_limits(high=0)
        self._idle = self._loop.call_later(_IDLE_SECONDS, self.close)
        self._port.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._port.closed(self)
        self._idle.cancel()

    def close(self) -> None:
        """Ends the connection at once."""
        self._transport.abort()

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._received

    def buffer_updated(self, nbytes: int) -> None:
        self._http.receive_data(bytes(self._received[:nbytes]))
        self._transport.pause_reading()
        self._port.wait(self)

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._is_stalled = True

    def resume_writing(self) -> None:
        self._is_stalled = False
        if self._has_more:
            self._has_more = False
            self._port.wait(self)

    def serve(self) -> None:
        """Serves one request, or reads on if none is complete."""
        if self._transport.is_closing():
            return
        try:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._serve(event)
            elif event is h11.NEED_DATA:
                self._transport.resume_reading()
            else:
                self._transport.close()
        except h11.RemoteProtocolError as error:
            self._refuse(HTTPStatus(error.error_status_hint), str(error))

    def _serve(self, request: h11.Request) -> None:
        headers = dict(request.headers)
        if b"transfer-encoding" in headers or int(headers.get(b"content-length", 0)) > 0:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a request must not have a body")
            return
        asked = Request(
            method=request.method,
            target=request.target,
            host=headers.get(b"host"),
            authorization=headers.get(b"authorization", b""),
        )
        end = self._http.next_event()
        assert isinstance(end, h11.EndOfMessage)
        self._answer(self._port.answer(asked), with_body=request.method != b"HEAD")
        if self._http.our_state is h11.MUST_CLOSE:
            self._transport.close()
            return
        self._http.start_next_cycle()
        self._idle.cancel()
        self._idle = self._loop.call_later(_IDLE_SECONDS, self.close)
        self._port.answered(self)
        # Without further bytes nothing has to wait: the next ones are read, and wait until the answer is taken.
        if self._is_stalled:
            self._has_more = True
        elif self._http.trailing_data[0]:
            self._port.wait(self)
        else:
            self._transport.resume_reading()

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        """Answers if HTTP allows it, and ends the connection without reading what else the client sends.

        The connection stays a moment: the system throws the answer away when it closes a socket with unread bytes.
        """
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._answer(complaint(status, text), is_last=True)
        self._transport.write_eof()
        self._idle.cancel()
        self._idle = self._loop.call_later(_LINGER_SECONDS, self.close)

    def _answer(self, answer: Answer, *, with_body: bool = True, is_last: bool = False) -> None:
        status, document = answer
        headers = [
            ("Content-Type", document.content_type),
            ("Content-Length", str(len(document.body))),
            ("Cache-Control", "no-store"),
        ]
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("Allow", "GET, HEAD"))
        if status is HTTPStatus.UNAUTHORIZED:
            headers.append(("WWW-Authenticate", "Bearer"))
        if is_last:
            headers.append(("Connection", "close"))
        response = h11.Response(status_code=status.value, reason=status.phrase.encode(), headers=headers)
        parts: list[Any] = [response, h11.EndOfMessage()]
        if with_body:
            parts.insert(1, h11.Data(data=document.body))
        self._transport.write(b"".join(self._http.send(part) or b"" for part in parts))
