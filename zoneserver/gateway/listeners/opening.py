"""The opening of a connection: its first bytes say what it is, so that one port serves games and browsers.

| first byte | the connection |
|---|---|
| a capital letter | HTTP: the handshake of a WebSocket (RFC 6455), or a browser that asks for a page |
| any other | length-prefixed payloads. A packet of a client is short, so its length begins with a zero byte |

h11 parses the one request. Nothing is answered before the request is complete, and the time for it is that for HELLO.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Container, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

import h11

from zoneserver.http.access import Access
from zoneserver.http.connection import HEAD_BYTES_MAX, HEAD_LINES_MAX, HttpConnection, encode_answer, header
from zoneserver.http.documents import DocumentServer, complaint
from zoneserver.http.forwarded import forwarded_address
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.framing import LENGTH_PREFIX
from zoneserver.protocol.upgrade import SUBPROTOCOL, accept_key
from zoneserver.protocol.websocket import WEBSOCKET

if TYPE_CHECKING:
    from zoneserver.gateway.session import Session

__all__ = ["Opening"]

_TOO_LARGE = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE.value
_CAPITALS = range(ord("A"), ord("Z") + 1)
# The answers to a connection that ends before its request is complete, or is refused for another reason than that.
_STATUSES = {
    CloseReason.HANDSHAKE_TIMEOUT: HTTPStatus.REQUEST_TIMEOUT,
    CloseReason.TOO_MANY_CONNECTIONS: HTTPStatus.TOO_MANY_REQUESTS,
    CloseReason.BANNED: HTTPStatus.FORBIDDEN,
}


class Opening:
    """The reader of a new connection. It gives the session its framing, or the connection to the documents."""

    __slots__ = (
        *(
            "_access",
            "_documents",
            "_http",
            "_is_head",
            "_received",
            "_session",
            "_status",
            "_trusted",
            "error",
            "is_ended",
        ),
        "replies",
    )

    def __init__(
        self, session: Session, access: Access, documents: DocumentServer, trusted: Container[str] = ()
    ) -> None:
        self.error: str | None = None
        self.replies: list[bytes] = []
        self.is_ended = False
        self._session = session
        self._access = access
        self._documents = documents
        self._trusted = trusted
        self._received = b""
        # None until the first byte says that the connection is HTTP.
        self._http: h11.Connection | None = None
        self._status = HTTPStatus.BAD_REQUEST
        self._is_head = False

    def receive(self, data: bytes, limit: int | None = None) -> list[bytes]:
        """Adds `data`. Once the framing is known, its reader does the rest."""
        if self.error is not None or not data:
            return []
        if self._http is None:
            if data[0] not in _CAPITALS:
                return self._session.use(LENGTH_PREFIX).receive(data, limit) if self._session.identify() else []
            self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
        # h11 is given one byte more than the head may have, so that it refuses a longer one.
        self._http.receive_data(data[: max(0, HEAD_BYTES_MAX + 1 - len(self._received))])
        self._received += data
        try:
            if self._received.count(b"\n") > HEAD_LINES_MAX:
                raise h11.RemoteProtocolError(f"more than {HEAD_LINES_MAX} lines", _TOO_LARGE)
            event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            if self._session.identify():
                self._refuse(HTTPStatus(error.error_status_hint), f"not a request of HTTP: {error}")
            return []
        if not isinstance(event, h11.Request):
            return []
        self._is_head = event.method == b"HEAD"
        is_shared = self._session.host in self._trusted
        if is_shared:
            self._session.came_from(forwarded_address(self._session.host, event.headers, self._trusted))
        headers = dict(event.headers)
        if "websocket" not in _tokens(headers, b"upgrade"):
            self._session.hand_over(HttpConnection(self._documents, is_shared=is_shared), self._received)
            return []
        # A client that asks for a WebSocket counts as a player's, whatever else is wrong with the request.
        if not self._session.identify():
            return []
        objection = self._objection(event, headers)
        if objection is not None:
            self._refuse(*objection)
            return []
        return self._upgrade(headers, limit)

    def _objection(self, request: h11.Request, headers: Mapping[bytes, bytes]) -> tuple[HTTPStatus, str] | None:
        """Why the request does not become a WebSocket: a status and a text, or None."""
        if request.method != b"GET" or request.http_version < b"1.1":
            return HTTPStatus.BAD_REQUEST, "a WebSocket begins with GET and HTTP/1.1"
        foreign = self._access.objection(header(headers, b"host"), header(headers, b"origin"))
        if foreign is not None:
            return HTTPStatus.FORBIDDEN, foreign
        if request.target.partition(b"?")[0] != b"/":
            return HTTPStatus.NOT_FOUND, "players connect at the path /"
        if "upgrade" not in _tokens(headers, b"connection"):
            return HTTPStatus.BAD_REQUEST, "an upgrade to websocket needs the header Connection: Upgrade"
        if headers.get(b"sec-websocket-version") != b"13":
            return HTTPStatus.UPGRADE_REQUIRED, "this server speaks version 13 of the WebSocket protocol"
        if not _is_key(headers.get(b"sec-websocket-key", b"")):
            return HTTPStatus.BAD_REQUEST, "Sec-WebSocket-Key must be 16 bytes in base64"
        if (offered := _tokens(headers, b"sec-websocket-protocol")) and SUBPROTOCOL not in offered:
            return HTTPStatus.BAD_REQUEST, f"this server speaks {SUBPROTOCOL}, and the client {', '.join(offered):.100}"
        if b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0":
            return HTTPStatus.BAD_REQUEST, "a WebSocket does not begin with a body"
        return None

    def _upgrade(self, headers: Mapping[bytes, bytes], limit: int | None) -> list[bytes]:
        assert self._http is not None
        self._http.next_event()  # The end of the request.
        answer = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", accept_key(headers[b"sec-websocket-key"].decode())),
        ]
        # The extension permessage-deflate is never accepted: a browser would then compress each of its packets. A
        # client that wants fewer bytes has the option "deflate" in HELLO, as over TCP.
        if _tokens(headers, b"sec-websocket-protocol"):
            answer.append(("Sec-WebSocket-Protocol", SUBPROTOCOL))
        switching = self._http.send(h11.InformationalResponse(status_code=101, headers=answer, reason="Switching"))
        assert switching is not None
        rest = self._http.trailing_data[0] + self._received[HEAD_BYTES_MAX + 1 :]
        reader = self._session.use(WEBSOCKET)
        reader.replies.append(switching)
        return reader.receive(rest, limit)

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        self._status, self.error = status, text

    def goodbye(self, bye: bytes, code: str, retry: bool) -> bytes:
        """An answer of HTTP that says why. A client that has sent nothing gets the BYE of a length-prefixed stream."""
        if self._http is None or self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return LENGTH_PREFIX.wrap(bye)
        reason = self._session.reason
        status = self._status if self.error is not None else HTTPStatus.SERVICE_UNAVAILABLE
        if isinstance(reason, CloseReason):
            status = _STATUSES.get(reason, status)
        return encode_answer(
            self._http, complaint(status, self._session.reason_text, code=code), self._is_head, is_last=True
        )


def _tokens(headers: Mapping[bytes, bytes], name: bytes) -> list[str]:
    """The elements of a header that is a list."""
    text = header(headers, name) or ""
    elements = [element.strip() for element in text.split(",") if element.strip()]
    return elements if name == b"sec-websocket-protocol" else [element.lower() for element in elements]


def _is_key(text: bytes) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False
