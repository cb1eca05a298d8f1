"""The zone takes one input per tick and turns it into one output.

The zone uses no asyncio, no socket and no clock: it is a function of its inputs, which `link` defines. Equal
inputs give equal bytes.
"""

from __future__ import annotations

import heapq
import logging
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, islice
from types import MappingProxyType
from typing import Any, NamedTuple

from zoneserver.config import Limits
from zoneserver.protocol.codes import CloseReason, GameReason, RefusalCode
from zoneserver.protocol.messages import Refusal
from zoneserver.protocol.world import World
from zoneserver.support.errors import GameError, raised_by
from zoneserver.support.logs import fields, place_of
from zoneserver.zone.actions import Action, actions_of
from zoneserver.zone.commands import Commands
from zoneserver.zone.counters import ZoneCounters
from zoneserver.zone.frame_builder import FrameBuilder
from zoneserver.zone.game_class import problems_of
from zoneserver.zone.game_settings import settings_of
from zoneserver.zone.link import Actions, Ended, Join, RefusedAction, TickInput, TickOutput, ZoneInfo
from zoneserver.zone.player_registry import PlayerRegistry
from zoneserver.zone.rules import Player, Refused, Rules

__all__ = ["RuleFailure", "Zone", "new_game"]

log = logging.getLogger(__name__)

# The actions of one player within one tick lie within this many sequences. Frames carry the low byte of a
# sequence, and every client must see which of two is the newer.
_SEQUENCES_PER_TICK = 128

# How many places of failures are remembered: more than any game has lines that raise.
_PLACES_MAX = 1_000
# The characters of a code or a text of the game that one player is told.
_TEXT_MAX = 200


def new_game(game: type[Rules]) -> Rules:
    """Makes a game of this class. Raises GameError when the class raises."""
    try:
        return game()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise GameError(f"{game.__name__}()", error) from error


def _told(refused: Refused) -> tuple[str, str, bool]:
    """Code, text and violation of a game's refusal as its player is told them: bounded, and valid Unicode.

    It never raises, since a game may define a refusal of its own.
    """
    try:
        code, text = (
            str(said)[:_TEXT_MAX].encode("utf-8", "replace").decode() for said in (refused.code, refused.text)
        )
        return code or Refused.code, text, refused.violation is True
    except Exception:
        return RefusalCode.RULE_FAILED, "the refusal cannot be shown", False


def _set(rules: Rules, **attributes: object) -> None:
    """Sets attributes of a game, past a `__setattr__` of its own."""
    for name, value in attributes.items():
        object.__setattr__(rules, name, value)


class RuleFailure(NamedTuple):
    """A rule that raised an exception."""

    tick: int
    what: str
    """Names the rule, for people."""
    error: BaseException
    about: dict[str, object]
    """The player and the action, if the rule was an action."""
    failures_total: int


def log_failure(failure: RuleFailure) -> None:
    """Logs the failure with its traceback."""
    about = failure.about | {"tick": failure.tick, "failures_total": failure.failures_total}
    about["error"] = raised_by(failure.error)
    text = "%s failed in tick %d (failure %d)"
    log.error(
        *(text, failure.what, failure.tick, failure.failures_total), exc_info=failure.error, extra=fields(**about)
    )


