"""The swarm with bot classes of a game author: `--bot module:Class`."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest
from helpers.loops import one_loop
from helpers.servers import OpenServer
from helpers.stub_server import HonestServer
from zonetools.swarm import __main__ as command
from zonetools.swarm import processes
from zonetools.swarm.conductor import Conductor, WorkerError
from zonetools.swarm.plan import Plan

from zoneserver.games.tag import Tag

PATIENCE_SECONDS = 30.0


BOTS = """\
from zoneclient import Behaviour

class Runner(Behaviour):
    def decide(self, bot, replica):
        return "run", (bot.random.randint(-9, 9), 0)

class Mute:
    pass
"""


async def swarm(folder: Path, *arguments: str) -> tuple[int | None, str, str]:
    """Run a small swarm in a folder with bot classes; return its exit code, stdout and stderr."""
    (folder / "mybots.py").write_text(BOTS)
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "zonetools.swarm", "--no-progress", "--bots", "6", "--time", "200ms", *arguments),
        stdout=pipe,
        stderr=pipe,
        cwd=folder,
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        out, err = await running.communicate()
    return running.returncode, out.decode(), err.decode()


@one_loop
async def test_own_bot_class_plays_any_game_and_idle_bots_watch(open_server: OpenServer, tmp_path: Path) -> None:
    mixes = ("--bot", "mybots:Runner"), ("--mix", "mybots:Runner=1,idle=2", "--processes", "2"), ("--mix=idle=1",)
    servers = [await open_server(Tag, stats_port=0) for _ in mixes]
    ports = [("--port", str(each.port), "--stats-port", str(each.stats_port), "--json", "-") for each in servers]
    runs = (swarm(tmp_path, *port, *mix) for port, mix in zip(ports, mixes, strict=True))
    for mix, (code, out, err) in zip(mixes, await asyncio.gather(*runs), strict=True):
        report = json.loads(out)
        assert (code, report["errors"], err) == (0, [], "")
        assert (report["bots"]["joined"], report["frames"]["received"] > 0) == (6, True)
        assert (report["actions"]["delivered"] > 0) == ("idle=1" not in mix[0])


@one_loop
async def test_bots_for_another_game_are_reported(open_server: OpenServer, tmp_path: Path) -> None:
    server = await open_server(Tag, stats_port=0)
    ports = ("--port", str(server.port), "--stats-port", str(server.stats_port))
    code, out, _ = await swarm(tmp_path, *ports, "--mix", "walker=1")
    assert code == 1
    assert "in tag, there is no action 'move': these bots are for another game; use --bot module:Class" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bot", "mybots:Walker"], "mybots has no Behaviour named 'Walker'; it has Runner"),
        (["--bot", "mybots:Mute"], "mybots has no Behaviour named 'Mute'; it has Runner"),
        (["--bot", "nowhere:Runner"], "there is no module 'nowhere' here"),
        (["--mix", "walker=1,mybots:Walker=1"], "mybots has no Behaviour named 'Walker'"),
        (["--bot", "mybots:Runner", "--mix", "idle=1"], "not allowed with argument --bot"),
    ],
)
def test_missing_bot_class_is_reported_before_the_run(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "mybots.py").write_text(BOTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "mybots", None)
    del sys.modules["mybots"]
    with pytest.raises(SystemExit) as caught:
        command.main(arguments)
    shown = capsys.readouterr()
    assert (caught.value.code, shown.out) == (2, "")
    assert message in shown.err.splitlines()[-1]


FAILING_BOTS = """\
import os, sys, time

class Bot:
    def decide(self, bot, replica):
        return "run", (1, 0)

class Prints(Bot):
    def decide(self, bot, replica):
        print("deciding")
        os.write(1, b"deciding\\n")
        return "run", (1, 0)

class Reads(Bot):
    def decide(self, bot, replica):
        input()

class RaisesAtOnce(Bot):
    def __init__(self):
        raise ValueError("no map")

class Exits(Bot):
    def decide(self, bot, replica):
        sys.exit("enough")

class Dies(Bot):
    def decide(self, bot, replica):
        os._exit(7)

class Blocks(Bot):
    def decide(self, bot, replica):
        time.sleep(600)

class Misfits(Bot):
    def decide(self, bot, replica):
        return "run", ("far",)
"""


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("Bot", 0, "everybody got everything"),
        ("Prints", 0, "everybody got everything"),
        ("Reads", 1, "the behaviour of a failing:Reads raised EOFError: EOF when reading a line (failing.py:15)"),
        ("RaisesAtOnce", 1, "the class failing:RaisesAtOnce raised ValueError: no map (failing.py:19)"),
        ("Exits", 1, "the behaviour of a failing:Exits raised SystemExit: enough (failing.py:23)"),
        ("Dies", 1, "zone-swarm: worker 0 failed: it ended by itself with exit code 7"),
        ("Misfits", 1, "none of"),
    ],
)
@one_loop
async def test_bot_class_that_fails_is_reported_with_its_place(
    open_server: OpenServer, tmp_path: Path, name: str, code: int, message: str
) -> None:
    (tmp_path / "failing.py").write_text(FAILING_BOTS)
    server = await open_server(Tag, stats_port=0)
    ports = ("--port", str(server.port), "--stats-port", str(server.stats_port))
    found, out, err = await swarm(tmp_path, *ports, "--bot", f"failing:{name}", "--bots", "3")
    assert found == code, (out, err)
    assert message in out + err
    assert "deciding" not in out


def test_bot_class_that_blocks_its_process_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "failing.py").write_text(FAILING_BOTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(processes, "SILENT_SECONDS_MAX", 2)

    async def conduct() -> None:
        async with HonestServer().serve() as port, asyncio.timeout(PATIENCE_SECONDS):
            await Conductor(Plan(port=port, bots=1, seconds=0, mix={"failing:Blocks": 1}), None).run()

    with pytest.raises(WorkerError, match=r"worker 0 failed: it stood still in Blocks.decide \(failing.py:31\)"):
        asyncio.run(conduct())
