"""A game whose actions take every kind of argument."""

from __future__ import annotations

import enum
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from zoneserver.zone.entities import Thing
from zoneserver.zone.rules import AtMost, Between, Player, Rules, Text, action, command

__all__ = ["Arsenal", "FakePlayer", "FakeThing", "Rank", "Weapon"]


class Weapon(enum.StrEnum):
    SWORD = "sword"
    BOW = "bow"


class Rank(enum.Enum):
    LOW = 1
    HIGH = 7


class FakePlayer(Player):
    """A player without a zone."""

    slot, name, present = 0, "", True

    def __init__(self, slot: int, name: str) -> None:
        self.slot, self.name = slot, name


class FakeThing(Thing):
    """A thing without a zone."""

    slot, kind, present = 0, "", True

    def __init__(self, slot: int, kind: str) -> None:
        self.slot, self.kind = slot, kind


class Arsenal(Rules):
    """Records the kind and the arguments of each action. A coin is in slot 40, a wolf in slot 41."""

    width, height = 100, 80
    version = "3"
    speed_step = 4
    board: ClassVar = {"leader": "", "match": 0}
    kinds: ClassVar = {"coin": {"worth": 1}, "wolf": {}}
    settings: ClassVar = {"coins": 30, "ratio": 0.5}
    events: ClassVar = {
        "taken": (int, Player),
        "won": (Annotated[str, Text(24)],),
        "numbers": (Annotated[int, Between(-9, 9)], float | None),
        "found": (Annotated[Thing, "coin"], Weapon, list[Player]),
        "over": (),
    }

    def __init__(self) -> None:
        self.handled: list[tuple[Any, ...]] = []

    def on_start(self) -> None:
        self.things = MappingProxyType({40: FakeThing(40, "coin"), 41: FakeThing(41, "wolf")})

    @action
    def numbers(self, player: Player, whole: Annotated[int, Between(-9, 9)], real: float | None = 0.5) -> None:
        """Takes numbers.

        Only the first line of this is in the schema.
        """
        self.handled.append(("numbers", whole, real))

    @action
    def texts(self, player: Player, line: str, name: Annotated[str, Text(8)] = "", flag: bool = False) -> None:
        self.handled.append(("texts", line, name, flag))

    @action
    def choices(
        self,
        player: Player,
        pick: Literal["red", "green", 3],
        weapon: Weapon = Weapon.BOW,
        rank: Rank | None = None,
    ) -> None:
        self.handled.append(("choices", pick, weapon, rank))

    @action
    def lists(
        self, player: Player, dice: Annotated[list[Annotated[int, Between(1, 6)]], AtMost(5)], others: list[Player]
    ) -> None:
        self.handled.append(("lists", dice, others))

    @action
    def raw(self, player: Player, data: Annotated[bytes, AtMost(4)] = b"\x01") -> None:
        self.handled.append(("raw", data))

    @action
    def find(self, player: Player, coin: Annotated[Thing, "coin"], any_thing: Thing | None = None) -> None:
        self.emit("found", coin, Weapon.BOW, [player])
        self.handled.append(("find", coin, any_thing))

    @action(private=True)
    def count(self, player: Player, other: Player | None = None) -> int:
        """Answers how many actions happened."""
        return len(self.handled)

    @command
    def arm(self, player: Player, weapon: Weapon = Weapon.BOW) -> None:
        """Arms a player.

        They keep it.
        """
