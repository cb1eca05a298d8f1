"""The zone: collects what players ask for, and once per tick turns it into one frame.

No asyncio, no socket, no clock: `tick()` is called when it is time. What a gateway and a zone say
to each other is a handful of small messages: `join`, `leave` and `submit` one way, a `TickResult`
the other. A player is known to the gateway by a number of the gateway's choice (`ref`); within the
zone by its slot.
"""

from __future__ import annotations

import heapq
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from zoneserver.config import Limits
from zoneserver.protocol.codes import RefusalCode
from zoneserver.protocol.framing import frame
from zoneserver.protocol.messages import Refusal
from zoneserver.protocol.world import World
from zoneserver.support.errors import GameError, raised_by
from zoneserver.support.logs import fields, place_of
from zoneserver.zone.actions import Action, actions_of
from zoneserver.zone.history import History
from zoneserver.zone.rules import Player, Refused, Rules
from zoneserver.zone.tick_buffer import FrameBuilder

__all__ = ["TickResult", "Zone", "new_game"]

log = logging.getLogger(__name__)

# What one player does within one tick lies within so many sequences: frames carry their low bytes, of
# which everybody must see which is the newer.
_SEQUENCES_PER_TICK = 128

# Places of failures that are remembered: more than the lines of any game that raise.
_PLACES_MAX = 1_000


def new_game(game: type[Rules]) -> Rules:
    """A game of this class. Raises GameError for one that cannot be made."""
    try:
        return game()
    except Exception as error:
        raise GameError(f"{game.__name__}()", error) from error


@dataclass(frozen=True, slots=True)
class TickResult:
    """What one tick produced, for the gateway to hand out."""

    tick: int
    frame: bytes
    """The one buffer, complete on the wire."""
    records: int
    """How many things it tells each receiver."""
    joined: list[tuple[int, int]]
    """(ref, slot) of everybody who came in."""
    refused: list[tuple[int, Refusal, bool]]
    """(ref, refusal, whether no honest client would have tried it) of each action that did not happen."""


