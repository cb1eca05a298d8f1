"""Other framings than that of TCP, which show that only a session's framing knows the wire."""

from __future__ import annotations

from zoneserver.protocol.framing import Framing, PayloadReader

__all__ = ["BARE", "LINES", "Bare", "Lines"]


class _Reader:
    """Payloads and nothing else: no replies, no end of its own."""

    framing: Framing
    error: str | None = None
    is_ended = False
    replies: list[bytes] = []  # noqa: RUF012 nothing is ever appended

    def goodbye(self, bye: bytes, code: str, retry: bool) -> bytes:
        return self.framing.wrap(bye)


class Bare:
    """Adds nothing to a payload: bytes that are read at once are one payload. Tests that count bytes use it."""

    name = "bare"
    overhead_bytes = 0

    def wrap(self, payload: bytes) -> bytes:
        return payload

    def reader(self, payload_bytes_max: int) -> PayloadReader:
        return _Chunks()


class _Chunks(_Reader):
    def receive(self, data: bytes, limit: int | None = None) -> list[bytes]:
        return [data] if data else []


class Lines:
    """Writes a payload in hexadecimal digits on a line of its own."""

    name = "lines"
    overhead_bytes = 1

    def wrap(self, payload: bytes) -> bytes:
        return payload.hex().encode() + b"\n"

    def reader(self, payload_bytes_max: int) -> PayloadReader:
        return _LineReader(payload_bytes_max)


class _LineReader(_Reader):
    def __init__(self, payload_bytes_max: int) -> None:
        self.error: str | None = None
        self._payload_bytes_max = payload_bytes_max
        self._buffer = b""

    def receive(self, data: bytes, limit: int | None = None) -> list[bytes]:
        self._buffer += data
        payloads: list[bytes] = []
        while self.error is None and b"\n" in self._buffer and (limit is None or len(payloads) < limit):
            line, self._buffer = self._buffer.split(b"\n", 1)
            try:
                payload = bytes.fromhex(line.decode("ascii"))
            except ValueError:
                self.error = "not a line of hexadecimal digits"
            else:
                payloads.append(payload)
        if len(self._buffer) > 2 * self._payload_bytes_max:
            self.error = "the line is too long"
        return payloads


BARE, LINES = Bare(), Lines()
_Chunks.framing, _LineReader.framing = BARE, LINES
