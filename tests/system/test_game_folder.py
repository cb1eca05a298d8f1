"""Every command works in the folder of a game, whatever names the author gives to their own modules there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

PATIENCE_SECONDS = 50.0
"""A test fails if a command takes this long. No command is expected to take a fifth of it."""

GAME = """\
from zoneserver import Player, Rules, Speed, action


class Mygame(Rules):
    @action
    def move(self, player: Player, vx: Speed, vy: Speed) -> None:
        player.move(vx, vy)

    @action
    def say(self, player: Player, text: str) -> None: ...
"""
BOTS = """\
class Bot:
    def decide(self, bot, replica):
        return "move", (1, 2)
"""
CONFTEST = """\
import pytest


@pytest.fixture
def word():
    return "hello"
"""
TEST = """\
from mygame import Mygame


def test_say(zone_server, zone_client, word):
    zone_server(Mygame)
    ann = zone_client("ann")
    ann.act("say", word)
    assert ann.hears("say").values == (word,)
"""
# Modules of the author with names that a package of this project had or could have. No command may import them.
OWN_MODULES = ("client", "tools", "common", "protocol", "console", "settings", "helpers", "server", "testing")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mygame.py").write_text(GAME)
    (tmp_path / "mybots.py").write_text(BOTS)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_mygame.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    for name in OWN_MODULES:
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('a module of the author was imported')\n")
    return tmp_path


def command(name: str, *arguments: str) -> list[str]:
    """The command line of a console script, of the Python that runs this test."""
    return [str(Path(sys.executable).parent / name), *arguments]


def run(folder: Path, line: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
    """The finished process of a command in the folder, with this text as its standard input."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ZONE_", "PYTEST_"))}
    return subprocess.run(
        line, cwd=folder, env=environment, input=text, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )


@pytest.fixture
def ready(folder: Path) -> Iterator[dict[str, int]]:
    """The ports of a server that runs the game in the folder."""
    file = folder / "ready.json"
    ports = ("--port", "0", "--stats-port", "0", "--ready-file", str(file))
    server = subprocess.Popen(
        command("zoneserver", "run", "mygame:Mygame", *ports), cwd=folder, stdin=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not file.exists():
            assert server.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        yield json.loads(file.read_text())
    finally:
        server.terminate()
        assert server.wait(PATIENCE_SECONDS) == 0


def test_check_and_new_work_in_a_game_folder(folder: Path) -> None:
    done = run(folder, command("zoneserver", "check", "mygame:Mygame"))
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "Mygame" in done.stdout
    done = run(folder, command("zoneserver", "new", "another"))
    assert (done.returncode, done.stderr) == (0, ""), done
    assert (folder / "another" / "another.py").exists()


def test_swarm_works_in_a_game_folder(folder: Path) -> None:
    game = ("--spawn-server", "mygame:Mygame", "--bot", "mybots:Bot")
    done = run(folder, command("zone-swarm", *game, "--bots", "5", "--time", "1s", "--no-progress", "--json", "-"))
    assert done.returncode == 0, done
    report = json.loads(done.stdout)
    assert report["actions"]["delivered"] > 0
    assert report["actions"]["lost"] == 0


def test_swarm_of_the_demo_game_works_in_a_game_folder(folder: Path) -> None:
    done = run(folder, command("zone-swarm", "--spawn-server", "--bots", "5", "--time", "1s", "--no-progress"))
    assert done.returncode == 0, done


def test_dashboard_and_client_work_in_a_game_folder(folder: Path, ready: dict[str, int]) -> None:
    done = run(folder, command("zone-dash", "--stats-port", str(ready["stats_port"]), "--once", "--json"))
    assert done.returncode == 0, done
    assert json.loads(done.stdout)["game"] == "mygame"
    done = run(folder, command("zone-client", "ann", "--port", str(ready["port"])), "hello\n")
    assert done.returncode == 0, done


def test_run_with_the_dashboard_works_in_a_game_folder(folder: Path) -> None:
    ports = ("--port", "0", "--stats-port", "0")
    began = time.monotonic()
    done = run(folder, command("zoneserver", "run", "mygame:Mygame", *ports, "--dashboard", "--duration", "2s"))
    assert done.returncode == 0, done
    assert time.monotonic() - began >= 2, done


@pytest.mark.parametrize("module", ["zoneserver", "zoneclient", "zonetools.swarm", "zonetools.dashboard"])
def test_modules_run_by_python_work_in_a_game_folder(module: str, folder: Path) -> None:
    # `python -m` puts the current folder before every installed package.
    done = run(folder, [sys.executable, "-m", module, "--help"])
    assert (done.returncode, done.stderr) == (0, ""), done


def test_pytest_offers_the_fixtures_in_a_game_folder(folder: Path) -> None:
    done = run(folder, [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"])
    assert done.returncode == 0, done
    assert "1 passed" in done.stdout


def test_commands_import_no_module_of_the_folder_in_place_of_pythons_own(folder: Path) -> None:
    for name in ("json", "random", "logging", "typing"):
        (folder / f"{name}.py").write_text("raise RuntimeError('a module of the author was imported')\n")
    bots = ("--spawn-server", "mygame:Mygame", "--bot", "mybots:Bot", "--bots", "5", "--time", "1s", "--no-progress")
    ports = ("--port", "0", "--stats-port", "0")
    commands = (
        command("zone-swarm", *bots),
        command("zoneserver", "run", "mygame:Mygame", *ports, "--dashboard", "--duration", "2s"),
        command("zoneserver", "check", "mygame:Mygame"),
    )
    with ThreadPoolExecutor() as pool:
        for done in pool.map(lambda each: run(folder, each), commands):
            assert (done.returncode, "a module of the author" in done.stderr) == (0, False), done
