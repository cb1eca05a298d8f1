"""What the hub of a zone accepts from whom."""

from __future__ import annotations

import pytest
from helpers.link_simulation import HZ, Simulation
from helpers.simulated_gateway import SimulatedGateway

from zoneserver.link.messages import Ask, BatchMessage, Detach, Jump, Rejected, decode
from zoneserver.zone import gateways
from zoneserver.zone.link import Requests


def running(*names: str) -> tuple[Simulation, list[SimulatedGateway]]:
    """A zone in which nothing gets lost, with gateways."""
    simulation = Simulation(1)
    simulation.percent = simulation._store_percent = 0
    for name in names:
        simulation.add(name)
    for _ in range(10):
        simulation.turn()
        simulation.connect_clients(1.0)
    return simulation, simulation.gateways


def test_gateway_that_asks_many_times_within_a_tick_is_answered_once() -> None:
    simulation, (gateway,) = running("gw0")
    ask = Ask(gateway.link.number, gateway.link._start, None).encode()
    for _ in range(2):
        for _ in range(5):
            simulation.hub.receive(gateway.peer, ask)
        answers = [decode(payload) for payload in simulation.way.down[gateway.peer]]
        assert len([each for each in answers if isinstance(each, Jump)]) == 1
        simulation.turn()
    assert [type(decode(payload)) for payload in simulation.way.down[gateway.peer]] == []


@pytest.mark.parametrize("kind", [Ask, Detach, BatchMessage])
def test_message_in_the_name_of_another_gateway_is_ignored(kind: type) -> None:
    simulation, (gateway, other) = running("gw0", "gw1")
    link = gateway.link
    if kind is BatchMessage:
        number = simulation.zone.attendance.gateways.taken(link.number) + 1
        message: Ask | Detach | BatchMessage = BatchMessage(link.number, number, link._start, 0, Requests(), None)
    else:
        message = Detach(link.number) if kind is Detach else Ask(link.number, link._start, None)
    refs = simulation.zone.attendance.refs()
    simulation.hub.receive(other.peer, message.encode())
    assert not simulation.way.down[other.peer]
    for _ in range(10):
        simulation.turn()
    assert (simulation.zone.parked, simulation.zone.attendance.refs()) == (0, refs)
    assert [each.number for each in simulation.hub.gateways] == [link.number, other.link.number]
    assert gateway.link.counters.batches_resent_total == 0


@pytest.mark.parametrize("is_stream", [False, True])
def test_gateway_whose_rejection_was_lost_begins_anew_when_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, *, is_stream: bool
) -> None:
    simulation, (gateway,) = running("gw0")
    simulation.is_stream = is_stream
    monkeypatch.setattr(gateways, "_UNCONFIRMED_BYTES_MAX", 100)
    number, lost, send = gateway.link.number, list[Rejected](), simulation.way.send

    def lose_rejected(peer: str, payload: bytes) -> None:
        message = decode(payload)
        lost.extend([message] if isinstance(message, Rejected) else ())
        if not lost:
            send(peer, payload)

    simulation.way.send = lose_rejected  # type: ignore[method-assign]
    simulation.cut_down.add("gw0")
    for _ in range(20):
        simulation.turn()
    assert [each.may_begin_anew for each in lost] == [True]
    simulation.cut_down.clear()
    simulation.way.send = send  # type: ignore[method-assign]
    for _ in range(30):
        simulation.turn()
    assert gateway.link.number != number
    monkeypatch.undo()
    simulation.settle(["gw0"])
    simulation.check()


def test_gateway_without_a_batch_notices_a_zone_that_lost_its_journal_and_has_that_tick_again() -> None:
    simulation = Simulation(1)
    simulation.percent = simulation._store_percent = 0
    for _ in range(3):
        simulation.turn()
        simulation.kill(0)
    simulation.add("gw0")
    simulation.turn()
    simulation.turn()
    (gateway,) = simulation.gateways
    simulation.cut_up.add("gw0")
    for _ in range(9):
        simulation.turn()
    number, gateway.is_stopped, simulation.epoch = gateway.link.number, True, 0
    assert (gateway.link.tick, simulation.hub._gateways.taken(number)) == (14, 0)
    simulation.kill(0, lost_ticks=14)
    for _ in range(30):
        simulation.turn()
    simulation.kill(0)
    gateway.is_stopped = False
    simulation.cut_up.clear()
    for _ in range(2 * HZ):
        simulation.turn()
    assert gateway.link.number != number
