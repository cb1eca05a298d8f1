"""The kinds of values that travel in another form than a rule sees them, and the lists of other kinds."""

from __future__ import annotations

import enum
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from zoneserver.protocol.codes import RefusalCode
from zoneserver.protocol.values import ACTIONS_PER_PACKET
from zoneserver.zone.entities import Thing
from zoneserver.zone.plain_arguments import Argument, ChoiceArgument, Converter, misfit
from zoneserver.zone.rules import Player, Refused, Rules

__all__ = ["LIST_MAX", "EnumArgument", "ListArgument", "NullableArgument", "PlayerArgument", "ThingArgument"]

LIST_MAX = ACTIONS_PER_PACKET
"""The most items of a list, by the protocol."""
_SLOTS = range(65_536)


@dataclass(frozen=True, slots=True)
class EnumArgument(Argument):
    """One member of an enum. Its value travels, and the handler gets the member."""

    members: tuple[enum.Enum, ...]

    @property
    def _values(self) -> ChoiceArgument:
        return ChoiceArgument(tuple(member.value for member in self.members))

    def converter(self, where: str, rules: Rules) -> Converter:
        check, by_value = self._values.checker(where), {member.value: member for member in self.members}
        return lambda value: by_value[check(value)]

    def teller(self, where: str) -> Converter:
        check, members = self._values.checker(where), self.members
        return lambda value: check(value.value if isinstance(value, enum.Enum) and value in members else value)

    def describe(self) -> str:
        return self._values.describe()

    def to_json(self) -> dict[str, Any]:
        return self._values.to_json() | {"names": [member.name for member in self.members]}

    def example(self, rules: Rules, chance: random.Random) -> Any:
        return chance.choice(self.members).value

    def read(self, word: str, rules: Rules) -> Any:
        by_name = {member.name.lower(): member.value for member in self.members}
        return by_name[word.lower()] if word.lower() in by_name else self._values.read(word, rules)


@dataclass(frozen=True, slots=True)
class ListArgument(Argument):
    items: Argument
    items_max: int = LIST_MAX

    def converter(self, where: str, rules: Rules) -> Converter:
        return self._each(where, self.items.converter(f"each item of {where}", rules))

    def teller(self, where: str) -> Converter:
        return self._each(where, self.items.teller(f"each item of {where}"))

    def _each(self, where: str, convert: Converter) -> Converter:
        items_max = self.items_max

        def each(value: Any) -> Any:
            if type(value) in {tuple, list} and len(value) <= items_max:
                return list(map(convert, value))
            raise misfit(where, f"a list of at most {items_max} items")

        return each

    def describe(self) -> str:
        return f"list of at most {self.items_max} ({self.items.describe()})"

    def to_json(self) -> dict[str, Any]:
        return {"type": "list", "items": self.items.to_json(), "items_max": self.items_max}

    def example(self, rules: Rules, chance: random.Random) -> Any:
        count = chance.choice((0, 1, self.items_max, chance.randint(0, self.items_max)))
        return tuple(self.items.example(rules, chance) for _ in range(min(count, self.items_max)))

    def read(self, word: str, rules: Rules) -> Any:
        return [self.items.read(part, rules) for part in word.split(",")] if word else []


@dataclass(frozen=True, slots=True)
class NullableArgument(Argument):
    """Another kind, or None."""

    kind: Argument

    def converter(self, where: str, rules: Rules) -> Converter:
        return self._or_none(self.kind.converter(where, rules))

    def teller(self, where: str) -> Converter:
        return self._or_none(self.kind.teller(where))

    @staticmethod
    def _or_none(convert: Converter) -> Converter:
        return lambda value: None if value is None else convert(value)

    def describe(self) -> str:
        return f"{self.kind.describe()} or None"

    def to_json(self) -> dict[str, Any]:
        return self.kind.to_json() | {"nullable": True}

    def example(self, rules: Rules, chance: random.Random) -> Any:
        return None if chance.random() < 0.25 else self.kind.example(rules, chance)

    def read(self, word: str, rules: Rules) -> Any:
        return None if word.lower() == "none" else self.kind.read(word, rules)


@dataclass(frozen=True, slots=True)
class PlayerArgument(Argument):
    """A player, who travels as the slot."""

    def converter(self, where: str, rules: Rules) -> Converter:
        def convert(value: Any) -> Any:
            if type(value) is not int:
                raise misfit(where, "the slot of a player")
            player = rules.players.get(value)
            if player is None:
                raise Refused(RefusalCode.NO_TARGET, f"{where}: there is no player in slot {value}")
            return player

        return convert

    def teller(self, where: str) -> Converter:
        return _slot_teller(where, Player, "a player in the zone", lambda _: True)

    def describe(self) -> str:
        return "Player"

    def to_json(self) -> dict[str, Any]:
        return {"type": "player"}

    def example(self, rules: Rules, chance: random.Random) -> Any:
        return chance.choice(list(rules.players) or [0])

    def read(self, word: str, rules: Rules) -> Any:
        slots = [slot for slot, player in rules.players.items() if player.name == word]
        if not slots and not word.isdecimal():
            raise Refused(RefusalCode.NO_TARGET, f"there is no player {word!r:.80} in the zone")
        return slots[0] if slots else int(word)


@dataclass(frozen=True, slots=True)
class ThingArgument(Argument):
    """A thing, which travels as its slot: one of this kind, or any if the kind is empty."""

    kind: str = ""

    def converter(self, where: str, rules: Rules) -> Converter:
        kind, what = self.kind, self.kind or "thing"

        def convert(value: Any) -> Any:
            if type(value) is not int:
                raise misfit(where, f"the slot of a {what}")
            thing = rules.things.get(value)
            if thing is None or (kind and thing.kind != kind):
                raise Refused(RefusalCode.NO_TARGET, f"{where}: there is no {what} in slot {value}")
            return thing

        return convert

    def teller(self, where: str) -> Converter:
        kind = self.kind
        return _slot_teller(where, Thing, f"a {kind or 'thing'} in the zone", lambda thing: kind in {"", thing.kind})

    def describe(self) -> str:
        return f"Thing {self.kind!r}" if self.kind else "Thing"

    def to_json(self) -> dict[str, Any]:
        return {"type": "thing"} | ({"kind": self.kind} if self.kind else {})

    def example(self, rules: Rules, chance: random.Random) -> Any:
        return chance.choice([slot for slot, thing in rules.things.items() if self.kind in {"", thing.kind}] or [0])

    def read(self, word: str, rules: Rules) -> Any:
        if not word.isdecimal():
            raise ValueError(f"the slot of a {self.kind or 'thing'}")
        return int(word)


def _slot_teller(where: str, entity: type[Any], expected: str, fits: Callable[[Any], bool]) -> Converter:
    """Tells a Player or a Thing as its slot. A number is taken as a slot, because arguments have been checked."""

    def tell(value: Any) -> Any:
        if type(value) is int and value in _SLOTS:
            return value
        if isinstance(value, entity) and value.present and fits(value):
            return value.slot
        raise misfit(where, f"{expected}, or its slot")

    return tell
