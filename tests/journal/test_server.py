"""A server with a journal: what it writes before it tells anybody, and how the next start goes on."""

from __future__ import annotations

import asyncio
import errno
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers.purse import Purse
from helpers.raw_client import Client, Connect
from helpers.servers import OpenServer
from helpers.waiting import until

from zoneserver import persistence
from zoneserver.games.plaza import Plaza
from zoneserver.journal import recorder, writer
from zoneserver.journal.reader import JournalReader
from zoneserver.journal.values import Checkpoint, JournalError, RecordedTick
from zoneserver.protocol.messages import PROTOCOL_VERSION, RESUME, WHOLE, Act, Bye, Hello, Resume, Tick, Welcome
from zoneserver.server import ZoneServer
from zoneserver.store.backend import MemoryStore
from zoneserver.support import event_loop
from zoneserver.support.errors import CannotStartError
from zoneserver.zone.link import Command, Requests, TickOutput
from zoneserver.zone.rules import Player


async def welcomed(client: Client, name: str) -> Welcome:
    """Comes in as a client that can come back."""
    await client.say(Hello(PROTOCOL_VERSION, name, b"", (RESUME,)))
    welcome, _ = await client.welcomed()
    return welcome


def killed(directory: Path) -> Path:
    """The journal as it is when the server is killed at this moment."""
    return Path(shutil.copytree(directory, directory.with_name(f"{directory.name} of the killed")))


def recorded(directory: Path) -> dict[int, RecordedTick]:
    entries = JournalReader(directory).entries()
    return {entry.tick: entry for entry in entries if isinstance(entry, RecordedTick)}


async def test_players_come_back_to_a_server_that_was_killed(
    open_server: OpenServer, connect: Connect, tmp_path: Path
) -> None:
    first = await open_server(Plaza, hz=100, journal=str(tmp_path / "journal"))
    clients = {name: await connect(first.port) for name in ("ann", "bob", "cid")}
    welcomes = {name: await welcomed(client, name) for name, client in clients.items()}
    await clients["bob"].say(Act(1, [("move", 1, 1), ("say", "hi")]))
    seen: list[bytes] = []
    while not seen or b"say" not in seen[-1]:
        seen.append(await clients["ann"].read_payload())
    journal = killed(tmp_path / "journal")
    last = JournalReader(journal).last_tick
    seen += [await clients["ann"].read_payload() for _ in range(3)]

    again = await open_server(Plaza, hz=100, journal=str(journal))
    assert again.epoch == again.stats().epoch == 2
    await until(lambda: again.zone.world.tick > last)
    assert not any(player.is_here for player in again.zone.rules.players.values())
    for name, before in welcomes.items():
        assert before.resume is not None
        client = await connect(again.port)
        await client.say(Resume(PROTOCOL_VERSION, name, before.resume.token, 7, last, (RESUME,)))
        after, snapshot = await client.welcomed()
        assert after.slot == before.slot
        assert after.resume is not None
        assert (after.resume.epoch, after.resume.seq) == (2, 2 if name == "bob" else 0)
        assert snapshot.holders[before.slot or 0] == name
        assert snapshot.tick > last
        assert (await client.read_a(Tick)).tick == snapshot.tick + 1
    ticks = recorded(journal)
    assert sorted(ticks) == list(range(1, max(ticks) + 1)), "the second start goes on at the next tick"
    assert ticks[last + 1].tick_input.requests.drops == [1, 2, 3]
    assert {ticks[tick].frame for tick in ticks if tick <= last} >= set(seen[:-3]), "no frame that was told is missing"
    assert again.stats().journal_bytes_total > 0
    assert again.stats().phases_ms["journal"] > 0


async def test_ban_of_an_address_holds_after_a_restart_before_anybody_says_hello(
    open_server: OpenServer, connect: Connect, tmp_path: Path
) -> None:
    first = await open_server(Plaza, hz=100, journal=str(tmp_path / "journal"))
    first.link.send(Requests(commands=[Command(1, ("ban", "127.0.0.9", "go", "away"))]))
    await until(lambda: first.zone.address_bans(0.0))
    again = await open_server(Plaza, hz=100, journal=str(killed(tmp_path / "journal")))
    client = await connect(again.port, host="127.0.0.9")
    bye = await client.ended()
    assert (bye.code, bye.text) == ("BANNED", "go away")


