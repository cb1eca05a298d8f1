"""The first difference of two runs of one tick, in words."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from zoneserver.journal.values import RecordedTick
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Tick
from zoneserver.protocol.world import World

__all__ = ["difference"]

_TEXT_MAX = 60
# So much of what two texts have in common is shown ahead of their difference.
_COMMON_MAX = 20


def difference(recorded: RecordedTick, rerun: RecordedTick, world: World) -> str:
    """What the re-run of a tick made otherwise than the journal has it; empty for an equal one. `world` is that of the
    re-run after the tick, for the names."""
    if recorded.frame != rerun.frame:
        return _of_frames(recorded.frame, rerun.frame, world)
    if (recorded.joined, recorded.resumed) != (rerun.joined, rerun.resumed):
        return "other players came in"
    if recorded.private != rerun.private:
        return "what players were told alone (answers, refusals, messages) is not what the journal has"
    if recorded.saves != rerun.saves:
        before, after = ({f"what was saved of {name}": text for name, text in run.saves} for run in (recorded, rerun))
        return _of_facts(before, after) or "the players were saved in another order"
    return ""


def _of_frames(recorded: bytes, rerun: bytes, world: World) -> str:
    """
    >>> from zoneserver.protocol.zone_info import ZoneInfo, player_kind
    >>> world = World(ZoneInfo(kinds=(player_kind(hp=100),)))
    >>> world.join(0, "ann")
    >>> _of_frames(Tick(7, 100, None, stats=(0, 0, 85)).encode(), Tick(7, 100, None, stats=(0, 0, 80)).encode(), world)
    'hp of ann (slot 0): 85 in the journal, 80 in the re-run'
    """
    before, after = dict(_facts(recorded, world)), dict(_facts(rerun, world))
    return _of_facts(before, after) or "the frames have other bytes, but say the same"


def _of_facts(before: dict[str, str], after: dict[str, str]) -> str:
    """
    >>> _of_facts({"gold": "1" * 80 + "2"}, {"gold": "1" * 80 + "3"})
    'gold: ...111111111111111111112 in the journal, ...111111111111111111113 in the re-run'
    """
    for fact in before | after:
        was, now = (facts.get(fact, "nothing") for facts in (before, after))
        if was != now:
            pairs = takewhile(lambda pair: pair[0] == pair[1], zip(was, now, strict=False))
            start = max(0, len([*pairs]) - _COMMON_MAX)
            was, now = (f"{'...' * bool(start)}{text[start : start + _TEXT_MAX]}" for text in (was, now))
            return f"{fact}: {was} in the journal, {now} in the re-run"
    return ""


def _facts(payload: bytes, world: World) -> Iterator[tuple[str, str]]:
    """Everything that a frame says, as (what it is about, what it says of it)."""
    if not payload:
        yield "the tick", "failed"
        return
    frame = decode_server(payload)
    assert isinstance(frame, Tick)
    for slot in frame.leaves:
        yield f"slot {slot}", "is freed"
    for slot, holder in frame.joins:
        yield f"who takes slot {slot}", holder if isinstance(holder, str) else f"a {world.info.kinds[holder].name}"
    for number, (slot, _, kind, *values) in enumerate(frame.events, 1):
        who = "the game" if slot is None else _named(slot, world)
        yield f"event {number}", f"{kind}({', '.join(map(repr, values))}) of {who}"
    moved = zip(frame.movers, frame.vx, frame.vy, strict=True)
    steered = zip(frame.steered, frame.steered_vx, frame.steered_vy, strict=True)
    for slot, vx, vy in (*moved, *steered):
        yield f"the velocity of {_named(slot, world)}", f"({vx}, {vy})"
    for slot, seq in zip(frame.movers, frame.seqs, strict=True):
        yield f"the action that moved {_named(slot, world)}", f"number {seq}"
    placed = iter(frame.placed)
    for slot, x, y, vx, vy in zip(placed, placed, placed, placed, placed, strict=True):
        yield f"the new place of {_named(slot, world)}", f"({x}, {y}), velocity ({vx}, {vy})"
    stats = iter(frame.stats)
    for slot, index, value in zip(stats, stats, stats, strict=True):
        yield f"{_stat(slot, index, world)} of {_named(slot, world)}", str(value)
    for entry_number, entry in zip(frame.board[::2], frame.board[1::2], strict=True):
        yield f"{world.info.board[int(entry_number)][0]} on the board", repr(entry)
    yield "the speed of time", f"{frame.dilation_percent} %"
    yield "the hash of the state", str(frame.hash)


def _named(slot: int, world: World) -> str:
    """Names the holder of a slot, for people."""
    holder = world.holders[slot] if slot < len(world.holders) else None
    if isinstance(holder, str):
        return f"{holder} (slot {slot})"
    return f"slot {slot}" if holder is None else f"the {world.info.kinds[holder].name} in slot {slot}"


def _stat(slot: int, index: int, world: World) -> str:
    stats = world.info.kinds[world.kind(slot) if world.has(slot) else 0].stats
    return stats[index][0] if index < len(stats) else f"stat {index}"
