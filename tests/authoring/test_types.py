"""The types of a game for TypeScript and C#: the compilers take them, and refuse what the game would refuse."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.arsenal import Arsenal, Rank, Weapon
from helpers.csharp import CLIENT, INSTALL
from helpers.loops import one_loop
from helpers.node import WEB, node_program
from helpers.odd_names import OddNames
from helpers.paths import ROOT
from helpers.servers import OpenServer
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.authoring.csharp import csharp_text
from zoneserver.authoring.typescript import typescript_text
from zoneserver.authoring.typings import Names, camel, literal, one_line, pascal
from zoneserver.games.chat import Chat
from zoneserver.games.coinrush import Coinrush
from zoneserver.games.pixels import Pixels
from zoneserver.games.plaza import Plaza
from zoneserver.games.tag import Tag
from zoneserver.zone.game_class import problems_of
from zoneserver.zone.rules import Rules
from zoneserver.zone.schema import schema_of, schema_text

SOURCES = ROOT / "tests/authoring/types"


class Empty(Rules):
    """A game in which nobody can do anything."""


GAMES: list[type[Rules]] = [Arsenal, Chat, Coinrush, Empty, OddNames, Pixels, Plaza, Tag]
PATIENCE_SECONDS = 50.0
# The letters of an identifier of C#; TypeScript takes some more.
LETTERS = {"Lu", "Ll", "Lt", "Lm", "Lo", "Nl"}


def wrong_lines(file: str) -> set[int]:
    lines = (SOURCES / file).read_text().splitlines()
    return {number for number, line in enumerate(lines, 1) if " // " in line}


# --- Names ----------------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=8), max_size=8), st.sampled_from([str, pascal, camel]))
def test_names_are_identifiers_and_differ(wanted: list[str], form: Callable[[str], str]) -> None:
    names = Names({"class", "Class", "_"})
    found = [names.new(form(each)) for each in wanted]
    assert len({*found, "class", "Class", "_"}) == len(found) + 3
    for first, *rest in found:
        assert first == "_" or unicodedata.category(first) in LETTERS
        assert all(each == "_" or unicodedata.category(each) in {*LETTERS, "Nd", "Mn", "Mc"} for each in rest)


@given(st.text())
def test_texts_of_a_game_stay_within_their_line(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1
    assert len(literal(text).splitlines()) == 1


def test_games_of_these_tests_have_no_problem_and_give_equal_texts() -> None:
    for game in GAMES:
        assert list(problems_of(game)) == []
        schema = schema_of(game)
        schema_text(schema)
        for text_of in (csharp_text, typescript_text):
            text = text_of(schema, "zoneserver schema x:Y")
            assert text == text_of(schema_of(game()), "zoneserver schema x:Y")
            assert "zoneserver schema x:Y > " in text.splitlines()[3]
    assert 'the game "coinrush", version "1", for' in typescript_text(schema_of(Coinrush), "")


# --- C# -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that plays Arsenal, with the classes of all games."""
    if shutil.which("mcs") is None or shutil.which("mono") is None:
        pytest.skip(f"Mono is missing: {INSTALL}")
    folder = tmp_path_factory.mktemp("csharp")
    for game in GAMES:
        (folder / f"{game.__name__}.cs").write_text(csharp_text(schema_of(game), "zoneserver schema"))
    program = folder / "play.exe"
    files = (*folder.glob("*.cs"), CLIENT / "ZoneClient.cs", SOURCES / "Play.cs")
    assert mcs(f"-out:{program}", *files) == (0, "")
    return program


def mcs(*arguments: str | Path) -> tuple[int, str]:
    command = ["mcs", "-langversion:7.2", "-warnaserror", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    return done.returncode, done.stdout + done.stderr


def test_mcs_refuses_each_wrong_use_of_a_generated_class(compiled: Path) -> None:
    _, out = mcs("-target:library", f"-out:{compiled.parent / 'wrong.dll'}", f"-r:{compiled}", SOURCES / "Wrong.cs")
    assert {int(line) for line in re.findall(r"Wrong\.cs\((\d+),\d+\): error", out)} == wrong_lines("Wrong.cs"), out


@one_loop
async def test_generated_class_acts_in_a_zone_and_hears_it(compiled: Path, open_server: OpenServer) -> None:
    rules = Arsenal()
    server = await open_server(rules, hz=50)
    process = await asyncio.create_subprocess_exec(
        "mono", str(compiled), str(server.port), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        out, _ = await process.communicate()
    ann = rules.handled[5][2][0]
    assert rules.handled[:7] == [
        ("numbers", -9, 0.5),
        ("numbers", 9, None),
        ("texts", "hello", "ann", True),
        ("choices", 3, Weapon.SWORD, Rank.HIGH),
        ("choices", "red", Weapon.BOW, None),
        ("lists", [1, 6], [ann]),
        ("raw", b"\0\xff"),
    ]
    _, coin, wolf = rules.handled[7]
    assert (ann.name, coin.kind, wolf.kind) == ("ann", "coin", "wolf")
    assert out.decode().splitlines() == [
        "count 8",
        "numbers ann -9 a number",
        "numbers ann 9 null",
        "choices _3 Sword High",
        "choices Red Bow null",
        "lists 1,6 0",
        "found True 40 Bow 0",
        "CLIENT_LEFT: the player said goodbye",
    ]


# --- TypeScript -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tsc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., tuple[int, str]]]:
    """Runs the compiler in a folder with zone.d.ts and the types of all games."""
    node_program()
    if shutil.which("npx") is None:
        pytest.skip("npx is not installed: apt-get install npm")
    folder = tmp_path_factory.mktemp("ts")
    for file in (WEB / "zone.d.ts", SOURCES / "right.ts", SOURCES / "wrong.ts"):
        shutil.copy(file, folder)
    for game in GAMES:
        (folder / f"{game.__name__.lower()}.d.ts").write_text(typescript_text(schema_of(game), "zoneserver schema"))

    def tsc(*files: str) -> tuple[int, str]:
        flags = ["--strict", "--noUnusedLocals", "--noEmit", "--target", "es2022", "--lib", "es2022,dom"]
        flags += ["--module", "esnext", "--moduleResolution", "bundler", "--types", ""]
        command = ["npx", "--yes", "-p", "typescript", "tsc", *flags, *files]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
        if "npm error" in done.stderr:
            pytest.skip("npx cannot install typescript: npm install --global typescript")
        return done.returncode, done.stdout + done.stderr

    yield tsc


def test_tsc_takes_the_types_of_each_game_and_refuses_each_wrong_use(tsc: Callable[..., tuple[int, str]]) -> None:
    files = [f"{game.__name__.lower()}.d.ts" for game in GAMES]
    _, out = tsc("right.ts", "wrong.ts", *files)
    found = re.findall(r"^([a-z.]+)\((\d+),\d+\): error", out, re.MULTILINE)
    assert {file for file, _ in found} == {"wrong.ts"}, out
    assert {int(line) for _, line in found} == wrong_lines("wrong.ts"), out
