"""Bots of the swarm that look and listen: the hooks beside `decide`, things, and clients as roles."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.coins import Coins
from helpers.loops import one_loop
from helpers.servers import OpenServer
from helpers.stub_server import HonestServer
from zoneclient.connection import ZoneConnection
from zoneclient.join import connect
from zonetools.swarm import __main__ as command
from zonetools.swarm import processes, worker
from zonetools.swarm.commands import Command, Stop
from zonetools.swarm.conductor import Conductor, WorkerError
from zonetools.swarm.measure.tally import Tally
from zonetools.swarm.plan import Plan
from zonetools.swarm.worker import Worker

from zoneserver.server import ZoneServer

PATIENCE_SECONDS = 30.0


async def swarm(folder: Path, server: ZoneServer, *arguments: str) -> tuple[int | None, dict[str, Any], str]:
    """Run a small swarm in a folder; return its exit code, its report, and what its bots printed."""
    ports = ("--port", str(server.port), "--stats-port", str(server.stats_port), "--json", "-")
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "zonetools.swarm", "--no-progress", "--time", "500ms", *ports, *arguments),
        stdout=pipe,
        stderr=pipe,
        cwd=folder,
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        out, err = await running.communicate()
    return running.returncode, json.loads(out) if out else {}, err.decode()


BOTS = """\
import sys

class Bot:
    turn = 0
    def decide(self, bot, replica):
        self.turn += 1
        assert replica is bot.replica and "stone" in replica.things().values() and replica.board["taken"] >= 0
        kind = ("say", "whisper", "gold", "dig")[self.turn % 4]
        return kind, {"say": ("hello",), "whisper": (bot.slot, "psst"), "gold": (), "dig": ()}[kind]

class Eyes(Bot):
    def on_event(self, bot, event):
        print("event", event.kind, event.name.partition("-")[0], *event.values)
    def on_told(self, bot, told):
        print("told", told.kind, told.values[0] == bot.slot, *told.values[1:])
    def on_refused(self, bot, refusal):
        print("refused", refusal.code, refusal.text)

class BlindOnEvent(Bot):
    def on_event(self, bot, event):
        raise ValueError("what was that")

class BlindOnTold(Bot):
    def on_told(self, bot, told):
        sys.exit("enough")

class BlindOnRefused(Bot):
    def on_refused(self, bot, refusal):
        return 1 / 0
"""


@one_loop
async def test_hooks_are_told_what_a_bot_may_know(open_server: OpenServer, tmp_path: Path) -> None:
    (tmp_path / "mybots.py").write_text(BOTS)
    server = await open_server(Coins, stats_port=0)
    arguments = ("--bots", "4", "--rate", "20", "--mix", "mybots:Eyes=1,mybots:Bot=1")
    code, report, printed = await swarm(tmp_path, server, *arguments)
    assert (code, [error for error in report["errors"] if error["kind"] != "refusal"]) == (0, [])
    lines = printed.splitlines()
    assert set(lines) == {
        *("event say Eyes hello", "event say Bot hello"),
        *("told whisper True psst", "refused NO_SPADE you have no spade"),
    }
    actions, told = report["actions"], report["told"]
    # Half of the bots print; those that are told at the end of the run print no more.
    assert 0 < lines.count("told whisper True psst") < told["messages"] <= actions["answered"]
    assert 0 < lines.count("refused NO_SPADE you have no spade") < actions["refused"]["NO_SPADE"]
    assert told["bytes"] > 10 * told["messages"]


@one_loop
async def test_hook_that_raises_is_reported_with_its_place(open_server: OpenServer, tmp_path: Path) -> None:
    (tmp_path / "mybots.py").write_text(BOTS)
    server = await open_server(Coins, stats_port=0)
    mix = "mybots:BlindOnEvent=1,mybots:BlindOnTold=1,mybots:BlindOnRefused=1"
    code, report, _ = await swarm(tmp_path, server, "--bots", "3", "--rate", "20", "--mix", mix)
    assert code == 1
    # Groups of errors are by type.
    texts = {error["first"]["text"] for error in report["errors"] if error["kind"] == "behaviour"}
    assert texts == {
        "the behaviour of a mybots:BlindOnEvent raised ValueError: what was that (mybots.py:21)",
        "the behaviour of a mybots:BlindOnTold raised SystemExit: enough (mybots.py:25)",
        "the behaviour of a mybots:BlindOnRefused raised ZeroDivisionError: division by zero (mybots.py:29)",
    }
    assert report["actions"]["lost"] == report["closed_early"] == 0


@one_loop
async def test_collectors_take_coins_and_answer_whispers(open_server: OpenServer, tmp_path: Path) -> None:
    server = await open_server(Coins, stats_port=0)
    async with connect("127.0.0.1", server.port, name="ann") as zone:
        role = ("--bot", "zoneclient.bots.behaviours:Collector", "--bots", "3", "--rate", "20", "--time", "1s")
        running = asyncio.create_task(swarm(tmp_path, server, *role))
        answers: list[tuple[int, str]] = []
        async for update in zone:
            for slot in update.joined:
                if slot != zone.slot:
                    zone.act("whisper", slot, "hello")
            answers += [tuple(told.values) for told in update.told]
            if running.done():
                break
        code, report, _ = await running
        assert zone.replica.board["taken"] != 0
    assert (code, report["faults"], report["actions"]["answered"]) == (0, 0, 3)
    assert [text for _, text in answers] == ["cannot talk, must run"] * 3


CLIENTS = """\
import asyncio, os, sys, time

async def bot(zone):
    async for update in zone:
        (gold,) = await zone.ask("gold")
        print("gold", gold, sorted(set(zone.replica.things().values())))

async def satisfied(zone):
    zone.act("say", "that was all")

