"""What only the game knows, in a checkpoint: its own values, its timers and its source of chance."""

from __future__ import annotations

import random
from typing import Any

from zoneserver.support.errors import GameError, raised_by
from zoneserver.zone.failures import Failures
from zoneserver.zone.game_class import can_save
from zoneserver.zone.plain_values import pack_plain, unpack_plain
from zoneserver.zone.population import Population
from zoneserver.zone.references import References
from zoneserver.zone.rules import Rules
from zoneserver.zone.timers import Timers

__all__ = ["NEW_GAME", "GameState"]

NEW_GAME: dict[str, Any] = {}
"""The state of a game that begins anew in a zone that goes on: `on_start` and `on_restore` make it."""


class GameState:
    """Saves the state of one game, and loads it into another object of its class."""

    def __init__(self, rules: Rules, timers: Timers, population: Population, failures: Failures) -> None:
        self._rules = rules
        self._timers = timers
        self._population = population
        self._failures = failures
        self.problem = ""
        """Why the last `save` returned None, for people."""

    def save(self) -> dict[str, Any] | None:
        """The state as plain values, or None for a game that cannot be saved."""
        rules: Any = self._rules
        self.problem = ""
        if not can_save(type(rules)):
            self.problem = f"{type(rules).__name__} has no save() and load(value)"
            return None
        try:
            timers = self._timers.state(References(self._population).write)
        except ValueError as error:
            self.problem = str(error)
            return None
        source = rules.random
        if not isinstance(source, random.Random) or type(source).getstate is not random.Random.getstate:
            of = f"self.random is of type {type(source).__name__}"
            self.problem = f"{of}, whose state no checkpoint holds: leave it as the zone has set it"
            return None
        try:
            saved = pack_plain(rules.save(), "save()")
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._failures.add("save", error)
            self.problem = f"save raised {raised_by(error)}"
            return None
        return {"saved": saved, "timers": timers, "random": list(source.getstate())}

    def load(self, state: dict[str, Any] | None) -> None:
        """Gives the game its state back; the population is restored already. Without a state, the game goes on with
        what `on_start` has made, from now on. Raises GameError when the game raises."""
        rules: Any = self._rules
        hook = "load" if state else "on_restore"
        try:
            if state:
                self._timers.restore(state["timers"], References(self._population).read)
                version, numbers, gauss = state["random"]
                rules.random.setstate((version, tuple(numbers), gauss))
                rules.load(unpack_plain(state["saved"]))
            else:
                self._timers.postpone(rules.tick)
                rules.on_restore()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise GameError(hook, error) from error
