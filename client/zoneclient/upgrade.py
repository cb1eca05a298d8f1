"""The opening handshake of a client that speaks WebSocket."""

from __future__ import annotations

import contextlib
import json

from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.framing import Deframer
from zoneserver.protocol.messages import Bye
from zoneserver.protocol.upgrade import response_error, upgrade_request

__all__ = ["Upgrade"]

_RESPONSE_BYTES_MAX = 16 * 1024
_BEGINNING, _HEAD_END, _LENGTH_PREFIXED = b"HTTP/", b"\r\n\r\n", b"\0"


class Upgrade:
    """One opening handshake: send `request`, then give it what arrives, until the connection is a WebSocket.

    `host` is how the client calls the server, such as `localhost:7777`.
    """

    def __init__(self, host: str) -> None:
        self.request, self._accept = upgrade_request(host)
        self.waiting: list[bytes] = []
        """What is to be sent once the connection is a WebSocket."""
        self.refusal: Bye | None = None
        """Why the server did not make a WebSocket of the connection."""
        self._received = b""

    def receive(self, data: bytes) -> bytes | None:
        """Add `data`. Return the bytes behind the answer, or None while the answer is incomplete or if it is a refusal.

        Raises ValueError for an answer that opens no WebSocket and is no refusal.
        """
        self._received += data
        if self._received.startswith(_LENGTH_PREFIXED):
            # The server refuses the connection without having read the request.
            self.refusal = _bye(self._received)
            return None
        head, end, body = self._received.partition(_HEAD_END)
        if not (head + end).startswith(_BEGINNING[: len(head)]):
            raise ValueError("it does not answer as a server of WebSocket")
        if not end:
            if len(head) > _RESPONSE_BYTES_MAX:
                raise ValueError(f"its answer to the opening handshake has more than {_RESPONSE_BYTES_MAX} bytes")
            return None
        error = response_error(head + end, self._accept)
        if error is None:
            return body
        self.refusal = _refusal(body)
        if self.refusal is None and len(body) < _length(head):
            return None
        if self.refusal is None:
            raise ValueError(error)
        return None


def _length(head: bytes) -> int:
    """The number of bytes behind the head of a response that are worth waiting for."""
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length" and value.strip().isdigit():
            return min(int(value), _RESPONSE_BYTES_MAX)
    return 0


def _bye(received: bytes) -> Bye | None:
    """The BYE in these bytes with a length prefix; None if it is incomplete. Raises ValueError for anything else."""
    for payload in Deframer(_RESPONSE_BYTES_MAX).receive(received):
        message = decode_server(payload)
        if isinstance(message, Bye):
            return message
        raise ValueError("it does not answer as a server of WebSocket")
    return None


def _refusal(body: bytes) -> Bye | None:
    """The BYE that the body of a refusal stands for; None if there is none, or not yet."""
    with contextlib.suppress(ValueError, RecursionError):
        match json.loads(body):
            case {"code": str(code), "error": str(text)}:
                retry = any(reason == code and reason.retry for reason in CloseReason)
                return Bye(code, text, retry)
    return None
