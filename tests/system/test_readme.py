"""The README's code runs as it stands."""

import asyncio
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from helpers.paths import ROOT

from zoneserver import Rules, ZoneServer
from zoneserver.authoring.scaffold import make_game
from zoneserver.games.plaza import Plaza

PAGE = (ROOT / "README.md").read_text()
GAME, TEST, BOTS, SERVER, CLIENT = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_game_and_its_test_are_those_of_a_new_game(tmp_path: Path) -> None:
    make_game(tmp_path / "mygame")
    assert (tmp_path / "mygame/mygame.py").read_text() == GAME
    assert (tmp_path / "mygame/test_mygame.py").read_text() == TEST


def test_a_game_of_ones_own_by_the_commands_as_they_stand(tmp_path: Path) -> None:
    # All but those that run until Ctrl-C, and the swarm, which needs one of these.
    commands = [line for line in own_commands() if not re.search(r" run |zone-swarm|client|activate", line)]
    assert len(commands) == 4
    done = subprocess.run(
        ["bash", "-euc", "\n".join(commands)],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done
    assert "nothing is wrong with it" in done.stdout
    assert "3 passed" in done.stdout


async def test_its_swarm_and_the_bots_of_ones_own_get_everything(tmp_path: Path) -> None:
    (tmp_path / "mybots.py").write_text(BOTS)
    names: dict[str, type[Rules]] = {}
    exec(GAME, names)
    swarms = [line.split()[1:] for line in own_commands() if line.startswith("zone-swarm")]
    async with ZoneServer(names["Mygame"], port=0, stats_port=0) as server:
        for arguments in swarms:
            few = ("--bots", "8", "--time", "500ms", "--port", str(server.port), "--stats-port", str(server.stats_port))
            running = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "zonetools.swarm", "--no-progress", *arguments, *few),
                stdout=asyncio.subprocess.PIPE,
                cwd=tmp_path,
            )
            async with asyncio.timeout(30):
                out, _ = await running.communicate()
            assert (running.returncode, "everybody got everything" in out.decode()) == (0, True), out
    assert len(swarms) == 3


def own_commands() -> list[str]:
    """The commands of the section about a game of one's own, as they are typed."""
    section = PAGE.partition("## A game of your own")[2].partition("\n## ")[0]
    prose = re.sub(r"```.*?```", "", section, flags=re.DOTALL)
    return [re.split(r"  +", line)[0] for line in re.findall(r"^    (\S.*)$", prose, re.MULTILINE)]


def test_the_server_runs() -> None:
    done = subprocess.run([sys.executable, "-c", SERVER], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("players connect to ")


async def test_the_client_hears_itself(tmp_path: Path) -> None:
    program = tmp_path / "ann.py"
    program.write_text(CLIENT)
    async with ZoneServer(Plaza, port=0, stats_port=None) as server:
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, str(program), str(server.port)), stdout=asyncio.subprocess.PIPE, cwd=tmp_path
        )
        async with asyncio.timeout(20):
            out, _ = await running.communicate()
    assert running.returncode == 0
    assert "ann say ('hello',)" in out.decode()


def test_every_command_is_written_in_the_same_form() -> None:
    commands = re.findall(r"^    (\S*(?:python3?|zoneserver|zone-\w+|pip)) .*$", PAGE, re.MULTILINE)
    commands += re.findall(r"`(\S*(?:python3?|zoneserver|zone-\w+)) (?:run|-m|\w+\.py)[^`]*`", PAGE)
    # A game of one's own has a folder of its own, where the environment is on the path. Of the others the
    # first makes the environment, the last stand in a table of what they are.
    own = [line.split()[0] for line in own_commands() if not re.match(r"\.|cd ", line)]
    others = Counter(command for command in commands if not command.startswith(".venv/bin/"))
    assert others - Counter(own) == Counter(["python3", "zoneserver", "zoneserver"])
    assert ". .venv/bin/activate" in own_commands()
