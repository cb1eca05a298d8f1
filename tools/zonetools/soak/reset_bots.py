"""Bots that reset their connections all at once, and check that nothing is lost or comes twice."""

from __future__ import annotations

from zoneclient.bots.behaviours import Chatty, Walker
from zoneclient.bots.bot import Bot, Decision
from zoneclient.replica import Replica
from zoneclient.update import Event

from zoneserver.protocol.messages import Told

RESET = "reset!"
"""All bots reset their connections when anybody says this."""


class Resetting(Walker):
    """Walks, asks the server, and heals itself too often, so that there are frames, answers and refusals to lose.

    It is for the game `Counting`, and fails if a number is missing or comes twice.
    """

    resumes = True

    def __init__(self) -> None:
        self.count = 0

    def decide(self, bot: Bot, replica: Replica) -> Decision:
        chance = bot.random.random()
        if chance < 0.1:
            return "/game.json", ()
        if chance < 0.3:
            return "heal", (bot.slot,)
        return super().decide(bot, replica)

    def on_event(self, bot: Bot, event: Event) -> None:
        if event.kind == "say" and event.values == (RESET,):
            # This happens, and the bot does not hear of it before the drop.
            bot.act("emote", 0)
            bot.drop(deaf_seconds=0.1)

    def on_told(self, bot: Bot, told: Told) -> None:
        expected, self.count = self.count + 1, told.values[0]
        if self.count != expected:
            raise ValueError(f"was told {self.count} in place of {expected}")


class Bookkeeper(Chatty):
    """Talks, walks, earns, and heals itself too often: there are frames, answers, refusals and messages to lose.

    It is for the game `Ledger`, and fails if a number is missing or comes twice.
    """

    def __init__(self) -> None:
        self.told = {"count": 0, "earned": 0}

    def decide(self, bot: Bot, replica: Replica) -> Decision:
        chance = bot.random.random()
        if chance < 0.3:
            return "earn", ()
        if chance < 0.5:
            return "heal", (bot.slot,)
        return super().decide(bot, replica)

    def on_told(self, bot: Bot, told: Told) -> None:
        expected = self.told[told.kind] + 1
        self.told[told.kind] = told.values[0]
        if told.values[0] != expected:
            raise ValueError(f"was told {told.kind} {told.values[0]} in place of {expected}")
