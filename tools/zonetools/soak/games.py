"""Games that the scenarios need: `zoneserver run zonetools.soak.games:Failing`."""

from __future__ import annotations

import errno
import logging
import os
import time
from typing import Annotated, Any, ClassVar

import msgpack

from zoneserver.games.plaza import Plaza
from zoneserver.zone.rules import Between, Player, Refused, Text, action

_log = logging.getLogger(__name__)


class Failing(Plaza):
    """The demo game with a rule that raises."""

    @action
    def fail(self, player: Player) -> None:
        """Move the player, then raise an exception."""
        player.move(1, 1)
        raise RuntimeError("this rule fails on purpose")


class Heavy(Plaza):
    """The demo game with work that does not fit into a tick."""

    def on_start(self) -> None:
        super().on_start()
        # Until this moment of the monotonic clock, each tick takes `factor` periods.
        self.until, self.factor = 0.0, 0

    @action
    def burden(self, player: Player, factor: int, seconds: int) -> None:
        """Make each tick take `factor` periods for this many seconds."""
        self.until, self.factor = time.monotonic() + seconds, factor

    def on_tick(self) -> None:
        now = time.monotonic()
        if now < self.until:
            while time.monotonic() < now + self.factor / self.hz:
                pass


class Bulky(Plaza):
    """The demo game with frames of any size."""

    @action
    def bulk(self, player: Player, size: int) -> None:
        """Tell every player this many characters, in events of a size that clients accept."""
        for _ in range(size // 50_000):
            self.emit("bulk", "x" * 50_000)


class Saving(Plaza):
    """The demo game with gold, which each player is told alone, and which is saved."""

    def on_start(self) -> None:
        super().on_start()
        self.gold: dict[Player, int] = {}
        self.departed = 0

    def on_join(self, player: Player) -> None:
        super().on_join(player)
        self.gold[player] = player.saved.get("gold", 0)
        player.tell("gold", self.gold[player])

    def on_leave(self, player: Player) -> None:
        super().on_leave(player)
        self.departed += 1

    def to_save(self, player: Player) -> dict[str, Any]:
        return {"gold": self.gold[player]}

    def on_stop(self) -> None:
        _log.warning("on_stop came after on_leave for %d players", self.departed)

    @action(private=True)
    def earn(self, player: Player) -> tuple[int]:
        """Earn one gold. The answer is how much the player has."""
        self.gold[player] += 1
        return (self.gold[player],)


class Disk(Plaza):
    """The demo game on a disk that becomes slow or fails, when a player says so."""

    @action
    def slow(self, player: Player, seconds: int) -> None:
        """Make each write of this process take half a second, for a while."""
        if self.is_rerun:
            return
        until, write = time.monotonic() + seconds, os.writev

        def slow_write(*arguments: Any) -> int:
            if time.monotonic() < until:
                time.sleep(0.5)
            return write(*arguments)

        os.writev = slow_write

    @action
    def fail(self, player: Player) -> None:
        """Make each later sync fail."""
        if not self.is_rerun:
            os.fdatasync = _failing_sync  # type: ignore[assignment]


def _failing_sync(_descriptor: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


class Points(Plaza):
    """The demo game, in which a line earns a point: version 1 of its code."""

    name = "points"
    stats: ClassVar = {**Plaza.stats, "points": 0}
    WORTH = 1

    @action
    def say(self, player: Player, text: Annotated[str, Text(200)]) -> None:
        player["points"] += self.WORTH


class MorePoints(Points):
    """Version 2: a line earns two points."""

    WORTH = 2


class Counting(Plaza):
    """The demo game that tells each player alone 1, 2, 3, ..., four times a second."""

    def on_start(self) -> None:
        super().on_start()
        self.counts: dict[Player, int] = {}

    def on_tick(self) -> None:
        for player in self.players.values():
            if (self.tick + player.slot) % (self.hz // 4) == 0:
                self.counts[player] = self.counts.get(player, 0) + 1
                player.tell("count", self.counts[player])


class Ledger(Counting):
    """The demo game in which each thing that may be lost or doubled has a number: what a player earns is told and
    answered."""

    def on_start(self) -> None:
        super().on_start()
        self.earned: dict[Player, int] = {}

    @action(private=True)
    def earn(self, player: Player) -> tuple[int]:
        """Earn one more. The answer is how much the player has, which is also told."""
        self.earned[player] = self.earned.get(player, 0) + 1
        player.tell("earned", self.earned[player])
        return (self.earned[player],)

    def save(self) -> Any:
        counts = [[player.slot, count, self.earned.get(player, 0)] for player, count in self.counts.items()]
        return [super().save(), counts]

    def load(self, value: Any) -> None:
        former, counts = value
        super().load(former)
        self.counts = {self.players[slot]: count for slot, count, _ in counts}
        self.earned = {self.players[slot]: earned for slot, _, earned in counts}

    def on_leave(self, player: Player) -> None:
        super().on_leave(player)
        self.counts.pop(player, None)
        self.earned.pop(player, None)


def _nested(depth: int) -> list[Any]:
    values: list[Any] = []
    for _ in range(depth):
        values = [values]
    return values


UNTELLABLE: dict[str, Any] = {
    "a dict": {"ann": 3},
    "a dict within lists": [[1, [{"ann": 3}]]],
    "a set": {1, 2},
    "an object": object(),
    "a function": _nested,
    "a complex number": 1j,
    "an extension": msgpack.ExtType(1, b"x"),
    "70,000 characters": "x" * 70_000,
    "70,000 bytes": b"x" * 70_000,
    "half a character": "\ud800",
    "2**64": 2**64,
    "lists in lists in lists": _nested(2_000),
}
"""Values that no message and no column can carry."""


class Untellable(Plaza):
    """The demo game with rules that tell what cannot be told, at every place where a rule tells something."""

    board = {"number": 0, "text": ""}  # noqa: RUF012  # The zone puts the board in its place.
    kinds: ClassVar = {"stone": {"weight": 1}}

    PLACES = "emit", "return", "tell", "number", "text", "stat", "thing"
    """Where `speak` fails."""
    LATER = "timer", "tick", "save"
    """Where the action happens, and the rule fails afterwards."""

    def on_start(self) -> None:
        super().on_start()
        self.at_tick: list[Any] = []
        self.to_keep: dict[str, Any] = {}

    @action
    def speak(self, player: Player, place: str, what: str) -> Any:
        """Tell the value `what` of UNTELLABLE at a place."""
        value = UNTELLABLE[what]
        match place:
            case "emit":
                self.emit("news", value)
            case "return":
                return value
            case "tell":
                player.tell("news", value)
            case "number" | "text":
                self.board[place] = value
            case "stat":
                player["hp"] = value
            case "thing":
                self.spawn("stone", 1, 1, weight=value)
            case "refuse":
                raise Refused("UNTELLABLE", value)
            case "timer":
                self.after(1, self.emit, "news", value)
            case "tick":
                self.at_tick.append(value)
            case "save":
                self.to_keep[player.name] = value
        return ()

    @action(private=True)
    def answer(self, player: Player, what: str) -> Any:
        """Answer with the value `what` of UNTELLABLE."""
        return UNTELLABLE[what]

    def on_tick(self) -> None:
        while self.at_tick:
            self.emit("news", self.at_tick.pop())

    def to_save(self, player: Player) -> dict[str, Any] | None:
        return {"kept": self.to_keep[player.name]} if player.name in self.to_keep else None


class Halfway(Plaza):
    """The demo game with an action that fails after it wrote."""

    board = {"turn": 0, "who": ""}  # noqa: RUF012  # The zone puts the board in its place.
    kinds: ClassVar = {"stone": {"weight": 1}}

    ENDS = "happens", "is refused", "fails"

    def on_start(self) -> None:
        super().on_start()
        self.stones = [self.spawn("stone", 10 * x, 20) for x in range(10)]

    WRITES = "stat", "motion", "place", "spawn", "remove", "thing", "board", "tell", "emit", "timer", "kick"
    """What an action may change."""

    def change(self, what: str, player: Player, other: Player) -> None:
        """Make one of the changes of WRITES."""
        match what:
            case "stat":
                player["hp"], other["kills"] = 7, 9
            case "motion":
                player.move(3, 4)
                other.move(-5, 6)
            case "place":
                player.place(1, 2)
                other.place(3, 4, 5, 6)
            case "spawn":
                self.spawn("stone", 5, 5, 1, 1, weight=2).move(2, 2)
            case "remove":
                self.stones[0].remove()
            case "thing":
                self.stones[1].move(4, 4)
                self.stones[1]["weight"] = 3
            case "board":
                self.board["turn"], self.board["who"] = self.tick, player.name
            case "tell":
                player.tell("late", 1)
                other.tell("late", 2)
            case "emit":
                self.emit("late", 3)
            case "timer":
                self.after(1, self.emit, "late", 4)
                other.after(2, self.emit, "late", 5)
            case "kick":
                other.kick("THROWN_OUT", "and taken back")

    @action
    def write(self, player: Player, other: Player, what: str, end: Annotated[int, Between(0, 2)]) -> None:
        """Make the changes that `what` names, separated by spaces; then happen, be refused or fail."""
        for name in what.split():
            self.change(name, player, other)
        if end == self.ENDS.index("is refused"):
            raise Refused("TOO_LATE", "after it wrote")
        if end == self.ENDS.index("fails"):
            raise RuntimeError("this rule fails on purpose after it wrote")
