"""Which gateway may attach under which name and number."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.link_way import Way

from zoneserver import Rules
from zoneserver.link.hub import GatewayHub
from zoneserver.link.messages import (
    LINK_VERSION,
    Attach,
    Attached,
    BatchMessage,
    Detach,
    Facts,
    Rejected,
    Start,
    decode,
)
from zoneserver.zone.link import Join, Requests, first_ref
from zoneserver.zone.local_link import LocalZoneLink
from zoneserver.zone.zone import Zone

NUMBER = 5
ANN = Join(first_ref(NUMBER), "ann", b"", "127.0.0.1", token=b"token")
START = Start(1, 1)


class Hub:
    """A hub, and the zone behind it; at a broker if it `names_peers`."""

    def __init__(self, *, names_peers: bool, zone: Zone | None = None) -> None:
        self.zone = zone or Zone(Rules(), hz=20, seed=1, resume_ticks=200)
        self.way, self.link = Way(), LocalZoneLink(self.zone)
        self.way.names_peers = names_peers
        facts = Facts(self.zone.info, {}, (), self.zone.world.tick, 2.0, 10, needs_ticket=False)
        known = self.zone.attendance.gateways
        settings: tuple[Any, ...] = (START, facts, 64, 100, (), lambda: 0.0, lambda: 0.0, list, lambda _: None)
        self.hub = GatewayHub(self.link, known, self.way, *settings)
        self.link.subscribe(self.hub.on_tick)

    def attach(self, peer: str, name: str, number: int = NUMBER, pid: int = 1) -> Any:
        """Returns the answer; None if there is none yet."""
        self.way.down[peer].clear()
        self.hub.receive(peer, Attach(LINK_VERSION, number, name, {"host": "test", "pid": pid}).encode())
        answers = [decode(payload) for payload in self.way.down[peer]]
        return answers[0] if answers else None

    def batch(self, peer: str, number: int, **requests: Any) -> None:
        self.hub.receive(peer, BatchMessage(NUMBER, number, START, 0, Requests(**requests), None).encode())

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.link.publish(self.zone.tick(self.link.take_input(0.0)))


def entered(*, names_peers: bool) -> Hub:
    """A hub with gateway gw2, which has a player."""
    hub = Hub(names_peers=names_peers)
    peer = "gw2" if names_peers else "#1"
    assert isinstance(hub.attach(peer, "gw2"), Attached)
    hub.batch(peer, 1, joins=[ANN])
    hub.tick()
    return hub


def test_gateway_at_a_broker_cannot_take_the_number_or_the_name_of_another_one() -> None:
    hub = entered(names_peers=True)
    answer = hub.attach("gw1", "gw1", NUMBER)
    assert (answer.may_begin_anew, "the number 5" in answer.text) == (True, True)
    answer = hub.attach("gw1", "gw2", 77)
    assert answer == Rejected(77, may_begin_anew=False, text="gateway gw1 asks to attach as gw2")
    hub.batch("gw1", 2, leaves=[ANN.ref])
    hub.hub.receive("gw1", Detach(NUMBER).encode())
    hub.tick()
    assert [(each.name, each.peer) for each in hub.hub.gateways] == [("gw2", "gw2")]
    assert (hub.zone.attendance.refs(), hub.zone.parked) == ([ANN.ref], 0)


@pytest.mark.parametrize("names_peers", [True, False])
def test_number_stays_with_its_gateway_while_the_zone_knows_it(names_peers: bool) -> None:
    hub = entered(names_peers=names_peers)
    # The next start knows it from the journal, by a checkpoint too.
    state, snapshot = hub.zone.attendance.gateways.state(), Zone(Rules(), hz=20, seed=1, resume_ticks=200)
    snapshot.attendance.gateways.restore(state)
    later = Hub(names_peers=names_peers, zone=snapshot)
    assert later.attach("gw1", "gw1", NUMBER).may_begin_anew
    assert isinstance(later.attach("gw2", "gw2", NUMBER, pid=1), Attached)


def test_gateway_on_a_stream_takes_no_number_that_another_process_uses() -> None:
    hub = entered(names_peers=False)
    answer = hub.attach("#2", "gw2", pid=2)
    assert (answer.may_begin_anew, [each.peer for each in hub.hub.gateways]) == (True, ["#1"])
    # The same process may come by another way at once; another one of this name when the first has fallen silent.
    assert isinstance(hub.attach("#3", "gw2", pid=1), Attached)
    hub.tick(30)
    assert isinstance(hub.attach("#4", "gw2", pid=2), Attached)


def test_way_of_a_stream_leads_to_gateways_of_one_name() -> None:
    hub = Hub(names_peers=False)
    for number in range(1, 100):
        hub.attach("#1", f"gw{number}", number)
    assert [each.name for each in hub.hub.gateways] == ["gw1"]
    hub.hub.gone("#1")
    assert isinstance(hub.attach("#1", "gw2", 200), Attached)


def test_rejection_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    hub = entered(names_peers=True)
    for _ in range(9):
        assert isinstance(hub.attach("gw1", "gw2", 77), Rejected)
    assert caplog.messages == ["a gateway was rejected: gateway gw1 asks to attach as gw2"]


def test_payload_that_cannot_be_read_is_logged_with_the_name_of_the_gateway(caplog: pytest.LogCaptureFixture) -> None:
    for names_peers, fate in ((True, "it is not listened to for 10 s"), (False, "it is disconnected")):
        hub = entered(names_peers=names_peers)
        hub.hub.receive(next(iter(hub.hub.gateways)).peer, b"\xc1")
        assert caplog.messages[-1].startswith("gateway gw2: a message of the link cannot be read: FormatError: ")
        assert fate in caplog.messages[-1]


def test_lease_of_a_gateway_is_two_seconds_in_a_zone_of_one_tick_a_second(caplog: pytest.LogCaptureFixture) -> None:
    hub = Hub(names_peers=False, zone=Zone(Rules(), hz=1, seed=1, resume_ticks=20))
    hub.attach("#1", "gw2")
    hub.batch("#1", 1, joins=[ANN])
    hub.tick(4)
    assert caplog.messages == [
        "gateway gw2 is lost: no batch for 2.0 s; its player is parked until it or they come back"
    ]
