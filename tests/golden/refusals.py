"""What each side refuses: payloads that are no messages."""

from __future__ import annotations

from typing import Any

import msgpack

from golden.messages import PLAZA, snapshot, stored
from zoneserver.protocol.messages import Deflated, Pong, Return, Tick, Welcome

__all__ = ["client_refuses", "other_versions", "server_refuses"]


def _entries(payloads: dict[str, bytes | str]) -> list[dict[str, Any]]:
    return [
        {"name": name, "hex": payload.replace(" ", "") if isinstance(payload, str) else payload.hex()}
        for name, payload in payloads.items()
    ]


# --- Messages of a client -----------------------------------------------------------------------------


def server_refuses() -> list[dict[str, Any]]:
    """What ends a session with PROTOCOL_ERROR."""
    return _entries(
        {
            "nothing at all": "",
            "no array": "03",
            "an array without an op": "90",
            "an op of a later version": "9106",
            "an unknown op": "9163",
            "an op that is text": "96a548454c4c4f02a3616e6ec40090a0",
            "what only a server says": "9413010203",
            "HELLO without a version of the game": "950102a3616e6ec40090",
            "HELLO with more than that": "970102a3616e6ec40090a0c0",
            "HELLO whose name is bytes": "960102c403616e6ec40090a0",
            "HELLO whose ticket is text": "960102a3616e6ea090a0",
            "HELLO whose options are text": "960102a3616e6ec400a76465666c617465a0",
            "HELLO with an option that is a number": "960102a3616e6ec4009101a0",
            "HELLO with seventeen options": msgpack.packb([1, 2, "ann", b"", ["a"] * 17, ""]),
            "HELLO whose version of the game is a number": "960102a3616e6ec4009003",
            "RESUME without an epoch": msgpack.packb([5, 2, "ann", bytes(16), 7, [], ""]),
            "RESUME with more than that": msgpack.packb([5, 2, "ann", bytes(16), 1, 7, [], "", None]),
            "RESUME with a token of 15 bytes": msgpack.packb([5, 2, "ann", bytes(15), 1, 7, [], ""]),
            "RESUME with a tick below zero": msgpack.packb([5, 2, "ann", bytes(16), 1, -1, [], ""]),
            "RESUME whose token is text": msgpack.packb([5, 2, "ann", "a" * 16, 1, 7, [], ""]),
            "HELLO whose version is a boolean": "9601c3a3616e6ec40090a0",
            "HELLO with text that is no UTF-8": "960102a2fffec40090a0",
            "HELLO with a map": "960102a3616e6ec40090 80",
            "ACT without an action": "93020190",
            "ACT with sequence 0": "9302009191a161",
            "ACT with a sequence beyond the last": "9302cefffffff09191a161",
            "ACT with a sequence beyond 32 bits": "9302cf00000001000000009191a161",
            "ACT with seventeen actions": msgpack.packb([2, 1, [["a"]] * 17]),
            "ACT with an action that has no kind": "9302019190",
            "ACT with an action that is no array": "93020191a161",
            "ACT with a kind that is a number": "9302019192 05 01",
            "ACT with an action of seventeen elements": msgpack.packb([2, 1, [["a", *range(16)]]]),
            "ACT with an array of seventeen elements": msgpack.packb([2, 1, [["a", [0] * 17]]]),
            "ACT with a map": "9302019192a161810102",
            "ACT with an extension": "9302019192a161d40500",
            "ACT with more": "9402019191a161c0",
            "what is deflated": Deflated(stored(Tick(1, 100, None).encode())).encode(),
            "PING with a negative token": "9203ff",
            "PING with a token beyond 63 bits": "9203cf8000000000000000",
            "PING with a fraction": "9203cb3ff8000000000000",
            "PING without a token": "9103",
            "GOODBYE with more": "920400",
            "a message cut short": "9203ce000111",
            "a byte behind a message": "9104c0",
            "a promise of 4294967295 elements": "ddffffffff",
            "a text of 1,025 bytes": msgpack.packb([1, 2, "x" * 1025, b"", [], ""]),
        }
    )


def other_versions() -> list[dict[str, Any]]:
    """HELLOs of other versions, which a server answers with VERSION_MISMATCH."""
    return _entries(
        {
            "version 1": "940101a3616e6ec400",
            "version 1 with encodings": "950101a3616e6ec40091a76465666c617465",
            "version 3 with a map": "93010380",
            "version 3 with fifteen elements": msgpack.packb([1, 3, *range(13)]),
            "version 3 with an array of seventeen": msgpack.packb([1, 3, [0] * 17]),
            "version 3 with nothing more": "920103",
            "a version of 32 bits": "9201ce00010000",
        }
    )


# --- Messages of the server ---------------------------------------------------------------------------


