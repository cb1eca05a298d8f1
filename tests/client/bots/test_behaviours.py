"""The behaviours of the demo game, run in a zone of that game."""

from __future__ import annotations

import random
from typing import Any, cast

import pytest
from helpers.driven_zone import DrivenZone
from hypothesis import given
from hypothesis import strategies as st
from zoneclient.bots.behaviours import ROLES
from zoneclient.bots.bot import Behaviour, Bot
from zoneclient.replica import Replica

from zoneserver.games.plaza import Plaza
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Tick, Welcome

KNOWN_REFUSALS = {"OUT_OF_RANGE", "COOLDOWN", "TARGET_DEAD", "DEAD", "NO_TARGET"}
"""The codes with which the game may refuse an action that was legal by the last frame."""


class BotStub:
    """The part of a bot that a behaviour uses, without a connection."""

    def __init__(self, slot: int, welcome: Welcome, seed: int) -> None:
        self.slot = slot
        self.welcome = welcome
        self.random = random.Random(seed)
        self.seq = 1

    def drop(self, deaf_seconds: float) -> None:
        pass


class Crowd:
    """Bots in a zone of their own. Its frames update a replica, by which the behaviours decide."""

    def __init__(self, roles: list[str], hz: int, seed: int, crowded: bool = False) -> None:
        class Game(Plaza):
            # So small that all players are within reach of each other.
            width, height = (600, 600) if crowded else (10_000, 10_000)

        self.zone = DrivenZone(Game(), hz=hz, seed=seed)
        world = self.zone.world
        welcome = Welcome(2, 0, 0, world.info, 1024, 16)
        self.replica = Replica(welcome)
        self.bots = [BotStub(slot, welcome, seed * 100 + slot) for slot in range(len(roles))]
        self.behaviours: list[Behaviour] = [ROLES[role]() for role in roles]
        self.refusals: set[str] = set()
        self.done: set[str] = set()
        for slot, role in enumerate(roles):
            self.zone.join(slot, f"{role}-{slot}")
        self.tick()

    def tick(self) -> None:
        result = self.zone.step()
        self.refusals |= {refused.code for _, refused, _ in result.refused}
        frame = decode_server(result.frame)
        assert isinstance(frame, Tick)
        self.done |= {event[2] for event in frame.events} | ({"move"} if len(frame.movers) else set())
        self.replica.apply(frame)

    def act(self) -> None:
        for bot, behaviour in zip(self.bots, self.behaviours, strict=True):
            decision = behaviour.decide(cast(Bot, bot), self.replica)
            if decision is not None:
                kind, arguments = decision
                self.zone.submit(bot.slot, bot.seq, [(kind, *arguments)])
                bot.seq += 1


@given(
    hz=st.integers(1, 100),
    seed=st.integers(0, 1000),
    roles=st.lists(st.sampled_from(sorted(ROLES)), min_size=1, max_size=6),
    pause=st.integers(1, 4),
)
def test_behaviours_do_only_actions_that_the_rules_may_accept(hz: int, seed: int, roles: list[str], pause: int) -> None:
    crowd = Crowd(roles, hz, seed)
    for _ in range(20):
        crowd.act()
        for _ in range(pause):
            crowd.tick()
    assert crowd.refusals <= KNOWN_REFUSALS


@pytest.mark.parametrize("seed", range(4))
def test_fighters_in_a_crowd_use_every_action(seed: int) -> None:
    crowd = Crowd(["fighter"] * 12, hz=20, seed=seed, crowded=True)
    for _ in range(150):
        crowd.act()
        for _ in range(8):
            crowd.tick()
    assert crowd.refusals <= KNOWN_REFUSALS
    assert crowd.done >= {"move", "strike", "bolt", "heal", "hit", "death", "respawn"}


def test_chatty_bots_talk_wave_and_walk_and_walkers_only_walk() -> None:
    crowd = Crowd(["chatty"] * 10, hz=20, seed=1)
    for _ in range(20):
        crowd.act()
        crowd.tick()
    assert (crowd.done, crowd.refusals) == ({"say", "emote", "move"}, set())
    crowd = Crowd(["walker"] * 10, hz=20, seed=1)
    for _ in range(20):
        crowd.act()
        crowd.tick()
    assert (crowd.done, crowd.refusals) == ({"move"}, set())


def test_walkers_keep_away_from_the_walls() -> None:
    crowd = Crowd(["walker"] * 20, hz=1 << 4, seed=3)
    for _ in range(100):
        crowd.act()
        for _ in range(40):
            crowd.tick()
    world = crowd.zone.world
    positions = [world.position(slot) for slot in world.slots()]
    assert sum(0 in position or 10_000 in position for position in positions) <= 4


def test_equal_seeds_make_equal_decisions() -> None:
    def frames(seed: int) -> list[Any]:
        crowd = Crowd(["walker", "fighter", "chatty"] * 3, hz=20, seed=seed)
        for _ in range(30):
            crowd.act()
            crowd.tick()
        return [crowd.zone.world.snapshot().encode(), crowd.done]

    assert frames(5) == frames(5) != frames(6)
