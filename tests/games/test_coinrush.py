"""The coin rush: matches, coins, wolves, whispers, the shop, and what a store keeps."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import pytest
from helpers.driven_zone import DrivenZone
from helpers.gateway_fixture import OpenGateway, stalled
from helpers.raw_client import Connect
from helpers.servers import OpenServer
from helpers.waiting import PATIENCE_SECONDS, until
from zoneclient.replica import Replica

from zoneserver.authoring.check import check_game
from zoneserver.config import Limits
from zoneserver.games.coinrush import Coinrush
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Act, Answered, Goodbye, Snapshot, Tick, Told
from zoneserver.testing import MemoryStore, StartClient, StartServer
from zoneserver.zone.link import Join
from zoneserver.zone.rules import AtMost

HZ = 20


class Empty(Coinrush):
    """A rush in which only the test puts coins and wolves, and nobody moves by themselves."""

    settings: ClassVar = {"coins": 0, "wolves": 0}


class Rush:
    """A zone with some players at (1000, 1000), which the test runs tick by tick."""

    def __init__(self, *names: str, saved: str = "") -> None:
        self.rules = Empty()
        self.zone = DrivenZone(self.rules, hz=HZ, seed=1)
        self.events: list[tuple[Any, ...]] = []
        self.told: list[tuple[int, str, tuple[Any, ...]]] = []
        self.answers: list[tuple[Any, ...]] = []
        self.seq = 0
        for ref, name in enumerate(names):
            self.zone.requests.joins.append(Join(ref, name, b"", "127.0.0.1", saved=saved))
        self.run(1)
        self.players = [self.rules.players[slot] for slot in range(len(names))]
        for player in self.players:
            player.place(1_000, 1_000)

    def run(self, ticks: int) -> list[str]:
        """Runs some ticks; returns the codes of the refusals in them."""
        codes = []
        for _ in range(ticks):
            output = self.zone.step()
            codes += [refused.refusal.code for refused in output.refused]
            frame = decode_server(output.frame)
            assert isinstance(frame, Tick)
            self.events += [tuple(event[2:]) for event in frame.events]
            for ref, payload in output.told:
                message = decode_server(payload)
                if isinstance(message, Told):
                    self.told.append((ref, message.kind, tuple(message.values)))
                elif isinstance(message, Answered):
                    self.answers.append(tuple(message.values))
        assert self.zone.counters.rule_failures_total == 0
        return codes

    def act(self, ref: int, *action: Any) -> list[str]:
        """Sends one action and runs its tick; returns the codes of the refusals in it."""
        self.seq += 1
        self.zone.submit(ref, self.seq, [action])
        return self.run(1)


# --- Coins ----------------------------------------------------------------------------------------


def test_coins_lie_about_and_one_that_is_taken_appears_again() -> None:
    rules = Coinrush()
    zone = DrivenZone(rules, hz=HZ, seed=1)
    zone.step()
    coins = rules.things_of("coin")
    assert len(coins) == Coinrush.settings["coins"]
    zone.join(0, "ann")
    zone.step()
    rules.take(rules.players[next(iter(rules.players))], coins[0])
    assert len(rules.things_of("coin")) == len(coins) - 1
    for _ in range(round(Coinrush.COIN_AGAIN_S * HZ)):
        zone.step()
    assert len(rules.things_of("coin")) == len(coins)


def test_player_who_runs_over_a_coin_takes_it() -> None:
    rush = Rush("ann")
    coin = rush.rules.spawn("coin", 1_100, 1_000, worth=5)
    rush.run(5)
    assert coin.present
    rush.act(0, "run", 50, 0)
    rush.run(HZ)
    assert not coin.present
    assert (rush.players[0]["gold"], rush.players[0]["found"]) == (5, 5)
    assert rush.events.count(("taken", 0, 5)) == 1


def test_coin_between_two_players_goes_to_the_nearer_one() -> None:
    rush = Rush("ann", "bob")
    rush.players[1].place(1_010, 1_000)
    rush.rules.spawn("coin", 1_012, 1_000)
    rush.run(3)
    assert [player["gold"] for player in rush.players] == [0, 1]


def test_grab_takes_a_coin_in_reach_and_nothing_else() -> None:
    rush = Rush("ann")
    near, far = (rush.rules.spawn("coin", 1_000 + x, 1_000) for x in (Coinrush.REACH, Coinrush.REACH + 1))
    wolf = rush.rules.spawn("wolf", 0, 0)
    assert rush.act(0, "grab", near.slot) == []
    assert rush.act(0, "grab", near.slot) == ["NO_TARGET"]
    assert rush.act(0, "grab", far.slot) == ["OUT_OF_RANGE"]
    assert rush.act(0, "grab", wolf.slot) == ["NO_TARGET"]
    assert rush.players[0]["gold"] == 1


@pytest.mark.parametrize("hz", [10, 20, 50])
def test_players_run_as_far_in_a_second_at_any_tick_rate(hz: int) -> None:
    rules = Empty()
    zone = DrivenZone(rules, hz=hz, seed=1)
    zone.join(0, "ann")
    zone.step()
    rules.players[0].place(0, 0)
    zone.submit(0, 1, [("run", 50, 0)])
    zone.step()
    for _ in range(hz):
        zone.step()
    assert rules.players[0].position == (200, 0)


async def test_client_that_skips_frames_believes_in_exactly_the_coins_that_exist(open_gateway: OpenGateway) -> None:
    class Noisy(Coinrush):
        """A rush in which a coin is taken in every other tick, and in which a slow client falls behind."""

        events: ClassVar = Coinrush.events | {"noise": (Annotated[bytes, AtMost(20_000)],)}
        COIN_AGAIN_S = 0.05
        noise = bytes(20_000)

        def on_tick(self) -> None:
            self.emit("noise", self.noise)
            if self.tick % 2:
                for player in list(self.players.values())[:1]:
                    self.take(player, self.random.choice(self.things_of("coin")))

    node = await open_gateway(Noisy, hz=HZ, limits=Limits(socket_send_bytes=16 * 1024, history_ticks=16))
    slow = await node.connect(receive_bytes=4096)
    await node.greet(slow, "slow")
    node.tick()
    welcome, snapshot = await slow.welcomed()
    replica = Replica(welcome)
    replica.restore(snapshot)
    before = {slot: replica.position(slot) for slot in replica.things("coin")}
    await stalled(node)
    node.tick(100)
    assert isinstance(node.zone.rules, Noisy)
    node.zone.rules.noise = b""
    snapshots = 0
    while replica.tick < node.zone.world.tick:
        message = await slow.read()
        if isinstance(message, Snapshot):
            snapshots += 1
            replica.restore(message)
        elif isinstance(message, Tick):
            replica.apply(message)
    assert snapshots == 1
    assert node.zone.counters.rule_failures_total == 0
    node.tick()
    replica.apply(await slow.read_until(Tick))
    coins = {coin.slot: (coin.position, coin["worth"]) for coin in node.zone.rules.things_of("coin")}
    believed = {slot: (replica.position(slot), replica.stat(slot, "worth")) for slot in replica.things("coin")}
    assert believed == coins
    assert before != {slot: place for slot, (place, _) in coins.items()}
    assert replica.board == dict(node.zone.rules.board)
    assert replica.world.hash() == node.zone.world.hash()


# --- Matches --------------------------------------------------------------------------------------


def test_match_is_won_by_the_player_who_found_most_and_the_next_begins() -> None:
    rush = Rush("ann", "bob")
    rules, (ann, bob) = rush.rules, rush.players
    rules.take(ann, rules.spawn("coin", 0, 0, worth=3))
    rules.take(bob, rules.spawn("coin", 0, 0, worth=2))
    assert dict(rules.board) == {"match": 1, "ends": 60 * HZ, "leader": "ann", "best": 3}
    rules.take(bob, rules.spawn("coin", 0, 0, worth=2))
    assert (rules.board["leader"], rules.board["best"]) == ("bob", 4)
    rush.run(60 * HZ - rules.tick - 1)
    assert rules.board["match"] == 1
    rush.run(1)
    assert dict(rules.board) == {"match": 2, "ends": 120 * HZ, "leader": "", "best": 0}
    assert rush.events.count(("won", "bob", 4)) == 1
    assert [(player["gold"], player["found"]) for player in rush.players] == [(3, 0), (4, 0)]
    rush.run(60 * HZ)
    assert [event for event in rush.events if event[0] == "won"] == [("won", "bob", 4)]


# --- Wolves ---------------------------------------------------------------------------------------


def test_wolf_hunts_the_nearest_player_in_sight_and_bites() -> None:
    rush = Rush("ann", "bob")
    ann, bob = rush.players
    bob.place(1_900, 1_900)
    ann["gold"] = 5
    wolf = rush.rules.spawn("wolf", 1_200, 1_000)
    rush.run(HZ)
    assert wolf.velocity == (-Coinrush.WOLF_SPEED, 0)
    rush.run(HZ)
    assert ann["gold"] == 2
    assert ("bitten", ann.slot, 3) in rush.events
    assert (ann.velocity, ann.position < (1_000, 1_000)) == ((-Coinrush.KNOCK_SPEED, 0), True)


def test_wolf_that_sees_nobody_roams() -> None:
    rush = Rush("ann")
    wolf = rush.rules.spawn("wolf", 200, 200)
    velocities = set()
    for _ in range(4):
        rush.run(HZ)
        velocities.add(wolf.velocity)
    assert len(velocities) > 1
    assert not [event for event in rush.events if event[0] == "bitten"]


def test_shield_breaks_in_place_of_lost_gold() -> None:
    rush = Rush("ann", saved='{"gold":7,"bag":["shield"]}')
    rush.rules.spawn("wolf", 1_000, 1_000)
    rush.run(HZ // 2)
    assert rush.told == [(0, "bag", ("shield",)), (0, "bag", ())]
    assert ("bitten", 0, 0) in rush.events
    assert rush.players[0]["gold"] == 7


# --- Talking and buying ---------------------------------------------------------------------------


async def test_whisper_reaches_one_player_and_no_byte_of_it_another(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Empty)
    ann, bob, cid = [await node.join(name) for name in ("ann", "bob", "cid")]
    before = node.gateway.counters.packets_in_total
    await ann.say(Act(1, [("whisper", 1, "meet me at the well")]))
    await until(lambda: node.gateway.counters.packets_in_total > before)
    node.tick()
    while (told := await bob.read_until(Told)).kind != "whisper":
        pass
    assert told.values == (0, "meet me at the well")
    answered = await ann.read_until(Answered)
    assert (answered.seq, answered.values) == (1, ())
    for other in (ann, bob, cid):
        while True:
            payload = await other.read_payload()
            assert b"meet me" not in payload
            message = decode_server(payload)
            if isinstance(message, Tick) and message.tick == node.zone.world.tick:
                break


def test_buying_is_answered_and_seen_by_nobody_else() -> None:
    rush = Rush("ann", "bob", saved='{"gold":16}')
    events = len(rush.events)
    assert rush.act(0, "buy", "boots") == []
    assert rush.act(0, "buy", "boots") == ["HAVE_IT"]
    assert rush.act(0, "buy", "shield") == []
    assert rush.act(0, "buy", "crown") == ["BAD_PAYLOAD"]
    assert rush.act(1, "bag") == []
    assert rush.answers == [("boots",), ("boots", "shield"), ()]
    assert rush.players[0]["gold"] == 1
    assert rush.events[events:] == []


def test_buying_without_the_gold_is_refused_and_costs_nothing() -> None:
    rush = Rush("ann", saved='{"gold":9}')
    assert rush.act(0, "buy", "boots") == ["TOO_POOR"]
    assert (rush.players[0]["gold"], rush.players[0].saved["bag"]) == (9, [])


def test_boots_make_a_player_faster() -> None:
    rush = Rush("ann", "bob")
    rush.players[0].saved["bag"].append("boots")
    assert [rush.act(ref, "run", 75, 0) for ref in (0, 1)] == [[], ["TOO_FAST"]]
    assert [rush.act(ref, "run", 76, 0) for ref in (0, 1)] == [["TOO_FAST"], ["TOO_FAST"]]


# --- The server and its operator ------------------------------------------------------------------


def test_settings_say_how_many_coins_and_wolves_there_are(zone_server: StartServer, zone_client: StartClient) -> None:
    zone_server(Coinrush, game={"coins": 3, "wolves": 2})
    ann = zone_client("ann")
    assert sorted(ann.things().values()) == ["coin"] * 3 + ["wolf"] * 2


def test_a_stop_and_a_start_keep_gold_and_bag(zone_server: StartServer, zone_client: StartClient) -> None:
    store = MemoryStore()
    store.players["ann"] = '{"gold":12}'
    zone_server(Empty, store=store)
    assert zone_client("ann").ask("buy", "boots") == ("boots",)
    zone_server.stop()
    zone_server(Empty, store=store)
    ann = zone_client("ann")
    assert ann.receives("bag").values == ("boots",)
    assert ann.stat("gold") == 2


async def test_500_leave_at_once_and_no_tick_waits_for_the_disk(open_server: OpenServer, connect: Connect) -> None:
    class Disk(MemoryStore):
        """A store whose disk can stand still."""

        def __init__(self) -> None:
            super().__init__()
            self.turns = threading.Event()
            self.turns.set()

        def save(self, saved: Mapping[str, str]) -> None:
            assert self.turns.wait(PATIENCE_SECONDS)
            super().save(saved)

    disk = Disk()
    server = await open_server(Empty, store=disk, hz=HZ, max_players=500)
    clients = []
    for number in range(500):
        clients.append(client := await connect(server.port))
        await client.hello(f"player {number}")
    await until(lambda: server.gateway.players_count == 500)
    for player in server.zone.rules.players.values():
        player["gold"] = 7
    disk.turns.clear()
    try:
        for client in clients:
            await client.say(Goodbye())
        await until(lambda: server.gateway.players_count == 0)
        tick = server.zone.world.tick
        await until(lambda: server.zone.world.tick >= tick + 5)
        assert all('"gold":0' in saved for saved in disk.players.values())
    finally:
        disk.turns.set()
    await until(lambda: len(disk.players) == 500 and set(disk.players.values()) == {'{"gold":7,"bag":[]}'})


def test_operator_gives_gold() -> None:
    rush = Rush("ann")
    rush.zone.requests.commands.append((7, ("give", "ann", "5")))
    output = rush.zone.step()
    assert output.results == [(7, True, "ann has 5 gold")]
    assert rush.players[0]["gold"] == 5


def test_check_finds_nothing_wrong() -> None:
    result = check_game(Coinrush, "zoneserver.games.coinrush:Coinrush", stalled=pytest.fail)
    assert result.problems == []