class Zone:
    """One crowded place and its game. Raises TypeError for a game that is not written as it should be, and
    GameError for one that fails as it starts.

    >>> class Chat(Rules):
    ...     pass
    >>> zone = Zone(Chat(), hz=20, seed=1)
    >>> zone.join(ref=7, name="ann")
    >>> zone.tick().joined
    [(7, 0)]
    """

    def __init__(self, rules: Rules, *, hz: int, seed: int, limits: Limits | None = None) -> None:
        self.world = World(rules.width, rules.height, dict(rules.stats))
        self.hz = hz
        self._limits = limits if limits is not None else Limits()
        self.history = History(self._limits.history_ticks, lambda: frame(self.world.snapshot().encode()))
        self.rules = rules
        self.rule_failures_total = 0
        self.superseded_total = 0
        self._frame = FrameBuilder()
        self._actions: dict[str, Action] = actions_of(rules)
        # By slot, and by the number under which the gateway knows them.
        self._players: dict[int, Player] = {}
        self._by_ref: dict[int, Player] = {}
        # Free slots below the highest that was ever used, lowest first, so that slots stay dense.
        self._free: list[int] = []
        # What has been asked for since the last tick.
        self._joins: dict[int, str] = {}
        self._leaves: list[int] = []
        self._inbox: list[tuple[int, int, Sequence[tuple[Any, ...]]]] = []
        # Of each player whose actions wait in the inbox: the first sequence of them, and how many they are.
        self._waiting: dict[int, tuple[int, int]] = {}
        self._refused: list[tuple[int, Refusal, bool]] = []
        self._joined: list[tuple[int, int]] = []
        # In which tick a failure was last logged, by its place.
        self._failures_logged: dict[object, int] = {}
        rules.hz = hz
        rules.random = random.Random(seed)
        rules.players = self._players
        rules._frame = self._frame
        rules._timers = {}
        try:
            rules.on_start()
        except Exception as error:
            raise GameError("on_start", error) from error

    @property
    def name(self) -> str:
        """What the game calls itself."""
        return self.rules.name or type(self.rules).__name__.lower()

    @property
    def encodes_total(self) -> int:
        """Frames encoded: exactly one per tick."""
        return self._frame.encodes_total

    def slot(self, ref: int) -> int | None:
        """The slot of a player; None until the tick that takes it in."""
        player = self._by_ref.get(ref)
        return None if player is None else player.slot

    # --- What a gateway asks ----------------------------------------------------------------------

    def join(self, ref: int, name: str) -> None:
        """Somebody comes in with the next tick, or a later one when many are ahead."""
        self._joins[ref] = name

    def leave(self, ref: int) -> None:
        """Somebody goes with the next tick; one who never got in is forgotten."""
        if self._joins.pop(ref, None) is None:
            assert ref in self._by_ref, f"{ref} is not in the zone"
            self._leaves.append(ref)

    def submit(self, ref: int, seq: int, actions: Sequence[tuple[Any, ...]]) -> bool:
        """Actions of one player, the first with sequence `seq`, for the next tick.

        False when too many of this player's wait already, or one whose sequence is too far away; then
        none of these is taken.
        """
        first, waiting = self._waiting.get(ref, (seq, 0))
        waiting += len(actions)
        if waiting > self._limits.actions_per_tick or seq + len(actions) - first > _SEQUENCES_PER_TICK:
            return False
        self._waiting[ref] = first, waiting
        self._inbox.append((ref, seq, actions))
        return True

    # --- The tick ---------------------------------------------------------------------------------

    def tick(self, dilation_percent: int = 100) -> TickResult:
        """One tick: `advance`, then `encode`."""
        self.advance()
        return self.encode(dilation_percent)

    def advance(self) -> None:
        """Applies all that was asked for since the last tick, in the order in which it came."""
        world, rules = self.world, self.rules
        world.tick += 1
        rules.tick = world.tick
        leaves, self._leaves = self._leaves, []
        joins = list(islice(self._joins.items(), max(1, self._limits.joins_per_second // self.hz)))
        inbox, self._inbox = self._inbox, []
        self._waiting = {}
        for ref in leaves:
            self._leave(ref)
        for ref, _ in joins:
            del self._joins[ref]
        self._joined = [(ref, self._join(ref, name)) for ref, name in joins]
        for callback in rules._timers.pop(world.tick, ()):
            self._guarded("a timer", callback)
        # How many bytes everybody is told, by whose packets it came of.
        told: dict[int, int] = {}
        event_bytes_max = self._limits.event_bytes_per_tick
        for ref, seq, actions in inbox:
            player = self._by_ref.get(ref)
            if player is None:
                continue  # It left before its actions were due.
            if told.get(ref, 0) >= event_bytes_max:
                # As it was within the bounds in this tick, it is the first in the next.
                self.submit(ref, seq, actions)
                continue
            before = self._frame.event_bytes
            self._apply(ref, player, seq, actions)
            if self._frame.event_bytes > before:
                told[ref] = told.get(ref, 0) + self._frame.event_bytes - before
        self._guarded("on_tick", rules.on_tick)

    def encode(self, dilation_percent: int = 100) -> TickResult:
        """The frame of the tick that `advance` made, and what else the gateway is to hand out."""
        world = self.world
        records = self._frame.records
        # The hash is of the state that the receiver has once it applied this very frame.
        state_hash = world.hash() if world.tick % self.hz == 0 else None
        data = self._frame.encode(world, dilation_percent, state_hash)
        self.history.append(world.tick, data)
        refused, self._refused = self._refused, []
        joined, self._joined = self._joined, []
        return TickResult(world.tick, data, records, joined, refused)

    def _join(self, ref: int, name: str) -> int:
        # Without a free slot below them, the players fill the slots from 0 without a gap.
        slot = heapq.heappop(self._free) if self._free else len(self._players)
        player = Player(slot, name, self.world, self._frame)
        self.world.join(slot, name)
        self._frame.joined(slot, name)
        self._players[slot] = self._by_ref[ref] = player
        self._guarded("on_join", self.rules.on_join, player)
        return slot

    def _leave(self, ref: int) -> None:
        player = self._by_ref.pop(ref)
        slot = player.slot
        self._guarded("on_leave", self.rules.on_leave, player)
        player.present = False
        del self._players[slot]
        heapq.heappush(self._free, slot)
        self.world.leave(slot)
        self._frame.left(slot)

    def _apply(self, ref: int, player: Player, first_seq: int, actions: Sequence[tuple[Any, ...]]) -> None:
        slot, frame, newest = player.slot, self._frame, self.world.seq
        known, moved, events = self._actions, frame.moved, frame.events
        for seq, sent in enumerate(actions, first_seq):
            kind = sent[0]
            moved_before, events_before = moved.get(slot), len(events)
            player.acting_seq, player.moved = seq, False
            try:
                action = known.get(kind)
                if action is None:
                    raise Refused(RefusalCode.UNKNOWN_ACTION, f"there is no action {kind[:32]!r}", violation=True)
                result = action(player, sent)
                if player.moved:
                    self.superseded_total += moved_before is not None
                else:
                    values = sent[1:] if result is None else result if type(result) is tuple else (result,)
                    frame.insert_event(events_before, slot, seq & 0xFF, kind, *values)
                newest[slot] = seq & 0xFF
            except Refused as refusal:
                self._refuse(ref, player, seq, refusal, moved_before)
            except Exception as error:
                self._failed(f"the rule for {sent!r:.80} of {player!r}", error, player=player.name, action=kind)
                self._refuse(ref, player, seq, Refused(RefusalCode.RULE_FAILED, "the game failed"), moved_before)
            player.acting_seq = None

    def _refuse(self, ref: int, player: Player, seq: int, refused: Refused, moved_before: int | None) -> None:
        if player.moved:
            # The rule moved its player and then changed its mind: the motion stands, but not as this
            # action's doing, for an action is either in the frame or refused.
            self._frame.placed.add(player.slot)
            if moved_before is None:
                del self._frame.moved[player.slot]
            else:
                self._frame.moved[player.slot] = moved_before
        self._refused.append((ref, Refusal(self.world.tick, seq, refused.code, refused.text), refused.violation))

    def _guarded(self, what: str, call: Callable[..., object], *arguments: object) -> None:
        try:
            call(*arguments)
        except Exception as error:
            self._failed(what, error)

    def _failed(self, what: str, error: Exception, **about: object) -> None:
        """Counts a rule that raised, and logs it: for each place where one does, once a second at the most."""
        self.rule_failures_total += 1
        place, logged, tick = place_of(error), self._failures_logged, self.world.tick
        if tick - logged.get(place, -self.hz) >= self.hz:
            if len(logged) >= _PLACES_MAX:
                logged.clear()
            logged[place] = tick
            about |= {"tick": tick, "failures_total": self.rule_failures_total, "error": raised_by(error)}
            log.exception(
                "%s failed in tick %d (failure %d)", what, tick, self.rule_failures_total, extra=fields(**about)
            )
