"""Whatever fails between a zone and its gateways: everybody comes in, and all that they do happens once."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from helpers.link_simulation import Simulation
from hypothesis import example, given, settings
from hypothesis import strategies as st

from zoneserver.journal.bodies import decode_tick
from zoneserver.link.messages import LINK_VERSION, Ask, Attach, Detach
from zoneserver.zone import gateways, parking
from zoneserver.zone.link import Requests, TickInput

NAMES = ("gw0", "gw1")
# How many turns something is away, cut or stopped. A gateway is lost after 40.
AWAY_TURNS = (0, 1, 5, 30, 60, 90)
EXAMPLES = 8 if settings.default.max_examples < 100 else 500  # type: ignore[union-attr]


class Accidents:
    """What may go wrong with a simulation. Much of it is over some turns later."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.chance = simulation.chance
        self._later: list[tuple[int, Callable[[], None]]] = []
        self._turn = 0
        self._all = (
            *(self.kill_zone, self.cut_journal, self.lose_journal, self.stop_zone, self.restart_zone, self.fail_tick),
            *(self.kill_gateway, self.stop_gateway, self.freeze_gateway, self.cut_way, self.reconnect),
            *(self.drop_client, self.let_client_leave),
        )

    def happen(self) -> None:
        self.chance.choice(self._all)()

    def end_some(self, *, all_of_them: bool = False) -> None:
        self._turn += 1
        over = [each for each in self._later if all_of_them or each[0] <= self._turn]
        self._later = [each for each in self._later if each not in over]
        for _, end in over:
            end()

    def _end_later(self, end: Callable[[], None]) -> None:
        self._later.append((self._turn + self.chance.choice(AWAY_TURNS), end))

    # --- The zone ---------------------------------------------------------------------------------

    def kill_zone(self) -> None:
        self.simulation.kill(self.chance.choice(AWAY_TURNS))

    def cut_journal(self) -> None:
        """The power fails: the last ticks of the journal are not on disk."""
        if len(self.simulation.journal) > 8:
            self.simulation.kill(self.chance.choice(AWAY_TURNS), self.chance.randrange(1, 8))

    def lose_journal(self) -> None:
        self.simulation.failing.clear()
        self.simulation.epoch = 0
        self.simulation.kill(self.chance.choice(AWAY_TURNS), len(self.simulation.journal))

    def stop_zone(self) -> None:
        """All players leave in a last tick, of which the gateways do not hear."""
        simulation, known = self.simulation, self.simulation.zone.attendance
        simulation.tick()
        last = Requests(leaves=known.refs(), lost=known.gateways.numbers())
        simulation.failing.discard(simulation.zone.world.tick + 1)
        hub, simulation.local._receivers = simulation.hub, []
        simulation.tick(TickInput(simulation.zone.world.tick + 1, simulation.clock, 100, last))
        hub.stop(keep=False)
        simulation.deliver_down()
        self.kill_zone()

    def restart_zone(self) -> None:
        """All players stay in for the next start."""
        self.simulation.tick()
        self.simulation.hub.stop(keep=True)
        self.simulation.deliver_down()
        self.kill_zone()

    def fail_tick(self) -> None:
        self.simulation.failing.add(self.simulation.zone.world.tick + 1)

    # --- Gateways ---------------------------------------------------------------------------------

    def kill_gateway(self) -> None:
        """The process of a gateway is killed, and another one gets its name."""
        if self.simulation.gateways:
            gateway = self.chance.choice(self.simulation.gateways)
            self.simulation.remove(gateway)
            self._end_later(lambda: self.simulation.add(gateway.name))

    def stop_gateway(self) -> None:
        if self.simulation.gateways:
            self.chance.choice(self.simulation.gateways).link.detach()
            self.kill_gateway()

    def freeze_gateway(self) -> None:
        """A gateway neither sends nor receives, and does not know it."""
        if self.simulation.gateways:
            gateway = self.chance.choice(self.simulation.gateways)
            gateway.is_stopped = True
            self._end_later(lambda: setattr(gateway, "is_stopped", False))

    def cut_way(self) -> None:
        """A cable is pulled, or one direction of it."""
        for cut in self.chance.choice([(0,), (1,), (0, 1)]):
            names, name = (self.simulation.cut_up, self.simulation.cut_down)[cut], self.chance.choice(NAMES)
            names.add(name)
            self._end_later(lambda names=names, name=name: names.discard(name))

    def reconnect(self) -> None:
        if self.simulation.gateways:
            gateway = self.chance.choice(self.simulation.gateways)
            self.simulation.disconnect(gateway)
            self.simulation.connect(gateway)

    # --- Clients ----------------------------------------------------------------------------------

    def drop_client(self) -> None:
        for gateway in self.simulation.gateways:
            for ref in list(gateway.clients)[:1]:
                gateway.drop(ref)

    def let_client_leave(self) -> None:
        for gateway in self.simulation.gateways:
            for ref in list(gateway.clients)[-1:]:
                gateway.leave(ref, "CLIENT_LEFT")


