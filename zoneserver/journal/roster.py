"""The players and the world of a zone, read from its journal without the rules."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from zoneserver.journal.values import Checkpoint, RecordedTick
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Snapshot, Tick
from zoneserver.protocol.tickets import HEAD, MAC_BYTES
from zoneserver.protocol.world import World
from zoneserver.protocol.zone_info import ZoneInfo
from zoneserver.zone.bans import Bans, read_ban
from zoneserver.zone.link import Join, gateway_of
from zoneserver.zone.parking import pack_kept, unpack_kept
from zoneserver.zone.rules import Refused

__all__ = ["NewestSaves", "Roster", "snapshot_of"]


def snapshot_of(payload: bytes) -> Snapshot:
    """The snapshot in a payload."""
    snapshot = decode_server(payload)
    assert isinstance(snapshot, Snapshot)
    return snapshot


class NewestSaves:
    """The newest saved text of each player since they came in, in the ticks that it was given."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        """JSON texts, by name."""
        self._names: dict[int, str] = {}

    def take(self, recorded: RecordedTick) -> None:
        """Goes on by one tick."""
        for join in recorded.tick_input.requests.joins:
            self._names[join.ref] = join.name
        for ref, slot in recorded.joined:
            if slot is not None:
                # The player came in with what the store had.
                self.texts.pop(self._names.get(ref, ""), None)
        self.texts |= dict(recorded.saves)


class Roster:
    """Follows a journal from a checkpoint on, by its frames alone, and makes a state for `Zone.restore` of it.

    What is in no frame is as it was at the checkpoint: bans, used tickets, private messages that are kept. Those that
    the inputs since then tell of are added. What a player has saved last becomes `Player.saved`: `newest` has the saves
    ahead of the checkpoint.
    """

    def __init__(self, info: ZoneInfo, checkpoint: Checkpoint, newest: NewestSaves | None = None) -> None:
        self.world = World(info)
        self.world.restore(snapshot_of(checkpoint.snapshot))
        self._state = state = checkpoint.state
        # Everybody who has asked to come in since the checkpoint, or was in, by ref.
        self._joins: dict[int, Join] = {
            each[0]: Join(*each) for each in (*state["registered"], *state["arriving"], *state["joins"])
        }
        # (ref, newest sequence, saved text) of the player in each slot, in the order in which they came.
        players = {slot: (ref, seq, saved) for ref, slot, seq, _, saved in state["players"]}
        self._players: dict[int, tuple[int, int, str]] = {slot: players[slot] for slot in state["order"]}
        self._things = dict.fromkeys(state["things"])
        # The used tickets, as in a state.
        self._tickets: list[list[Any]] = []
        self._bans = Bans()
        self._bans.restore(state)
        # How players stand with the flood control, as in a state but for the ref.
        self._standings: dict[int, list[Any]] = {ref: rest for ref, *rest in state.get("standings", ())}
        # Commands that had not run at the checkpoint.
        self._commands: list[list[Any]] = list(state["commands"])
        self._newest = newest if newest is not None else NewestSaves()

    def apply(self, recorded: RecordedTick) -> None:
        """Goes on by one tick. Raises ValueError or LookupError for a frame that does not follow."""
        requests, saves = recorded.tick_input.requests, dict(recorded.saves)
        if recorded.frame:
            frame = decode_server(recorded.frame)
            assert isinstance(frame, Tick)
            self.world.apply(frame)
        else:  # The tick failed, and the next frame has what it changed.
            frame = Tick(recorded.tick, 100, None)
            self.world.tick = recorded.tick
        for ref in requests.confirmed:
            if ref in self._joins:
                self._joins[ref] = self._joins[ref]._replace(claim=b"")
        for join in requests.joins:
            # A player who leaves in this tick may come in again with what has just been saved.
            self._joins[join.ref] = join._replace(saved=saves.get(join.name, join.saved))
            if len(join.ticket) == HEAD.size + MAC_BYTES:
                self._tickets.append(list(HEAD.unpack(join.ticket[: HEAD.size])))
        for host, seconds in requests.bans:
            self._bans.after_kick(host, seconds, recorded.tick_input.unix_seconds)
        commands, self._commands = [*self._commands, *requests.commands], []
        for _, words in commands:
            self._apply_ban(words, recorded.tick_input.unix_seconds)
        for slot in frame.leaves:
            self._players.pop(slot, None)
            self._things.pop(slot, None)
        for slot, holder in frame.joins:
            if not isinstance(holder, str):
                self._things[slot] = None
        here = {ref for ref, _, _ in self._players.values()} if requests.standings else ()
        for ref, standing in requests.standings:
            if ref in here:
                self._standings[ref] = [recorded.tick, *standing[:4]]
        for ref, at in recorded.joined:
            if at is not None:
                self._players[at] = ref, 0, self._joins[ref].saved
        for ref, slot, seq, former, _ in recorded.resumed:
            self._players[slot] = ref, seq, self._players[slot][2]
            if former in self._standings:
                self._standings[ref] = self._standings.pop(former)
        slots = {ref: slot for slot, (ref, _, _) in self._players.items()} if requests.actions else {}
        for ref, seq, actions in requests.actions:
            if ref in slots:
                _, newest, saved = self._players[slots[ref]]
                self._players[slots[ref]] = ref, max(newest, seq + len(actions) - 1), saved
        self._newest.take(recorded)

    def _apply_ban(self, words: Sequence[str], unix_seconds: float) -> None:
        """Changes the bans as the command did: a ban ends when it would have ended without the restart."""
        with contextlib.suppress(Refused, ValueError):
            match words:
                case ["ban", *rest]:
                    self._bans.order(read_ban(rest), unix_seconds)
                case ["unban", *rest]:
                    self._bans.lift(rest, unix_seconds)

    def state(self) -> dict[str, Any]:
        """The state of a zone with these players, who are all here."""
        kept = unpack_kept(self._state["kept"])
        newest = self._newest.texts
        players = [
            [ref, slot, seq, True, newest.get(self._joins[ref].name, saved)]
            for slot, (ref, seq, saved) in self._players.items()
        ]
        joins = [self._joins[ref]._replace(ticket=b"", saved="") for ref, *_ in self._players.values()]
        tickets = self._state["tickets"]
        return self._state | {
            "players": players,
            "order": list(self._players),
            "things": list(self._things),
            "registered": [list(join) for join in joins],
            "watchers": [],
            "parked": [],
            "kept": pack_kept({join.ref: kept.get(join.ref, ()) for join in joins if join.token}),
            "standings": [
                [join.ref, *self._standings[join.ref]] for join in joins if join.token and join.ref in self._standings
            ],
            "tickets": tickets and [tickets[0], [*tickets[1], *self._tickets]],
            "commands": self._commands,
            **self._bans.state(),
            **{name: [] for name in ("arriving", "joins", "leaves", "drops", "packets")},
            "newest_ref": max([self._state["newest_ref"], *(ref for ref in self._joins if not gateway_of(ref))]),
            # What they were told alone since the checkpoint is not known.
            "gateways": [],
        }
