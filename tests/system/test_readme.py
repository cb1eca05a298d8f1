"""The first hour of a newcomer: README.md is short, and what it shows works as it stands."""

import ast
import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

from helpers.loops import one_loop
from helpers.markdown import Page

from zoneserver import Rules, ZoneServer
from zoneserver.authoring.scaffold import make_game
from zoneserver.games.plaza import Plaza

README, TESTING, CLIENT = Page("README.md"), Page("docs/testing.md"), Page("docs/client.md")


def file_of(page: Page, name: str) -> str:
    """The file that a page shows under this name."""
    (text,) = [block.text for block in page.blocks if block.file == name]
    return text


def commands(page: Page, program: str) -> list[str]:
    """The lines of a page's shell blocks that begin with a program, without their comments."""
    shell = "\n".join(block.text for block in page.blocks if block.language == "sh")
    return [re.split(r"  +#", line)[0] for line in shell.splitlines() if line.split()[:1] == [program]]


def test_readme_is_60_to_120_lines_long() -> None:
    assert 60 <= len(README.text.splitlines()) <= 120


def test_readme_says_what_it_is_not_before_the_first_command() -> None:
    assert README.text.index("## What it is not") < README.text.index("```sh")


def test_readme_has_a_picture_two_commands_a_licence_and_systems() -> None:
    assert "](docs/dashboard.svg)" in README.text
    assert [line.split()[1] for line in commands(README, "make")] == ["demo", "test"]
    assert "[MIT](LICENSE)" in README.text
    assert "**Systems.** Linux" in README.text


def test_readme_leads_to_every_page() -> None:
    pages = {f"docs/{path.name}" for path in README.path.parent.glob("docs/*.md")} - {"docs/swarm-report.md"}
    assert pages <= set(README.links)


def test_game_of_the_readme_and_its_test_are_those_of_a_new_game(tmp_path: Path) -> None:
    make_game(tmp_path / "mygame")
    for page, name in ((README, "mygame.py"), (TESTING, "test_mygame.py")):
        assert without_docstring((tmp_path / "mygame" / name).read_text()) == without_docstring(file_of(page, name))


def without_docstring(source: str) -> str:
    tree = ast.parse(source)
    if ast.get_docstring(tree) is not None:
        del tree.body[0]
    return ast.unparse(tree)


def test_commands_for_a_game_of_ones_own_work_as_they_stand(tmp_path: Path) -> None:
    # All but those that run until Ctrl-C.
    shell = [line for line in commands(README, "zoneserver") if " run " not in line]
    shell[1:1] = commands(README, "cd")
    shell += commands(TESTING, "python")
    done = subprocess.run(
        ["bash", "-euc", "\n".join(shell)],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done
    assert "5 passed" in done.stdout


@one_loop
async def test_swarms_for_a_game_of_ones_own_get_everything(tmp_path: Path) -> None:
    (tmp_path / "mybots.py").write_text(file_of(TESTING, "mybots.py"))
    game: dict[str, type[Rules]] = {}
    exec(file_of(README, "mygame.py"), game)
    swarms = [line.split()[1:] for line in commands(TESTING, "zone-swarm") if "mybots" in line or "idle" in line]
    assert len(swarms) == 3
    async with ZoneServer(game["Mygame"], port=0, stats_port=0) as server:
        for arguments in swarms:
            few = ("--bots", "8", "--time", "500ms", "--port", str(server.port), "--stats-port", str(server.stats_port))
            output = await output_of("-m", "zonetools.swarm", "--no-progress", *arguments, *few, folder=tmp_path)
            assert "everybody got everything" in output


@one_loop
async def test_first_client_hears_itself(tmp_path: Path) -> None:
    (tmp_path / "ann.py").write_text(file_of(CLIENT, "ann.py"))
    async with ZoneServer(Plaza, port=0, stats_port=None) as server:
        assert "ann say ('hello',)" in await output_of("ann.py", str(server.port), folder=tmp_path)


async def output_of(*arguments: str, folder: Path) -> str:
    """Runs Python in a folder; returns what it printed. It must end with exit code 0."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, cwd=folder
    )
    async with asyncio.timeout(30):
        out, _ = await running.communicate()
    assert running.returncode == 0, out
    return out.decode()
