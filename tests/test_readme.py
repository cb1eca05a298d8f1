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
GAME, SERVER, CLIENT = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


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


async def test_the_client_hears_itself(capsys) -> None:  # type: ignore[no-untyped-def]
    names: dict[str, object] = {}
    exec(CLIENT, names)
    main = names["main"]
    assert callable(main)
    async with ZoneServer(Plaza, port=0, stats_port=None) as server:
        async with asyncio.timeout(20):
            await main(server.port)
    assert "ann say ('hello',)" in capsys.readouterr().out
