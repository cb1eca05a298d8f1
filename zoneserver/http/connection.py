"""HTTP: one connection. h11 parses; this module moves bytes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import cast

import h11

from zoneserver.http.documents import Answer, DocumentServer, Order, Request, complaint

__all__ = ["HEAD_BYTES_MAX", "HttpConnection", "encode_answer", "header"]

log = logging.getLogger(__name__)

HEAD_BYTES_MAX = 8192
"""The most bytes of a request. They are parsed in one go, and so many header lines take 5 ms."""
HEAD_LINES_MAX = 100
"""The most lines of a first request, so that it costs little. A browser sends 20."""
# The transport is given an answer in parts of this size. A client has to take the second number of bytes while it is
# idle otherwise.
_PART_BYTES = 64 * 1024
_TAKEN_BYTES_MIN = 16 * 1024
# How long a refused client may read its answer. The bytes that it still sends are not read.
_LINGER_SECONDS = 1.0
# Nothing from elsewhere, and no code inside of HTML.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "media-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_SAFE_HEADERS = [
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
]


class HttpConnection(asyncio.Protocol):
    """One HTTP connection. It serves one request in each turn that the server of the documents gives it.

    It reads nothing while it waits for a turn, and no body at all: a request with a body is refused on its headers.

    A shared connection ends with its first answer. A proxy sends the requests of many clients over one connection, and
    a later one of them could not become a WebSocket there.
    """

    def __init__(self, documents: DocumentServer, *, is_shared: bool = False) -> None:
        self._documents = documents
        self._is_shared = is_shared
        self._loop = asyncio.get_running_loop()
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
        # Bytes that h11 has not been given yet.
        self._received = b""
        # The part of an answer that the transport has not been given, and whether it holds another part.
        self._unsent = memoryview(b"")
        self._is_stalled = False
        # How much of the answer the client had not taken when that was last looked at.
        self._left_bytes = 0
        # True while the connection waits for its turn.
        self._is_waiting = False
        # True if bytes wait that need a turn once the kernel has taken the answer.
        self._has_more = False
        # What a request has asked for and is being done.
        self._obeying: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport
        self._idle: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass of it
        self._transport.set_write_buffer_limits(high=0)
        self.host = str((transport.get_extra_info("peername") or ("?",))[0])
        """The address of the client, or of the proxy before it."""
        self._idle = self._loop.call_later(self._documents.idle_seconds, self._expire)
        self._documents.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._documents.closed(self)
        self._idle.cancel()

    def close(self) -> None:
        """Ends the connection at once."""
        self._transport.abort()

    def _expire(self) -> None:
        """Ends a connection that has asked for nothing, or has hardly taken anything of its answer, for a while."""
        left = len(self._unsent) + self._transport.get_write_buffer_size()
        is_taking = 0 < left <= self._left_bytes - _TAKEN_BYTES_MIN or (left > 0 and not self._left_bytes)
        self._left_bytes = left
        if is_taking or self._is_waiting or self._obeying is not None:
            self._idle = self._loop.call_later(self._documents.idle_seconds, self._expire)
        else:
            self.close()

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._transport.pause_reading()
        self._wait()

    def _wait(self) -> None:
        self._is_waiting = True
        self._documents.wait(self)

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._is_stalled = True

    def resume_writing(self) -> None:
        self._is_stalled = False
        self._send()
        if self._is_stalled:
            return
        if self._http.our_state is h11.MUST_CLOSE:
            self._transport.close()
        elif self._has_more:
            self._has_more = False
            self._wait()

    def _send(self) -> None:
        """Gives the transport the answer in parts, so that only one of them is copied for each connection."""
        while self._unsent and not self._is_stalled:
            part, self._unsent = self._unsent[:_PART_BYTES], self._unsent[_PART_BYTES:]
            self._transport.write(bytes(part))

    def serve(self) -> None:
        """Serves one request, or reads on if none is complete."""
        self._is_waiting = False
        if self._transport.is_closing():
            return
        try:
            self._feed()
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._serve(event)
            elif event is h11.NEED_DATA:
                self._read_on()
            else:
                self._transport.close()
        except h11.RemoteProtocolError as error:
            self._refuse(HTTPStatus(error.error_status_hint), str(error))

    def _serve(self, request: h11.Request) -> None:
        headers = dict(request.headers)
        if b"transfer-encoding" in headers or int(headers.get(b"content-length", 0)) > 0:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a request must not have a body", request.method)
            return
        asked = Request(
            method=request.method,
            target=request.target,
            host=header(headers, b"host"),
            origin=header(headers, b"origin"),
            authorization=headers.get(b"authorization", b""),
            mark=header(headers, b"x-zone"),
        )
        end = self._http.next_event()
        assert isinstance(end, h11.EndOfMessage)
        order = self._documents.order(asked)
        if order is not None:
            self._obeying = self._loop.create_task(self._obey(order, asked))
            return
        status, content = self._documents.answer(asked)
        if content.compressed is not None and b"gzip" in headers.get(b"accept-encoding", b""):
            content = content.compressed
        if content.etag and status is HTTPStatus.OK and headers.get(b"if-none-match") == content.etag.encode():
            status = HTTPStatus.NOT_MODIFIED
        self._answer((status, content), request.method, self._documents.reader_of(asked), is_last=self._is_shared)
        self._next_request()

    async def _obey(self, order: Order, request: Request) -> None:
        """Does what a request asks for. Nothing further is read before it is answered."""
        try:
            answer = await order(request, self._transport)
        except Exception:
            log.exception("exception while obeying %.100r", request.target)
            answer = complaint(HTTPStatus.INTERNAL_SERVER_ERROR, "this failed: the log has the traceback")
        if not self._transport.is_closing():
            self._answer(answer)
            self._next_request()

    def _next_request(self) -> None:
        """Goes on after an answer."""
        self._idle.cancel()
        self._left_bytes = 0
        self._idle = self._loop.call_later(self._documents.idle_seconds, self._expire)
        if self._http.our_state is h11.MUST_CLOSE:
            if not self._is_stalled:
                self._transport.close()
            return
        self._http.start_next_cycle()
        self._documents.answered(self)
        # Without further bytes nothing has to wait: the next ones are read, and wait until the answer is taken.
        if self._is_stalled:
            self._has_more = True
        elif self._http.trailing_data[0]:
            self._wait()
        else:
            self._read_on()

    def _feed(self) -> None:
        """Gives h11 one byte more than the head of a request may have, so that it refuses a longer one."""
        room = HEAD_BYTES_MAX + 1 - len(self._http.trailing_data[0])
        if self._received and room > 0:
            self._http.receive_data(self._received[:room])
            self._received = self._received[room:]

    def _read_on(self) -> None:
        if self._received:
            self._wait()
        else:
            self._transport.resume_reading()

    def _refuse(self, status: HTTPStatus, text: str, method: bytes = b"GET") -> None:
        """Answers if HTTP allows it, and ends the connection without reading what else the client sends.

        The connection stays a moment: the system throws the answer away when it closes a socket with unread bytes.
        """
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._answer(complaint(status, text), method, is_last=True)
        self._transport.write_eof()
        self._idle.cancel()
        self._idle = self._loop.call_later(_LINGER_SECONDS, self.close)

    def _answer(self, answer: Answer, method: bytes = b"GET", reader: str = "", *, is_last: bool = False) -> None:
        head, body = _encode(self._http, answer, reader, is_head=method == b"HEAD", is_last=is_last)
        self._transport.write(head)
        self._unsent = memoryview(body)
        self._send()


def header(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    """The value of a header as text; None if the request has no such header."""
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")


def encode_answer(http: h11.Connection, answer: Answer, is_head: bool = False, *, is_last: bool = False) -> bytes:
    """The bytes of an answer to the request that this side of the connection has read; `is_head` if that was HEAD."""
    return b"".join(_encode(http, answer, is_head=is_head, is_last=is_last))


def _encode(
    http: h11.Connection, answer: Answer, reader: str = "", *, is_head: bool, is_last: bool
) -> tuple[bytes, bytes]:
    """The head and the body of an answer. `reader` is the origin of another server's page that may read it."""
    status, content = answer
    headers = [("Content-Type", content.content_type)]
    if status is not HTTPStatus.NOT_MODIFIED:
        headers.append(("Content-Length", str(len(content.body))))
    if content.encoding:
        headers.append(("Content-Encoding", content.encoding))
    if content.etag:
        headers.append(("Vary", "Accept-Encoding, Origin"))
        headers += [("ETag", content.etag), ("Cache-Control", "no-cache")]
    else:
        headers.append(("Cache-Control", "no-store"))
    if reader:
        headers.append(("Access-Control-Allow-Origin", reader))
    headers += _SAFE_HEADERS
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers.append(("Allow", "GET, HEAD"))
    if status is HTTPStatus.UNAUTHORIZED:
        headers.append(("WWW-Authenticate", "Bearer"))
    if status is HTTPStatus.UPGRADE_REQUIRED:
        headers.append(("Sec-WebSocket-Version", "13"))
    if is_last:
        headers.append(("Connection", "close"))
    response = h11.Response(status_code=status.value, reason=status.phrase.encode(), headers=headers)
    head = http.send(response) or b""
    has_body = not is_head and status is not HTTPStatus.NOT_MODIFIED
    body = (http.send(h11.Data(data=content.body)) or b"") if has_body else b""
    http.send(h11.EndOfMessage())
    return head, body