class Zone:
    """One crowded place and its game.

    Raises TypeError for a game that cannot run, and GameError when `on_start` raises.
    `ticket_zone` is the zone's name in join tickets, if it is not the game's. Wrong `settings` raise ValueError.
    `on_failure` is called for rules that raise, at most once a second for each place in the code.

    >>> from zoneserver.zone.link import Requests
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
        players_max: int = 65_000,
        secret: bytes = b"",
        ticket_zone: str = "",
        settings: Mapping[str, Any] | None = None,
        on_failure: Callable[[RuleFailure], None] = log_failure,
    ) -> None:
        problems = list(problems_of(type(rules), rules))
        if problems:
            raise TypeError("; ".join(problems))
        self.world = World(rules.width, rules.height, dict(rules.stats))
        self.rules = rules
        self.counters = ZoneCounters()
        name = rules.name or type(rules).__name__.lower()
        self._limits = limits if limits is not None else Limits()
        self._registry = PlayerRegistry(ticket_zone or name, players_max, secret)
        self._on_failure = on_failure
        self._frame = FrameBuilder()
        self._actions: dict[str, Action] = actions_of(rules)
        # Players by slot, and by the ref under which their gateway knows them.
        self._players: dict[int, Player] = {}
        self._by_ref: dict[int, Player] = {}
        # A heap of free slots: the lowest is used first, so that slots stay dense.
        self._free: list[int] = []
        # Registered players who wait for a slot, by ref, in order.
        self._arriving: dict[int, Join] = {}
        # What was asked for and is not done yet: by a tick that failed, or had no room for more.
        self._leaves: deque[int] = deque()
        self._joins: deque[Join] = deque()
        self._packets: list[Actions] = []
        # What the output of the tick that runs will say.
        self._joined: list[tuple[int, int]] = []
        self._ended: list[Ended] = []
        self._refused: list[RefusedAction] = []
        self._dilation_percent = 100
        # The tick in which a failure was last reported, by its place.
        self._failures_reported: dict[object, int] = {}
        self._timers: dict[int, list[Callable[[], None]]] = {}
        parts = rules, self._frame, self._registry, self._players
        self._commands = Commands(*parts, self._end, self._failed, getattr(self, "save_all", None))
        self.info = ZoneInfo(name, hz, rules.width, rules.height, tuple(rules.stats.items()), self._commands.usages)
        _set(rules, setting=MappingProxyType(settings_of(rules.settings, settings or {})))
        _set(rules, hz=hz, random=random.Random(seed), players=MappingProxyType(self._players))
        _set(rules, _zone_frame=self._frame, _zone_timers=self._timers)
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

    # --- The tick ---------------------------------------------------------------------------------

    def tick(self, tick_input: TickInput) -> TickOutput:
        """Runs one tick."""
        self.advance(tick_input)
        return self.encode()

    def advance(self, tick_input: TickInput) -> None:
        """Applies the input: leaves, joins, timers, actions, commands and `on_tick`, in this order."""
        world, rules, requests = self.world, self.rules, tick_input.requests
        assert tick_input.tick == world.tick + 1, f"the input of tick {tick_input.tick} after tick {world.tick}"
        world.tick = tick_input.tick
        _set(rules, tick=world.tick)
        for slot in self._frame.placed:
            # A motion that was set between two ticks, as by a timer of asyncio, counts from this tick on.
            world.since[slot] = world.tick
        self._dilation_percent = tick_input.dilation_percent
        # The zone's own lists: a tick that fails leaves what it did not come to for the next.
        left = set(requests.leaves)
        self._leaves += requests.leaves
        self._joins = deque(join for join in chain(self._joins, requests.joins) if join.ref not in left)
        self._packets += requests.actions
        self._commands.waiting += requests.commands
        while self._leaves:
            ref = self._leaves.popleft()
            if ref in self._registry:
                self._registry.leave(ref)
                self._remove(ref)
        self._let_in(tick_input.unix_seconds)
        for callback in self._timers.pop(world.tick, ()):
            self._guarded("a timer", callback)
        self._act()
        self._commands.run(tick_input.unix_seconds)
        self._call_hook("on_tick")
        self._kick()

    def encode(self) -> TickOutput:
        """The output of the tick that `advance` ran."""
        world = self.world
        records = self._frame.records
        # The hash is that of the state after this frame.
        state_hash = world.hash() if world.tick % self.info.hz == 0 else None
        frame = self._frame.encode(world, self._dilation_percent, state_hash)
        self.counters.encodes_total += 1
        joined, self._joined = self._joined, []
        ended, self._ended = self._ended, []
        refused, self._refused = self._refused, []
        return TickOutput(world.tick, frame, records, joined, ended, refused, self._commands.take_results())

    def stop(self) -> None:
        """Tells the rules that no tick follows: `on_leave` for every player who is still in, then `on_stop`."""
        for ref in list(self._by_ref):
            self._registry.leave(ref)
            self._leave(ref)
        self._call_hook("on_stop")

    # --- Joins and leaves -------------------------------------------------------------------------

    def _let_in(self, unix_seconds: float) -> None:
        """Registers new players, and gives a slot to as many as one tick takes in."""
        while self._joins:
            join = self._joins.popleft()
            for ended in self._registry.enter(join, unix_seconds):
                self._ended.append(ended)
                if ended.ref != join.ref:
                    self._remove(ended.ref)
            if join.ref in self._registry:
                self._arriving[join.ref] = join
        count = max(1, self._limits.joins_per_second // self.info.hz)
        for ref in list(islice(self._arriving, count)):
            self._join(ref, self._arriving.pop(ref).name)

    def _remove(self, ref: int) -> None:
        """Takes a player out of the zone, or out of the players who wait for a slot."""
        if self._arriving.pop(ref, None) is None:
            self._leave(ref)

    def _join(self, ref: int, name: str) -> None:
        # Without a free slot below them, the players fill the slots from 0 without a gap.
        slot = heapq.heappop(self._free) if self._free else len(self._players)
        player = Player(slot, name, self.world, self._frame)
        self.world.join(slot, name)
        self._frame.joined(slot, name)
        self._players[slot] = self._by_ref[ref] = player
        try:
            self.rules.on_join(player)
        except Refused as refused:
            code, text, _ = _told(refused)
            self._turn_away(ref, GameReason(code), text)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._failed("on_join", error, player=name)
            self._turn_away(ref, CloseReason.INTERNAL_ERROR, "the game failed when the player came in")
        else:
            self._joined.append((ref, slot))

    def _turn_away(self, ref: int, reason: CloseReason | GameReason, text: str) -> None:
        """Takes a player out whom `on_join` did not accept, as if the player had never come in."""
        self._ended.append(Ended(ref, reason, text))
        self._registry.leave(ref)
        self._frame.withdraw_join(self._free_slot(ref))

    def _leave(self, ref: int) -> None:
        self._call_hook("on_leave", self._by_ref[ref])
        self._frame.left(self._free_slot(ref))

    def _free_slot(self, ref: int) -> int:
        """Ends the stay of a player, and returns the slot that is free now."""
        player = self._by_ref.pop(ref)
        player._present = False
        slot = player.slot
        del self._players[slot]
        heapq.heappush(self._free, slot)
        self.world.leave(slot)
        return slot

    def _kick(self) -> None:
        """Ends the sessions of the players whom the rules throw out. They leave at the beginning of the next tick."""
        kicked = self._frame.kicked
        for ref, player in list(self._by_ref.items()) if kicked else ():
            if player.slot in kicked:
                code, text, _ = _told(Refused(*kicked[player.slot]))
                self._end(ref, GameReason(code), text)

    def _end(self, ref: int, reason: CloseReason | GameReason, text: str) -> None:
        self._ended.append(Ended(ref, reason, text))
        self._leaves.append(ref)

    # --- Actions ----------------------------------------------------------------------------------

    def _act(self) -> None:
        """Applies the actions of all packets, as many as the bounds on one player allow."""
        actions_max, event_bytes_max = self._limits.actions_per_tick, self._limits.event_bytes_per_tick
        packets, self._packets = self._packets, []
        kicked = self._frame.kicked
        # By player: the first sequence that this tick takes, and how many actions.
        taken: dict[int, tuple[int, int]] = {}
        # For each player: the bytes of events that their packets have caused.
        told: dict[int, int] = {}
        for packet in packets:
            ref, seq, actions = packet
            player = self._by_ref.get(ref)
            if player is None or (kicked and player.slot in kicked):
                continue  # The player has left.
            first, count = taken.get(ref, (seq, 0))
            count += len(actions)
            if count > actions_max or seq + len(actions) - first > _SEQUENCES_PER_TICK:
                for number in range(seq, seq + len(actions)):
                    text = "wait for the tick"
                    refusal = Refusal(self.world.tick - 1, number, RefusalCode.TOO_MANY_ACTIONS, text)
                    self._refused.append(RefusedAction(ref, refusal, is_violation=False))
                continue
            taken[ref] = first, count
            if told.get(ref, 0) >= event_bytes_max:
                self._packets.append(packet)
                continue
            before = self._frame.event_bytes
            self._apply(ref, player, seq, actions)
            if self._frame.event_bytes > before:
                told[ref] = told.get(ref, 0) + self._frame.event_bytes - before

    def _apply(self, ref: int, player: Player, first_seq: int, actions: Sequence[tuple[Any, ...]]) -> None:
        slot, frame, newest = player._slot, self._frame, self.world.seq
        known, moved, events = self._actions, frame.moved, frame.events
        for seq, sent in enumerate(actions, first_seq):
            kind = sent[0]
            moved_before, events_before = moved.get(slot), len(events)
            player._acting_seq, player._has_moved = seq, False
            frame.undo = []
            try:
                action = known.get(kind)
                if action is None:
                    raise Refused(RefusalCode.UNKNOWN_ACTION, f"there is no action {kind[:32]!r}", violation=True)
                result = action(player, sent)
                if player._has_moved:
                    self.counters.superseded_total += moved_before is not None
                else:
                    values = sent[1:] if result is None else result if type(result) is tuple else (result,)
                    frame.insert_event(events_before, slot, seq & 0xFF, kind, *values)
                newest[slot] = seq & 0xFF
            except Refused as refusal:
                frame.take_back(events_before)
                self._refuse(ref, seq, refusal)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self._failed(f"the rule for {sent!r:.80} of {player!r}", error, player=player.name, action=kind)
                frame.take_back(events_before)
                self._refuse(ref, seq, Refused(RefusalCode.RULE_FAILED, "the game failed"))
            player._acting_seq = None
        frame.undo = None

    def _refuse(self, ref: int, seq: int, refused: Refused) -> None:
        code, text, is_violation = _told(refused)
        self._refused.append(RefusedAction(ref, Refusal(self.world.tick, seq, code, text), is_violation))

    # --- Rules that raise -------------------------------------------------------------------------

    def _call_hook(self, name: str, *arguments: object) -> None:
        # The look-up may be a game's own code, so it is guarded as well.
        self._guarded(name, lambda: getattr(self.rules, name)(*arguments))

    def _guarded(self, what: str, call: Callable[..., object], *arguments: object) -> None:
        try:
            call(*arguments)
        except KeyboardInterrupt:
            raise  # The operator's, and not the rule's.
        except BaseException as error:
            self._failed(what, error)

    def _failed(self, what: str, error: BaseException, **about: object) -> None:
        """Counts a rule that raised, and reports it unless its place was reported within the last second."""
        self.counters.rule_failures_total += 1
        place, reported, tick = place_of(error), self._failures_reported, self.world.tick
        if tick - reported.get(place, -self.info.hz) >= self.info.hz:
            if len(reported) >= _PLACES_MAX:
                reported.clear()
            reported[place] = tick
            self._on_failure(RuleFailure(tick, what, error, about, self.counters.rule_failures_total))