async def test_client_gets_every_frame_over_a_restart(
    open_server: OpenServer, connect: Connect, tmp_path: Path
) -> None:
    first = await open_server(Plaza, hz=100, journal=str(tmp_path / "journal"))
    ann = await connect(first.port)
    before = await welcomed(ann, "ann")
    for _ in range(5):
        await ann.read_a(Tick)
    journal = killed(tmp_path / "journal")
    last = JournalReader(journal).last_tick
    again = await open_server(Plaza, hz=100, journal=str(journal))
    assert before.resume is not None
    options = (RESUME, WHOLE)
    ann = await connect(again.port)
    await ann.say(Resume(PROTOCOL_VERSION, "ann", before.resume.token, 1, last - 2, options))
    after = await ann.read_a(Welcome)
    frames = [await ann.read_payload() for _ in range(after.tick - last + 4)]
    told = recorded(journal)
    assert [told[tick].frame for tick in range(last - 1, last - 1 + len(frames))] == frames
    # What the former server may have told beyond its journal leads nowhere here.
    assert after.resume is not None
    ann = await connect(again.port)
    await ann.say(Resume(PROTOCOL_VERSION, "ann", after.resume.token, 1, last + 1, options))
    await ann.welcomed()


async def test_clean_stop_lets_all_leave_and_a_second_start_goes_on(
    open_server: OpenServer, connect: Connect, tmp_path: Path
) -> None:
    noted: list[str] = []

    class Noting(Purse):
        def on_leave(self, player: Player) -> None:
            noted.append(f"{player.name} leaves")

        def on_stop(self) -> None:
            noted.append("stop")

    store, journal = MemoryStore(), str(tmp_path)
    first = await open_server(Noting, hz=100, journal=journal, store=store, drain_seconds=0.1)
    client = await connect(first.port)
    await welcomed(client, "ann")
    await client.say(Act(1, [("earn",)]))
    while not (await client.read_a(Tick)).events:
        pass
    await first.stop()
    assert noted == ["ann leaves", "stop"]
    assert (await client.ended()).code == "SERVER_STOPPING"
    assert store.load("ann") == '{"gold":1}'
    last = JournalReader(journal).last_tick
    assert recorded(tmp_path)[last].tick_input.requests.leaves == [1]

    second = await open_server(Noting, hz=100, journal=journal, store=store, drain_seconds=0.1)
    assert (second.epoch, second.zone.world.tick, dict(second.zone.rules.players)) == (2, last, {})
    client = await connect(second.port)
    await welcomed(client, "ann")
    assert second.zone.rules.players[0]["gold"] == 1
    assert noted == ["ann leaves", "stop", "ann leaves"], "the second start has run the leave again"


@pytest.fixture
def impatient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop does not wait for a store that is down, and leaves its file in the folder of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(persistence, "STORE_SECONDS", 0.05)


class Down(MemoryStore):
    """Cannot be written."""

    def save(self, saved: Mapping[str, str]) -> None:
        raise OSError("the database is down")


