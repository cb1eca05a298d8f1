"""The stream and MessagePack: from received bytes to payloads, and from a payload to a value."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from small_client.rules import Breakable, MessageError

__all__ = ["PAYLOAD_MAX", "Values"]

PAYLOAD_MAX = 16 * 1024 * 1024


class Values(Breakable):
    """Reads payloads and values."""

    def cut(self, chunks: Iterable[bytes]) -> tuple[list[bytes], bool]:
        """The payloads in a stream, and whether an error ends it."""
        payloads, rest = list[bytes](), b""
        for chunk in chunks:
            rest = rest + chunk if self.keeps("split") else chunk
            while len(rest) >= 4:
                length = int.from_bytes(rest[:4], "big")
                if length > PAYLOAD_MAX or (length == 0 and self.keeps("length 0")):
                    return payloads, True
                if len(rest) < 4 + length:
                    break
                payloads.append(rest[4 : 4 + length])
                rest = rest[4 + length :]
        return payloads, False

    def unpack(self, payload: bytes) -> Any:
        """The value in a payload."""
        try:
            value, end = self._value(payload, 0)
        except (IndexError, struct.error) as error:
            raise MessageError(f"cut short: {error}") from None
        if end != len(payload) and self.keeps("behind"):
            raise MessageError("more behind the message")
        return value

    def _value(self, data: bytes, at: int) -> tuple[Any, int]:
        first, at = data[at], at + 1
        if first < 0x80 or first >= 0xE0:
            return (first ^ 0x80) - 0x80 if first >= 0x80 else first, at
        if 0x90 <= first < 0xA0:
            return self._array(data, at, first & 0x0F)
        if 0xA0 <= first < 0xC0:
            return self._text(data, at, first & 0x1F)
        numbers = {0xCA: "f", 0xCB: "d", 0xCC: "B", 0xCD: "H", 0xCE: "I", 0xCF: "Q", 0xD0: "b", 0xD1: "h", 0xD2: "i"}
        lengths = {0xC4: "B", 0xC5: "H", 0xC6: "I", 0xD9: "B", 0xDA: "H", 0xDB: "I", 0xDC: "H", 0xDD: "I"}
        broken = {0xCA: "float 32", 0xD9: "str 8", 0xDA: "str 16", 0xC5: "bin 16", 0xDC: "array 16", 0xDD: "array 32"}
        if first in broken and not self.keeps(broken[first]):
            raise MessageError(f"the form {first:02x} is unknown")
        if first in {0xC0, 0xC2, 0xC3}:
            return {0xC0: None, 0xC2: False, 0xC3: True}[first], at
        if first in numbers or first == 0xD3:
            code = f">{numbers.get(first, 'q')}"
            (number,) = struct.unpack_from(code, data, at)
            rule = {0xD2: "int 32", 0xD3: "int 64"}.get(first)
            if rule and number > 0 and not self.keeps(rule):
                raise MessageError(f"the form {first:02x} with a positive number")
            return number, at + struct.calcsize(code)
        if first in lengths:
            code = f">{lengths[first]}"
            (length,) = struct.unpack_from(code, data, at)
            at += struct.calcsize(code)
            if first >= 0xDC:
                return self._array(data, at, length)
            return self._text(data, at, length) if first >= 0xD9 else self._bin(data, at, length)
        if first in {0x80, 0xDE} and not self.keeps("maps"):
            return {}, at
        raise MessageError(f"a map, an extension or nothing: {first:02x}")

    def _array(self, data: bytes, at: int, length: int) -> tuple[list[Any], int]:
        values = []
        for _ in range(length):
            value, at = self._value(data, at)
            values.append(value)
        return values, at

    def _bin(self, data: bytes, at: int, length: int) -> tuple[bytes, int]:
        if at + length > len(data):
            raise MessageError("cut short")
        return data[at : at + length], at + length

    def _text(self, data: bytes, at: int, length: int) -> tuple[str, int]:
        text, at = self._bin(data, at, length)
        try:
            return text.decode("utf-8", "strict" if self.keeps("utf-8") else "replace"), at
        except UnicodeDecodeError:
            raise MessageError("a text that is no UTF-8") from None
