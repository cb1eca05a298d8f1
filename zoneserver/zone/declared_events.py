"""The events that a game declares, and the check of each event against its declaration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zoneserver.zone.annotations import argument_of
from zoneserver.zone.plain_arguments import Argument
from zoneserver.zone.rules import Refused, Rules

__all__ = ["DeclaredEvents", "events_of", "hold_events"]


def events_of(game: Rules | type[Rules]) -> dict[str, list[Argument]]:
    """The values of each event that a game declares. Raises TypeError for a declaration that stands for no event."""
    if not isinstance(game.events, Mapping):
        raise TypeError(f"events is {game.events!r:.40}: it must be a dict of names and tuples of types")
    kinds = getattr(game, "kinds", ())
    declared = {}
    for kind, hints in game.events.items():
        if not isinstance(kind, str):
            raise TypeError(f"events has {kind!r:.40}: the name of an event must be a str")
        if type(hints) is not tuple:
            raise TypeError(f"events[{kind!r}] is {hints!r:.40}: it must be a tuple of types, as in (int, Player)")
        declared[kind] = [argument_of(f"events[{kind!r}][{place}]", hint, kinds) for place, hint in enumerate(hints)]
    return declared


def hold_events(rules: Rules) -> Callable[[str, Sequence[Any]], Sequence[Any]] | None:
    """Returns the function by which `Rules.emit` checks and converts the values of an event; None for a game that
    declares no events."""
    declared = events_of(rules)
    return DeclaredEvents(declared).told if declared else None


class DeclaredEvents:
    """Checks the values of an event, and converts each Player or Thing to its slot."""

    def __init__(self, declared: Mapping[str, Sequence[Argument]]) -> None:
        self._tellers = {
            kind: [each.teller(f"values[{place}] of the event {kind!r}") for place, each in enumerate(arguments)]
            for kind, arguments in declared.items()
        }

    def __contains__(self, kind: str) -> bool:
        return kind in self._tellers

    def told(self, kind: str, values: Sequence[Any]) -> list[Any]:
        """The converted values. Raises ValueError for an event that differs from its declaration."""
        if kind not in self._tellers:
            names = ", ".join(self._tellers)
            raise ValueError(f"the event {kind!r:.40} is not among the declared events: {names}")
        tellers = self._tellers[kind]
        if len(values) != len(tellers):
            raise ValueError(f"the event {kind!r} has {len(values)} values, and is declared with {len(tellers)}")
        try:
            return [tell(value) for tell, value in zip(tellers, values, strict=True)]
        except Refused as refused:
            # A wrong value is a mistake of the rule. It must not look like the refusal of an action.
            raise ValueError(refused.text) from None
