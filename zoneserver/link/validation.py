"""Messages of gateways, validated: a tick must not fail because a gateway errs, since it is the tick of all gateways.

What a gateway accepts from its clients is accepted here.
"""

from __future__ import annotations

import gc
import itertools
import math
from collections.abc import Sequence
from typing import Any

from zoneserver.link.carrier import PAYLOAD_UP_BYTES_MAX
from zoneserver.link.messages import (
    LINK_VERSION,
    Ask,
    Attach,
    BatchMessage,
    Detach,
    LinkError,
    MessageOfGateway,
    Op,
    decoded,
    read_start,
)
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.player_names import NAME_CHARACTERS
from zoneserver.protocol.values import ACTIONS_PER_PACKET, NESTING_MAX
from zoneserver.zone.link import Actions, Join, Requests, Standing, gateway_of

__all__ = ["decode_up"]

_NAME_CHARACTERS_MAX = 256
_HOST_CHARACTERS_MAX = 256
_SEQ_MAX = 2**32 - 1
_GATEWAY_MAX = 2**31 - 1
_NUMBER_MAX = 2**53
_SECONDS_MAX = 1e9
# What a Standing has at most.
_LEVEL_MAX, _BUCKETS, _TEXT_CHARACTERS_MAX = 3, 4, 1_000
_JOIN_TYPES = int, str, bytes, str, bool, str, bytes, bytes, int
# A gateway sends its figures and two tables among them. Each further map costs much for a byte of a payload.
_MAPS_MAX, _MAP_ENTRIES_MAX = 8, 512


def decode_up(payload: bytes) -> MessageOfGateway:
    """The message in a payload of a gateway, which nobody vouches for. Raises LinkError for one that is none.

    It costs at most some tens of milliseconds: a payload has at most PAYLOAD_UP_BYTES_MAX bytes, and nothing in it is
    worth much more than its bytes.
    """
    if len(payload) > PAYLOAD_UP_BYTES_MAX:
        raise LinkError(f"a gateway sends at most {PAYLOAD_UP_BYTES_MAX:,} bytes at once, not {len(payload):,}")
    maps = itertools.count(1)

    def count_maps(found: dict[Any, Any]) -> dict[Any, Any]:
        if next(maps) > _MAPS_MAX:
            raise LinkError(f"a message has more than {_MAPS_MAX} maps")
        return found

    has_collector = gc.isenabled()
    # All that is made stays until the end, so the collector would look at it again and again.
    gc.disable()
    try:
        message: MessageOfGateway = decoded(
            payload, _READERS_UP, object_hook=count_maps, max_map_len=_MAP_ENTRIES_MAX, max_ext_len=0
        )
    finally:
        if has_collector:
            gc.enable()
    return message


def _attach(version: int, *values: Any) -> Attach:
    if type(version) is not int:
        raise LinkError(f"{version!r:.40} is no version")
    if version != LINK_VERSION:
        # What follows the number may be anything.
        return Attach(version, _gateway(values[0]), "", {})
    gateway, name, figures = values
    if type(name) is not str or not 0 < len(name) <= _NAME_CHARACTERS_MAX or not name.isprintable():
        raise LinkError(f"{name!r:.40} is no name of a gateway")
    return Attach(version, _gateway(gateway), name, _figures(figures))


def _batch(gateway: int, number: int, start: Sequence[int], tick: int, lists: Sequence[Any], figures: Any) -> Any:
    joins, leaves, drops, confirmed, actions, bans, standings = lists
    requests = Requests(
        joins=[_join(join) for join in joins],
        leaves=list(leaves),
        drops=list(drops),
        confirmed=list(confirmed),
        actions=[_packet(*each) for each in actions],
        bans=[_ban(*each) for each in bans],
        standings=[_standing(*each) for each in standings],
    )
    _check_arguments([action for _, _, actions in requests.actions for action in actions])
    refs = [each[0] for each in (*requests.joins, *requests.actions, *requests.standings)]
    if any(gateway_of(ref) != gateway for ref in (*refs, *leaves, *drops, *confirmed)):
        raise LinkError(f"gateway {gateway} speaks for the player of another one")
    figures = None if figures is None else _figures(figures)
    return BatchMessage(_gateway(gateway), _number(number, 1), read_start(start), _number(tick), requests, figures)


