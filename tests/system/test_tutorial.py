"""The tutorial: each of its steps builds a game that `zoneserver check` approves, and whose tests pass."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers.markdown import CodeBlock, Page
from helpers.run_command import Server

from zoneserver.authoring.scaffold import make_game
from zoneserver.protocol.messages import Tick, Told

TUTORIAL = Page("docs/tutorial.md")
GAME = "coinrush.py"
# What the tests of a game do not need takes half of their time.
_FEW_PLUGINS = [f"-pno:{name}" for name in ("asyncio", "cacheprovider", "hypothesispytest", "xdist")]
STEPS = re.findall(r"^## (\d+\. .*)$", TUTORIAL.text, re.MULTILINE)


def blocks(step: str) -> list[CodeBlock]:
    """The code blocks of a step, in order."""
    text = TUTORIAL.section(step)
    return [block for block in TUTORIAL.blocks if block.text in text]


def named(statement: ast.stmt) -> str:
    """What a statement of a class defines; its text for anything else."""
    match statement:
        case ast.FunctionDef(name=name):
            return name
        case ast.Assign(targets=[target]):
            return ast.unparse(target)
    return ast.unparse(statement)


def changed(game: str, block: str) -> str:
    """The game with the change that a block shows, by the rule of the tutorial: what the class has by the same name is
    replaced, the rest is added at its end, and imports replace the imports."""
    before, change = ast.parse(game), ast.parse(block)
    (into,) = [node for node in before.body if isinstance(node, ast.ClassDef)]
    (shown,) = [node for node in change.body if isinstance(node, ast.ClassDef)]
    assert ast.unparse(into).splitlines()[0] == ast.unparse(shown).splitlines()[0]
    new = {named(statement): statement for statement in shown.body}
    into.body = [new.pop(named(statement), statement) for statement in into.body] + list(new.values())
    imports = [node for node in change.body if isinstance(node, ast.ImportFrom)]
    if imports:
        before.body = [*imports, *(node for node in before.body if not isinstance(node, ast.ImportFrom))]
    return ast.unparse(ast.fix_missing_locations(before)) + "\n"


def run(folder: Path, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=50,
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of the game as it is after each step."""
    game, files, found = "", {}, {}
    for step in STEPS:
        folder = found[step] = tmp_path_factory.mktemp("step") / "coinrush"
        if step == STEPS[0]:
            make_game(folder)
            game = (folder / GAME).read_text()
            files = {path.name: path.read_text() for path in folder.iterdir()}
            (block,) = [block for block in blocks(step) if block.file == GAME]
            assert block.text == game, "the first step shows another game than `zoneserver new coinrush` makes"
            continue
        for block in blocks(step):
            if block.file == GAME:
                game = files[GAME] = changed(game, block.text)
            elif block.file.endswith(".py"):
                files[block.file] = block.text
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
    return found


@pytest.mark.parametrize("step", STEPS)
def test_step_of_the_tutorial_passes_its_check_and_its_tests(step: str, folders: dict[str, Path]) -> None:
    # The last step runs the tests of all steps: each still passes with what came later.
    files = {path.name for path in folders[step].glob("test_*.py")}
    if step != STEPS[-1]:
        files &= {block.file for block in blocks(step)} | ({"test_coinrush.py"} if step == STEPS[0] else set())
    commands = ("zoneserver", "check", "coinrush:Coinrush"), ("pytest", "-q", *_FEW_PLUGINS, *sorted(files))
    with ThreadPoolExecutor() as pool:
        checked, tested = pool.map(lambda command: run(folders[step], *command), commands)
    assert (checked.returncode, "nothing is wrong with it" in checked.stdout) == (0, True), checked
    assert tested.returncode == 0, tested.stdout
    count = sum(len(re.findall(r"^def test_", (folders[step] / file).read_text(), re.MULTILINE)) for file in files)
    assert count > 0
    assert f"{count} passed" in tested.stdout


@pytest.fixture
def server(folders: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    """The game as it is after a step, as `zoneserver run` runs it."""
    folder = folders[request.param]
    running = Server(tmp_path, "coinrush:Coinrush", "--store", str(tmp_path / "gold.db"), cwd=folder)
    try:
        yield running
    finally:
        running.close()


def typed(step: str) -> str:
    """What a step has ann type."""
    return "".join(block.text for block in blocks(step) if block.language == "text" and block.file == "ann")


@pytest.mark.parametrize("server", [STEPS[0]], indirect=True)
def test_lines_of_the_first_step_are_heard_and_refused(server: Server, tmp_path: Path) -> None:
    played = run(tmp_path, "zoneclient", "ann", "--port", str(server.ready()["port"]), stdin=typed(STEPS[0]))
    assert played.returncode == 0, played
    assert "ann: hello" in played.stdout
    assert "OUT_OF_RANGE" in played.stdout


@pytest.mark.parametrize("server", [STEPS[4]], indirect=True)
def test_lines_of_the_shop_whisper_to_bob_and_are_refused(server: Server, tmp_path: Path) -> None:
    bob = server.player("bob")
    played = run(tmp_path, "zoneclient", "ann", "--port", str(server.ready()["port"]), stdin=typed(STEPS[4]))
    assert played.returncode == 0, played
    assert "TOO_POOR" in played.stdout
    while not isinstance(message := bob.read(), Told) or message.kind != "whisper":
        pass
    assert message.values[1:] == ("meet me at the well",)
    bob.close()


@pytest.mark.parametrize("server", [STEPS[6]], indirect=True)
def test_operator_gives_gold_and_the_store_keeps_it(server: Server, tmp_path: Path) -> None:
    port = server.ready()["port"]
    ann = server.player("ann")
    ann.read_until(Tick)
    given = run(tmp_path, "zoneserver", "ctl", "--port", str(port), "give", "ann", "5")
    assert (given.returncode, given.stdout) == (0, "ann has 5 gold\n")
    assert server.stop()[0] == 0
    ann.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "gold.db")) as database:
        (saved,) = database.execute("SELECT * FROM players WHERE name = 'ann'").fetchall()
    assert '{"gold":5,"bag":[]}' in saved


def test_bots_of_the_last_step_find_coins_and_get_everything(folders: dict[str, Path]) -> None:
    (swarm,) = [line for line in TUTORIAL.section(STEPS[7]).splitlines() if line.startswith("zone-swarm")]
    few = ("--bots", "8", "--time", "1s", "--no-progress")
    done = run(folders[STEPS[7]], "zonetools.swarm", *swarm.split()[1:], *few)
    assert (done.returncode, "everybody got everything" in done.stdout) == (0, True), done
