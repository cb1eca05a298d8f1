"""Attendance: who is in the zone, who waits for a slot, who is parked, and how they come and go."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from typing import Any

from zoneserver.config import Limits
from zoneserver.protocol.codes import CloseReason, GameReason
from zoneserver.protocol.messages import Snapshot
from zoneserver.support.addresses import address_networks
from zoneserver.zone.failures import Failures, as_told
from zoneserver.zone.frame_builder import FrameBuilder
from zoneserver.zone.gateways import Gateways
from zoneserver.zone.link import Batch, Ended, Join, Requests, Resumed, Standing, gateway_of
from zoneserver.zone.parameters import ZoneParameters
from zoneserver.zone.parking import Parking
from zoneserver.zone.player_registry import PlayerRegistry
from zoneserver.zone.population import Population
from zoneserver.zone.rules import Player, Refused, Rules
from zoneserver.zone.saves import SavedError, Saves, decode_saved, encode_saved
from zoneserver.zone.stopwatch import Stopwatch

__all__ = ["Attendance"]


class Attendance:
    """Lets players in and takes them out, once a tick, and tells the rules of it.

    If a tick fails, the next one goes on with what was left to do.
    """

    def __init__(
        self,
        rules: Rules,
        hz: int,
        limits: Limits,
        registry: PlayerRegistry,
        population: Population,
        frame: FrameBuilder,
        failures: Failures,
        watch: Stopwatch,
        saves: Saves,
        parking: Parking,
    ) -> None:
        self.by_ref: dict[int, Player] = {}
        """The players who are in, by the ref under which their gateway knows them."""
        self.parking = parking
        self.registry = registry
        self._rules = rules
        self._hz = hz
        self._limits = limits
        self._population = population
        self._frame = frame
        self._failures = failures
        self._watch = watch
        self._saves = saves
        self.gateways = Gateways()
        # Registered players who wait for a slot, by ref, in order.
        self._arriving: dict[int, Join] = {}
        # What was asked for and is not done yet.
        self._leaves: deque[int] = deque()
        self._drops: deque[int] = deque()
        self._joins: deque[Join] = deque()
        self._batches: deque[Batch] = deque()
        self._lost: deque[int] = deque()
        # What the output of the tick that runs will say.
        self._joined: list[tuple[int, int | None]] = []
        self._resumed: dict[int, tuple[int, int, Standing | None]] = {}
        self._ended: list[Ended] = []
        self._tick = 0
        self.newest_ref = 0
        """No player or watcher of the gateway in this process has had a higher ref."""
        self.problem = ""
        """Why `state` does not have all that the game has put into `Player.saved`, for people."""

    def refs(self) -> list[int]:
        """The refs of everybody who is in the zone, waits for a slot, or watches."""
        return self.registry.refs()

    def count_players(self) -> tuple[int, int]:
        """The players who are in, parked ones included, or wait for a slot; and how many of them stay in when the
        server starts again, since they may come back, or a gateway in another process keeps their connection."""
        far = [ref for ref in self.registry.refs() if gateway_of(ref)] if self.gateways.numbers() else []
        staying = self.parking.returning + sum(not self.parking.may_return(ref) for ref in far)
        return len(self.registry), staying

    def advance(self, requests: Requests, tick: int, unix_seconds: float) -> dict[int, int]:
        """Lets players leave, parks those who lost their connection, lets players come back and in.

        Returns the new ref of each player who came back, by the former one.
        """
        self._tick = tick
        self._batches += requests.batches
        self._lost += requests.lost
        self._ended += requests.failed
        gone = {*requests.leaves, *requests.drops}
        self._leaves += requests.leaves
        self._drops += requests.drops
        self._joins = deque(join for join in chain(self._joins, requests.joins) if join.ref not in gone)
        self.newest_ref = max([self.newest_ref, *(join.ref for join in requests.joins if not gateway_of(join.ref))])
        while self._batches:
            for ref in self.gateways.take(self._batches.popleft()):
                self._go_on(ref)
        for ref in requests.confirmed:
            self.registry.confirm(ref)
        while self._leaves:
            self.leave(self._leaves.popleft())
        while self._drops:
            self._drop(self._drops.popleft())
        for ref, standing in requests.standings:
            self.parking.keep_standing(ref, tick, standing)
        while self._lost:
            self._lose(self._lost.popleft())
        if requests.bans:
            self._ban(requests.bans, unix_seconds)
        self._let_in(unix_seconds)
        self.parking.tidy(tick)
        for ref in self.parking.expired(tick):
            self._ended.append(Ended(ref, CloseReason.CONNECTION_LOST, ""))
            self.leave(ref)
        if self.gateways.lost and tick % self._hz == 0:
            self._forget_gateways()
        return {former: ref for ref, (former, _, _) in self._resumed.items()}

    def take(self) -> tuple[list[tuple[int, int | None]], list[Resumed], list[Ended], list[tuple[int, bytes]]]:
        """Returns the joins, the returns and the ends since the last call, and the private messages that the returning
        players have missed."""
        joined, self._joined = self._joined, []
        ended, self._ended = self._ended, []
        resumed, self._resumed = self._resumed, {}
        back, missed = [], []
        for ref, (former, has_tick, standing) in resumed.items():
            player = self.by_ref.get(ref)
            if player is not None:  # None if the player has left again.
                back.append(Resumed(ref, player.slot, player._seq, former, standing))
                if has_tick < self._tick:
                    missed += [(ref, payload) for payload in self.parking.since(ref, has_tick)]
        return joined, back, ended, missed

    def newcomers(self) -> set[int]:
        """The players who get the SNAPSHOT of this tick ahead of what they are told in it."""
        taken_over = {ref for ref, (_, has_tick, _) in self._resumed.items() if has_tick == self._tick}
        return taken_over | {ref for ref, _ in self._joined}

    # --- Leaving ----------------------------------------------------------------------------------

    def leave(self, ref: int) -> None:
        """Takes a player out, wherever they are. It does nothing for a ref that is unknown."""
        if ref in self.registry:
            self.registry.leave(ref)
            self._remove(ref)

    def end(self, ref: int, reason: CloseReason | GameReason, text: str) -> None:
        """Ends the session of a player, who leaves at the beginning of the next tick."""
        self._ended.append(Ended(ref, reason, text))
        self._leaves.append(ref)

    def kick(self) -> None:
        """Ends the sessions of the players whom the rules throw out."""
        kicked = self._frame.kicked
        for ref, player in list(self.by_ref.items()) if kicked else ():
            if player.slot in kicked:
                code, text, _ = as_told(Refused(*kicked[player.slot]))
                self.end(ref, GameReason(code), text)

    def _remove(self, ref: int) -> None:
        """Takes a player out of the zone, or out of the players who wait for a slot. A watcher is in neither."""
        if self._arriving.pop(ref, None) is None and ref in self.by_ref:
            player = self.by_ref[ref]
            self._call_hook("on_leave", player)
            self._saves.make(player)
            self._take_out(ref)

    def _take_out(self, ref: int) -> None:
        self._population.remove_player(self.by_ref.pop(ref))
        self.parking.forget(ref)

    # --- Losing the connection and coming back ----------------------------------------------------

    def _drop(self, ref: int) -> None:
        """Parks a player whose connection is lost. One who cannot come back leaves."""
        player = self.by_ref.get(ref)
        if player is None or not self.parking.may_return(ref):
            self.leave(ref)
        elif ref not in self.parking:
            self.parking.park(ref, self._tick)
            player._is_here = False
            self._call_hook("on_drop", player)

    def _lose(self, gateway: int) -> None:
        """Parks all players of a gateway that has fallen silent. Its watchers stay registered."""
        refs = [ref for ref in self.registry.players() if gateway_of(ref) == gateway]
        refs = [ref for ref in refs if ref not in self.parking]
        for ref in refs:
            self._drop(ref)
        # If the gateway returns, it still has the connections of those who could not stay.
        self._ended += [Ended(ref, CloseReason.CONNECTION_LOST, "") for ref in refs if ref not in self.parking]
        self.gateways.lose(gateway, [ref for ref in refs if ref in self.parking])
        if gateway not in self.gateways:
            self._leave_watchers(gateway)
        elif gateway not in map(gateway_of, self.registry.players()):
            self._forget(gateway)

    def _ban(self, bans: Sequence[tuple[str, float]], unix_seconds: float) -> None:
        """Bans addresses after kicks. Players from there who are connected may stay, and parked ones leave."""
        after_kick = self.registry.bans.after_kick
        banned = {address_networks(host)[0] for host, seconds in bans if after_kick(host, seconds, unix_seconds)}
        for ref in [ref for ref in self.parking.parked() if self.registry.network_of(ref) in banned]:
            self._ended.append(Ended(ref, CloseReason.BANNED, ""))
            self.leave(ref)

    def _go_on(self, ref: int) -> None:
        """The gateway of a player is there again: one who is still parked since then goes on."""
        if ref in self.parking:
            self.parking.go_on(ref, self._tick)
            self.by_ref[ref]._is_here = True
            self._call_hook("on_resume", self.by_ref[ref])

    def _forget_gateways(self) -> None:
        """Forgets the lost gateways that have no player left. One that returns begins anew."""
        left = set(map(gateway_of, self.registry.players()))
        for gateway in [each for each in self.gateways.lost if each not in left]:
            self._forget(gateway)

    def _forget(self, gateway: int) -> None:
        self.gateways.forget(gateway)
        self._leave_watchers(gateway)

    def _leave_watchers(self, gateway: int) -> None:
        players = set(self.registry.players())
        for ref in [ref for ref in self.registry.refs() if gateway_of(ref) == gateway and ref not in players]:
            self.registry.leave(ref)

    def _resume(self, former: int, join: Join) -> None:
        """Gives the place of a player to a new connection of theirs."""
        ref, player = join.ref, self.by_ref.pop(former)
        self.by_ref[ref] = player
        player._ref = ref
        player._is_here = True
        self.parking.rename(former, ref, self._tick)
        standing = self.parking.standing(ref, self._tick)
        if not join.token:
            self.parking.forget(ref)
        # One who was back for a moment within this tick has the former ref of then.
        was, _, _ = self._resumed.pop(former, (former, 0, None))
        # A client that took the player over by HELLO has missed nothing: it is a new program.
        self._resumed[ref] = was, join.tick if join.claim else self._tick, standing
        self._call_hook("on_resume", player)

    # --- Coming in --------------------------------------------------------------------------------

    def _let_in(self, unix_seconds: float) -> None:
        """Registers new players, and lets as many come back and come in as one tick takes."""
        room = max(1, self._limits.joins_per_second // self._hz)
        for _ in range(len(self._joins)):
            join = self._joins.popleft()
            if join.claim and not room:
                self._joins.append(join)
                continue
            if join.ref in self.registry:
                continue  # The gateway has lost count: no ref is of two players.
            if not self.gateways.is_here(gateway_of(join.ref)):
                # It has waited until its gateway was lost. Nobody would take the player out.
                self._ended.append(Ended(join.ref, CloseReason.CONNECTION_LOST, ""))
                continue
            former, ended = self.registry.enter(join, unix_seconds)
            self._ended += ended
            for each in ended:
                if each.ref not in (join.ref, former):
                    self._remove(each.ref)
            if join.ref not in self.registry:
                continue
            if join.watch:
                self._joined.append((join.ref, None))
            elif former is not None and former in self.by_ref:
                room -= 1
                self._resume(former, join)
            else:
                if former is not None:
                    del self._arriving[former]
                self._arriving[join.ref] = self._saves.renew(join)
        for ref in list(islice(self._arriving, max(0, room))):
            self._join(self._arriving.pop(ref))

    def _join(self, join: Join) -> None:
        ref, name = join.ref, join.name
        player = self.by_ref[ref] = self._population.add_player(ref, name)
        frame, events_before = self._frame, len(self._frame.events)
        frame.undo = []
        try:
            player._saved = decode_saved(join.saved)
            self._rules.on_join(player)
        except SavedError as error:
            self._turn_away(ref, CloseReason.STORE_FAILED, str(error))
        except Refused as refused:
            frame.take_back(events_before)
            code, text, _ = as_told(refused)
            self._turn_away(ref, GameReason(code), text)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            frame.take_back(events_before)
            self._failures.add("on_join", error, player=name)
            self._turn_away(ref, CloseReason.INTERNAL_ERROR, "the game failed when the player came in")
        else:
            self._joined.append((ref, player.slot))
            if join.token:
                self.parking.enter(ref)
        frame.undo = None
        self._watch.rule("on_join")

    def _turn_away(self, ref: int, reason: CloseReason | GameReason, text: str) -> None:
        """Takes a player out whom `on_join` did not accept, as if the player had never come in."""
        self._ended.append(Ended(ref, reason, text))
        self.registry.leave(ref)
        self._take_out(ref)

    # --- Checkpoints ------------------------------------------------------------------------------

    def change(self, parameters: ZoneParameters, tick: int) -> None:
        """Goes on from this tick with other bounds, and another grace."""
        self._limits = parameters.limits
        self.parking.change(parameters.resume_ticks, tick)

    def state(self) -> dict[str, Any]:
        """Everything as plain values, for `restore`."""
        self.problem = ""
        players = [
            [ref, each.slot, each._seq, each.is_here, self._saved_text(each)] for ref, each in self.by_ref.items()
        ]
        return {
            **self.registry.state(),
            **self.parking.state(),
            "players": players,
            "order": list(self._population.players),
            "things": list(self._population.things),
            "arriving": [list(join) for join in self._arriving.values()],
            "joins": [list(join) for join in self._joins],
            "leaves": list(self._leaves),
            "drops": list(self._drops),
            "newest_ref": self.newest_ref,
            "gateways": self.gateways.state(),
        }

    def _saved_text(self, player: Player) -> str:
        if not player._saved:
            return ""
        try:
            return encode_saved(player._saved, f"saved of {player.name}")
        except (TypeError, ValueError) as error:
            self.problem = str(error)
            return ""

    def restore(self, snapshot: Snapshot, state: Mapping[str, Any]) -> None:
        """Takes over a snapshot and a state, the population included."""
        self.registry.restore(state)
        self.parking.restore(state)
        refs = {slot: ref for ref, slot, *_ in state["players"]}
        self._population.restore(snapshot, {slot: refs[slot] for slot in state["order"]}, state["things"])
        self.by_ref.clear()
        for ref, slot, seq, is_here, saved in state["players"]:
            player = self.by_ref[ref] = self._population.players[slot]
            player._seq, player._is_here, player._saved = seq, is_here, decode_saved(saved)
        self._arriving = {join[0]: Join(*join) for join in state["arriving"]}
        self._joins = deque(Join(*join) for join in state["joins"])
        self._leaves, self._drops = deque(state["leaves"]), deque(state["drops"])
        self.newest_ref = state["newest_ref"]
        # A journal of an earlier version has none.
        self.gateways.restore(state.get("gateways", ()))

    # --- Hooks ------------------------------------------------------------------------------------

    def _call_hook(self, name: str, player: Player) -> None:
        # The look-up may be a game's own code, so it is guarded as well.
        self._failures.guard(name, lambda: getattr(self._rules, name)(player))
