"""Whatever comes when: the store ends with the last value of each player, and no join sees an older one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from helpers.fake_worker import FakeWorker
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.config import Limits
from zoneserver.store.backend import MemoryStore
from zoneserver.store.desk import StoreDesk
from zoneserver.store.store import Store
from zoneserver.zone.link import Join, Requests, TickOutput
from zoneserver.zone.local_link import LocalZoneLink
from zoneserver.zone.rules import Player, Refused, Rules
from zoneserver.zone.zone import RuleFailure, Zone

NAMES = ("ann", "bob")
HZ = 20


class Numbers(Rules):
    """Each value that it saves is another one. It turns some players away, and some values cannot be saved."""

    def on_start(self) -> None:
        self.number = 0
        self.last: dict[str, dict[str, Any]] = {}
        self.turns_away = self.saves_nonsense = self.saves_nothing = False

    def on_join(self, player: Player) -> None:
        assert player.saved == self.last.get(player.name, {})
        if self.turns_away:
            raise Refused("CLOSED")

    def to_save(self, player: Player) -> Any:
        if self.saves_nothing:
            return None
        if self.saves_nonsense:
            return {"number": object()}
        self.number += 1
        self.last[player.name] = {"number": self.number}
        return dict(self.last[player.name])


class FailingStore(MemoryStore):
    """Fails while it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.fails_to_load = self.fails_to_save = False

    def load(self, name: str) -> str | None:
        if self.fails_to_load:
            raise OSError("cannot load")
        return super().load(name)

    def save(self, saved: Mapping[str, str]) -> None:
        if self.fails_to_save:
            raise OSError("cannot save")
        super().save(saved)


class World:
    """A zone with a store, and a gateway that notes what becomes of its joins."""

    def __init__(self) -> None:
        self.rules, self.backend, self.worker = Numbers(), FailingStore(), FakeWorker()
        self.now = 0.0
        self.failures: list[RuleFailure] = []
        # One player comes in per tick, so that others wait for a slot.
        limits = Limits(joins_per_second=HZ)
        self.zone = Zone(self.rules, hz=HZ, seed=1, limits=limits, save_ticks=7, on_failure=self.failures.append)
        self.link = LocalZoneLink(self.zone)
        self.store = Store(self.backend, self.worker, lambda: self.now)
        self.desk = StoreDesk(self.link, self.store, lambda: self.now)
        self.desk.subscribe(self.receive)
        self.requests = Requests()
        self.newest = 0
        # Sessions that have not ended: the ref with True once the player is in.
        self.sessions: dict[int, bool] = {}

    def join(self, name: str) -> None:
        self.newest += 1
        self.sessions[self.newest] = False
        self.requests.joins.append(Join(self.newest, name, b"", "127.0.0.1"))

    def leave(self, choice: int) -> None:
        if self.sessions:
            ref = list(self.sessions)[choice % len(self.sessions)]
            del self.sessions[ref]
            self.requests.leaves.append(ref)

    def tick(self, choice: int) -> None:
        self.now += (0.05, 0.05, 0.05, 0.8)[choice % 4]
        requests, self.requests = self.requests, Requests()
        self.desk.send(requests)
        self.link.publish(self.zone.tick(self.link.take_input(0.0)))

    def receive(self, output: TickOutput) -> None:
        for ref, _, _ in output.ended:
            if self.sessions.pop(ref, None) is not None:
                self.requests.leaves.append(ref)
        for ref, _ in output.joined:
            if ref in self.sessions:
                assert not self.sessions[ref]
                self.sessions[ref] = True

    def toggle(self, choice: int) -> None:
        owner, name = (
            (self.backend, "fails_to_load"),
            (self.backend, "fails_to_save"),
            (self.rules, "turns_away"),
            (self.rules, "saves_nonsense"),
            (self.rules, "saves_nothing"),
        )[choice % 5]
        setattr(owner, name, not getattr(owner, name))


STEPS = st.one_of(
    st.tuples(st.just("join"), st.sampled_from(NAMES)),
    st.tuples(st.just("join"), st.sampled_from(NAMES)),
    st.tuples(st.just("leave"), st.integers(0, 9)),
    st.tuples(st.just("tick"), st.integers(0, 9)),
    st.tuples(st.just("tick"), st.integers(0, 9)),
    st.tuples(st.just("work"), st.just(None)),
    st.tuples(st.just("work"), st.just(None)),
    st.tuples(st.just("deliver"), st.just(None)),
    st.tuples(st.just("settle"), st.just(None)),
    st.tuples(st.just("toggle"), st.integers(0, 9)),
)


@given(st.lists(STEPS, min_size=40, max_size=80))
def test_store_ends_with_the_last_value_and_no_join_sees_an_older_one(steps: list[tuple[str, Any]]) -> None:
    world = World()
    for step, argument in steps:
        match step:
            case "join":
                world.join(argument)
            case "leave":
                world.leave(argument)
            case "tick":
                world.tick(argument)
            case "work":
                world.worker.work()
            case "deliver":
                world.worker.deliver()
            case "settle":
                world.worker.run()
                world.tick(0)
            case "toggle":
                world.toggle(argument)
    backend, rules = world.backend, world.rules
    backend.fails_to_load = backend.fails_to_save = rules.turns_away = False
    for _ in range(2 * len(steps) + 4):
        world.worker.run()
        world.tick(0)
    assert all(world.sessions.values()), "every join is answered"
    assert len(world.sessions) == len(rules.players), "nobody is in without a session"
    rules.saves_nonsense = rules.saves_nothing = False
    world.desk.save(world.zone.stop())
    world.now += 5.0
    world.store.poll()
    world.worker.run()
    assert not world.store.pending
    assert world.store.pending_characters == 0
    assert {name: f'{{"number":{last["number"]}}}' for name, last in rules.last.items()} == backend.players
    assert {failure.what for failure in world.failures} <= {"to_save"}, world.failures
