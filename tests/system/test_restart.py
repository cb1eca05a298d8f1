"""A server that is killed and started again, as its players see it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
from pathlib import Path

from helpers.processes import Family, until
from zoneclient import ZoneConnection, connect

from zoneserver.journal.reader import JournalReader


def start(family: Family, folder: Path, port: int = 0) -> tuple[subprocess.Popen[str], int]:
    """Starts a server with a journal; returns it and its port."""
    ready = folder / f"ready-{port}.json"
    options = (
        "--port",
        str(port),
        "--stats-port",
        "0",
        "--ready-file",
        str(ready),
        "--journal",
        str(folder / "journal"),
    )
    server = family.start("zoneserver", "run", "--hz", "50", *options)
    until(ready.exists)
    return server, json.loads(ready.read_text())["port"]


def test_players_go_on_where_they_were_when_the_server_was_killed(family: Family, tmp_path: Path) -> None:
    asyncio.run(kill_and_come_back(family, tmp_path))


async def kill_and_come_back(family: Family, tmp_path: Path) -> None:
    server, port = await asyncio.to_thread(start, family, tmp_path)
    async with contextlib.AsyncExitStack() as stack:
        ann, bob = [
            await stack.enter_async_context(connect("127.0.0.1", port, name=name, resume=True))
            for name in ("ann", "bob")
        ]
        slots = ann.slot, bob.slot
        assert await ann.done(ann.act("move", 3, 4))
        server.send_signal(signal.SIGKILL)
        server.wait()
        last = JournalReader(tmp_path / "journal").last_tick
        again, _ = await asyncio.to_thread(start, family, tmp_path, port)
        for zone in (ann, bob):
            await came_back(zone, last)
        assert (ann.slot, bob.slot) == slots
        assert await ann.done(ann.act("say", "here again"))
    again.send_signal(signal.SIGTERM)
    _, err = await asyncio.to_thread(again.communicate)
    assert again.returncode == 0
    assert f"ends at tick {last}: {last} of its ticks were run again in " in err
    assert "2 players may come back within 15s" in err


async def came_back(zone: ZoneConnection, last: int) -> None:
    """Reads until the first update after a return: it is of a later tick than the journal had."""
    async with asyncio.timeout(30):
        async for update in zone:
            if update.resumed:
                assert update.tick > last
                return