def _tick(**elements: Any) -> bytes:
    """A TICK with these elements, whatever they are."""
    names = ["tick", "dilation", "hash", "leaves", "joins", "acted", "steered", "placed", "stats", "board", "events"]
    empty = [61, 100, None, [], [], [b"\1", b"", b"", b""], [b"\1", b"", b""], [], [], [], []]
    return msgpack.packb([18, *(dict(zip(names, empty, strict=True)) | elements).values()])


def _snapshot(**elements: Any) -> bytes:
    names = ["tick", "slots", "motion", "stats", "board"]
    motion = [b"\5\0\0\0", b"\6\0\0\0", b"\1", b"\xff", b"\x3b\0\0\0", b"\0"]
    whole = [60, ["ann"], motion, [bytes(4), bytes(4)], []]
    return msgpack.packb([17, *(dict(zip(names, whole, strict=True)) | elements).values()])


def _welcome(**elements: Any) -> bytes:
    names = ["version", "slot", "tick", "game", "measures", "kinds", "board", "limits", "options"]
    whole = [2, 0, 60, ["plaza", ""], [20, 10, 10, 20], [["player", []]], [], [1024, 16], []]
    return msgpack.packb([16, *(dict(zip(names, whole, strict=True)) | elements).values()])


def _set(packed: bytes, count: int) -> list[bytes]:
    return [packed, bytes(count), bytes(count), bytes(count)]


_SHORT_X = [b"\5\0\0", b"\6\0\0\0", b"\1", b"\xff", b"\x3b\0\0\0", b"\0"]
_HALF_X = [b"\5\0\0\0\0", b"\6\0\0\0", b"\1", b"\xff", b"\x3b\0\0\0", b"\0"]
_LONG_X = [bytes(8), b"\6\0\0\0", b"\1", b"\xff", b"\x3b\0\0\0", b"\0"]
_FIVE_COLUMNS = [bytes(4), bytes(4), b"\0", b"\0", bytes(4)]
_EVENTS = Tick(64, 99, None, events=[(slot, slot + 1, "emote", slot % 6) for slot in range(16)]).encode()


def _with_token(size: int) -> bytes:
    return Welcome(2, 0, 60, PLAZA, 1024, 16, ["resume"], Return(bytes(size), 300, 1, 0)).encode()


