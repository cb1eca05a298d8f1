"""The store: the order of its jobs, its retries, and its end."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections.abc import Mapping

import pytest
from helpers.fake_worker import FakeWorker

from zoneserver.store.backend import MemoryStore, open_backend, shown_target
from zoneserver.store.store import Found, Store
from zoneserver.support.errors import CannotStartError


class NotedStore(MemoryStore):
    """Notes its calls, and fails so many writes."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.failures = 0
        self.is_closed = False

    def load(self, name: str) -> str | None:
        self.calls.append(f"load {name}")
        if self.failures:
            raise OSError("no route\nto the store")
        return super().load(name)

    def save(self, saved: Mapping[str, str]) -> None:
        self.calls.append(f"save {len(saved)}")
        if self.failures:
            self.failures -= 1
            raise OSError("no route\nto the store")
        super().save(saved)

    def close(self) -> None:
        self.is_closed = True


class Fixture:
    def __init__(self) -> None:
        self.backend, self.worker, self.now = NotedStore(), FakeWorker(), 0.0
        self.store = Store(self.backend, self.worker, lambda: self.now)
        self.found: dict[str, Found] = {}

    def read(self, name: str) -> None:
        self.store.read(name, lambda found: self.found.update({name: found}))


@pytest.fixture
def fixture() -> Fixture:
    return Fixture()


def test_reads_go_first_but_no_write_waits_for_two_jobs_of_reads(fixture: Fixture) -> None:
    fixture.store.save({"ann": "{}"})
    for number in range(70):
        fixture.read(f"p{number}")
    fixture.store.save({"bob": "{}"})
    fixture.worker.run()
    calls = fixture.backend.calls
    assert calls[0] == "save 1"
    assert calls[1:65] == [f"load p{number}" for number in range(64)]
    assert calls[65] == "save 1"
    assert calls[66:] == [f"load p{number}" for number in range(64, 70)]
    assert fixture.found == dict.fromkeys((f"p{number}" for number in range(70)), None)
    counters = fixture.store.counters
    assert (counters.store_reads_total, counters.store_writes_total, counters.store_failures_total) == (70, 2, 0)


def test_read_that_is_forgotten_is_not_done(fixture: Fixture) -> None:
    fixture.read("ann")
    fixture.read("bob")
    fixture.store.forget("bob")
    fixture.worker.run()
    assert fixture.backend.calls == ["load ann"]


def test_after_a_failed_read_the_others_of_its_job_are_not_tried(fixture: Fixture) -> None:
    fixture.read("ann")
    fixture.backend.failures = 1
    fixture.worker.work()
    fixture.read("bob")
    fixture.read("cid")
    fixture.worker.run()
    assert fixture.backend.calls == ["load ann", "load bob"]
    assert {name: type(found) for name, found in fixture.found.items()} == dict.fromkeys(("ann", "bob", "cid"), OSError)
    assert fixture.store.counters.store_failures_total == 2


def test_newest_text_is_written_and_an_older_write_does_not_end_its_wait(fixture: Fixture) -> None:
    fixture.store.save({"ann": "1"})
    fixture.worker.work()
    fixture.store.save({"ann": "22"})
    fixture.worker.deliver()
    assert (fixture.store.pending, fixture.store.pending_characters) == ({"ann": "22"}, 2)
    fixture.worker.run()
    assert (fixture.store.pending, fixture.store.pending_characters) == ({}, 0)
    assert fixture.backend.players == {"ann": "22"}


def test_large_batches_are_divided(fixture: Fixture) -> None:
    fixture.store.save({"first": "{}"})
    fixture.store.save({f"p{number}": "x" * 256 * 1024 for number in range(20)} | {f"q{n}": "" for n in range(600)})
    fixture.worker.run()
    assert fixture.backend.calls == ["save 1", "save 16", "save 500", "save 104"]


def test_failed_write_is_kept_and_tried_again_after_growing_waits(
    fixture: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fixture.backend.failures = 9
    fixture.store.save({"ann": "{}"})
    tried = [0.0]
    while fixture.store.pending:
        fixture.worker.run()
        calls = len(fixture.backend.calls)
        while fixture.store.pending and len(fixture.backend.calls) == calls:
            fixture.now += 0.05
            fixture.store.poll()
            fixture.worker.run()
        tried.append(fixture.now)
    waits = [round(after - before, 1) for before, after in itertools.pairwise(tried)]
    assert waits[0] == 0.1
    assert all(before < after or after >= 4.9 for before, after in itertools.pairwise(waits[:-1])), waits
    assert max(waits) <= 5.1
    assert fixture.store.counters.store_failures_total == 9
    assert [record.getMessage() for record in caplog.records] == [
        "the store could not be written: 1 players stay in memory, and the write is tried again: no route to the store",
        "the store can be written again, after 9 failures",
    ]


async def test_close_writes_what_is_pending_and_closes_the_backend() -> None:
    backend = NotedStore()
    store = await Store.open(backend)
    backend.failures = 2
    store.save({"ann": "{}"})
    assert await store.close(10.0) == {}
    assert (backend.players, backend.is_closed) == ({"ann": "{}"}, True)


async def test_close_returns_what_could_not_be_written() -> None:
    backend = NotedStore()
    store = await Store.open(backend)
    backend.failures = 1_000
    store.save({"ann": "{}"})
    assert await store.close(0.3) == {"ann": "{}"}


async def test_store_that_cannot_be_opened_says_which(tmp_path: object) -> None:
    path = f"{tmp_path}/none/accounts.db"
    with pytest.raises(CannotStartError, match=f"cannot open the store {path}: unable to open database file"):
        await Store.open(path)


def test_memory_store_is_new_each_time() -> None:
    assert isinstance(open_backend("memory:"), MemoryStore)
    assert open_backend("memory:") is not open_backend("memory:")


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("accounts.db", "accounts.db"),
        ("postgresql://db/game", "postgresql://db/game"),
        ("postgresql://zone@db:5432/game", "postgresql://zone@db:5432/game"),
        ("postgresql://zone:p@ss:w@db:5432/game", "postgresql://zone:***@db:5432/game"),
        (
            "postgresql://db/game?user=zone&password=secret&sslmode=require",
            "postgresql://db/game?user=zone&password=***&sslmode=require",
        ),
        (MemoryStore(), "MemoryStore"),
    ],
)
def test_password_of_a_store_is_not_shown(target: object, shown: str) -> None:
    assert shown_target(target) == shown


async def test_thread_of_a_closed_store_ends() -> None:
    store = await Store.open("memory:")
    await store.close(1.0)
    async with asyncio.timeout(10):
        while any(thread.name == "store" for thread in threading.enumerate()):
            await asyncio.sleep(0)
