"""A zone with a journal, its hub, and gateways with clients, on a clock of their own: for tests that let anything fail.

The ways between them lose payloads when a test says so. `Simulation.check` then says whether all was made good.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

from helpers.fake_worker import FakeWorker
from helpers.link_way import Way
from helpers.simulated_gateway import SimulatedClient, SimulatedGateway

from zoneserver import Player, Refused, Rules, action
from zoneserver.config import Limits
from zoneserver.journal.bodies import (
    decode_checkpoint,
    decode_tick,
    encode_input,
    encode_output,
    encode_state,
    failed_output,
)
from zoneserver.link.hub import GatewayHub
from zoneserver.link.messages import Facts, Start
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Snapshot
from zoneserver.store.backend import MemoryStore
from zoneserver.store.desk import StoreDesk
from zoneserver.store.store import Store
from zoneserver.zone.link import Command, Requests, TickInput, TickOutput, gateway_of
from zoneserver.zone.local_link import LocalZoneLink
from zoneserver.zone.zone import Zone

HZ = 20


class Counting(Rules):
    """Tells each player the number of every action, and refuses every seventh."""

    def on_start(self) -> None:
        self.done: dict[str, list[int]] = {}
        self.declined: dict[str, list[int]] = {}

    @action
    def count(self, player: Player, number: int) -> None:
        if number % 7 == 3:
            self.declined[player.name].append(number)
            raise Refused("SEVEN", str(number))
        self.done[player.name].append(number)
        player.tell("counted", number)

    def on_join(self, player: Player) -> None:
        self.done[player.name], self.declined[player.name] = [], []
        player.move(1, 1)


class FailingStore(MemoryStore):
    """A store that can be read if `is_well` says so."""

    def __init__(self, is_well: Callable[[], bool]) -> None:
        super().__init__()
        self._is_well = is_well

    def load(self, name: str) -> str | None:
        if not self._is_well():
            raise OSError("the disk is gone")
        return super().load(name)


class Simulation:
    """The zone and everything around it. `percent` of all payloads get lost."""

    def __init__(self, seed: int) -> None:
        self.chance = chance = random.Random(seed)
        self.is_stream = chance.random() < 0.5
        self.percent = chance.choice([0, 0, 5, 20, 40])
        self._store_percent = chance.choice([0, 0, 0, 70])
        self._resume_ticks = chance.choice([300, 300, 60, 0])
        self._history_ticks = chance.choice([64, 8])
        self._limits = Limits(joins_per_second=chance.choice([2_560, 20]))
        self.clock = 100.0
        self.way = Way()
        self.cut_up: set[str] = set()
        self.cut_down: set[str] = set()
        """The names of the gateways whose payloads do not arrive, or that get none."""
        self.failing: set[int] = set()
        """The ticks that fail before any action has run."""
        self.journal: list[tuple[bytes, bytes]] = []
        self.epoch = 0
        self._frames: list[tuple[int, bytes]] = []
        self._ways = 0
        self.gateways: list[SimulatedGateway] = []
        self.clients = [
            SimulatedClient(f"c{index}", watches=index % 5 == 4, can_return=index % 4 != 3 and self._resume_ticks > 0)
            for index in range(chance.randrange(2, 9))
        ]
        self.start()

    def now(self) -> float:
        return self.clock

    # --- The zone ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the zone from its journal: by checkpoints at some ticks, and by running the others again."""
        self.epoch += 1
        self.rules, self.zone = self._new_zone()
        checkpoints = {self.chance.randrange(len(self.journal)) for _ in range(2 * bool(self.journal))}
        for index, (input_body, output_body) in enumerate(self.journal):
            recorded = decode_tick(input_body, output_body)
            assert encode_output(self._run(recorded.tick_input)) == output_body, "the zone is another one now"
            if index in checkpoints and recorded.tick_input.tick not in self.failing:
                self._restore()
        self.local = LocalZoneLink(self.zone, self.epoch)
        self._worker = FakeWorker()
        self._desk = StoreDesk(self.local, Store(FailingStore(self._is_well), self._worker, self.now), self.now)
        known = self.zone.attendance.gateways
        if self.epoch > 1:
            here = set(known.numbers())
            drops = [ref for ref in self.zone.attendance.refs() if gateway_of(ref) not in here]
            self.local.send(Requests(drops=drops, commands=[Command(0, ("stop", "--cancel"))]))
        facts = Facts(self.zone.info, {}, (), self.zone.world.tick, 15.0, 100, needs_ticket=False)
        start, former = Start(self.epoch, round(self.clock * 1000)), self._frames[-self._history_ticks :]
        self.hub = GatewayHub(
            *(self._desk, known, self.way, start, facts, self._history_ticks, 1_000, former),
            *(self.now, lambda: self.clock + 1 / HZ, self._fail, lambda _: None),
        )
        self.local.subscribe(self.hub.on_tick)

    def _new_zone(self) -> tuple[Counting, Zone]:
        rules = Counting()
        more: dict[str, Any] = {"resume_ticks": self._resume_ticks, "limits": self._limits}
        return rules, Zone(rules, hz=HZ, seed=1, watchers_max=10, players_max=20, **more)

    def _restore(self) -> None:
        body = encode_state(self.zone.state())
        checkpoint = decode_checkpoint(self.zone.world.tick, self.zone.snapshot(), body)
        rules, zone = self._new_zone()
        snapshot = decode_server(checkpoint.snapshot)
        assert isinstance(snapshot, Snapshot)
        zone.restore(snapshot, checkpoint.state)
        rules.done, rules.declined = self.rules.done, self.rules.declined
        self.rules, self.zone = rules, zone

    def _fail(self) -> None:
        raise AssertionError("there is no other zone of this name")

    def _run(self, tick_input: TickInput) -> TickOutput:
        if tick_input.tick not in self.failing:
            return self.zone.tick(tick_input)
        timers = self.zone._timers
        try:
            self.zone._timers = None  # type: ignore[assignment]
            self.zone.tick(tick_input)
        except AttributeError:
            return failed_output(tick_input.tick)
        finally:
            self.zone._timers = timers
        raise AssertionError("the tick has not failed")

    def tick(self, tick_input: TickInput | None = None) -> None:
        """Runs a tick with what has arrived, unless it is given."""
        if tick_input is None:
            tick_input = self.local.take_input(self.clock)
        output = self._run(tick_input)
        self.journal.append((encode_input(tick_input, output), encode_output(output)))
        self.clock += 1 / HZ
        if tick_input.tick in self.failing:
            self._frames.clear()
        else:
            self._frames.append((output.tick, output.frame))
            self.local.publish(output)

    def kill(self, away_turns: int, lost_ticks: int = 0) -> None:
        """Kills the zone and starts it again, perhaps without the last ticks: then its journal was not on disk."""
        del self.journal[len(self.journal) - lost_ticks :]
        del self._frames[max(0, len(self._frames) - lost_ticks) :]
        self.way.up.clear()
        self.way.down.clear()
        if self.is_stream:
            self.way.accepted.clear()
            for gateway in self.gateways:
                gateway.link.changed(False)
        for client in self.clients:
            client.is_checked &= not lost_ticks
        for _ in range(away_turns):
            self.turn(zone=False)
        self.start()
        for gateway in self.gateways if self.is_stream else ():
            self.connect(gateway)

    # --- Gateways ---------------------------------------------------------------------------------

    def gateway(self, name: str) -> SimulatedGateway | None:
        return next((each for each in self.gateways if each.name == name), None)

    def add(self, name: str) -> None:
        """Starts a gateway, unless there is one of this name."""
        if self.gateway(name) is None:
            self.gateways.append(SimulatedGateway(name, self.chance.randrange(2**30), self.send_up, self.now))
            self.connect(self.gateways[-1])

    def send_up(self, gateway: SimulatedGateway, payload: bytes) -> None:
        if gateway.name not in self.cut_up:
            self.way.up.append((gateway.peer, payload))

    def connect(self, gateway: SimulatedGateway) -> None:
        """The way of a gateway stands, for the first time or again. Each way of a stream is another one."""
        if self.is_stream:
            self._ways += 1
            gateway.peer = f"#{self._ways}"
        gateway.link.changed(True)

    def disconnect(self, gateway: SimulatedGateway) -> None:
        """The way of a gateway is lost: what was on it is lost too."""
        self.way.down[gateway.peer].clear()
        if self.is_stream:
            self.way.drop(gateway.peer)
            self.hub.gone(gateway.peer)
            gateway.link.changed(False)

    def remove(self, gateway: SimulatedGateway) -> None:
        """The process of a gateway ends."""
        self.disconnect(gateway)
        self.gateways.remove(gateway)
        for ref in list(gateway.clients):
            gateway.end(ref, "CONNECTION_LOST")

    # --- Turns ------------------------------------------------------------------------------------

    def turn(self, *, zone: bool = True, acting: bool = True) -> None:
        for gateway in self.gateways:
            if not gateway.is_stopped:
                gateway.beat(acting=acting)
        if zone:
            up, self.way.up = self.way.up, []
            for peer, payload in up:
                if self._arrives():
                    self.hub.receive(peer, payload)
            if self._is_well():
                self._worker.run()
            self.tick()
        else:
            self.clock += 1 / HZ
        self.deliver_down()

    def deliver_down(self) -> None:
        for gateway in [each for each in self.gateways if not each.is_stopped]:
            payloads, self.way.down[gateway.peer] = self.way.down[gateway.peer], []
            for payload in payloads if gateway.name not in self.cut_down else ():
                if self._arrives():
                    gateway.link.receive(payload)
            if gateway.is_rejected:
                self.remove(gateway)

    def _arrives(self) -> bool:
        return self.chance.random() * 100 >= self.percent

    def _is_well(self) -> bool:
        return self.chance.random() * 100 >= self._store_percent

    def connect_clients(self, chance: float) -> None:
        """Lets some of the clients that are out connect."""
        gateways = [each for each in self.gateways if each.is_begun and not each.is_stopped]
        for client in self.clients if gateways else ():
            if client.gateway is None and self.chance.random() < chance:
                self.chance.choice(gateways).connect(client)

    def settle(self, names: Iterable[str]) -> None:
        """Goes on without any loss, until everything has arrived."""
        self.percent = self._store_percent = 0
        for turn in range(500):
            for name in names:
                self.add(name)
            self.connect_clients(0.5)
            self.turn(acting=20 < turn < 60)

    def check(self) -> None:
        """Everybody is in, and nobody else. Every action happened once, and everybody heard of it once."""
        assert {client.state for client in self.clients} == {"in"}
        assert set(self.zone.attendance.refs()) == {client.ref for client in self.clients}
        assert not self.zone.parked
        for client in self.clients:
            if client.is_checked and not client.watches:
                assert client.told == self.rules.done[client.name]
                assert client.refused == self.rules.declined[client.name]
        for gateway in self.gateways:
            assert gateway.link.snapshot() == self.zone.snapshot()