@pytest.mark.usefixtures("impatient")
async def test_saves_wait_in_the_journal_until_a_start_has_a_store_that_takes_them(
    open_server: OpenServer, connect: Connect, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = await open_server(Purse, hz=100, journal=str(tmp_path / "journal"), store=Down(), drain_seconds=0)
    client = await connect(first.port)
    await client.hello("ann")
    await client.welcomed()
    client.sock.close()
    await until(lambda: not first.zone.rules.players and first.stats().store_failures_total)
    journal = str(killed(tmp_path / "journal"))
    # A start without a store, and one whose server is killed, too, change nothing.
    second = await open_server(Purse, hz=100, journal=journal)
    await second.stop()
    assert "1 players were saved and are not in the store yet: they wait for a start with --store" in caplog.text
    third = await open_server(Purse, hz=100, journal=journal, store=Down())
    assert third.stats().store_unsaved == 1
    store = MemoryStore()
    fourth = await open_server(Purse, hz=100, journal=str(killed(Path(journal))), store=store)
    await until(lambda: store.load("ann") == '{"gold":0}')
    await fourth.stop()
    # Behind a clean stop nothing is handed over again.
    store.players["ann"] = '{"gold":1000}'
    fifth = await open_server(Purse, hz=100, journal=fourth.config.journal, store=store)
    assert fifth.stats().store_unsaved == 0
    await fifth.stop()
    assert store.load("ann") == '{"gold":1000}'


@pytest.mark.usefixtures("impatient")
async def test_stop_whose_store_fails_leaves_the_players_to_the_next_start(
    open_server: OpenServer, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    first = await open_server(Purse, hz=100, journal="journal", store=Down(), drain_seconds=0)
    await welcomed(await connect(first.port), "ann")
    await first.stop()
    assert first.has_failed
    assert caplog.messages[-1].endswith(".jsonl. With this journal the next start writes them by itself")
    store = MemoryStore()
    await open_server(Purse, hz=100, journal="journal", store=store)
    await until(lambda: store.load("ann") == '{"gold":0}')


# --- Journals that fail ---------------------------------------------------------------------------


async def test_checkpoint_that_fails_ends_the_server_behind_the_tick_that_was_told(
    open_server: OpenServer,
    connect: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*_: object) -> None:
        raise JournalError("the checkpoint could not be written")

    monkeypatch.setattr(writer.Journal, "checkpoint", full)
    monkeypatch.setattr(recorder, "CHECKPOINT_SECONDS", 0.1)
    server = await open_server(Plaza, hz=100, journal=str(tmp_path), drain_seconds=0.1)
    client = await connect(server.port)
    await client.hello("ann")
    await server.serve(10)
    await server.stop()
    messages: list[Any] = []
    while not isinstance(message := await client.read(), Bye):
        messages.append(message)
    told = max((each.tick for each in messages if isinstance(each, Tick)), default=10)
    assert server.has_failed
    assert JournalReader(tmp_path).last_tick == told == server.zone.world.tick
    critical = [record.getMessage() for record in caplog.records if record.levelno == logging.CRITICAL]
    assert f"nobody was told of a tick after {told}." in critical[1]


async def test_full_disk_ends_the_server_as_of_the_last_recorded_tick(
    open_server: OpenServer,
    connect: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    left: list[str] = []

    class Leaving(Purse):
        def on_leave(self, player: Player) -> None:
            left.append(player.name)

    store = MemoryStore()
    server = await open_server(Leaving, hz=100, journal=str(tmp_path / "journal"), store=store, drain_seconds=0.1)
    client = await connect(server.port)
    await welcomed(client, "ann")
    messages: list[Any] = [await client.read_a(Tick)]

    def full(_descriptor: int, _parts: Sequence[bytes]) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writer, "write_all", full)
    await server.serve(10)
    await server.stop()
    assert server.has_failed
    assert not left
    while not isinstance(messages[-1], Bye):
        messages.append(await client.read())
    assert messages[-1].code == "SERVER_STOPPING"
    told = max(message.tick for message in messages if isinstance(message, Tick))
    assert JournalReader(tmp_path / "journal").last_tick == told == server.zone.world.tick - 1
    assert store.load("ann") is None
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.CRITICAL]
    assert lines[0].endswith(f"tick {told + 1} could not be written: No space left on device")
    assert f"nobody was told of a tick after {told}." in lines[1]

    monkeypatch.undo()
    again = await open_server(Leaving, hz=100, journal=str(tmp_path / "journal"), store=store, drain_seconds=0.1)
    assert [player.name for player in again.zone.rules.players.values()] == ["ann"]


async def test_tick_that_fails_is_recorded_and_a_checkpoint_follows(
    open_server: OpenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await open_server(Plaza, hz=100, journal=str(tmp_path))
    await until(lambda: server.zone.world.tick > 2)
    encode, failed = server.zone.encode, []

    def fails() -> TickOutput:
        failed.append(server.zone.world.tick)
        if len(failed) < 3:
            raise ZeroDivisionError
        return encode()

    monkeypatch.setattr(server.zone, "encode", fails)
    await until(lambda: len(failed) > 4)
    await server.stop()
    entries = [each for each in JournalReader(tmp_path).entries() if isinstance(each, RecordedTick | Checkpoint)]
    ticks = {entry.tick: bool(entry.frame) for entry in entries if isinstance(entry, RecordedTick)}
    assert [tick for tick, has_frame in ticks.items() if not has_frame] == failed[:2]
    assert [entry.tick for entry in entries if isinstance(entry, Checkpoint)] == [0, failed[2]]


async def test_checkpoints_are_written_again_and_again(
    open_server: OpenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recorder, "CHECKPOINT_SECONDS", 0.05)
    caplog.set_level(logging.INFO)
    server = await open_server(Purse, hz=100, journal=str(tmp_path))
    await until(lambda: server.zone.world.tick > 16)
    assert JournalReader(tmp_path).checkpoints()[:4] == [0, 5, 10, 15]
    assert [record.getMessage() for record in caplog.records].count("Purse has no save() and load(value)") == 1


# --- Starts ---------------------------------------------------------------------------------------


class Louder(Plaza):
    """Another version of the game."""

    def on_tick(self) -> None:
        self.emit("loud")


@pytest.mark.parametrize("game", [Plaza, Louder])
async def test_start_says_how_the_journal_went(
    game: type[Plaza], open_server: OpenServer, connect: Connect, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = await open_server(Plaza, hz=50, journal=str(tmp_path / "journal"), resume_seconds=9.0)
    await welcomed(await connect(first.port), "ann")
    journal = killed(tmp_path / "journal")
    last = JournalReader(journal).last_tick
    caplog.set_level(logging.INFO)
    again = await open_server(game, hz=50, journal=str(journal), resume_seconds=9.0)
    lines = [record.getMessage() for record in caplog.records if record.name == "zoneserver.journal.start"]
    assert all(len(line) < 200 for line in lines if str(tmp_path) not in line)
    assert lines[-1] == "1 player may come back within 9s"
    assert [player.name for player in again.zone.rules.players.values()] == ["ann"]
    if game is Plaza:
        assert f"ends at tick {last}: {last} of its ticks were run again in " in lines[0]
        assert lines[0].endswith(" s, 0 differences")
    else:
        assert lines[0] == "DIVERGED: tick 1: event 1: nothing in the journal, loud() of the game in the re-run"
        assert "its code has changed" in lines[1]


async def test_second_start_without_players_tells_nothing_that_is_known(
    open_server: OpenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recorder, "CHECKPOINT_SECONDS", 0.05)
    caplog.set_level(logging.INFO)
    await open_server(Purse, hz=100, journal=str(tmp_path / "journal"))
    await until(lambda: "has no save()" in caplog.text)
    again = await open_server(Purse, hz=100, journal=str(killed(tmp_path / "journal")))
    await until(lambda: again.zone.world.tick > 20)
    assert caplog.text.count("has no save()") == 1
    assert "may come back" not in caplog.text


async def test_server_can_be_stopped_while_the_journal_runs_again(
    open_server: OpenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await open_server(Plaza, hz=100, journal=str(tmp_path))
    await until(lambda: first.zone.world.tick > 5)
    await first.stop()
    monkeypatch.setattr(event_loop, "_TURN_SECONDS", 0.0)
    second = ZoneServer(Plaza, port=0, stats_port=None, hz=100, journal=str(tmp_path))
    starting = asyncio.create_task(second.start())
    await asyncio.sleep(0)
    second.request_stop()
    with pytest.raises(CannotStartError, match="stopped before it had run the journal again"):
        await starting
    await open_server(Plaza, hz=100, journal=str(tmp_path))