def simulate(seed: int) -> None:
    """Runs one simulation to its end, with accidents that follow from the seed."""
    chance = random.Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("secrets.randbits", chance.getrandbits)
        # A zone keeps this much for a gateway that does not confirm it, and all for a player who is away.
        patch.setattr(gateways, "_UNCONFIRMED_BYTES_MAX", chance.choice([2**22, 2**22, 2**22, 400]))
        patch.setattr(parking, "_MESSAGES_MAX", 2**20)
        simulation = Simulation(seed)
        accidents = Accidents(simulation)
        for name in NAMES:
            simulation.add(name)
        rate = chance.choice([0.02, 0.05, 0.15])
        for _ in range(chance.choice([100, 250])):
            simulation.connect_clients(0.2)
            accidents.end_some()
            if chance.random() < rate:
                accidents.happen()
            simulation.turn()
        accidents.end_some(all_of_them=True)
        simulation.settle(NAMES)
        simulation.check()


@settings(max_examples=EXAMPLES)
@example(8)
@example(16)
@given(st.integers(0, 2**32))
def test_whatever_fails_everybody_comes_in_and_every_action_happens_once(seed: int) -> None:
    simulate(seed)


# --- A gateway that errs --------------------------------------------------------------------------

JUNK = [None, True, 0, -1, 1, 2**31, 2**32, 2**64 - 1, -(2**63), 1.5, float("nan"), float("inf"), "", "c0", "a" * 300]
JUNK += [b"", b"\xff" * 40, [], {}, {"a": 1}, [1, 2, 3], [[[[]]]], msgpack.ExtType(5, b"a"), {b"k": {}}]


def damaged(value: Any, chance: random.Random) -> Any:
    """The value with another one somewhere in it."""
    if isinstance(value, dict) and value:
        name = chance.choice(list(value))
        return value | {name: damaged(value[name], chance)}
    if not (isinstance(value, list) and value) or chance.random() < 0.15:
        return chance.choice(JUNK)
    index, values = chance.randrange(len(value)), list(value)
    match chance.randrange(10):
        case 0:
            del values[index]
        case 1:
            values.insert(index, values[index])
        case 2:
            values.append(chance.choice(JUNK))
        case _:
            values[index] = damaged(values[index], chance)
    return values


@settings(max_examples=EXAMPLES)
@given(st.integers(0, 2**32))
def test_no_message_of_a_gateway_fails_a_tick(seed: int) -> None:
    chance = random.Random(seed)
    simulation = Simulation(seed)
    for name in NAMES:
        simulation.add(name)
    wrong = simulation.gateways[0]
    receive = simulation.hub.receive

    def receive_damaged(peer: str, payload: bytes) -> None:
        if peer == wrong.peer and chance.random() < 0.5:
            payload = msgpack.packb(damaged(msgpack.unpackb(payload, strict_map_key=False), chance))
        receive(peer, payload)

    simulation.hub.receive = receive_damaged  # type: ignore[method-assign]
    for turn in range(100):
        simulation.connect_clients(0.3)
        if turn % 10 == 0:
            more = [Attach(LINK_VERSION, wrong.link.number, wrong.name, {"pid": 1}), Detach(wrong.link.number)]
            more += [Ask(wrong.link.number, wrong.link._start, wrong.link.tick)]
            simulation.send_up(wrong, chance.choice(more).encode())
        simulation.turn()
        assert decode_tick(*simulation.journal[-1]).tick_input.tick == simulation.zone.world.tick
    assert simulation.zone.state()
