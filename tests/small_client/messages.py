"""The messages of the server: from a payload to a meaning, with the names of PROTOCOL.md."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any

from small_client.rules import MessageError
from small_client.values import PAYLOAD_MAX, Values

__all__ = ["COLUMNS", "Messages"]

WELCOME, SNAPSHOT, TICK, PONG, REFUSED, BYE, DEFLATED, TOLD, ANSWERED = range(16, 25)
COLUMNS = {"x": "i", "y": "i", "vx": "b", "vy": "b", "since": "I", "seq": "B"}


class Messages(Values):
    """Reads messages of the server."""

    def decode(self, payload: bytes) -> dict[str, Any] | None:
        """The meaning of a message of the server; None for one to ignore. Raises MessageError."""
        message = self.unpack(payload)
        if not isinstance(message, list) or not message or type(message[0]) is not int:
            raise MessageError("no message")
        op, *elements = message
        readers = {
            WELCOME: ("WELCOME", self._welcome, 10),
            SNAPSHOT: ("SNAPSHOT", self._snapshot, 5),
            TICK: ("TICK", self._tick, 11),
            PONG: ("PONG", lambda *found: self._plain("token tick microseconds", "iii", found), 3),
            REFUSED: ("REFUSED", lambda *found: self._plain("tick seq code text", "iiss", found), 4),
            BYE: ("BYE", lambda *found: self._plain("code text retry", "ssb", found), 3),
            DEFLATED: ("DEFLATED", lambda *found: self._plain("data", "d", found), 1),
            TOLD: ("TOLD", lambda *found: self._plain("tick kind values", "isa", found), 3),
            ANSWERED: ("ANSWERED", lambda *found: self._plain("tick seq values", "iia", found), 3),
        }
        if op not in readers:
            if self.keeps("later ops"):
                return None
            raise MessageError(f"op {op}")
        name, read, count = readers[op]
        if len(elements) < count or (len(elements) > count and not self.keeps("later elements")):
            raise MessageError(f"{name} has {len(elements)} elements")
        return {"op": name, **read(*elements[:count])}

    def read(self, payload: bytes) -> dict[str, Any] | None:
        """As `decode`, and for a DEFLATED the message in it."""
        message = self.decode(payload)
        if message is not None and message["op"] == "DEFLATED":
            return self.decode(self.inflate(message["data"]))
        return message

    def inflate(self, data: bytes) -> bytes:
        """The payload in a DEFLATED."""
        inflater = zlib.decompressobj(-15)
        try:
            payload = inflater.decompress(data, PAYLOAD_MAX)
        except zlib.error as error:
            raise MessageError(str(error)) from None
        if not inflater.eof or inflater.unused_data:
            raise MessageError("cut short, or more behind the end")
        if payload[1:2] not in {b"\x11", b"\x12"} and self.keeps("deflated op"):
            raise MessageError("neither SNAPSHOT nor TICK")
        return payload

    def _integer(self, value: Any) -> Any:
        if type(value) is int or (type(value) is bool and not self.keeps("bool")):
            return value
        if type(value) is float and not self.keeps("integer"):
            return int(value)
        raise MessageError(f"{value!r} is no integer")

    def _integers(self, values: Any) -> list[int]:
        return [self._integer(value) for value in self._of(list, values)]

    @staticmethod
    def _of(kind: type, value: Any) -> Any:
        if type(value) is not kind:
            raise MessageError(f"{value!r:.40} is no {kind.__name__}")
        return value

    def _group(self, values: Any, count: int) -> list[Any]:
        if len(self._of(list, values)) < count or (len(values) > count and self.keeps("within")):
            raise MessageError(f"a group of {len(values)} elements")
        return values[:count]  # type: ignore[no-any-return]

    def _plain(self, names: str, kinds: str, elements: Sequence[Any]) -> dict[str, Any]:
        types = {"s": str, "b": bool, "d": bytes, "a": list}
        values = [
            self._integer(value) if kind == "i" else self._of(types[kind], value)
            for kind, value in zip(kinds, elements, strict=True)
        ]
        return dict(zip(names.split(), values, strict=True))

    def _column(self, code: str, data: Any, count: int) -> list[int]:
        code = code if self.keeps("signed") else code.replace("b", "B")
        size, data = struct.calcsize(f"<{code}"), self._of(bytes, data)
        if len(data) % size and self.keeps("column whole"):
            raise MessageError("half a value")
        values = [value for (value,) in struct.iter_unpack(f"<{code}", data[: len(data) // size * size])]
        if len(values) != count and self.keeps("column length"):
            raise MessageError(f"{len(values)} values for {count} slots")
        return (values + [0] * count)[:count]

    def _slot_set(self, data: Any) -> list[int]:
        form, body = self._of(bytes, data)[:1], data[1:]
        if form == b"\x00":
            bits = range(8) if self.keeps("set bitmap") else range(7, -1, -1)
            if len(body) > 8192:
                raise MessageError("a bitmap beyond the last slot")
            return [at * 8 + place for at, byte in enumerate(body) for place, bit in enumerate(bits) if byte >> bit & 1]
        if form != b"\x01" and self.keeps("set form"):
            raise MessageError("a set of unknown form")
        if len(body) % 2 and self.keeps("set odd"):
            raise MessageError("half a slot")
        code = "<H" if self.keeps("set list") else ">H"
        slots = [slot for (slot,) in struct.iter_unpack(code, body[: len(body) // 2 * 2])]
        if slots != sorted(set(slots)) and self.keeps("set rising"):
            raise MessageError("a list that does not rise")
        return slots

    def _records(self, values: Any, count: int) -> list[list[Any]]:
        if len(self._of(list, values)) % count and self.keeps("records"):
            raise MessageError("half a record")
        return [values[at : at + count] for at in range(0, len(values) // count * count, count)]

    def _on_board(self, value: Any) -> Any:
        fits = abs(value) < 2**53 if type(value) is int else type(value) is str and len(value.encode()) <= 256
        if not fits and self.keeps("board value"):
            raise MessageError("no value of a board")
        return value

    def _holder(self, value: Any) -> Any:
        if value is None or type(value) is str or (type(value) is int and value > 0):
            return value
        raise MessageError(f"{value!r} holds no slot")

    def _welcome(self, *elements: Any) -> dict[str, Any]:
        version, slot, tick, game, measures, kinds, board, limits, options, resume = elements
        name, game_version = self._group(game, 2)
        hz, width, height, speed_step = self._integers(self._group(measures, 4))
        payload_max, actions_max = self._integers(self._group(limits, 2))
        if hz < 1 or speed_step < 1 or not kinds:
            raise MessageError("a zone without time or without players")
        for kind, stats in (self._group(each, 2) for each in self._of(list, kinds)):
            self._of(str, kind)
            for stat, first in (self._group(each, 2) for each in self._of(list, stats)):
                self._of(str, stat)
                self._integer(first)
        for entry, first in (self._group(each, 2) for each in self._of(list, board)):
            self._of(str, entry)
            self._on_board(first)
        return {
            "version": self._integer(version),
            "slot": None if slot is None else self._integer(slot),
            "tick": self._integer(tick),
            "game": self._of(str, name),
            "game_version": self._of(str, game_version),
            "hz": hz,
            "width": width,
            "height": height,
            "speed_step": speed_step,
            "kinds": kinds,
            "board": board,
            "payload_max": payload_max,
            "actions_max": actions_max,
            "options": [self._of(str, option) for option in self._of(list, options)],
            "resume": None if resume is None else self._resume(*self._of(list, resume)),
        }

    def _resume(self, token: Any, grace: Any, epoch: Any, seq: Any, *_: Any) -> list[Any]:
        if len(self._of(bytes, token)) != 16 and self.keeps("token"):
            raise MessageError("a token of another length")
        return [token, *self._integers([grace, epoch, seq])]

    def _snapshot(self, tick: Any, slots: Any, motion: Any, stats: Any, board: Any) -> dict[str, Any]:
        slots = [self._holder(holder) for holder in self._of(list, slots)]
        columns = self._group(motion, len(COLUMNS))
        return {
            "tick": self._integer(tick),
            "slots": slots,
            **{
                name: self._column(code, data, len(slots))
                for (name, code), data in zip(COLUMNS.items(), columns, strict=True)
            },
            "stats": [self._column("i", data, len(slots)) for data in self._of(list, stats)],
            "board": [self._on_board(value) for value in self._of(list, board)],
        }

    def _tick(self, *elements: Any) -> dict[str, Any]:
        tick, dilation, state_hash, leaves, joins, acted, steered, placed, stats, board, events = elements
        if not 1 <= self._integer(dilation) <= 100 and self.keeps("dilation"):
            raise MessageError("dilation")
        came = [[self._integer(slot), self._holder(holder)] for slot, holder in self._records(joins, 2)]
        if any(holder is None for _, holder in came):
            raise MessageError("a join of nobody")
        for event in self._of(list, events):
            slot, seq, kind = self._of(list, event)[:3] if len(event) > 2 else (0, None, None)
            whole = slot is seq is None or type(slot) is type(seq) is int
            if not (whole and type(kind) is str) and self.keeps("event"):
                raise MessageError("half an event")
        return {
            "tick": self._integer(tick),
            "dilation": dilation,
            "hash": None if state_hash is None else self._integer(state_hash),
            "leaves": self._integers(leaves),
            "joins": [value for record in came for value in record],
            "acted": self._motions(acted, {"seq": "B", "vx": "b", "vy": "b"}),
            "steered": self._motions(steered, {"vx": "b", "vy": "b"}),
            "placed": [self._integer(value) for record in self._records(placed, 5) for value in record],
            "stats": [self._integer(value) for record in self._records(stats, 3) for value in record],
            "board": [
                part for at, value in self._records(board, 2) for part in (self._integer(at), self._on_board(value))
            ],
            "events": events,
        }

    def _motions(self, group: Any, codes: dict[str, str]) -> dict[str, list[int]]:
        packed, *columns = self._group(group, 1 + len(codes))
        slots = self._slot_set(packed)
        read = [self._column(code, data, len(slots)) for code, data in zip(codes.values(), columns, strict=True)]
        return {"slots": slots, **dict(zip(codes, read, strict=True))}
