"""The desk: which joins wait, which fail, and which are taken back."""

from __future__ import annotations

import pytest
from helpers.fake_worker import FakeWorker

from zoneserver.protocol.codes import CloseReason
from zoneserver.store import desk as module
from zoneserver.store.backend import MemoryStore
from zoneserver.store.desk import PATIENCE_SECONDS, StoreDesk
from zoneserver.store.store import Store
from zoneserver.zone.gateways import Part
from zoneserver.zone.link import Batch, Ended, Join, Requests, TickOutput, first_ref
from zoneserver.zone.local_link import LocalZoneLink
from zoneserver.zone.rules import Rules
from zoneserver.zone.zone import Zone


class Fixture:
    def __init__(self) -> None:
        self.backend, self.worker, self.now = MemoryStore(), FakeWorker(), 0.0
        self.zone = Zone(Rules(), hz=20, seed=1, save_ticks=1)
        self.link = LocalZoneLink(self.zone)
        self.store = Store(self.backend, self.worker, lambda: self.now)
        self.desk = StoreDesk(self.link, self.store, lambda: self.now)
        self.outputs: list[TickOutput] = []
        self.desk.subscribe(self.outputs.append)

    def join(self, *names: str) -> None:
        self.desk.send(Requests(joins=[Join(ref, name, b"", "a") for ref, name in enumerate(names, 1)]))

    def tick(self) -> TickOutput:
        self.link.publish(self.zone.tick(self.link.take_input(0.0)))
        return self.outputs[-1]


@pytest.fixture
def fixture() -> Fixture:
    return Fixture()


def test_join_waits_for_its_read_and_no_tick_does(fixture: Fixture) -> None:
    fixture.backend.players["ann"] = '{"gold":7}'
    fixture.join("ann", "bob")
    assert fixture.tick().joined == []
    fixture.worker.run()
    assert [ref for ref, _ in fixture.tick().joined] == [1, 2]
    assert [player.saved for player in fixture.zone.rules.players.values()] == [{"gold": 7}, {}]


def test_join_fails_when_the_store_does_not_answer_in_time(fixture: Fixture) -> None:
    fixture.join("ann")
    fixture.now = PATIENCE_SECONDS - 0.01
    assert fixture.tick().ended == []
    fixture.now = PATIENCE_SECONDS
    assert fixture.tick().ended == []
    text = "the store did not answer within 1.5 s"
    assert fixture.tick().ended == [Ended(1, CloseReason.STORE_FAILED, text)]
    assert fixture.tick().ended == []
    fixture.worker.run()
    assert fixture.tick().joined == [], "the read came too late"


def test_join_fails_when_its_read_fails(fixture: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_name: str) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(fixture.backend, "load", load)
    fixture.join("ann", "bob")
    fixture.worker.run()
    assert fixture.tick().ended == [Ended(ref, CloseReason.STORE_FAILED, "") for ref in (1, 2)]
    assert CloseReason.STORE_FAILED.retry


def test_leave_of_a_join_that_waits_takes_it_back(fixture: Fixture) -> None:
    fixture.join("ann", "bob")
    fixture.desk.send(Requests(leaves=[1]))
    fixture.worker.run()
    assert [ref for ref, _ in fixture.tick().joined] == [2]


def test_joins_that_wait_are_bounded(fixture: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAITING_MAX", 2)
    fixture.join("ann", "bob", "cid")
    text = "too many joins wait for the store"
    assert fixture.tick().ended == [Ended(3, CloseReason.STORE_FAILED, text)]


def test_nobody_joins_while_too_much_is_not_written(fixture: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PENDING_CHARACTERS_MAX", 10)
    fixture.store.save({"cid": "x" * 11})
    fixture.join("ann")
    text = "too many saved players wait to be written"
    assert fixture.tick().ended == [Ended(1, CloseReason.STORE_FAILED, text)]


def test_what_is_not_on_disk_yet_answers_a_join_at_once(fixture: Fixture) -> None:
    fixture.desk.save([("ann", '{"gold":8}')])
    fixture.join("ann")
    assert fixture.tick().joined == [(1, 0)]
    assert fixture.zone.rules.players[0].saved == {"gold": 8}


def test_reads_of_joins_that_ended_do_not_gather_behind_a_store_that_hangs(fixture: Fixture) -> None:
    fixture.join("hangs")
    for number in range(100):
        fixture.desk.send(Requests(joins=[Join(1_000 + number, f"p{number}", b"", "a")]))
        fixture.now += 1.0
        fixture.tick()
    assert len(fixture.store._reads) <= 2


def test_gateway_in_another_process_hears_that_its_join_has_failed(fixture: Fixture) -> None:
    ref = first_ref(3)
    fixture.desk.send(Requests(joins=[Join(ref, "ann", b"", "a")], batches=[Batch(3, 1, 0)]))
    fixture.tick()
    fixture.now = PATIENCE_SECONDS
    fixture.tick()
    part = Part.decode(fixture.tick().parts[3])
    assert [(each.ref, each.reason) for each in part.ended] == [(ref, CloseReason.STORE_FAILED)]


def test_join_with_the_ref_of_one_that_waits_is_ignored(fixture: Fixture) -> None:
    for name in ("ann", "ann", "bob"):
        fixture.desk.send(Requests(joins=[Join(1, name, b"", "a")]))
    fixture.worker.run()
    assert fixture.tick().joined == [(1, 0)]
    assert fixture.zone.world.holders[0] == "ann"
