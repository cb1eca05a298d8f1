"""A game that uses all that a checkpoint has to hold, and made-up inputs for it."""

from __future__ import annotations

import random
from typing import Annotated, Any, ClassVar

from zoneserver.zone.link import Actions, Command, Join, Requests, Standing, TickInput
from zoneserver.zone.rules import Player, Refused, Rules, Speed, Text, Thing, action, command
from zoneserver.zone.timers import Timer

NAMES = ("ann", "bob", "cid", "dan", "eve", "fay")
HZ = 10
BANS = ("ban 192.0.2.7 --for 500ms", "unban 192.0.2.7", "bans")


class Bazaar(Rules):
    """Stalls are set up, sold and closed by timers; players haggle, are robbed, and are thrown out."""

    width, height = 400, 400
    stats: ClassVar = {"gold": 10, "luck": 0}
    board: ClassVar = {"sales": 0, "crier": ""}
    kinds: ClassVar = {"stall": {"price": 1}, "cat": {}}
    settings: ClassVar = {"cats": 2}

    def on_start(self) -> None:
        self.robbed: dict[Player, int] = {}
        for _ in range(self.setting["cats"]):
            self.near(self.spawn("cat", *self.anywhere()), 10)
        self.prowling: Timer = self.every(ticks=3, callback=self.prowl)
        self.every(0.7, self.open_stall, 2)

    def save(self) -> Any:
        return {"robbed": [[player.slot, times] for player, times in self.robbed.items()], "bytes": b"\0"}

    def load(self, value: Any) -> None:
        assert value["bytes"] == b"\0"
        self.robbed = {self.players[slot]: times for slot, times in value["robbed"]}
        self.prowling = next(iter(self.timers("prowl")), self.prowling)

    def on_restore(self) -> None:
        for player in self.players.values():
            player.saved.setdefault("bag", [])
        self.emit("restored")
        self.spawn("cat", 1, 1)

    def on_join(self, player: Player) -> None:
        if player.name == "eve" and self.random.random() < 0.3:
            raise Refused("NOT_TODAY", "come back tomorrow")
        player.place(*self.anywhere())
        player["gold"] = player.saved.get("gold", 10)
        player.saved.setdefault("bag", []).append(self.tick)
        player.after(5, self.greet, player, "welcome")
        player.tell("bag", *player.saved["bag"])

    def on_leave(self, player: Player) -> None:
        self.robbed.pop(player, None)
        self.emit("left", player.slot)

    def to_save(self, player: Player) -> dict[str, Any]:
        return {"gold": player["gold"], "bag": player.saved["bag"]}

    def on_tick(self) -> None:
        if self.random.random() < 0.05 and self.players:
            self.random.choice(list(self.players.values())).kick("THIEF", "the guards saw it")

    # --- Timers -----------------------------------------------------------------------------------

    def greet(self, player: Player, text: str) -> None:
        self.emit("greeted", player.slot, text)

    def prowl(self) -> None:
        for thing in self.things.values():
            thing.move(self.random.randint(-5, 5), self.random.randint(-5, 5))

    def open_stall(self, price: int) -> None:
        stall = self.spawn("stall", *self.anywhere(), price=self.random.randint(price, 9))
        self.after(self.random.randint(1, 20), self.close_stall, stall, 0.5)

    def close_stall(self, stall: Thing, share: float) -> None:
        if stall.present:
            self.emit("closed", stall.slot, share)
            stall.remove()

    def strike_back(self, victim: Player, thief: Player) -> None:
        # Either may have left, and another may have the slot.
        self.emit("revenge", victim.present, thief.present, victim is thief, thief.name)
        if victim.present and thief.present:
            thief["gold"] -= 1

    # --- Actions ----------------------------------------------------------------------------------

    @action
    def walk(self, player: Player, vx: Speed, vy: Speed) -> None:
        player.move(vx, vy)

    @action
    def buy(self, player: Player) -> tuple[int, ...]:
        """Buys what is near."""
        stalls = self.near(player, 150, "stall")
        if not stalls:
            raise Refused("NO_STALL")
        for stall in stalls:
            player["gold"] -= stall["price"]
            self.board["sales"] += 1
            stall.remove()
        if player["gold"] < 0:
            raise Refused("TOO_POOR")
        return tuple(stall.slot for stall in stalls)

    @action
    def rob(self, player: Player, other: Player) -> None:
        self.robbed[other] = self.robbed.get(other, 0) + 1
        player["gold"] += self.random.randint(0, 3)
        player["luck"] = self.robbed[other]
        other.move(3, 3)
        self.after(4, self.strike_back, other, player)
        self.after(6, self.strike_back, player, player)

    @action
    def cry(self, player: Player, text: Annotated[str, Text(40)]) -> None:
        self.board["crier"] = player.name
        self.prowling.cancel()
        self.prowling = self.every(ticks=self.random.randint(1, 4), callback=self.prowl)

    @action
    def trip(self, player: Player) -> None:
        player["luck"] = self.random.randint(0, 9) // 0

    @action(private=True)
    def purse(self, player: Player) -> int:
        return player["gold"]

    @command
    def give(self, player: Player, gold: int) -> None:
        player["gold"] += gold


