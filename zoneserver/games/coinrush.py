"""A coin rush: matches of a minute, coins to find, wolves that bite, a shop, whispers, and gold that a store keeps.

It uses most of what a game can have: things, the board, timers, private actions, settings, saved players and a command.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from zoneserver.zone.rules import Entity, Player, Refused, Rules, Speed, Text, Thing, action, command

__all__ = ["Coinrush"]


class Coinrush(Rules):
    """Run over coins or grab them, flee from the wolves, and be the one who has found most when the match ends."""

    name = "coinrush"
    version = "1"
    width, height = 2_000, 2_000
    # One step of velocity is four units per second, at any tick rate.
    speed_step = 4
    # All that a player has, and what they have found in this match.
    stats: ClassVar = {"gold": 0, "found": 0}
    # The number of the match, the tick in which it ends, who has found most in it, and how much.
    board = {"match": 0, "ends": 0, "leader": "", "best": 0}  # noqa: RUF012  # The zone puts the board in its place.
    kinds: ClassVar = {"coin": {"worth": 1}, "wolf": {}}
    settings: ClassVar = {"coins": 30, "wolves": 4}
    events: ClassVar = {"taken": (Player, int), "bitten": (Player, int), "won": (str, int)}

    MATCH_S = 60.0
    SPEED, SPEED_IN_BOOTS = 50, 75
    STEP_OVER, REACH = 25, 100
    COIN_AGAIN_S = 3.0
    WOLF_SIGHT, WOLF_SPEED, WOLF_WALK = 300, 40, 15
    BITE_RANGE, BITE_GOLD, KNOCK_SPEED = 40, 3, 120
    PRICES: ClassVar = {"boots": 10, "shield": 5}

    def on_start(self) -> None:
        for _ in range(self.setting["coins"]):
            self.drop_coin()
        for _ in range(self.setting["wolves"]):
            self.spawn("wolf", *self.anywhere())
        self.start_match()
        self.every(self.MATCH_S, self.start_match)
        self.every(0.1, self.step_over_coins)
        self.every(0.5, self.wolves_turn)

    def on_join(self, player: Player) -> None:
        player.place(*self.anywhere())
        player["gold"] = player.saved.get("gold", 0)
        # What the player has bought. A stat would be seen by all.
        player.tell("bag", *player.saved.setdefault("bag", []))

    def to_save(self, player: Player) -> dict[str, Any]:
        return {"gold": player["gold"], "bag": player.saved["bag"]}

    # --- Checkpoints ------------------------------------------------------------------------------

    def save(self) -> None:
        """There is nothing to save but what the zone knows: stats, things, the board, timers and `player.saved`."""

    def load(self, value: None) -> None: ...

    def on_restore(self) -> None:
        # The timers that would have dropped a coin are gone, and the match goes on for as long as a new one.
        for _ in range(self.setting["coins"] - len(self.things_of("coin"))):
            self.drop_coin()
        self.board["ends"] = self.tick + round(self.MATCH_S * self.hz)
        for player in self.players.values():
            player.saved.setdefault("bag", [])

    # --- Actions ----------------------------------------------------------------------------------

    @action
    def run(self, player: Player, vx: Speed, vy: Speed) -> None:
        """Sets the velocity, in steps of four units per second."""
        speed = self.SPEED_IN_BOOTS if "boots" in player.saved["bag"] else self.SPEED
        if vx * vx + vy * vy > speed * speed:
            raise Refused("TOO_FAST", f"at most {speed} steps", violation=True)
        player.move(vx, vy)

    @action
    def grab(self, player: Player, coin: Annotated[Thing, "coin"]) -> None:
        """Takes a coin within reach."""
        if player.distance_to(coin) > self.REACH:
            raise Refused("OUT_OF_RANGE", f"you reach {self.REACH} units")
        self.take(player, coin)

    @action
    def say(self, player: Player, text: Annotated[str, Text(200)]) -> None:
        """Says a line to all players: the event of this action carries the text."""

    @action(private=True)
    def whisper(self, player: Player, other: Player, text: Annotated[str, Text(200)]) -> None:
        """Says a line to one player alone."""
        other.tell("whisper", player.slot, text)

    @action(private=True)
    def bag(self, player: Player) -> tuple[str, ...]:
        """Looks into the player's own bag."""
        return tuple(player.saved["bag"])

    @action(private=True)
    def buy(self, player: Player, item: Literal["boots", "shield"]) -> tuple[str, ...]:
        """Buys boots, to run faster, or a shield against one bite. Returns what is in the bag."""
        bag, price = player.saved["bag"], self.PRICES[item]
        if item in bag:
            raise Refused("HAVE_IT", f"you have your {item} already")
        if player["gold"] < price:
            raise Refused("TOO_POOR", f"it costs {price} gold")
        player["gold"] -= price
        # The zone would not take back a change of the bag, so it comes last: nothing can refuse the action any more.
        bag.append(item)
        return tuple(bag)

    @command
    def give(self, player: Player, gold: int) -> str:
        """Gives gold to a player: zoneserver ctl give ann 5."""
        player["gold"] += gold
        return f"{player.name} has {player['gold']} gold"

    # --- Matches ----------------------------------------------------------------------------------

    def start_match(self) -> None:
        if self.board["leader"]:
            self.emit("won", self.board["leader"], self.board["best"])
        self.board["match"] += 1
        self.board["ends"] = self.tick + round(self.MATCH_S * self.hz)
        self.board["leader"], self.board["best"] = "", 0
        for player in self.players.values():
            player["found"] = 0

    # --- Coins ------------------------------------------------------------------------------------

    def drop_coin(self) -> None:
        self.spawn("coin", *self.anywhere(), worth=self.random.choice((1, 1, 1, 5)))

    def step_over_coins(self) -> None:
        # In a crowd there are fewer coins than players, so each coin looks for players.
        for coin in self.things_of("coin"):
            near = self.near(coin, self.STEP_OVER, "player")
            if near:
                self.take(min(near, key=coin.distance_to), coin)

    def take(self, player: Player, coin: Thing) -> None:
        worth = coin["worth"]
        coin.remove()
        self.after(seconds=self.COIN_AGAIN_S, callback=self.drop_coin)
        player["gold"] += worth
        player["found"] += worth
        if player["found"] > self.board["best"]:
            self.board["leader"], self.board["best"] = player.name, player["found"]
        self.emit("taken", player, worth)

    # --- Wolves -----------------------------------------------------------------------------------

    def wolves_turn(self) -> None:
        """Each wolf goes after the nearest player, bites one whom it has reached, and roams when it sees nobody."""
        for wolf in self.things_of("wolf"):
            prey = self.near(wolf, self.WOLF_SIGHT, "player")
            if not prey:
                wolf.move(*(self.random.randint(-self.WOLF_WALK, self.WOLF_WALK) for _ in "xy"))
                continue
            nearest = min(prey, key=wolf.distance_to)
            wolf.move(*direction(wolf, nearest, self.WOLF_SPEED))
            if wolf.distance_to(nearest) <= self.BITE_RANGE:
                self.bite(wolf, nearest)

    def bite(self, wolf: Thing, player: Player) -> None:
        """Takes gold, or breaks the shield, and sends the player flying until they run themselves."""
        lost = min(self.BITE_GOLD, player["gold"])
        if "shield" in player.saved["bag"]:
            lost = 0
            player.saved["bag"].remove("shield")
            player.tell("bag", *player.saved["bag"])
        player["gold"] -= lost
        player.move(*direction(wolf, player, self.KNOCK_SPEED))
        self.emit("bitten", player, lost)

    def things_of(self, kind: str) -> list[Thing]:
        return [thing for thing in self.things.values() if thing.kind == kind]


def direction(start: Entity, end: Entity, speed: int) -> tuple[int, int]:
    """The velocity that leads from one to the other."""
    (x, y), (end_x, end_y), distance = start.position, end.position, start.distance_to(end) or 1.0
    return round((end_x - x) * speed / distance), round((end_y - y) * speed / distance)
