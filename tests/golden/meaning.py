"""The meaning of a message in JSON, with the names of PROTOCOL.md."""

from __future__ import annotations

from array import array
from itertools import chain
from typing import Any

from zoneserver.protocol.messages import (
    Act,
    Answered,
    Bye,
    ClientMessage,
    Deflated,
    Goodbye,
    Hello,
    Ping,
    Pong,
    Refusal,
    Resume,
    ServerMessage,
    Snapshot,
    Tick,
    Told,
    Welcome,
)

__all__ = ["meaning", "plain"]

_EXACT = 2**53 - 1


def plain(value: Any) -> Any:
    """A value of a message in types of JSON."""
    if isinstance(value, bytes):
        return {"bin": value.hex()}
    if type(value) is int and abs(value) > _EXACT:
        return {"int": str(value)}
    return [plain(element) for element in value] if isinstance(value, list | tuple | array) else value


_NAMES = {
    Hello: ("HELLO", "version name ticket options game_version"),
    Resume: ("RESUME", "version name token epoch tick options game_version"),
    Act: ("ACT", "seq actions"),
    Ping: ("PING", "token"),
    Goodbye: ("GOODBYE", ""),
    Pong: ("PONG", "token tick microseconds"),
    Refusal: ("REFUSED", "tick seq code text"),
    Told: ("TOLD", "tick kind values"),
    Answered: ("ANSWERED", "tick seq values"),
    Bye: ("BYE", "code text retry"),
    Deflated: ("DEFLATED", "data"),
}


def meaning(message: ClientMessage | ServerMessage) -> dict[str, Any]:
    """The op and the elements of a message by name."""
    if isinstance(message, Welcome):
        return _welcome(message)
    if isinstance(message, Snapshot):
        return _snapshot(message)
    if isinstance(message, Tick):
        return _tick(message)
    op, names = _NAMES[type(message)]
    return {"op": op, **{name: plain(value) for name, value in zip(names.split(), message, strict=True)}}


def _welcome(welcome: Welcome) -> dict[str, Any]:
    zone = welcome.zone
    return {
        "op": "WELCOME",
        "version": welcome.version,
        "slot": welcome.slot,
        "tick": welcome.tick,
        "game": zone.name,
        "game_version": zone.version,
        "hz": zone.hz,
        "width": zone.width,
        "height": zone.height,
        "speed_step": zone.speed_step,
        "kinds": plain(zone.kinds),
        "board": plain(zone.board),
        "payload_max": welcome.payload_bytes_max,
        "actions_max": welcome.actions_max,
        "options": plain(welcome.options),
        "resume": plain(welcome.resume),
    }


def _snapshot(snapshot: Snapshot) -> dict[str, Any]:
    columns = {name: plain(getattr(snapshot, name)) for name in ("x", "y", "vx", "vy", "since", "seq")}
    head = {"op": "SNAPSHOT", "tick": snapshot.tick, "slots": plain(snapshot.holders)}
    return {**head, **columns, "stats": plain(snapshot.stats), "board": plain(snapshot.board)}


def _tick(tick: Tick) -> dict[str, Any]:
    acted = {"slots": tick.movers, "seq": tick.seqs, "vx": tick.vx, "vy": tick.vy}
    steered = {"slots": tick.steered, "vx": tick.steered_vx, "vy": tick.steered_vy}
    return {
        "op": "TICK",
        "tick": tick.tick,
        "dilation": tick.dilation_percent,
        "hash": tick.hash,
        "leaves": plain(tick.leaves),
        "joins": plain(tuple(chain.from_iterable(tick.joins))),
        "acted": {name: plain(list(values)) for name, values in acted.items()},
        "steered": {name: plain(list(values)) for name, values in steered.items()},
        "placed": plain(tick.placed),
        "stats": plain(tick.stats),
        "board": plain(tick.board),
        "events": plain(tick.events),
    }
