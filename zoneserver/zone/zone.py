"""The zone takes one input per tick and turns it into one output.

The zone uses no asyncio, no socket and no clock: it is a function of its inputs, which `link` defines. Equal
inputs give equal bytes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from zoneserver.config import Limits
from zoneserver.protocol.messages import Snapshot
from zoneserver.protocol.world import World
from zoneserver.support.errors import GameError
from zoneserver.zone.action_runner import ActionRunner
from zoneserver.zone.attendance import Attendance
from zoneserver.zone.board import Board
from zoneserver.zone.commands import Commands
from zoneserver.zone.counters import ZoneCounters
from zoneserver.zone.declared_events import hold_events
from zoneserver.zone.failures import Failures, RuleFailure, log_failure
from zoneserver.zone.frame_builder import FrameBuilder
from zoneserver.zone.game_class import info_of, problems_of, set_attributes
from zoneserver.zone.game_settings import settings_of
from zoneserver.zone.game_state import GameState
from zoneserver.zone.gateways import Part
from zoneserver.zone.link import AddressBan, Command, RefusedAction, TickInput, TickOutput
from zoneserver.zone.parameters import ZoneParameters
from zoneserver.zone.parking import Parking
from zoneserver.zone.player_registry import PlayerRegistry
from zoneserver.zone.population import Population
from zoneserver.zone.rules import Rules
from zoneserver.zone.saves import Saves
from zoneserver.zone.schema import schema_of, schema_text
from zoneserver.zone.stopwatch import Stopwatch, no_clock
from zoneserver.zone.timers import Timers

__all__ = ["Zone"]


class Zone:
    """One crowded place and its game.

    Raises TypeError for a game that cannot run, and GameError when `on_start` raises.
    `ticket_zone` is the zone's name in join tickets, if it is not the game's. Wrong `settings` raise ValueError.
    A player who loses the connection keeps their place for `resume_ticks`, if their client can come back; with 0 they
    leave. With `save_ticks` every player is saved once per so many ticks, and on leaving; without it nobody is saved.
    `on_failure` is called for rules that raise, at most once a second for each place in the code.
    `is_trial` and `is_rerun` are the game's attributes of these names: while inputs run again, no ticket is verified
    and no failure is reported. `clock` counts seconds; it is read for `slowest` alone.

    >>> from zoneserver.zone.link import Join, Requests
    >>> class Chat(Rules):
    ...     pass
    >>> zone = Zone(Chat(), hz=20, seed=1)
    >>> requests = Requests(joins=[Join(7, "ann", b"", "127.0.0.1")])
    >>> zone.tick(TickInput(1, 0.0, 100, requests)).joined
    [(7, 0)]
    """

    def __init__(
        self,
        rules: Rules,
        *,
        hz: int,
        seed: int,
        limits: Limits | None = None,
        players_max: int = 10_000,
        watchers_max: int = 100,
        secret: bytes = b"",
        ticket_zone: str = "",
        resume_ticks: int = 0,
        save_ticks: int = 0,
        settings: Mapping[str, Any] | None = None,
        on_failure: Callable[[RuleFailure], None] = log_failure,
        is_trial: bool = False,
        is_rerun: bool = False,
        clock: Callable[[], float] = no_clock,
    ) -> None:
        problems = list(problems_of(type(rules), rules))
        if problems:
            raise TypeError("; ".join(problems))
        self.info = info_of(rules, hz)
        self.world = World(self.info)
        self.rules = rules
        self.counters = ZoneCounters()
        self._registry = registry = PlayerRegistry(ticket_zone or self.info.name, players_max, secret, watchers_max)
        registry.is_rerun = is_rerun
        self._watch = Stopwatch(clock)
        self._on_failure = on_failure
        self._failures = Failures(self.world, hz, self.counters, self._watch, self._report)
        self._frame = FrameBuilder()
        self._timers = Timers(rules, self.world, self._frame, hz)
        self._population = Population(self.world, self._frame, self._timers, players_max)
        self.schema = schema_of(rules)
        self._saves = saves = Saves(rules, save_ticks, self._failures.add)
        self._dilation_percent = 100
        self.ticks_per_second, self.replay = float(hz), dict[str, float]()
        population, board = self._population, Board(self.world, self._frame)
        self._parking = Parking(resume_ticks, hz)
        parts = registry, population, self._frame, self._failures, self._watch, saves, self._parking
        self.attendance = Attendance(rules, hz, limits or Limits(), *parts)
        self._game = GameState(rules, self._timers, population, self._failures)
        # Players by the ref under which their gateway knows them.
        self._by_ref = self.attendance.by_ref
        heard = self.world, self._frame, self._by_ref, self._failures, self._watch, self.counters
        self._actions = ActionRunner(rules, limits or Limits(), schema_text(self.schema), *heard)
        save = self.save_all if save_ticks else None
        self._commands = Commands(rules, self._frame, registry, self.attendance.end, self._failures.add, save)
        self.commands = self._commands.usages
        set_attributes(rules, hz=hz, random=random.Random(seed), board=board)
        set_attributes(rules, is_trial=is_trial, is_rerun=is_rerun)
        set_attributes(rules, players=MappingProxyType(population.players), things=MappingProxyType(population.things))
        set_attributes(rules, setting=MappingProxyType(settings_of(rules.settings, settings or {})))
        set_attributes(rules, _zone_frame=self._frame, _zone_timers=self._timers, _zone_population=population)
        set_attributes(rules, _zone_events=hold_events(rules))
        try:
            rules.on_start()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise GameError("on_start", error) from error

    def change_secret(self, secret: bytes, grace_until: float) -> bool:
        """Verifies tickets with another secret from now on, as `TicketVerifier.change_secret` does."""
        return self._registry.change_secret(secret, grace_until)

    def snapshot(self) -> bytes:
        """The state after the last tick: the payload of a SNAPSHOT message."""
        return self.world.snapshot().encode()

    @property
    def parked(self) -> int:
        return len(self._parking)

    def address_bans(self, unix_seconds: float) -> list[AddressBan]:
        """All bans of addresses, as gateways are told of them."""
        return self._registry.bans.of_addresses(unix_seconds)

    def slowest(self) -> tuple[str, float]:
        """The rule that took most of the last `advance`, for people, and its seconds: `("on_tick", 0.07)`.

        If no rule took half of its part of the tick, it is this part, as `the actions`.
        """
        return self._watch.slowest()

    # --- The tick ---------------------------------------------------------------------------------

    def tick(self, tick_input: TickInput) -> TickOutput:
        """Runs one tick."""
        self.advance(tick_input)
        return self.encode()

    def advance(self, tick_input: TickInput) -> None:
        """Applies the input: leaves, drops, joins, timers, actions, commands, `on_tick`, in this order; then saves."""
        world, rules, requests, watch = self.world, self.rules, tick_input.requests, self._watch
        watch.start()
        assert tick_input.tick == world.tick + 1, f"the input of tick {tick_input.tick} after tick {world.tick}"
        world.tick = tick_input.tick
        set_attributes(rules, tick=world.tick)
        # A motion that was set between two ticks, as in `on_start`, counts from this tick on.
        self._frame.placed |= self._frame.steered
        for slot in self._frame.placed:
            world.since[slot] = world.tick
        self._dilation_percent = tick_input.dilation_percent
        # The zone keeps lists of its own: if a tick fails, the next one goes on with what is left in them.
        self._actions.packets += requests.actions
        self._commands.waiting += requests.commands
        self._actions.rename(self.attendance.advance(requests, world.tick, tick_input.unix_seconds))
        watch.part("joins and leaves")
        self._timers.run(self._failures.guard)
        watch.part("the timers")
        self._actions.run()
        watch.part("the actions")
        self._commands.run(tick_input.unix_seconds)
        watch.part("the commands")
        self._call_hook("on_tick")
        watch.part("on_tick")
        self._saves.make_due(world.tick, self._population.players, len(world.x))
        watch.part("saving")
        self.attendance.kick()

    def encode(self) -> TickOutput:
        """The output of the tick that `advance` ran."""
        world = self.world
        records = self._frame.records
        # The hash is that of the state after this frame.
        state_hash = world.hash() if world.tick % self.info.hz == 0 else None
        # Messages to a player who has left are dropped.
        told = [(ref, payload) for ref, payload in self._frame.told if ref in self._by_ref]
        refused = self._actions.take_refused()
        newcomers = self.attendance.newcomers()
        if self._parking.grace_ticks:
            self._keep(told, refused, newcomers)
        joined, resumed, ended, missed = self.attendance.take()
        if resumed:
            # What those who came back have missed includes this tick.
            back = {each.ref for each in resumed} - newcomers
            told = [each for each in told if each[0] not in back] + missed
            refused = [each for each in refused if each.ref not in back]
        frame = self._frame.encode(world, self._dilation_percent, state_hash)
        self.counters.encodes_total += 1
        results = self._commands.take_results()
        parts = self.attendance.gateways.keep(world.tick, Part(joined, resumed, ended, refused, told))
        bans = self._registry.bans.take_news()
        outcome = joined, ended, refused, told, self._saves.take(), results, resumed, parts, bans
        return TickOutput(world.tick, frame, records, *outcome)

    def _keep(self, told: Sequence[tuple[int, bytes]], refused: Sequence[RefusedAction], new: set[int]) -> None:
        """Keeps the private messages of this tick. Those that follow the SNAPSHOT of a new player count as later."""
        for each in refused:
            self._parking.keep(each.ref, self.world.tick, each.refusal)
        for ref, payload in told:
            self._parking.keep(ref, self.world.tick + (ref in new), payload)

    def save_all(self) -> None:
        """Saves every player who is in the zone, with the next output."""
        for player in self._by_ref.values():
            self._saves.make(player)

    def stop(self, *, keep: bool = False) -> list[tuple[str, str]]:
        """Tells the rules that no tick follows: `on_leave` for every player who is still in, unless they are to stay in
        (`keep`), then `on_stop`. Returns what was saved, as `TickOutput.saves`."""
        for ref in () if keep else list(self._by_ref):
            self.attendance.leave(ref)
        self._call_hook("on_stop")
        return self._saves.take()

    # --- Checkpoints ------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """All of the zone that is in no snapshot, between two ticks, as plain values for `restore`.

        `game` is None for a game whose own state cannot be written down; `save_problem` then says why.
        """
        waiting = {"packets": list(self._actions.packets), "commands": [list(each) for each in self._commands.waiting]}
        state = self.attendance.state() | waiting
        game = self._game.save()
        return state | {"game": None if self.attendance.problem else game}

    @property
    def save_problem(self) -> str:
        """Why the last `state` had no `game`, for people."""
        return self.attendance.problem or self._game.problem

    def restore(self, snapshot: Snapshot, state: Mapping[str, Any]) -> None:
        """Takes over the state after a tick, in place of what `on_start` has put into the zone. Where the state has no
        `game`, the game begins anew: it keeps its timers, and `on_restore` is called.

        Raises ValueError for the state of another zone, and GameError when the game raises.
        """
        self._frame.clear()
        self.attendance.restore(snapshot, state)
        self._actions.packets = list(state["packets"])
        self._commands.waiting = [Command(*each) for each in state["commands"]]
        set_attributes(self.rules, tick=self.world.tick)
        self._game.load(state["game"])

    def change(self, parameters: ZoneParameters, secret: bytes = b"") -> None:
        """Goes on with other parameters, all but seed and tick rate. Wrong settings raise ValueError."""
        settings = settings_of(self.rules.settings, parameters.settings)
        set_attributes(self.rules, setting=MappingProxyType(settings))
        parameters = replace(parameters, ticket_zone=parameters.ticket_zone or self.info.name)
        self._actions.limits = parameters.limits
        self._registry.change(parameters, secret)
        self.attendance.change(parameters, self.world.tick)
        self._population.change(parameters)
        self._saves.interval_ticks = parameters.save_ticks
        self._commands.save_all = self.save_all if parameters.save_ticks else None

    def end_rerun(self) -> None:
        """The zone goes on with new inputs: what its rules do counts from now on."""
        set_attributes(self.rules, is_rerun=False)
        self._registry.is_rerun = False
        vars(self.counters).update(vars(ZoneCounters()))

    def _report(self, failure: RuleFailure) -> None:
        if not self.rules.is_rerun:
            self._on_failure(failure)

    # --- Hooks ------------------------------------------------------------------------------------

    def _call_hook(self, name: str, *arguments: object) -> None:
        # The look-up may be a game's own code, so it is guarded as well.
        self._failures.guard(name, lambda: getattr(self.rules, name)(*arguments))
