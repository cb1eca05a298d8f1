"""Gateways that are lost while something is under way: nobody stays in the zone without a connection, or outside with
one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from helpers.link_way import Way

from zoneserver import Rules
from zoneserver.journal.recorder import Recorder
from zoneserver.journal.values import JournalError
from zoneserver.link.hub import GatewayHub
from zoneserver.link.messages import (
    LINK_VERSION,
    Ask,
    Attach,
    Attached,
    BatchMessage,
    Detach,
    Facts,
    Start,
    Stopping,
    decode,
)
from zoneserver.protocol.codes import CloseReason
from zoneserver.server import ZoneServer
from zoneserver.zone import gateways as gateways_module
from zoneserver.zone.gateways import Part
from zoneserver.zone.link import Batch, Ended, Join, Requests, TickInput, TickOutput, first_ref
from zoneserver.zone.local_link import LocalZoneLink
from zoneserver.zone.zone import Zone

GATEWAY = 5
ANN = first_ref(GATEWAY)
BOB = ANN + 1
LOST = CloseReason.CONNECTION_LOST


def join(ref: int, name: str, **more: Any) -> Join:
    return Join(ref, name, b"", "127.0.0.1", **more)


class Lone:
    """A zone that one gateway has, without a link between them."""

    def __init__(self) -> None:
        self.zone = Zone(Rules(), hz=20, seed=1, resume_ticks=40, watchers_max=1)
        self._batches = 0

    def tick(self, *, batch: bool = False, tick: int = 0, **requests: Any) -> TickOutput:
        if batch:
            self._batches += 1
            requests["batches"] = [Batch(GATEWAY, self._batches, tick)]
        return self.zone.tick(TickInput(self.zone.world.tick + 1, 0.0, 100, Requests(**requests)))

    def ended(self) -> list[Ended]:
        """What the gateway has not confirmed."""
        parts = self.zone.attendance.gateways.parts_since(GATEWAY, 0)
        return [ended for _, part in parts for ended in Part.decode(part).ended]


def test_join_of_a_gateway_that_is_lost_in_the_same_tick_is_turned_away() -> None:
    lone = Lone()
    lone.tick(batch=True, joins=[join(ANN, "ann", token=b"token")])
    lone.tick(batch=True, joins=[join(BOB, "bob", token=b"token")], lost=[GATEWAY])
    assert (lone.zone.attendance.refs(), lone.ended()) == ([ANN], [Ended(BOB, LOST, "")])


def test_join_that_the_store_held_until_its_gateway_was_forgotten_is_turned_away() -> None:
    lone = Lone()
    lone.tick(batch=True)
    lone.tick(lost=[GATEWAY])
    assert GATEWAY not in lone.zone.attendance.gateways
    lone.tick(joins=[join(ANN, "ann")])
    assert lone.zone.attendance.refs() == []


def test_gateway_that_returns_is_told_who_could_not_stay() -> None:
    lone = Lone()
    lone.tick(batch=True, joins=[join(ANN, "ann", token=b"token"), join(BOB, "bob")])
    lone.tick(batch=True, tick=1, lost=[GATEWAY])
    lone.tick(batch=True, tick=1)
    assert (lone.zone.attendance.refs(), lone.zone.parked, lone.ended()) == ([ANN], 0, [Ended(BOB, LOST, "")])


def test_watchers_of_a_gateway_that_confirms_nothing_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateways_module, "_UNCONFIRMED_BYTES_MAX", 1)
    lone = Lone()
    lone.tick(batch=True, joins=[join(ANN, "ann", watch=True)])
    lone.tick(lost=[GATEWAY])
    assert lone.zone.attendance.refs() == []


def test_gateways_after_a_tick_that_failed_are_taken_and_lost_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    lone = Lone()
    lone.tick(batch=True, joins=[join(ANN, "ann", token=b"token")])
    with monkeypatch.context() as patch:
        patch.setattr(lone.zone.attendance.gateways, "take", None)
        with pytest.raises(TypeError):
            lone.tick(batch=True, lost=[GATEWAY])
    lone.tick()
    assert lone.zone.parked == 1
    lone.tick(batch=True)
    assert (lone.zone.parked, lone.zone.attendance.gateways.taken(GATEWAY)) == (0, 3)


class Hub:
    """A hub with one gateway, and the zone behind it."""

    def __init__(self) -> None:
        self.zone = Zone(Rules(), hz=20, seed=1, resume_ticks=40)
        self.way, self.link = Way(), LocalZoneLink(self.zone)
        facts = Facts(self.zone.info, {}, (), 0, 2.0, 10, needs_ticket=False)
        known, start = self.zone.attendance.gateways, Start(1, 1)
        settings: tuple[Any, ...] = (start, facts, 64, 100, (), lambda: 0.0, lambda: 0.0, list, lambda _: None)
        self.hub = GatewayHub(self.link, known, self.way, *settings)
        self.link.subscribe(self.hub.on_tick)

    def say(self, *messages: Attach | Ask | BatchMessage | Detach) -> None:
        for message in messages:
            self.hub.receive("gw", message.encode())

    def tick(self) -> None:
        self.link.publish(self.zone.tick(self.link.take_input(0.0)))

    def taken(self) -> list[int]:
        said = [decode(payload) for payload in self.way.down["gw"]]
        return [each.taken for each in said if isinstance(each, Attached)]


def batch(number: int, **requests: Any) -> BatchMessage:
    return BatchMessage(GATEWAY, number, Start(1, 1), 0, Requests(**requests), None)


ATTACH = Attach(LINK_VERSION, GATEWAY, "gw", {})


def test_gateway_that_detaches_right_after_its_first_batch_leaves_nobody_behind() -> None:
    hub = Hub()
    hub.say(ATTACH, batch(1, joins=[join(ANN, "ann", token=b"token")]), Detach(GATEWAY))
    for _ in range(50):
        hub.tick()
    assert hub.zone.attendance.refs() == []


def test_batch_is_taken_once_of_a_gateway_that_detaches_and_attaches_within_a_tick() -> None:
    hub = Hub()
    hub.say(ATTACH, batch(1), Detach(GATEWAY), ATTACH, batch(1))
    hub.tick()
    hub.say(ATTACH, batch(1), batch(2))
    hub.tick()
    assert hub.zone.attendance.gateways.taken(GATEWAY) == 2


def test_players_go_on_although_their_gateway_was_lost_twice_in_a_row() -> None:
    lone = Lone()
    lone.tick(batch=True, joins=[join(ANN, "ann", token=b"token")])
    lone.tick(lost=[GATEWAY])
    lone.tick(lost=[GATEWAY])
    lone.tick(batch=True, tick=1)
    assert lone.zone.parked == 0


def test_gateway_that_attaches_again_and_again_without_a_batch_is_lost() -> None:
    hub = Hub()
    hub.say(ATTACH, batch(1, joins=[join(ANN, "ann", token=b"token")]))
    for _ in range(50):
        hub.tick()
        hub.say(ATTACH)
    assert hub.zone.parked == 1


@pytest.mark.parametrize(
    ("joins", "fate"),
    [
        ([], "no player was left there"),
        (["ann"], "its player is parked until it or they come back"),
        (["ann", "bob"], "its 2 players are parked until it or they come back"),
    ],
)
def test_line_about_a_lost_gateway_counts_the_players_whom_the_zone_has_parked(
    joins: list[str], fate: str, caplog: pytest.LogCaptureFixture
) -> None:
    hub = Hub()
    # Its own figures are older.
    hub.say(ATTACH._replace(figures={"players": 9}))
    hub.say(batch(1, joins=[join(ANN + number, name, token=b"token") for number, name in enumerate(joins)]))
    for _ in range(50):
        hub.tick()
    assert caplog.messages == [f"gateway gw is lost: no batch for 2.0 s; {fate}"]


def test_gateway_that_goes_before_it_has_begun_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    hub = Hub()
    hub.say(ATTACH, Detach(GATEWAY))
    assert caplog.messages[-1] == "gateway gw has stopped"


def test_gateway_that_attaches_again_by_the_same_way_counts_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    hub = Hub()

    def told() -> tuple[int, int]:
        return hub.hub.counters.gateways_attached_total, sum("gw attached" in line for line in caplog.messages)

    hub.say(*[ATTACH] * 34)
    assert told() == (1, 1)
    hub.hub.gone("gw")
    hub.say(ATTACH, ATTACH)
    assert told() == (2, 2), "it was away"


def test_gateway_that_attaches_is_told_what_survives_a_kill_of_the_zone() -> None:
    hub = Hub()
    hub.say(ATTACH, batch(1), ATTACH)
    hub.tick()
    hub.say(ATTACH)
    assert hub.taken() == [0, 0, 1]


def test_batch_that_comes_right_after_its_gateway_was_lost_does_not_stop_the_zone() -> None:
    # In each twentieth tick the zone forgets a lost gateway without players.
    for phase in range(20):
        hub = Hub()
        for _ in range(phase):
            hub.tick()
        hub.say(ATTACH, batch(1))
        while next(iter(hub.hub.gateways)).lost_at is None:
            hub.tick()
        for number in (2, 3):
            hub.say(batch(number))
            hub.tick()


def test_next_start_after_a_stop_knows_no_gateway(tmp_path: Path) -> None:
    async def run() -> list[int]:
        settings: dict[str, Any] = {"port": None, "stats_port": None, "journal": str(tmp_path), "hz": 100}
        async with ZoneServer(Rules, **settings, link=f"unix:{tmp_path / 'link'}") as server:
            known = server.zone.attendance.gateways.numbers()
            server.link.send(Requests(batches=[Batch(GATEWAY, 1, 0)]))
        return known

    assert [asyncio.run(run()) for _ in range(2)] == [[], []]


@pytest.mark.parametrize("is_full", [True, False])
def test_gateways_keep_their_players_when_the_zone_ends_because_its_journal_is_full(
    tmp_path: Path, is_full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> list[Any]:
        settings: dict[str, Any] = {"port": None, "stats_port": None, "journal": str(tmp_path), "hz": 100}
        said: list[bytes] = []
        async with ZoneServer(Rules, **settings, link=f"unix:{tmp_path / 'link'}") as server:
            if is_full:
                monkeypatch.setattr(Recorder, "record", fail)
                await server.serve(seconds=10)
            monkeypatch.setattr(server.hub.carrier, "publish", said.append)  # type: ignore[union-attr]
        return [each.keep for each in map(decode, said) if isinstance(each, Stopping)]

    def fail(*_: Any) -> None:
        raise JournalError("the disk is full")

    assert asyncio.run(run()) == [is_full]


def test_gateway_that_was_forgotten_is_not_told_that_it_has_missed_nothing() -> None:
    hub = Hub()
    hub.say(ATTACH, batch(1))
    hub.tick()
    hub.say(Detach(GATEWAY))
    hub.tick()
    hub.way.down.clear()
    hub.say(ATTACH, Ask(GATEWAY, Start(1, 1), 1))
    assert [type(decode(payload)) for payload in hub.way.down["gw"]] == [Attached]


def test_second_player_of_one_ref_is_ignored() -> None:
    lone = Lone()
    lone.tick(batch=True, joins=[join(ANN, "ann"), join(ANN, "bob")])
    lone.tick(batch=True, leaves=[ANN])
    lone.tick(batch=True, joins=[join(ANN, "ann"), join(BOB, "bob")])
    assert lone.zone.attendance.refs() == [ANN, BOB]
