"""Runs the actions of players against the rules of a game: each happens whole, or is refused and leaves no trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoneserver.config import Limits
from zoneserver.protocol.codes import RESTRAINTS, RefusalCode
from zoneserver.protocol.messages import Answered, Refusal
from zoneserver.protocol.world import World
from zoneserver.zone.actions import Action, actions_of, private_kinds
from zoneserver.zone.counters import ZoneCounters
from zoneserver.zone.failures import Failures, as_told
from zoneserver.zone.frame_builder import FrameBuilder
from zoneserver.zone.link import Actions, RefusedAction
from zoneserver.zone.rules import Player, Refused, Rules
from zoneserver.zone.stopwatch import Stopwatch

__all__ = ["SCHEMA_ACTION", "ActionRunner"]

SCHEMA_ACTION = "/game.json"
"""A private action of every game: the answer is the game's schema, as one JSON text. No method has such a name."""

# The actions of one player within one tick lie within this many sequences. Frames carry the low byte of a
# sequence, and every client must see which of two is the newer.
_SEQUENCES_PER_TICK = 128


def _values(result: Any) -> tuple[Any, ...]:
    """The values that a handler returned: a tuple of them, one by itself, or none."""
    return result if type(result) is tuple else () if result is None else (result,)


def _named(player: Player, actions: Sequence[tuple[Any, ...]]) -> str:
    """Names the actions of a packet for people."""
    kinds = ", ".join(sorted({f"{kind!r:.40}" for kind, *_ in actions}))
    return f"the action{'s' if len(actions) > 1 else ''} {kinds:.100} of {player.name}"


class ActionRunner:
    """Applies the actions of one zone, once a tick. `by_ref` has the players who are in."""

    def __init__(
        self,
        rules: Rules,
        limits: Limits,
        schema: str,
        world: World,
        frame: FrameBuilder,
        by_ref: Mapping[int, Player],
        failures: Failures,
        watch: Stopwatch,
        counters: ZoneCounters,
    ) -> None:
        self.limits = limits
        self.packets: list[Actions] = []
        """The packets that wait for the next `run`: since a tick failed, or had no room for more."""
        self._world = world
        self._frame = frame
        self._by_ref = by_ref
        self._failures = failures
        self._watch = watch
        self._counters = counters
        self._actions: dict[str, Action] = actions_of(rules)
        self._private = private_kinds(rules) | {SCHEMA_ACTION}
        self._actions[SCHEMA_ACTION] = lambda player, _: self._told_once(player, schema)
        # The refused actions of the tick that runs.
        self._refused: list[RefusedAction] = []

    def rename(self, renamed: Mapping[int, int]) -> None:
        """Gives the waiting packets of players who came back their new refs."""
        if renamed:
            self.packets = [(renamed.get(ref, ref), seq, actions) for ref, seq, actions in self.packets]

    def take_refused(self) -> list[RefusedAction]:
        """The actions that were refused since the last call."""
        refused, self._refused = self._refused, []
        return refused

    def run(self) -> None:
        """Applies the actions of all packets, as many as the bounds on one player allow."""
        actions_max, event_bytes_max = self.limits.actions_per_tick, self.limits.event_bytes_per_tick
        packets, self.packets = self.packets, []
        kicked = self._frame.kicked
        watch, clock = self._watch, self._watch.clock
        ruled, longest_seconds = clock(), 0.0
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
            player._seq = max(player._seq, seq + len(actions) - 1)
            if count > actions_max or seq + len(actions) - first > _SEQUENCES_PER_TICK:
                for number in range(seq, seq + len(actions)):
                    text = "wait for the tick"
                    refusal = Refusal(self._world.tick - 1, number, RefusalCode.TOO_MANY_ACTIONS, text)
                    self._refused.append(RefusedAction(ref, refusal, is_violation=False))
                continue
            taken[ref] = first, count
            if told.get(ref, 0) >= event_bytes_max:
                self.packets.append(packet)
                continue
            before = self._frame.event_bytes
            self._apply(ref, player, seq, actions)
            if self._frame.event_bytes > before:
                told[ref] = told.get(ref, 0) + self._frame.event_bytes - before
            # As `watch.rule`, but without a call, and a packet is named only if it took longest so far.
            now = clock()
            if now - ruled > longest_seconds:
                longest_seconds = now - ruled
                watch.longest, watch.longest_seconds = _named(player, actions), longest_seconds
            ruled = now

    def _apply(self, ref: int, player: Player, first_seq: int, actions: Sequence[tuple[Any, ...]]) -> None:
        slot, frame, newest = player._slot, self._frame, self._world.seq
        known, private, moved, events = self._actions, self._private, frame.moved, frame.events
        for seq, sent in enumerate(actions, first_seq):
            kind = sent[0]
            moved_before, events_before = moved.get(slot), len(events)
            is_private = kind in private
            # What a private action moves is told as motion by the rules: no public sequence tells of it.
            player._acting_seq, player._has_moved = None if is_private else seq, False
            frame.undo = []
            try:
                action = known.get(kind)
                if action is None:
                    raise Refused(RefusalCode.UNKNOWN_ACTION, f"there is no action {kind[:32]!r}", violation=True)
                result = action(player, sent)
                if is_private:
                    frame.tell(ref, Answered(self._world.tick, seq, _values(result)).encode())
                    continue
                if player._has_moved:
                    self._counters.superseded_total += moved_before is not None
                else:
                    values = sent[1:] if result is None else _values(result)
                    frame.insert_event(events_before, slot, seq & 0xFF, kind, *values)
                newest[slot] = seq & 0xFF
            except Refused as refusal:
                frame.take_back(events_before)
                self._refuse(ref, seq, refusal)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self._failures.add(f"the rule for {sent!r:.80} of {player!r}", error, player=player.name, action=kind)
                frame.take_back(events_before)
                self._refuse(ref, seq, Refused(RefusalCode.RULE_FAILED, "the game failed"))
        player._acting_seq = None
        frame.undo = None

    def _told_once(self, player: Player, text: str) -> str:
        """Answers a player who has been told nothing yet in this tick: a flood of questions is not the game's fault."""
        if self._frame.told_bytes.get(player._ref):
            raise Refused(RefusalCode.TOO_MANY_ACTIONS, "ask again in the next tick")
        return text

    def _refuse(self, ref: int, seq: int, refused: Refused) -> None:
        code, text, is_violation = as_told(refused)
        if code in RESTRAINTS:
            code = Refused.code  # A client would take it for the server's own word.
        self._refused.append(RefusedAction(ref, Refusal(self._world.tick, seq, code, text), is_violation))
