"""A game whose names are no identifiers, or mean something in other languages already."""

from __future__ import annotations

import enum
from typing import Annotated, Any, ClassVar, Literal

from zoneserver.zone.entities import Thing
from zoneserver.zone.rules import Between, Player, Rules, action

__all__ = ["OddNames"]


class Odd(enum.IntEnum):
    NONE = 0
    _1 = -1


class OddNames(Rules):
    name = 'class 7 \\ " */ </summary> ☃ 漢字'
    version = "1\n*/\u2028x"
    stats: ClassVar = {"class": 1, "class ": 2, "7": 3, "ü": 4, 'a\\"b': 5, "Stats": 3}
    board: ClassVar = {"event": 1, "Board": "x"}
    kinds: ClassVar = {"wolf": {"Stats": 1}, "Wolf": {}, "*/": {"x": 1}}
    events: ClassVar = {
        "": (),
        "tick": (int,),
        "*": (Player,),
        "OddNamesGame": (str, str),
        "on_say": (int | None, bool | None, bytes | None, str | None, float, list[int | None] | None, list[Odd]),
        "a\nb": (Literal["x", "X", "", "☃", 1, -2], Odd | None, list[bytes], list[bool]),
        "say": (Player, Player, Thing),
        "say\u2028": (list[Literal["a", "b"]],),
    }

    @action
    def new(
        self,
        player: Player,
        this: int,
        event: str,
        arguments: bool,
        each: list[float] | None,
        Class: int = 3,  # noqa: N803
        class_: int = 4,
    ) -> None:
        """Ends a comment */ early </summary> & so \x85 does @param x."""

    @action
    def array(self, player: Player, convert: list[int], undefined: float) -> None: ...

    @action
    def ToString(self, player: Player) -> tuple[int, ...]: ...  # type: ignore[empty-body]  # noqa: N802

    @action
    def GetType(self, player: Player, kind: list[str]) -> None: ...  # noqa: N802

    @action
    def say(
        self,
        player: Player,
        say: str,
        SAY: int,  # noqa: N803
        _: int,
        __: Literal["new"],
        player_: Player,
        list_: list[Odd | None] = [],  # noqa: B006
    ) -> Any: ...

    @action
    def Say(self, player: Player) -> None: ...  # noqa: N802

    @action
    def größe(self, player: Player, länge: float) -> None: ...  # noqa: PLC2401

    @action
    def stats_(
        self,
        player: Player,
        x: list[Player],
        y: bytes = b"\xff",
        z: float = float("inf"),
        t: Literal["it's", 'a"b'] = "it's",
    ) -> None: ...

    @action(private=True)
    def both(self, player: Player) -> tuple[str, int | None, list[int], Odd]: ...  # type: ignore[empty-body]

    @action(private=True)
    def both_answer(self, player: Player) -> tuple[()]: ...  # type: ignore[empty-body]

    @action(private=True)
    def many(self, player: Player) -> tuple[float, ...]: ...  # type: ignore[empty-body]

    @action(private=True)
    def hear(
        self, player: Player, zone: Annotated[Thing, "wolf"] | None, big: Annotated[int, Between(0, 2**63 - 1)]
    ) -> Any: ...
