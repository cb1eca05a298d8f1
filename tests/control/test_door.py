"""The control socket: how many it serves, for how long, and that nobody can hold it up."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from zoneserver.control import door as door_module
from zoneserver.control.client import ask
from zoneserver.control.door import Door
from zoneserver.control.messages import Outcome, decode_outcome, encode_words


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(door_module, "_CLIENT_SECONDS", 0.2)
    return tmp_path / "own.ctl"


@pytest.fixture
async def door(path: Path, cleanup: contextlib.AsyncExitStack) -> AsyncIterator[Door]:
    async def run(words: Sequence[str]) -> Outcome:
        return Outcome(0, " ".join(words) * (10_000_000 if words == ("long",) else 1))

    door = Door(path, run)
    await door.open(is_default=False)
    cleanup.callback(door.close)
    yield door


async def answer(path: Path) -> Outcome:
    return await asyncio.to_thread(ask, path, ["hello"])


@pytest.mark.usefixtures("door")
async def test_silent_connections_make_others_wait_and_are_closed(path: Path) -> None:
    silent = [await asyncio.open_unix_connection(path) for _ in range(8)]
    assert await answer(path) == (1, "8 other commands are being run: try again")
    for reader, writer in silent:
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
    assert await answer(path) == (0, "hello")


async def test_client_that_reads_nothing_is_dropped(door: Door, path: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(path, limit=1024)
    writer.write(encode_words(["long"]))
    while door._connections == 0:
        await asyncio.sleep(0)
    while door._connections:
        await asyncio.sleep(0)
    with contextlib.suppress(ConnectionError):
        assert len(await reader.read()) < 40_000_000
    writer.close()


@pytest.mark.usefixtures("door")
async def test_two_requests_on_one_connection_get_one_answer(path: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(encode_words(["one"]) + encode_words(["two"]))
    assert decode_outcome(await reader.readline()) == (0, "one")
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()


async def test_closed_door_leaves_the_file_of_a_later_server(door: Door, path: Path) -> None:
    path.unlink()
    path.write_text("another")
    door.close()
    assert path.read_text() == "another"
    assert os.listdir(path.parent) == [path.name]
