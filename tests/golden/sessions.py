"""Whole sessions, with what became of each action."""

from __future__ import annotations

from typing import Any

import msgpack

from golden.chains import tick
from golden.meaning import meaning
from golden.messages import COINS, PLAZA, snapshot
from zoneserver.protocol.messages import (
    Act,
    Answered,
    Bye,
    ClientMessage,
    Goodbye,
    Hello,
    Ping,
    Pong,
    Refusal,
    Resume,
    Return,
    ServerMessage,
    Told,
    Welcome,
)

__all__ = ["sessions"]

_Step = tuple[ClientMessage | ServerMessage | bytes, dict[int, str]]
_FROM_CLIENT = Hello, Resume, Act, Ping, Goodbye
_MOVE = ("move", 1, 0)


def sessions() -> list[dict[str, Any]]:
    """Every session: its steps, the outcomes that are known after each, and the actions that still wait at its end."""
    return [
        {"name": name, "waiting": waiting, "steps": [_step(*step) for step in steps]}
        for name, (steps, waiting) in _SESSIONS.items()
    ]


def _step(message: ClientMessage | ServerMessage | bytes, outcomes: dict[int, str]) -> dict[str, Any]:
    if isinstance(message, bytes):
        return {"from": "server", "hex": message.hex()}
    side = "client" if isinstance(message, _FROM_CLIENT) else "server"
    step: dict[str, Any] = {"from": side, "hex": message.encode().hex()}
    if side == "client":
        step["message"] = meaning(message)
    return step | ({"outcomes": {str(seq): outcome for seq, outcome in outcomes.items()}} if outcomes else {})


def _act(seq: int, *actions: tuple[Any, ...]) -> _Step:
    return Act(seq, actions), {}


def _welcome(slot: int | None, number: int, *, info: Any = PLAZA) -> _Step:
    return Welcome(2, slot, number, info, 1024, 16), {}


def _zone(number: int, *seqs: int, past: tuple[int, ...] = ()) -> _Step:
    """A SNAPSHOT of players with these low bytes, after which the actions `past` are past."""
    rows = {slot: (5, 5, 0, 0, number, seq, 100, 0) for slot, seq in enumerate(seqs)}
    return snapshot(number, [f"p{slot}" for slot in range(len(seqs))], rows, 2), dict.fromkeys(past, "past")