def _join(values: Sequence[Any]) -> Join:
    join = Join(*values)
    if tuple(map(type, join)) != _JOIN_TYPES:
        raise LinkError("a join has values of other types")
    # The gateway has asked whether it is a name, perhaps by another Unicode than this one.
    is_named = len(join.name) <= NAME_CHARACTERS and (join.watch or bool(join.name))
    if not is_named or len(join.host) > _HOST_CHARACTERS_MAX or not 0 <= join.tick <= _SEQ_MAX:
        raise LinkError(f"no player can come in as {join.name!r:.40} from {join.host!r:.40}")
    # What is saved is for the store to say.
    return join._replace(saved="")


def _packet(ref: int, seq: int, actions: Sequence[Any]) -> Actions:
    if type(seq) is not int or not 0 < seq <= _SEQ_MAX or type(actions) is not tuple:
        raise LinkError(f"no packet has the sequence {seq!r:.40}")
    if not 0 < len(actions) <= ACTIONS_PER_PACKET:
        raise LinkError(f"no packet has {len(actions)} actions")
    for action in actions:
        if type(action) is not tuple or not action or type(action[0]) is not str:
            raise LinkError("an action does not begin with its kind")
    return ref, seq, actions


def _check_arguments(arrays: Sequence[Sequence[Any]]) -> None:
    """Raises LinkError for an argument that a gateway does not let pass."""
    depth = 0
    while found := {*map(type, values := [*itertools.chain.from_iterable(arrays)])} & {tuple, dict}:
        depth += 1
        if depth > NESTING_MAX or dict in found:
            raise LinkError(f"an argument of an action is a map, or nested more than {NESTING_MAX} deep")
        arrays = [each for each in values if type(each) is tuple]


def _ban(host: str, seconds: float) -> tuple[str, float]:
    seconds = min(float(seconds), _SECONDS_MAX)
    if type(host) is not str or len(host) > _HOST_CHARACTERS_MAX or not seconds >= 0:
        raise LinkError(f"{host!r:.40} cannot be banned for {seconds} s")
    return host, seconds


def _standing(ref: int, values: Sequence[Any]) -> tuple[int, Standing]:
    level, reason, text, fills, age_seconds = values
    is_known = type(level) is int and 0 <= level <= _LEVEL_MAX and reason in CloseReason.__members__
    if not is_known or type(text) is not str or len(text) > _TEXT_CHARACTERS_MAX or type(fills) is not tuple:
        raise LinkError(f"no player stands at level {level!r:.40} for {reason!r:.40}")
    if len(fills) != _BUCKETS or any(type(fill) is not int or not 0 <= fill <= _SEQ_MAX for fill in fills):
        raise LinkError("a standing does not say how full the buckets are")
    age_seconds = float(age_seconds)
    if not 0 <= age_seconds <= _SECONDS_MAX:
        raise LinkError(f"a standing is not {age_seconds} s old")
    return ref, Standing(level, reason, text, fills, age_seconds)


def _figures(figures: Any) -> dict[str, Any]:
    """The figures of a gateway that can be shown: texts, numbers, and tables of numbers. Those that count are checked
    where they are added."""
    shown: dict[str, Any] = {}
    for name, value in dict(figures).items():
        if type(value) is str:
            shown[str(name)] = value[:_NAME_CHARACTERS_MAX]
        elif type(value) is dict:
            shown[str(name)] = {str(key): number for key, number in value.items() if _is_number(number)}
        elif _is_number(value):
            shown[str(name)] = value
    return shown


def _is_number(value: object) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _ask(gateway: int, start: Sequence[int], tick: Any) -> Ask:
    return Ask(_gateway(gateway), read_start(start), None if tick is None else _number(tick))


def _gateway(value: Any) -> int:
    return _number(value, 1, _GATEWAY_MAX)


def _number(value: Any, least: int = 0, most: int = _NUMBER_MAX) -> int:
    if type(value) is not int or not least <= value <= most:
        raise LinkError(f"{value!r:.40} is not between {least} and {most}")
    return value


_READERS_UP: dict[int, Any] = {
    Op.ATTACH: _attach,
    Op.BATCH: _batch,
    Op.ASK: _ask,
    Op.DETACH: lambda gateway: Detach(_gateway(gateway)),
}
