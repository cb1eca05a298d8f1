"""A game for tests of the zone, and functions that read the zone's outputs."""

from typing import Any, ClassVar

from helpers.driven_zone import DrivenZone

from zoneserver.config import Limits
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Snapshot, Tick
from zoneserver.protocol.world import World
from zoneserver.zone.link import TickOutput
from zoneserver.zone.rules import Player, Refused, Rules, Speed, action

HZ = 4


class Yard(Rules):
    """A game that records its callbacks, with actions that succeed, refuse and raise."""

    width, height = 1000, 1000
    stats: ClassVar = {"hp": 100}

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.noted: list[tuple[str, str]] = []

    def note(self, what: str, player: Player | None = None) -> None:
        self.noted.append((what, player.name if player else ""))
        if self.failing == what:
            raise RuntimeError(f"{what} fails")

    def on_join(self, player: Player) -> None:
        player.place(100, 100)
        self.note("on_join", player)

    def on_leave(self, player: Player) -> None:
        self.note("on_leave", player)

    def on_tick(self) -> None:
        self.note("on_tick")

    @action
    def walk(self, player: Player, vx: Speed, vy: Speed) -> None:
        player.move(vx, vy)

    @action
    def push(self, player: Player, other: Player, vx: Speed) -> None:
        other.move(vx, 0)

    @action
    def jump(self, player: Player, x: int, y: int) -> None:
        player.place(x, y)

    @action
    def waver(self, player: Player, vx: Speed) -> None:
        player.move(vx, 0)
        raise Refused("WAVERED", "on second thoughts")

    @action
    def stumble(self, player: Player, vx: Speed) -> None:
        player.move(vx, 0)
        raise RuntimeError("a rule fails")

    @action
    def deny(self, player: Player) -> None:
        raise Refused("DENIED", "never")

    @action
    def say(self, player: Player, text: str) -> None:
        self.note(text, player)

    @action
    def answer(self, player: Player, one: int, two: int) -> Any:
        return (one + two, "sum")

    @action
    def double(self, player: Player, number: int) -> Any:
        return number * 2

    @action
    def unpackable(self, player: Player) -> Any:
        return {player}

    @action
    def sprint(self, player: Player) -> None:
        player.move(1, 128)


def zone_of(*names: str, rules: Rules | None = None, limits: Limits | None = None, **settings: Any) -> DrivenZone:
    """A zone with these players, whose refs count from 1."""
    zone = DrivenZone(rules or Yard(), hz=HZ, seed=1, limits=limits, **settings)
    for ref, name in enumerate(names, 1):
        zone.join(ref, name)
    zone.step()
    return zone


def told(result: TickOutput) -> Tick:
    """The frame of an output, decoded."""
    tick = decode_server(result.frame)
    assert isinstance(tick, Tick)
    return tick


def replica_of(zone: DrivenZone) -> World:
    """The world of a client that joins now, made from a snapshot."""
    (buffer,) = zone.history.since(None)
    snapshot = decode_server(buffer.payload)
    assert isinstance(snapshot, Snapshot)
    world = World(zone.info)
    world.restore(snapshot)
    return world


def moved(tick: Tick) -> list[tuple[int, int, int, int]]:
    """(slot, seq, vx, vy) of each mover."""
    return list(zip(tick.movers, tick.seqs, tick.vx, tick.vy, strict=True))


def codes(result: TickOutput) -> list[tuple[int, int, str]]:
    """(ref, seq, code) of each refusal."""
    return [(ref, refusal.seq, refusal.code) for ref, refusal, _ in result.refused]
