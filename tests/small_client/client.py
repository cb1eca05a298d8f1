"""The small client: the state of the zone, and what became of one's own actions."""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import zlib
from typing import Any

import msgpack

from small_client.messages import COLUMNS, Messages
from small_client.rules import MessageError

__all__ = ["SmallClient"]

CLIENT_OPS = {"HELLO": 1, "ACT": 2, "PING": 3, "GOODBYE": 4, "RESUME": 5}


class SmallClient(Messages):
    """One client. `broken` names the rule that it breaks."""

    def __init__(self, broken: str = "") -> None:
        super().__init__(broken)
        self.welcome: dict[str, Any] = {}
        self.tick = 0
        self.slots: list[Any] = []
        self.columns: dict[str, list[int]] = {name: [] for name in COLUMNS}
        self.stats: list[list[int]] = []
        self.board: list[Any] = []
        # One's own actions: those without an outcome, the newest public one that happened, and where a mute began.
        self.waiting: list[int] = []
        self.known = self.muted = 0
        self.outcomes: dict[int, str] = {}

    # --- Messages of a client ---------------------------------------------------------------------

    def encode(self, message: dict[str, Any]) -> bytes:
        """The payload of a message of a client."""
        op, *elements = message.values()
        return msgpack.packb([CLIENT_OPS[op], *elements])

    def ticket(self, secret: bytes, expiry: int, nonce: bytes, zone: str, name: str) -> tuple[bytes, str]:
        """A ticket, in bytes and as text."""
        head, encoded = expiry.to_bytes(8, "big") + nonce, zone.encode()
        length = len(encoded).to_bytes(2, "big") if self.keeps("zone length") else b""
        signed = b"zone-ticket/1" + head + length + encoded + name.encode()
        ticket = head + hmac.new(secret, signed, hashlib.sha256).digest()
        return ticket, base64.urlsafe_b64encode(ticket).decode().rstrip("=")

    def may_be_named(self, name: str) -> bool:
        """What a client checks of a name, to spare its player a way to the server."""
        units = len(name) if self.keeps("code points") else len(name.encode("utf-16-le", "surrogatepass")) // 2
        return 0 < units <= 24

    # --- A session --------------------------------------------------------------------------------

    def send(self, message: dict[str, Any]) -> bytes:
        """Notes what an ACT does, and returns the payload."""
        if message["op"] == "ACT":
            seqs = range(message["seq"], message["seq"] + len(message["actions"]))
            self.waiting += [seq for seq in seqs if seq not in self.waiting or not self.keeps("sent again")]
        return self.encode(message)

    def receive(self, payload: bytes) -> dict[str, Any] | None:
        """Applies a message of the server. Raises MessageError for one that no server sends."""
        message = self.read(payload)
        if message is None:
            return None
        match message["op"]:
            case "WELCOME":
                self.welcome = message
            case "SNAPSHOT":
                self.restore(message)
                self._settle_by_snapshot(message)
            case "TICK":
                self.apply(message)
                self._settle_by_frame(message)
            case "REFUSED":
                self._refused(message["code"], message["seq"])
            case "ANSWERED" if self.keeps("answered"):
                self._settle([message["seq"]], "answered")
        return message

    # --- The state --------------------------------------------------------------------------------

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Takes over a SNAPSHOT."""
        kinds = self.welcome["kinds"]
        counts = max(len(stats) for _, stats in kinds), len(self.welcome["board"])
        if counts != (len(snapshot["stats"]), len(snapshot["board"])) and self.keeps("counts"):
            raise MessageError("a SNAPSHOT of another zone")
        self._check_kinds(snapshot["slots"])
        self.tick, self.slots = snapshot["tick"], list(snapshot["slots"])
        self.columns = {name: list(snapshot[name]) for name in COLUMNS}
        self.stats = [list(column) for column in snapshot["stats"]]
        self.board = list(snapshot["board"])

    def _check_kinds(self, holders: list[Any]) -> None:
        if self.keeps("known kinds") and any(type(it) is int and it >= len(self.welcome["kinds"]) for it in holders):
            raise MessageError("a kind that WELCOME does not name")

    def apply(self, frame: dict[str, Any]) -> None:
        """Brings the state from one tick to the next."""
        if frame["tick"] != self.tick + 1 and self.keeps("no gap"):
            raise MessageError(f"tick {frame['tick']} after {self.tick}")
        self.tick = frame["tick"]
        joins = list(zip(frame["joins"][::2], frame["joins"][1::2], strict=False))
        if self.keeps("leaves first"):
            self._leave(frame["leaves"])
            self._join(joins)
        else:
            self._join(joins)
            self._leave(frame["leaves"])
        if not self.keeps("placed last"):
            self._place(frame["placed"])
        self._act(frame)
        if self.keeps("steered"):
            for slot, vx, vy in zip(*frame["steered"].values(), strict=True):
                self._move(slot, vx, vy)
                if not self.keeps("steered seq"):
                    self.columns["seq"][slot] = 0
        if self.keeps("placed last"):
            self._place(frame["placed"])
        flat = frame["stats"]
        for slot, index, value in zip(flat[::3], flat[1::3], flat[2::3], strict=True):
            self._check(slot)
            if not 0 <= index < len(self.stats):
                raise MessageError(f"stat {index}")
            self.stats[index][slot] = value
        for index, value in zip(frame["board"][::2], frame["board"][1::2], strict=True):
            if not 0 <= index < len(self.board):
                raise MessageError(f"entry {index} of the board")
            if self.keeps("board"):
                self.board[index] = value

    def _check(self, slot: int) -> None:
        if self.keeps("in use") and not (0 <= slot < len(self.slots) and self.slots[slot] is not None):
            raise MessageError(f"slot {slot} is free")

    def _leave(self, leaves: list[int]) -> None:
        for slot in leaves:
            self._check(slot)
            self.slots[slot] = None
            for column in (*self.columns.values(), *self.stats) if self.keeps("zeros") else ():
                column[slot] = 0
        while self.keeps("shorten") and self.slots and self.slots[-1] is None:
            for column in (self.slots, *self.columns.values(), *self.stats):
                column.pop()

    def _join(self, joins: list[tuple[int, Any]]) -> None:
        self._check_kinds([holder for _, holder in joins])
        for slot, holder in joins:
            if not 0 <= slot < 65_536 or (slot < len(self.slots) and self.slots[slot] is not None):
                if self.keeps("in use"):
                    raise MessageError(f"slot {slot} is taken")
                continue
            missing = slot + 1 - len(self.slots)
            self.slots += [None] * missing
            for column in (*self.columns.values(), *self.stats):
                column.extend([0] * missing)
            self.slots[slot] = holder
            for column in self.columns.values() if self.keeps("zeros") else ():
                column[slot] = 0
            self.columns["since"][slot] = self.tick if self.keeps("join since") else 0
            kind = holder if type(holder) is int and self.keeps("first stats of the kind") else 0
            firsts = [first for _, first in self.welcome["kinds"][kind][1]]
            if type(holder) is int and not self.keeps("stat columns"):
                # One column after the other for each kind, as if every stat had a column of its own.
                firsts = [0] * len(self.welcome["kinds"][0][1]) + firsts
            for index, column in enumerate(self.stats):
                column[slot] = firsts[index] if index < len(firsts) and self.keeps("first stats") else 0

    def _act(self, frame: dict[str, Any]) -> None:
        seqs, told = self.columns["seq"], set()
        for slot, seq in (event[:2] for event in frame["events"] if event[0] is not None):
            self._check(slot)
            told.add(slot)
            if self.keeps("event seq"):
                seqs[slot] = seq & 255
        for slot, seq, vx, vy in zip(*frame["acted"].values(), strict=True):
            self._move(slot, vx, vy, acted=True)
            difference = seq - seqs[slot]
            newer = (difference & 255 if self.keeps("mod") else math.fmod(difference, 256)) < 128
            if slot not in told or newer or not self.keeps("acted seq"):
                seqs[slot] = seq

    def _move(self, slot: int, vx: int, vy: int, acted: bool = False) -> None:
        self._check(slot)
        if not self.keeps("position first"):
            self.columns["vx"][slot], self.columns["vy"][slot] = vx, vy
        x, y = self.position(slot)
        since = self.tick if self.keeps("acted since") or not acted else self.columns["since"][slot]
        self._set(slot, x, y, vx, vy, since)

    def _place(self, placed: list[int]) -> None:
        for slot, *motion in zip(*(placed[at::5] for at in range(5)), strict=True):
            self._check(slot)
            self._set(slot, *motion, self.tick if self.keeps("placed since") else self.columns["since"][slot])

    def _set(self, slot: int, *motion: int) -> None:
        for name, value in zip(("x", "y", "vx", "vy", "since"), motion, strict=True):
            self.columns[name][slot] = value

    def position(self, slot: int) -> tuple[int, int]:
        """Where a slot's holder is at the end of the current tick."""
        columns, zone = self.columns, self.welcome
        return (
            self._along(columns["x"][slot], columns["vx"][slot], self.tick - columns["since"][slot], zone["width"]),
            self._along(columns["y"][slot], columns["vy"][slot], self.tick - columns["since"][slot], zone["height"]),
        )

    def _along(self, start: int, velocity: int, ticks: int, most: int) -> int:
        hz: int = self.welcome["hz"]
        step: int = self.welcome["speed_step"] if self.keeps("speed_step") else hz
        way = velocity * step * ticks
        if not self.keeps("64 bits"):
            way = (way & 0xFFFFFFFF ^ 0x80000000) - 0x80000000
        # Towards zero; `//` rounds down.
        done = way // hz if way >= 0 or not self.keeps("towards zero") else -(-way // hz)
        if not self.keeps("product first"):
            done = velocity * int(step * ticks / hz)
        return max(0, min(start + done, most)) if self.keeps("clamp") else start + done

    def hash(self) -> int:
        """The state hash."""
        kinds = [name for name, _ in self.welcome["kinds"]]
        before = "\x01" if self.keeps("byte 01") else ""
        names = [
            "" if holder is None else holder if type(holder) is str else before + kinds[holder] for holder in self.slots
        ]
        if not self.keeps("things hashed"):
            names = [name if type(holder) is str else "" for name, holder in zip(names, self.slots, strict=True)]
        hashed = "\0".join(names).encode() + (b"" if self.keeps("joined") else b"\0")
        codes = {name: code for name, code in COLUMNS.items() if name != "seq" or not self.keeps("no seq hashed")}
        for name, code in codes.items():
            hashed += b"".join(_packed(code, value) for value in self.columns[name])
        for column in self.stats:
            hashed += b"".join(_packed("i", value) for value in column)
        for value in self.board if self.keeps("board hashed") else ():
            hashed += f"\0{value}".encode()
        return zlib.crc32(hashed)

    def state(self) -> dict[str, Any]:
        """The whole state, as vectors.json has it."""
        positions = [None if holder is None else [*self.position(slot)] for slot, holder in enumerate(self.slots)]
        whole = {"tick": self.tick, "slots": self.slots, **self.columns, "stats": self.stats, "board": self.board}
        return {**whole, "positions": positions, "hash": self.hash()}

    # --- One's own actions ------------------------------------------------------------------------

    def _settle(self, seqs: list[int], outcome: str) -> None:
        for seq in seqs:
            if seq in self.waiting:
                self.waiting.remove(seq)
                self.outcomes[seq] = outcome

    def _refused(self, code: str, seq: int) -> None:
        if code in {"WARNED", "MUTED", "UNMUTED"} and self.keeps("muted is no refusal"):
            if code == "MUTED":
                self.muted = seq
            elif code == "UNMUTED" and self.keeps("muted"):
                first, last = (self.muted, seq) if self.keeps("muted range") else (0, 2**32)
                self._settle([each for each in self.waiting if first <= each <= last], "dropped")
        elif self.keeps("refused"):
            self._settle([seq], code)
        else:
            self._settle([each for each in self.waiting if each & 255 == seq & 255][:1], code)

    def _settle_by_frame(self, frame: dict[str, Any]) -> None:
        own = self.welcome["slot"]
        lows = [
            seq
            for slot, seq in zip(frame["acted"]["slots"], frame["acted"]["seq"], strict=True)
            if (slot == own or not self.keeps("own slot")) and self.keeps("settled by acted")
        ]
        if self.keeps("settled by events"):
            lows += [event[1] for event in frame["events"] if event[0] == own and own is not None]
        waiting = self.waiting if self.keeps("oldest") else self.waiting[::-1]
        same = [[seq for seq in waiting if seq & 255 == low & 255] for low in lows]
        found = [seqs[0] for seqs in same if seqs]
        if not self.keeps("one action"):
            found = [seq for seqs in same for seq in seqs]
        if found:
            self.known = max(found)
            self._settle(found, "happened")
            older = [seq for seq in self.waiting if seq < self.known]
            self._settle(older if self.keeps("superseded") else [], "superseded")

    def _settle_by_snapshot(self, snapshot: dict[str, Any]) -> None:
        own = self.welcome["slot"]
        if own is None or not self.keeps("snapshot"):
            return
        low = snapshot["seq"][own]
        if low == self.known & 255 and self.keeps("snapshot known"):
            return
        newest = next((seq for seq in self.waiting[::-1] if seq & 255 == low), None)
        if newest is not None:
            self.known = newest
            self._settle([seq for seq in self.waiting if seq <= newest], "past")


def _packed(code: str, value: int) -> bytes:
    """A value of a column in little-endian. A value that does not fit, as only a mistake makes it, is cut off."""
    size = {"i": 4, "I": 4, "b": 1, "B": 1}[code]
    return (value & (1 << 8 * size) - 1).to_bytes(size, "little")