def inputs(seed: int, ticks: int) -> list[TickInput]:
    """Made-up inputs of `ticks` ticks: players come, act, drop, come back and leave."""
    chance, rarely, made = random.Random(seed), random.Random(seed + 1), []
    sessions: dict[int, str] = {}
    # The newest sequence by name: a client that comes back goes on behind its last one.
    seqs = dict.fromkeys(NAMES, 0)
    next_ref = 100
    for tick in range(1, ticks + 1):
        requests = Requests()
        for _ in range(chance.choice((0, 0, 1, 2))):
            name, ref = chance.choice(NAMES), next_ref
            next_ref += 1
            # An even name's client comes back.
            token = bytes((NAMES.index(name),)) * 32 if NAMES.index(name) % 2 == 0 else b""
            claim = chance.choice((token, b"x" * 32)) if token and chance.random() < 0.5 else b""
            saved = '{"gold":7,"bag":[1]}' if chance.random() < 0.3 else ""
            host = "192.0.2.7" if rarely.random() < 0.1 else "127.0.0.1"
            join = Join(ref, name, b"", host, chance.random() < 0.1, saved, token, claim, max(0, tick - 5))
            requests.joins.append(join)
            sessions[ref] = name
        for ref in list(sessions):
            if chance.random() < 0.06:
                chance.choice((requests.leaves, requests.drops)).append(ref)
                del sessions[ref]
            if rarely.random() < 0.1:
                standing = Standing(1, "FLOOD", "too many actions", (0, 0, rarely.randint(500, 1500), 0))
                requests.standings.append((ref, standing))
            if ref in sessions and chance.random() < 0.2:
                requests.confirmed.append(ref)
            for _ in range(chance.choice((0, 1, 2)) if ref in sessions else 0):
                requests.actions.append(_packet(chance, ref, sessions[ref], seqs))
        if chance.random() < 0.1:
            stops = ("stop --drain", "stop --cancel", "stop --cancel")
            words = chance.choice(("give ann 5", "say hear", "ban fay", "unban fay", "kick bob", *stops))
            requests.commands.append(Command(tick, tuple(words.split())))
        if rarely.random() < 0.1:
            requests.bans.append((rarely.choice(("127.0.0.1", "192.0.2.7")), 0.5))
            requests.commands.append(Command(tick, tuple(rarely.choice(BANS).split())))
        made.append(TickInput(tick, 1_000.0 + tick / HZ, chance.choice((100, 100, 80)), requests))
    return made


def _packet(chance: random.Random, ref: int, name: str, seqs: dict[str, int]) -> Actions:
    actions: list[tuple[Any, ...]] = []
    for _ in range(chance.choice((1, 1, 2, 3))):
        kind = chance.choice(("walk", "buy", "rob", "cry", "trip", "purse", "nonsense"))
        arguments = {
            "walk": (chance.randint(-9, 9), chance.randint(-9, 9)),
            "rob": (chance.randint(0, 4),),
            "cry": ("fish " * chance.randint(1, 6),),
        }
        actions.append((kind, *arguments.get(kind, ())))
    seqs[name] += len(actions)
    return ref, seqs[name] - len(actions) + 1, tuple(actions)