async def prints(zone):
    os.write(1, b"printing\\n")
    await asyncio.sleep(60)

async def reads(zone):
    input()

async def raises(zone):
    await zone.ask("dig")

async def exits(zone):
    sys.exit("enough")

async def misfits(zone):
    await zone.done(zone.act("run", "far"))

async def dies(zone):
    os._exit(7)

async def blocks(zone):
    time.sleep(600)

async def generates(zone):
    yield 1

def plays(zone):
    pass
"""


@one_loop
async def test_client_runs_until_it_returns_or_the_run_ends(open_server: OpenServer, tmp_path: Path) -> None:
    (tmp_path / "play.py").write_text(CLIENTS)
    (tmp_path / "mybots.py").write_text(BOTS)
    mix = ("--mix", "play:satisfied=1,play:prints=1,mybots:Eyes=1,idle=1", "--bots", "8", "--processes", "2")
    alone, mixed = await asyncio.gather(
        swarm(tmp_path, await open_server(Coins), "--client", "play:bot", "--bots", "3"),
        swarm(tmp_path, await open_server(Coins), *mix),
    )
    code, report, printed = alone
    assert (code, report["errors"], report["bots"]["joined"]) == (0, [], 3)
    assert (report["closed"], report["closed_early"]) == ({"CLIENT_LEFT": 3}, 0)
    assert set(printed.splitlines()) == {"gold 0 ['coin', 'stone']"}
    # Clients stand beside other roles, and the run goes on without those that have returned.
    code, report, printed = mixed
    assert (code, report["bots"]["joined"], report["closed"]) == (0, 8, {"CLIENT_LEFT": 8})
    assert "printing" in printed


@one_loop
async def test_client_that_fails_is_reported_with_its_place(open_server: OpenServer, tmp_path: Path) -> None:
    (tmp_path / "play.py").write_text(CLIENTS)
    wrong = "reads", "raises", "exits", "misfits"
    mix = ",".join(f"play:{name}=1" for name in wrong)
    failed, died = await asyncio.gather(
        swarm(tmp_path, await open_server(Coins), "--bots", "4", "--mix", mix),
        swarm(tmp_path, await open_server(Coins), "--bots", "2", "--client", "play:dies"),
    )
    code, report, _ = failed
    assert (code, report["broken"], report["bots"]["joined"]) == (1, 4, 4)
    texts = {error["first"]["text"] for error in report["errors"]}
    assert texts >= {
        "the client play:reads raised EOFError: EOF when reading a line (play.py:16)",
        "the client play:exits raised SystemExit: enough (play.py:22)",
    }
    # Both of these are of one type.
    (refused,) = texts - {text for text in texts if "ActionRefused" not in text}
    assert "(play.py:19)" in refused or "(play.py:25)" in refused
    code, _, printed = died
    assert code == 1
    assert "zone-swarm: worker 0 failed: it ended by itself with exit code 7" in printed


def test_client_that_blocks_its_process_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "play.py").write_text(CLIENTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(processes, "SILENT_SECONDS_MAX", 2)

    async def conduct() -> None:
        async with HonestServer().serve() as port, asyncio.timeout(PATIENCE_SECONDS):
            await Conductor(Plan(port=port, bots=1, seconds=0, mix={"play:blocks": 1}), None).run()

    with pytest.raises(WorkerError, match=r"worker 0 failed: it stood still in blocks \(play.py:31\)"):
        asyncio.run(conduct())


def run_in_process(client: Callable[[ZoneConnection], Awaitable[None]], until: Callable[[Worker], bool]) -> Tally:
    """Run a worker with one client against a server, until the worker shows the condition."""

    async def run() -> Tally:
        async with HonestServer().serve() as port, asyncio.timeout(PATIENCE_SECONDS):
            swarm, commands = Worker(Plan(port=port, bots=1, mix={"idle": 1}), 0), asyncio.Queue[Command]()
            swarm.roles["idle"] = client
            running = asyncio.create_task(swarm.run(commands))
            while not until(swarm):
                await asyncio.sleep(0.01)
            commands.put_nowait(Stop())
            return await running

    return asyncio.run(run())


def test_client_that_returns_has_checked_its_state() -> None:
    async def checks(zone: ZoneConnection) -> None:
        async for _ in zone:
            if zone.replica.hashes_checked == 2:
                return

    tally = run_in_process(checks, lambda swarm: swarm.progress()["joined"] and not swarm.progress()["open"])
    assert (tally.joined, tally.clients, tally.hashes_checked, tally.diverged) == (1, 1, 2, 0)
    assert (tally.closed, tally.closed_early, tally.broken) == ({"CLIENT_LEFT": 1}, 0, 0)


def test_client_that_does_not_end_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_DRAIN_SECONDS", 0.1)

    async def stays(_zone: ZoneConnection) -> None:
        for _ in range(2):
            # The second time it is the event loop that ends everything.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    tally = run_in_process(stays, lambda swarm: swarm.progress()["joined"])
    assert [(tally.broken, error.first_text) for error in tally.errors.groups()] == [
        (1, "the client idle raised TimeoutError: it goes on, although it was cancelled at the end of the run")
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("play:nobody", "play has no client named 'nobody'; it has bot, satisfied, prints, reads, raises, exits"),
        ("play:plays", "play has no client named 'plays'"),
        ("play:generates", "a client is an async function: async def bot(zone)"),
        ("nowhere:bot", "there is no module 'nowhere' here"),
        ("play", "'play' is not of the form module:Class"),
    ],
)
def test_missing_client_is_reported_before_the_run(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "play.py").write_text(CLIENTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "play", None)
    del sys.modules["play"]
    with pytest.raises(SystemExit) as caught:
        command.main(["--client", name])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