_MALFORMED: dict[str, bytes | str] = {
    "nothing at all": "",
    "no array": "13",
    "an array without an op": "90",
    "an op that is text": "94a4504f4e47010203",
    "a WELCOME with a token of 15 bytes": _with_token(15),
    "a PONG with a map": "94 13 01 02 80",
    "a PONG with an extension": "94 13 01 02 d40500",
    "a PONG with a byte behind it": "94 13 01 02 03 c0",
    "a PONG cut short": "94 13 01 02 ce0001",
    "a PONG without microseconds": "93 13 01 02",
    "a PONG with a boolean as a tick": "94 13 01 c3 03",
    "a PONG with a float as a tick": "94 13 01 cb3ff0000000000000 03",
    "a BYE with a text that is no UTF-8": "94 15 a3424144 a2fffe c2",
    "a BYE with an integer as retry": "94 15 a3424144 a0 01",
    "a TOLD with a map among its values": "94 17 3d a161 91 80",
    "a TOLD whose kind is a number": "94 17 3d 05 90",
    "an ANSWERED whose values are no array": "94 18 3d 01 c0",
    "a WELCOME whose zone has a measure more": _welcome(measures=[20, 10, 10, 20, 1]),
    "a WELCOME whose zone has a measure less": _welcome(measures=[20, 10, 10]),
    "a WELCOME with a tick rate of 0": _welcome(measures=[0, 10, 10, 20]),
    "a WELCOME without a kind": _welcome(kinds=[]),
    "a WELCOME with a kind of three elements": _welcome(kinds=[["player", [], 1]]),
    "a WELCOME with a stat whose value is text": _welcome(kinds=[["player", [["hp", "x"]]]]),
    "a WELCOME with a float on the board": _welcome(board=[["a", 0.5]]),
    "a SNAPSHOT with a column that is cut short": _snapshot(motion=_SHORT_X),
    "a SNAPSHOT with half a value behind a column": _snapshot(motion=_HALF_X),
    "a SNAPSHOT with a column for two slots": _snapshot(motion=_LONG_X),
    "a SNAPSHOT without the column seq": _snapshot(motion=_FIVE_COLUMNS),
    "a SNAPSHOT with a stat for no slot": _snapshot(stats=[bytes(4), b""]),
    "a SNAPSHOT with a thing of kind 0": _snapshot(slots=[0]),
    "a SNAPSHOT with true in a slot": _snapshot(slots=[True]),
    "a SNAPSHOT with an integer beyond 53 bits on the board": _snapshot(board=[2**53]),
    "a SNAPSHOT with a text of 257 bytes on the board": _snapshot(board=["x" * 257]),
    "a SNAPSHOT with nil on the board": _snapshot(board=[None]),
    "a TICK of dilation 0": _tick(dilation=0),
    "a TICK of dilation 101": _tick(dilation=101),
    "a TICK with a boolean as hash": _tick(hash=False),
    "a TICK with an element less": _tick()[:-1].replace(b"\x9c", b"\x9b", 1),
    "a TICK with half a join": _tick(joins=[0, "ann", 1]),
    "a TICK with a join of nil": _tick(joins=[0, None]),
    "a TICK with half a placed": _tick(placed=[0, 1, 2, 3]),
    "a TICK with half a stat": _tick(stats=[0, 1]),
    "a TICK with half an entry of the board": _tick(board=[0]),
    "a TICK with a float on the board": _tick(board=[0, 0.5]),
    "a TICK with a set of an unknown form": _tick(acted=_set(b"\2\1\0", 0)),
    "a TICK with a set without a form": _tick(acted=_set(b"", 0)),
    "a TICK with a list of odd length": _tick(acted=_set(b"\1\1\0\2", 1)),
    "a TICK with a list that falls": _tick(acted=_set(b"\1\2\0\1\0", 2)),
    "a TICK with a slot twice": _tick(acted=_set(b"\1\2\0\2\0", 2)),
    "a TICK with a column of acted that is too short": _tick(acted=[b"\0\3", b"\1\1", b"\1", b"\1\1"]),
    "a TICK with a column of steered that is too long": _tick(steered=[b"\0\1", b"\1", b"\1\1"]),
    "a TICK with a sequence for steered": _tick(steered=_set(b"\0\1", 1)),
    "a TICK with an event of a slot without a sequence": _tick(events=[[0, None, "say"]]),
    "a TICK with an event of a sequence without a slot": _tick(events=[[None, 1, "say"]]),
    "a TICK with an event whose kind is a number": _tick(events=[[0, 1, 2]]),
    "a TICK with an event of two elements": _tick(events=[[0, 1]]),
    "a TICK with a map in an event": _tick(events=[[0, 1, "say", {}]]),
    "a DEFLATED of text": "92 16 a3616263",
    "a DEFLATED of nothing": "92 16 c400",
    "a DEFLATED of what is not deflated": msgpack.packb([22, _EVENTS]),
    "a DEFLATED with a header of zlib": msgpack.packb([22, b"\x78\x01" + stored(_EVENTS)]),
    "a DEFLATED of a PONG": Deflated(stored(Pong(1, 2, 3).encode())).encode(),
    "a DEFLATED of a DEFLATED": Deflated(stored(Deflated(stored(_EVENTS)).encode())).encode(),
}
_STRICT: dict[str, bytes | str] = {
    "a DEFLATED that is cut short": Deflated(stored(_EVENTS)[:-1]).encode(),
    "a DEFLATED with a byte behind the end": Deflated(stored(_EVENTS) + b"\0").encode(),
}
# These are applied to the state after this SNAPSHOT.
_BEFORE = snapshot(60, ["ann", None, "bob"], {0: (5, 6, 1, -1, 59, 0, 100, 0), 2: (7, 8, 0, 0, 1, 9, 100, 0)}, 2)
_MISPLACED: dict[str, bytes | str] = {
    "a TICK of a tick that is not the next": _tick(tick=62),
    "a TICK of the tick that is now": _tick(tick=60),
    "a TICK in which a free slot becomes free": _tick(leaves=[1]),
    "a TICK in which a slot beyond the table becomes free": _tick(leaves=[3]),
    "a TICK with a join to a slot in use": _tick(joins=[2, "eve"]),
    "a TICK with a thing of a kind that there is not": _tick(joins=[1, 1]),
    "a TICK that steers a slot beyond the table": _tick(steered=_set(b"\1\x20\0", 1)[:3]),
    "a TICK that places a slot which becomes free": _tick(leaves=[2], placed=[2, 1, 1, 0, 0]),
    "a TICK with a stat that there is not": _tick(stats=[0, 2, 1]),
    "a TICK with an entry of the board that there is not": _tick(board=[0, 1]),
    "a SNAPSHOT with a stat less": _snapshot(stats=[bytes(4)]),
    "a SNAPSHOT with an entry of the board more": _snapshot(board=[1]),
    "a SNAPSHOT with a thing of a kind that there is not": _snapshot(slots=[1]),
}
_LENIENT: dict[str, bytes | str] = {
    "a TICK in which a free slot acted": _tick(acted=_set(b"\0\2", 1)),
}


def client_refuses() -> list[dict[str, Any]]:
    """What no server sends."""
    zone = Welcome(2, 0, 60, PLAZA, 1024, 16).encode().hex()
    return [
        *_entries(_MALFORMED),
        *({**entry, "strict": True} for entry in _entries(_STRICT)),
        *({**entry, "after": [zone, _BEFORE.encode().hex()]} for entry in _entries(_MISPLACED)),
        *({**entry, "strict": True, "after": [zone, _BEFORE.encode().hex()]} for entry in _entries(_LENIENT)),
    ]
