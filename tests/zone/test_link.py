"""The link between zone and gateways: only plain values cross it."""

from __future__ import annotations

from typing import Annotated, ClassVar

from helpers.bytes_link import FarZone, decode_output, decode_requests, encode_output, encode_requests
from helpers.fake_loop import FakeLoop
from helpers.fake_transport import FakeTransport
from hypothesis import given
from hypothesis import strategies as st
from zoneclient.replica import Replica

from zoneserver.config import Config
from zoneserver.gateway.gateway import Gateway
from zoneserver.gateway.session import Session
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.framing import LENGTH_PREFIX, Deframer
from zoneserver.protocol.messages import (
    PROTOCOL_VERSION,
    SERVER_PAYLOAD_BYTES,
    Act,
    Bye,
    Goodbye,
    Hello,
    Refusal,
    ServerMessage,
    Snapshot,
    Tick,
    Welcome,
)
from zoneserver.zone.link import Ended, Join, RefusedAction, Requests, TickOutput
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

    def __init__(self, gateway: Gateway, loop: FakeLoop, name: str) -> None:
        self.session = Session(gateway, CONFIG.limits, loop, address=("192.0.2.1", 5000))
        self.transport = FakeTransport(loop, self.session)
        self.session.connection_made(self.transport)
        self.said: list[ServerMessage] = []
        self.replica: Replica | None = None
        self.slot = -1
        self._reader = Deframer(SERVER_PAYLOAD_BYTES)
        self._seq = 1
        self.say(Hello(PROTOCOL_VERSION, name, b""))

    def say(self, message: Hello | Act | Goodbye) -> None:
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
            elif isinstance(message, Snapshot):
                assert self.replica is not None
                self.replica.restore(message)
            elif isinstance(message, Tick):
                assert self.replica is not None
                self.replica.apply(message)

    def codes(self) -> list[str]:
        return [message.code for message in self.said if isinstance(message, Refusal | Bye)]


CONFIG = Config(hz=4, max_players=3)


class TwoGateways:
    """Two gateways of one zone, to which they are connected by bytes only."""

    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.zone = Zone(Field(), hz=CONFIG.hz, seed=1, players_max=CONFIG.max_players)
        self.far = FarZone(self.zone)
        self.gateways = [Gateway(self.far.connect(), CONFIG, self.loop, 10) for _ in range(2)]
        self.players: list[FarPlayer] = []

    def add_gateway(self) -> None:
        self.gateways.append(Gateway(self.far.connect(), CONFIG, self.loop, 10))

    def connect(self, gateway: int, name: str) -> FarPlayer:
        self.players.append(FarPlayer(self.gateways[gateway], self.loop, name))
        return self.players[-1]

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            for gateway in self.gateways:
                gateway.send_requests()
            self.far.tick()
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


REFS = st.integers(0, 2**63 - 1)
VALUES = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(max_size=9), st.booleans())
ACTIONS = st.lists(st.lists(VALUES, min_size=1, max_size=4).map(tuple), max_size=3)
REQUESTS = st.builds(
    Requests,
    st.lists(st.builds(Join, REFS, st.text(max_size=9), st.binary(max_size=9), st.text(max_size=9), tick=REFS)),
    st.lists(REFS),
    st.lists(st.tuples(REFS, REFS, ACTIONS)),
    drops=st.lists(REFS),
    confirmed=st.lists(REFS),
)
OUTPUTS = st.builds(
    TickOutput,
    REFS,
    st.binary(max_size=50),
    REFS,
    st.lists(st.tuples(REFS, REFS)),
    st.lists(st.builds(Ended, REFS, st.sampled_from(CloseReason), st.text(max_size=9))),
    st.lists(
        st.builds(
            RefusedAction,
            REFS,
            st.builds(Refusal, REFS, REFS, st.text(max_size=9), st.text(max_size=9)),
            st.booleans(),
        )
    ),
)


@given(REQUESTS, OUTPUTS)
def test_requests_and_outputs_are_plain_values_that_survive_bytes(requests: Requests, output: TickOutput) -> None:
    assert decode_requests(encode_requests(requests)) == requests
    assert decode_output(encode_output(output)) == output


# --- Determinism ----------------------------------------------------------------------------------


def test_equal_inputs_give_equal_outputs() -> None:
    def outputs() -> list[TickOutput]:
        link = LocalZoneLink(zone := Zone(Field(), hz=4, seed=1))
        link.send(Requests(joins=[Join(1, "ann", b"", "a"), Join(2, "bob", b"", "b"), Join(3, "ann", b"", "c")]))
        made = [zone.tick(link.take_input(0.0))]
        link.send(Requests([], [2], [(1, 1, [("walk", 1, 2), ("score", 9), ("score", 1)])]))
        return [*made, zone.tick(link.take_input(1.0)), zone.tick(link.take_input(2.0))]

    assert outputs() == outputs()
