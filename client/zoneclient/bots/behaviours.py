"""The behaviours of bots in the demo game, and one for games with coins. Each is small enough to copy."""

from __future__ import annotations

import math

from zoneclient.bots.bot import Behaviour, Bot, Decision
from zoneclient.replica import Replica
from zoneserver.protocol.messages import Told
from zoneserver.protocol.world import VELOCITY_MAX

__all__ = ["ROLES", "Chatty", "Collector", "Drops", "Fighter", "Idle", "Walker"]

# In the units of the demo game: centimetres, and centimetres per second.
SPEED = 400
STRIKE_RANGE, BOLT_RANGE, SIGHT = 250, 2_000, 4_000
PHRASES = (
    "anybody seen the fountain?",
    "meet me at the east gate",
    "what a crowd today",
    "mind your step",
    "trading two apples for a pear",
    "who started this?",
)


class Walker:
    """Walks in a new direction each time, and away from the walls."""

    def decide(self, bot: Bot, replica: Replica) -> Decision:
        world = replica.world
        x, y = replica.position(bot.slot)
        # Any direction; near a wall roughly towards the middle.
        if min(x, y, world.width - x, world.height - y) < world.width // 20:
            heading = math.atan2(world.height / 2 - y, world.width / 2 - x) + bot.random.uniform(-0.5, 0.5)
        else:
            heading = bot.random.uniform(-math.pi, math.pi)
        return "move", velocity(bot, heading)


class Fighter:
    """Chooses a player nearby, walks up to them and strikes; heals itself when it is hurt."""

    def __init__(self) -> None:
        self.target: int | None = None
        self.turn = 0

    def decide(self, bot: Bot, replica: Replica) -> Decision | None:
        if replica.stat(bot.slot, "hp") <= 0:
            return None
        self.turn += 1
        if self.turn % 16 == 0 and replica.stat(bot.slot, "hp") < 60:
            return "heal", (bot.slot,)
        target = self._choose(bot, replica)
        if target is None:
            return Walker().decide(bot, replica)
        here, there = replica.position(bot.slot), replica.position(target)
        distance = math.dist(here, there)
        if self.turn % 3 == 0 and distance < STRIKE_RANGE:
            return "strike", (target,)
        if self.turn % 8 == 1 and distance < BOLT_RANGE:
            return "bolt", (target,)
        return "move", velocity(bot, math.atan2(there[1] - here[1], there[0] - here[0]))

    def _choose(self, bot: Bot, replica: Replica) -> int | None:
        """Return the present target while it is alive and near; otherwise try a few random slots."""
        slots = len(replica.world.holders)
        here = replica.position(bot.slot)
        for candidate in (self.target, *(bot.random.randrange(slots) for _ in range(8))):
            if candidate is None or candidate == bot.slot or replica.name(candidate) is None:
                continue
            if replica.stat(candidate, "hp") > 0 and math.dist(here, replica.position(candidate)) < SIGHT:
                self.target = candidate
                return candidate
        self.target = None
        return None


class Chatty:
    """Talks and waves, and sometimes walks."""

    def decide(self, bot: Bot, replica: Replica) -> Decision:
        chance = bot.random.random()
        if chance < 0.5:
            return "say", (bot.random.choice(PHRASES),)
        if chance < 0.7:
            return "emote", (bot.random.randrange(6),)
        return Walker().decide(bot, replica)


class Drops(Chatty):
    """Loses its connection again and again, and comes back. It also asks the server and heals itself too often, so that
    it gets answers and refusals.

    The checks of the swarm say whether it comes back to its slot, and whether anything is lost or comes twice.
    """

    resumes = True

    def decide(self, bot: Bot, replica: Replica) -> Decision:
        chance = bot.random.random()
        if chance < 0.1:
            # The action that follows goes into the lost connection, or happens and the bot does not hear of it.
            bot.drop(deaf_seconds=bot.random.choice((0.0, 0.1)))
        elif chance < 0.2:
            return "/game.json", ()
        elif chance < 0.4:
            return "heal", (bot.slot,)
        return super().decide(bot, replica)


class Collector:
    """Runs to the nearest coin, and answers a whisper.

    It is for games such as the coin rush: `zone-swarm --bot zoneclient.bots.behaviours:Collector`.
    """

    KIND, SPEED, ANSWER = "coin", 40, "cannot talk, must run"

    def decide(self, bot: Bot, replica: Replica) -> Decision | None:
        here = replica.position(bot.slot)
        coins = [replica.position(slot) for slot in replica.things(self.KIND)]
        if not coins:
            return None
        there = min(coins, key=lambda coin: math.dist(here, coin))
        heading = math.atan2(there[1] - here[1], there[0] - here[0])
        return "run", (int(self.SPEED * math.cos(heading)), int(self.SPEED * math.sin(heading)))

    def on_told(self, bot: Bot, told: Told) -> None:
        if told.kind == "whisper" and told.values[1] != self.ANSWER:
            # An answer to an answer would never end.
            bot.act("whisper", told.values[0], self.ANSWER)


class Idle:
    """Does nothing but receive every frame. It works in any game."""

    def decide(self, bot: Bot, replica: Replica) -> None:
        return None


def velocity(bot: Bot, heading: float) -> tuple[int, int]:
    """Return the velocity of a walk in direction `heading` (radians), in units per tick."""
    assert bot.welcome is not None
    speed = min(SPEED / bot.welcome.zone.hz, VELOCITY_MAX)
    # Round towards zero: rounded up along both axes, the speed could exceed the limit of the game.
    return int(speed * math.cos(heading)), int(speed * math.sin(heading))


ROLES: dict[str, type[Behaviour]] = {
    "walker": Walker,
    "fighter": Fighter,
    "chatty": Chatty,
    "drops": Drops,
    "idle": Idle,
}
