"""The README's code runs as it stands."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

from zoneserver import Rules, ZoneServer
from zoneserver.games.plaza import Plaza
from zoneserver.zone import Zone

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "README.md").read_text()
GAME, SERVER, CLIENT = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_game_runs() -> None:
    names: dict[str, type[Rules]] = {}
    exec(GAME, names)
    zone = Zone(names["Tag"](), hz=20, seed=1)
    zone.join(1, "ann")
    zone.join(2, "bob")
    zone.tick()
    zone.submit(1, 1, [("move", 3, 4), ("tag", 1)])
    assert [refusal.code for _, refusal, _ in zone.tick().refused] == ["OUT_OF_RANGE"]


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
    commands = re.findall(r"^    (\S*(?:python3?|zoneserver|zone-\w+|pip)) ", PAGE, re.MULTILINE)
    commands += re.findall(r"`(\S*(?:python3?|zoneserver|zone-\w+)) (?:run|-m|\w+\.py)[^`]*`", PAGE)
    # The first makes the environment that the others are in, the last stand in a table of what they are.
    assert [command for command in commands if not command.startswith(".venv/bin/")] == ["python3", "zoneserver"]