_SESSIONS: dict[str, tuple[list[_Step], list[int]]] = {
    "every outcome but past": (
        [
            (Hello(2, "p1", b""), {}),
            _welcome(1, 10),
            _zone(10, 3, 0),
            (Told(10, "welcome", ["p1"]), {}),
            _act(1, _MOVE),
            (tick(11, acted=[(0, 1, 1, 1)]), {}),
            (tick(12, acted=[(0, 2, 1, 1), (1, 1, 1, 0)]), {1: "happened"}),
            # Three motions, an event and a private action in one tick.
            _act(2, _MOVE, _MOVE, ("say", "hi"), ("bag",), ("move", 2, 0), ("strike", 0)),
            (Answered(13, 5, ["sword"]), {5: "answered"}),
            (Refusal(13, 7, "OUT_OF_RANGE", ""), {7: "OUT_OF_RANGE"}),
            (
                tick(
                    13, acted=[(1, 6, 2, 0)], events=[(0, 3, "say", "no"), (1, 4, "say", "hi"), (None, None, "hit", 0)]
                ),
                {2: "superseded", 3: "superseded", 4: "happened", 6: "happened"},
            ),
            # A private action alone; then one behind a public one, which a later frame must not supersede.
            _act(8, ("bag",)),
            (tick(14), {}),
            (Answered(15, 8, []), {8: "answered"}),
            (tick(15), {}),
            _act(9, _MOVE, ("bag",), _MOVE),
            (Answered(16, 10, [None]), {10: "answered"}),
            (tick(16, acted=[(1, 11, 1, 0)], events=[(1, 11, "again")]), {9: "superseded", 11: "happened"}),
            # The same low byte of another player; steered says nothing.
            _act(12, _MOVE),
            (tick(17, acted=[(0, 12, 0, 0)], events=[(0, 12, "say", "")], steered=[(1, 5, 5)]), {}),
            (tick(18, acted=[(1, 12, 1, 0)], placed=[1, 7, 7, 0, 0]), {12: "happened"}),
            (Ping(5), {}),
            (Pong(5, 18, 17_000), {}),
            (msgpack.packb([25, 18, "of a later version"]), {}),
            (Goodbye(), {}),
            (Bye("CLIENT_LEFT", "the player said goodbye", True), {}),
        ],
        [],
    ),
    "warned, muted and unmuted": (
        [
            _welcome(0, 20),
            _zone(20, 0),
            _act(250, *[_MOVE] * 4),
            (Refusal(20, 0, "WARNED", "too many actions"), {}),
            _act(254, *[("say", "hi")] * 4),
            # From the action 254 on, all is dropped. 250 to 253 are waiting for the tick.
            (Refusal(20, 254, "MUTED", "too many actions"), {}),
            (
                tick(21, acted=[(0, 253, 1, 0)]),
                {250: "superseded", 251: "superseded", 252: "superseded", 253: "happened"},
            ),
            _act(258, ("bag",)),
            (tick(22), {}),
            # 259 is on its way when the mute ends.
            _act(259, _MOVE),
            (Refusal(22, 258, "UNMUTED", ""), dict.fromkeys(range(254, 259), "dropped")),
            (tick(23, acted=[(0, 3, 1, 0)]), {259: "happened"}),
            # A mute that drops nothing.
            (Refusal(23, 260, "MUTED", "too many packets"), {}),
            (Refusal(23, 0, "UNMUTED", ""), {}),
            _act(260, _MOVE),
            (tick(24, acted=[(0, 4, 1, 0)]), {260: "happened"}),
        ],
        [],
    ),
    "catching up by a snapshot": (
        [
            _welcome(0, 30),
            _zone(30, 0, 0),
            _act(1, _MOVE, ("say", "a"), _MOVE),
            _act(4, ("say", "b")),
            _act(5, ("say", "c")),
            _zone(33, 4, 9, past=(1, 2, 3, 4)),
            (tick(34, events=[(0, 5, "say", "c")]), {5: "happened"}),
            # Nothing has happened since the action 5.
            _act(6, ("say", "d"), ("say", "e")),
            _zone(40, 5, 9),
            (tick(41, events=[(0, 6, "say", "d"), (0, 7, "say", "e")]), {6: "happened", 7: "happened"}),
            # A REFUSED may come from a tick whose frame never comes.
            _act(8, ("say", "f"), _MOVE, ("bag",), _MOVE),
            (Refusal(42, 8, "TOO_MANY_ACTIONS", ""), {8: "TOO_MANY_ACTIONS"}),
            (Answered(43, 10, []), {10: "answered"}),
            _zone(50, 11, 9, past=(9, 11)),
        ],
        [],
    ),
    "the low byte": (
        [
            _welcome(0, 60, info=COINS),
            (snapshot(60, ["p0"], {0: (5, 5, 0, 0, 60, 0, 5, 0)}, 2, (1, "")), {}),
            # Before the first action the low byte is 0, as it is after the action 256.
            _act(256, _MOVE),
            (snapshot(61, ["p0"], {0: (5, 5, 0, 0, 60, 0, 5, 0)}, 2, (1, "")), {}),
            (tick(62, acted=[(0, 0, 1, 0)]), {256: "happened"}),
            # Two actions of the same low byte wait: a frame is about the older one.
            _act(300, ("say", "a")),
            _act(556, ("say", "b")),
            (tick(63, acted=[(0, 44, 1, 0)], events=[(0, 44, "say", "a"), (0, 44, "heard")]), {300: "happened"}),
            (tick(64, events=[(0, 44, "say", "b")]), {556: "happened"}),
            # The low byte of the newest action that is known to have happened says nothing of the next such one.
            _act(812, ("say", "c")),
            (snapshot(70, ["p0"], {0: (5, 5, 1, 0, 62, 44, 5, 0)}, 2, (1, "")), {}),
            (Refusal(71, 813, "COOLDOWN", ""), {}),
            (tick(71, events=[(0, 44, "say", "c")]), {812: "happened"}),
            # A refusal names the whole sequence.
            _act(1000, ("say", "d")),
            _act(1256, ("say", "e")),
            (Refusal(72, 1256, "COOLDOWN", ""), {1256: "COOLDOWN"}),
            (tick(72, events=[(0, 232, "say", "d")]), {1000: "happened"}),
            _act(4294967279, *[("say", "f")] * 16),
            (
                tick(73, events=[(0, 239, "say", "f"), (0, 254, "say", "f")]),
                {4294967279: "happened", 4294967294: "happened"}
                | dict.fromkeys(range(4294967280, 4294967294), "superseded"),
            ),
        ],
        [],
    ),
    "a session that ends in between": (
        [
            _welcome(0, 80),
            _zone(80, 0),
            _act(1, _MOVE),
            (tick(81, acted=[(0, 1, 1, 0)]), {1: "happened"}),
            _act(2, _MOVE, ("bag",)),
            (Bye("SERVER_STOPPING", "the server is shutting down", True), {}),
        ],
        [2, 3],
    ),
    "coming back": (
        [
            (Hello(2, "p0", b"", ["resume"]), {}),
            (Welcome(2, 0, 100, PLAZA, 1024, 16, ["resume"], Return(b"a" * 16, 300, 1, 0)), {}),
            _zone(100, 0),
            _act(1, _MOVE),
            (tick(101, acted=[(0, 1, 1, 0)]), {1: "happened"}),
            _act(2, ("strike", 1), ("bag",), _MOVE),
            _act(5, ("say", "a"), _MOVE),
            # The connection is lost. The zone has taken the actions up to 4, and the client sends the later ones again.
            (Resume(2, "p0", b"a" * 16, 1, 101, ["resume"]), {}),
            (Welcome(2, 0, 103, PLAZA, 1024, 16, ["resume"], Return(b"b" * 16, 300, 1, 4)), {}),
            _act(5, ("say", "a"), _MOVE),
            (Refusal(102, 2, "OUT_OF_RANGE", ""), {2: "OUT_OF_RANGE"}),
            (Answered(102, 3, ["sword"]), {3: "answered"}),
            (tick(102, acted=[(0, 4, 1, 0)]), {4: "happened"}),
            (tick(103, steered=[(0, 0, 0)]), {}),
            (tick(104, acted=[(0, 6, 1, 0)], events=[(0, 5, "say", "a")]), {5: "happened", 6: "happened"}),
            # Another epoch: a SNAPSHOT, whose tick may be an earlier one.
            _act(7, _MOVE),
            (Resume(2, "p0", b"b" * 16, 1, 104, ["resume", "whole"]), {}),
            (Welcome(2, 0, 103, PLAZA, 1024, 16, ["resume"], Return(b"c" * 16, 300, 2, 7)), {}),
            _zone(103, 7, past=(7,)),
            (tick(104), {}),
        ],
        [],
    ),
    "a watcher": (
        [
            (Hello(2, "guest", b"", ["watch"]), {}),
            _welcome(None, 90),
            _zone(90, 3),
            (tick(91, acted=[(0, 4, 1, 0)], events=[(0, 5, "say", "hi"), (None, None, "hit", 0)]), {}),
            (Ping(1), {}),
            (Pong(1, 91, 0), {}),
            _zone(95, 9),
            (tick(96), {}),
        ],
        [],
    ),
}
