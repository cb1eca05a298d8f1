"""The store ends with the last value of each player, whatever comes when: kills, stops, failures of the store."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from helpers.fake_worker import FakeWorker
from helpers.journals import HEADER, output_of, tick_of
from hypothesis import example, given
from hypothesis import strategies as st

from zoneserver.journal import recorder, writer
from zoneserver.journal.reader import JournalReader
from zoneserver.journal.recorder import Recorder
from zoneserver.journal.unsaved import Unsaved
from zoneserver.journal.values import Checkpoint
from zoneserver.journal.writer import Journal
from zoneserver.store.backend import MemoryStore
from zoneserver.store.store import Store

NAMES = ("ann", "bob", "cid")


class Database(MemoryStore):
    """Fails while it is told to."""

    is_down = False

    def save(self, saved: Any) -> None:
        if self.is_down:
            raise OSError("the database is down")
        super().save(saved)


class Server:
    """What a server has of a zone: its journal, and its store, if it was started with one."""

    def __init__(self, directory: Path, database: Database, *, has_store: bool = True) -> None:
        self.journal = Journal.open(directory, sync="never")
        tick = self.journal.last_tick or 0
        self.unsaved = Unsaved()
        if tick:
            reader = JournalReader(directory)
            self.unsaved.tick = reader.saved_tick
            for entry in reader.entries(self.unsaved.tick):
                self.unsaved.take(entry)
        waits = bool(self.unsaved.texts)
        self.world = SimpleNamespace(tick=tick)
        self.journal.begin(HEADER, Checkpoint(tick, b"", self.state()), self.unsaved.tick if waits else tick)
        self.recorder = Recorder(self.journal, self)  # type: ignore[arg-type]
        self.worker, self.now = FakeWorker(), 0.0
        self.store = Store(database, self.worker, lambda: self.now) if has_store else None
        if self.store:
            self.store.save(self.unsaved.texts, self.unsaved.tick + 1)
            self.recorder.saved_up_to = self.store.saved_up_to
        elif waits:
            self.recorder.saved_up_to = lambda _: self.unsaved.tick

    info = SimpleNamespace(hz=4)

    def snapshot(self) -> bytes:
        return b""

    def state(self) -> dict[str, Any]:
        return {"game": 1}

    def run_tick(self, saves: dict[str, str]) -> None:
        self.world.tick += 1
        self.now += 0.3
        recorded = tick_of(self.world.tick)
        output = output_of(recorded, saves=list(saves.items()))
        self.recorder.record(recorded.tick_input, output)
        if self.store:
            self.store.save(saves, output.tick)
        self.recorder.write_what_is_due()


STEPS = st.one_of(
    st.tuples(st.just("tick"), st.sets(st.sampled_from(NAMES), max_size=2)),
    st.tuples(st.just("tick"), st.sets(st.sampled_from(NAMES), max_size=2)),
    st.tuples(st.just("work"), st.just(None)),
    st.tuples(st.just("deliver"), st.just(None)),
    st.tuples(st.just("settle"), st.just(None)),
    st.tuples(st.just("idle"), st.integers(1, 9)),
    st.tuples(st.just("database"), st.booleans()),
    st.tuples(st.just("kill"), st.booleans()),
    st.tuples(st.just("stop"), st.booleans()),
    st.tuples(st.just("elsewhere"), st.sampled_from(NAMES)),
)


@mock.patch.multiple(recorder, CHECKPOINT_SECONDS=1)
@mock.patch.multiple(writer, SEGMENT_BYTES=500)
@given(st.lists(STEPS, min_size=10, max_size=50))
@example([("tick", {"ann"}), ("settle", None), ("idle", 5), ("elsewhere", "ann"), ("kill", True)])
def test_store_ends_with_the_last_value_of_each_player(steps: list[tuple[str, Any]]) -> None:
    database, last, saved_in = Database(), dict[str, str](), dict.fromkeys(NAMES, 0)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        server = Server(directory, database)
        for number, (step, argument) in enumerate([*steps, ("database", False), ("kill", True), ("settle", None)]):
            match step:
                case "tick":
                    saves = {name: f"{number}" for name in argument if server.store}
                    last |= saves
                    saved_in |= dict.fromkeys(saves, server.world.tick + 1)
                    server.run_tick(saves)
                case "work":
                    server.worker.work()
                case "deliver":
                    server.worker.deliver()
                case "settle":
                    server.now += 9
                    if server.store:
                        server.store.poll()
                    for _ in range(1 if database.is_down else 3):
                        server.worker.work()
                        server.worker.deliver()
                case "idle":
                    for _ in range(argument):
                        server.run_tick({})
                case "database":
                    database.is_down = argument
                case "kill" | "stop":
                    if step == "stop":
                        server.recorder.close()
                    server.journal.close()
                    server = Server(directory, database, has_store=argument)
                case "elsewhere" if server.journal.saved_tick >= saved_in[argument]:
                    # The player plays in another zone, or an operator gives them something.
                    last[argument] = database.players[argument] = f"elsewhere {number}"
        server.journal.close()
    assert database.players == last
