"""Gateways that reach their zone by a link: one crowd over all of them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import pytest
from helpers.fake_loop import FakeLoop
from helpers.fake_transport import FakeTransport
from helpers.link_way import Way
from zoneclient.replica import Replica

from zoneserver.config import Config
from zoneserver.gateway.gateway import Gateway
from zoneserver.gateway.session import Session
from zoneserver.link.hub import GatewayHub
from zoneserver.link.messages import Facts, Start
from zoneserver.link.remote_link import RemoteZoneLink
from zoneserver.protocol.codes import RESTRAINTS, CloseReason
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.framing import LENGTH_PREFIX, Deframer
from zoneserver.protocol.messages import (
    PROTOCOL_VERSION,
    RESUME,
    SERVER_PAYLOAD_BYTES,
    WATCH,
    Act,
    Bye,
    Goodbye,
    Hello,
    Refusal,
    Resume,
    ServerMessage,
    Snapshot,
    Tick,
    Welcome,
)
from zoneserver.zone.link import AddressBan, Command, Requests
from zoneserver.zone.local_link import LocalZoneLink
from zoneserver.zone.rules import Between, Player, Refused, Rules, Speed, action
from zoneserver.zone.zone import Zone


class Field(Rules):
    """A game with motion, stats, events and refusals."""

    width, height = 1000, 1000
    stats: ClassVar = {"score": 0}

    @action
    def walk(self, player: Player, vx: Speed, vy: Speed) -> None:
        player.move(vx, vy)

    @action
    def score(self, player: Player, points: Annotated[int, Between(1, 9)]) -> None:
        if points == 9:
            raise Refused("GREEDY", "at most 8")
        player["score"] += points


class FarPlayer:
    """One client of a gateway on a fake loop, which keeps a replica."""

    def __init__(self, gateway: Gateway, loop: FakeLoop, hello: Hello | Resume, host: str) -> None:
        self.session = Session(gateway, CONFIG.limits, loop, address=(host, 5000))
        self.transport = FakeTransport(loop, self.session)
        self.session.connection_made(self.transport)
        self.said: list[ServerMessage] = []
        self.replica: Replica | None = None
        self.slot = -1
        self._reader = Deframer(SERVER_PAYLOAD_BYTES)
        self._seq = 1
        self.say(hello)

    def say(self, message: Hello | Resume | Act | Goodbye) -> None:
        self.transport.deliver(LENGTH_PREFIX.wrap(message.encode()))

    def act(self, *actions: tuple[object, ...]) -> None:
        self.say(Act(self._seq, actions))
        self._seq += len(actions)

    def read(self) -> None:
        data = bytes(self.transport.kernel)
        self.transport.kernel.clear()
        for payload in self._reader.receive(data):
            message = decode_server(payload)
            self.said.append(message)
            if isinstance(message, Welcome):
                self.slot, self.replica = message.slot, Replica(message)
                self._seq = 1 if message.resume is None else message.resume.seq + 1
            elif isinstance(message, Snapshot):
                assert self.replica is not None
                self.replica.restore(message)
            elif isinstance(message, Tick):
                assert self.replica is not None
                self.replica.apply(message)

    def restraints(self) -> list[str]:
        return [code for code in self.codes() if code in RESTRAINTS]

    def codes(self) -> list[str]:
        return [message.code for message in self.said if isinstance(message, Refusal | Bye)]


CONFIG = Config(hz=4, max_players=3)


class FarGateway:
    """A gateway with its link. It is a user that has nothing to say."""

    def __init__(self, zone: TwoGateways, name: str) -> None:
        self.zone = zone
        self.name = name
        self.link = RemoteZoneLink(name, lambda payload: zone.way.up.append((name, payload)), zone.loop.time, self)
        self.gateway: Gateway | None = None
        self.link.changed(is_up=True)

    def link_figures(self) -> dict[str, Any]:
        return {}

    def link_attached(self) -> None:
        if self.gateway is None:
            self.gateway = Gateway(self.link, CONFIG, self.zone.loop, 10)
            self.link.begin()

    def link_broken(self, text: str) -> None:
        raise AssertionError(text)

    link_rejected = link_broken

    def link_stopping(self, *, keep: bool) -> None: ...


class TwoGateways:
    """Two gateways of one zone."""

    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.zone = zone = Zone(Field(), hz=CONFIG.hz, seed=1, players_max=CONFIG.max_players, resume_ticks=400)
        self.way = Way()
        self.local = LocalZoneLink(zone)
        facts = Facts(zone.info, {}, (), 0, 15.0, 3, needs_ticket=False)
        known, now = zone.attendance.gateways, self.loop.time
        settings = Start(1, 1), facts, 64, 100, ()
        self.hub = GatewayHub(self.local, known, self.way, *settings, now, now, self.fail, lambda _: None, self.bans)
        self.local.subscribe(self.hub.on_tick)
        self.far = [FarGateway(self, f"gw{index}") for index in range(2)]
        self.players: list[FarPlayer] = []
        self.answer = ""
        self.tick(2)

    def resume(self, gateway: int, before: FarPlayer, name: str) -> FarPlayer:
        """A player comes back with the token of their last WELCOME."""
        how = [message.resume for message in before.said if isinstance(message, Welcome)][-1]
        assert how is not None
        return self.connect(gateway, name, Resume(PROTOCOL_VERSION, name, how.token, 9, 1, (RESUME,)))

    def bans(self) -> list[AddressBan]:
        return self.zone.address_bans(self.loop.time())

    def command(self, *words: str) -> str:
        self.local.send(Requests(commands=[Command(1, words)]))
        self.tick()
        return self.answer

    def fail(self) -> None:
        raise AssertionError("there is another zone")

    def add_gateway(self) -> None:
        self.far.append(FarGateway(self, f"gw{len(self.far)}"))
        self.tick(2)

    def connect(self, gateway: int, name: str, hello: Resume | None = None, host: str = "192.0.2.1") -> FarPlayer:
        far = self.far[gateway].gateway
        assert far is not None
        hello_or = hello or Hello(PROTOCOL_VERSION, name, b"", (RESUME,))
        self.players.append(FarPlayer(far, self.loop, hello_or, host))
        return self.players[-1]

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            for far in self.far:
                if far.gateway is not None:
                    far.gateway.send_requests()
            up, self.way.up = self.way.up, []
            for peer, payload in up:
                self.hub.receive(peer, payload)
            output = self.zone.tick(self.local.take_input(self.loop.time()))
            self.answer = output.results[0][2] if output.results else ""
            self.local.publish(output)
            for far in self.far:
                payloads, self.way.down[far.name] = self.way.down[far.name], []
                for payload in payloads:
                    far.link.receive(payload)
            self.loop.pass_time(1 / CONFIG.hz)
            for player in self.players:
                player.read()


def test_gateways_over_bytes_serve_one_crowd() -> None:
    zone = TwoGateways()
    ann, bob = zone.connect(0, "ann"), zone.connect(1, "bob")
    zone.tick()
    assert (ann.slot, bob.slot) == (0, 1)
    ann.act(("walk", 3, 4), ("score", 5))
    bob.act(("score", 9), ("fly",), ("score", 2))
    zone.tick(5)
    assert bob.codes() == ["GREEDY", "UNKNOWN_ACTION"]
    for player in (ann, bob):
        assert player.replica is not None
        assert player.replica.tick == zone.zone.world.tick
        assert player.replica.world.hash() == zone.zone.world.hash()


def test_gateway_that_is_behind_sends_several_frames_at_once() -> None:
    zone = TwoGateways()
    ann = zone.connect(0, "ann")
    zone.tick()
    far, late = zone.far[0], []
    assert far.gateway is not None
    far.link._call_soon = late.append
    counters = far.gateway.counters
    sends, frames, deliveries = counters.sends_total, counters.frames_out_total, counters.deliveries_out_total
    for number in range(1, 4):
        ann.act(("score", number))
        zone.tick()
    late[0]()
    assert (counters.sends_total - sends, counters.frames_out_total - frames) == (1, 3)
    ann.read()
    assert ann.replica is not None
    assert ann.replica.world.hash() == zone.zone.world.hash()
    assert counters.deliveries_out_total > deliveries


def test_a_player_comes_back_at_another_gateway() -> None:
    zone = TwoGateways()
    ann = zone.connect(0, "ann")
    zone.tick()
    ann.act(("score", 2))
    zone.tick()
    back = zone.resume(1, ann, "ann")
    zone.tick(2)
    assert ann.codes() == ["REPLACED"]
    assert back.slot == ann.slot
    (welcome,) = [message for message in back.said if isinstance(message, Welcome)]
    assert welcome.resume is not None
    assert welcome.resume.seq == 1


def test_names_and_the_player_limit_hold_over_all_gateways() -> None:
    zone = TwoGateways()
    old, bob = zone.connect(0, "ann"), zone.connect(1, "bob")
    zone.tick()
    new = zone.connect(1, "ann")
    zone.tick()
    assert (old.codes(), new.slot) == (["REPLACED"], 0)
    zone.connect(0, "cid")
    late = zone.connect(1, "dan")
    zone.tick()
    assert late.codes() == ["SERVER_FULL"]
    bob.say(Goodbye())
    zone.tick()
    dan = zone.connect(0, "dan")
    zone.tick()
    assert dan.slot == 1
    assert [name for name in zone.zone.world.holders if name] == ["ann", "dan", "cid"]


def test_gateway_that_connects_late_makes_its_own_snapshots() -> None:
    zone = TwoGateways()
    ann = zone.connect(0, "ann")
    zone.tick()
    ann.act(("walk", 1, 2), ("score", 3))
    zone.tick(3)
    zone.add_gateway()
    bob = zone.connect(2, "bob")
    zone.tick(5)
    assert bob.replica is not None
    assert bob.replica.world.snapshot() == zone.zone.world.snapshot()


def test_player_who_is_on_their_way_when_the_zone_stops_does_not_stay_in_its_next_start() -> None:
    zone = TwoGateways()
    far = zone.far[0].gateway
    assert far is not None
    zone.connect(0, "ann")
    far.send_requests()
    far.end_all(CloseReason.SERVER_STOPPING, is_unknown=False)
    zone.tick(2)
    assert zone.zone.attendance.refs() == []


def test_ban_after_a_kick_holds_at_all_gateways_and_at_those_that_attach_later() -> None:
    zone = TwoGateways()
    rogue = zone.connect(0, "rogue")
    zone.tick()
    rogue.transport.deliver(LENGTH_PREFIX.wrap(b"\xff"))
    zone.tick()
    assert rogue.codes() == ["PROTOCOL_ERROR"]
    zone.add_gateway()
    for gateway in range(3):
        again = zone.connect(gateway, "rogue")
        again.read()
        assert again.codes() == ["BANNED"], "the gateway knows of the ban"
    zone.tick(CONFIG.hz * 61)
    assert zone.connect(2, "rogue") in zone.players
    zone.tick()
    assert zone.players[-1].slot == 0


def test_ban_and_unban_of_an_operator_hold_at_all_gateways() -> None:
    zone = TwoGateways()
    ann, bob = zone.connect(0, "ann"), zone.connect(1, "bob", host="192.0.2.2")
    zone.tick()
    watcher = FarPlayer(zone.far[1].gateway, zone.loop, Hello(PROTOCOL_VERSION, "", b"", (WATCH,)), "192.0.2.1")
    zone.players.append(watcher)
    zone.tick()
    assert zone.command("ban", "192.0.2.1", "go", "away").startswith(
        "192.0.2.1 is banned until it is lifted (unban), 1 "
    )
    for player in (ann, watcher):
        assert [(bye.code, bye.text) for bye in player.said if isinstance(bye, Bye)] == [("BANNED", "go away")]
    assert bob.codes() == []
    zone.add_gateway()
    late = zone.connect(2, "ann")
    zone.tick()
    assert late.codes() == ["BANNED"]
    zone.command("unban", "192.0.2.1")
    for gateway in range(3):
        back = zone.connect(gateway, f"ann {gateway}", host="192.0.2.1")
        zone.tick()
        assert back.codes() == ["SERVER_FULL"] * (gateway == 2)


def test_gateway_that_jumps_forgets_bans_that_were_lifted_and_learns_the_others() -> None:
    zone = TwoGateways()
    zone.connect(0, "eve", host="192.0.2.9")
    zone.command("ban", "192.0.2.1")
    away = zone.far.pop(0)
    zone.command("unban", "192.0.2.1")
    zone.command("ban", "192.0.2.2")
    zone.tick(100)
    zone.way.down[away.name].clear()
    zone.far.insert(0, away)
    zone.tick(5)
    ann, bob = zone.connect(0, "ann"), zone.connect(0, "bob", host="192.0.2.2")
    for player in (ann, bob):
        player.read()
    assert (ann.codes(), bob.codes()) == ([], ["BANNED"])


@pytest.mark.parametrize("is_lost", [False, True])
def test_muted_player_stays_muted_at_every_gateway_until_the_mute_is_over(is_lost: bool) -> None:
    zone = TwoGateways()
    ann = zone.connect(0, "ann")
    zone.tick()
    for _ in range(16):
        ann.act(("fly",))
    zone.tick(3)
    assert ann.restraints() == ["WARNED", "MUTED"]
    for gateway in (1, 0, 1):
        if is_lost:
            ann.transport.deliver_eof()
            zone.tick()
        ann = zone.resume(gateway, ann, "ann")
        zone.tick(2)
        assert ann.restraints() == ["MUTED"]
    # 16 violations take 11 s until they have drained to half of the burst.
    zone.tick(CONFIG.hz * 6)
    assert ann.restraints() == ["MUTED"]
    zone.tick(CONFIG.hz * 5)
    assert ann.restraints() == ["MUTED", "UNMUTED"]


def test_violations_of_a_player_add_up_over_gateways() -> None:
    zone = TwoGateways()
    ann = zone.connect(0, "ann")
    for gateway, violations in ((1, 5), (0, 4), (1, 4)):
        zone.tick()
        assert ann.restraints() == []
        for _ in range(violations):
            ann.act(("fly",))
        zone.tick(2)
        ann.transport.deliver_eof()
        zone.tick()
        last, ann = ann, zone.resume(gateway, ann, "ann")
    assert last.restraints() == ["WARNED"]
