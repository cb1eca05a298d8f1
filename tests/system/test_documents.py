"""The pages hold what they say: their code runs, their commands exist, their links lead somewhere."""

from __future__ import annotations

import argparse
import dataclasses
import dis
import functools
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import zoneclient
import zoneclient.__main__
import zonetools.bench.__main__
import zonetools.bench.gateways
import zonetools.compare.__main__
import zonetools.dashboard.__main__
import zonetools.demo
import zonetools.soak.__main__
import zonetools.swarm.__main__
from helpers.markdown import CodeBlock, Page
from helpers.paths import ROOT

import zoneserver
import zoneserver.cli.main
import zoneserver.testing
from zoneserver import Config, Limits
from zoneserver.zone.commands import BUILT_IN

PAGES = [Page(str(path.relative_to(ROOT))) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]]
BLOCKS = [block for page in PAGES for block in page.blocks]
API = Page("docs/api.md")


def python_blocks(*, files: bool) -> list[Any]:
    """The Python blocks that are a file by themselves, or those that are not, as parameters of a test."""
    chosen = [block for block in BLOCKS if block.language == "python" and bool(block.file) is files]
    return [pytest.param(block, id=f"{block.page}-{number}") for number, block in enumerate(chosen)]


# --- Python -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", python_blocks(files=False))
def test_python_block_runs_and_prints_what_it_says(block: CodeBlock) -> None:
    expected = re.findall(r"# prints (.*)$", block.text, re.MULTILINE)
    output = StringIO()
    with redirect_stdout(output):
        exec(compile(block.text, block.page, "exec"), {"__name__": "example"})
    for text in expected:
        assert text in output.getvalue()


def test_game_with_save_can_be_restarted(tmp_path: Path) -> None:
    games = [block.text for block in BLOCKS if block.language == "python" and "def save(self)" in block.text]
    assert games
    for number, text in enumerate(games):
        (tmp_path / f"saving_{number}.py").write_text(text)
        (name,) = re.findall(r"^class (\w+)\(Rules\)", text, re.MULTILINE)
        done = subprocess.run(
            [sys.executable, "-m", "zoneserver", "check", f"saving_{number}:{name}", "--rerun"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=50,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("block", python_blocks(files=True))
def test_python_file_compiles(block: CodeBlock) -> None:
    compile(block.text, block.file, "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_test_files_of_a_page_pass(page: Page, tmp_path: Path) -> None:
    if page.name == "docs/tutorial.md":
        return  # Its blocks are steps: test_tutorial.py builds the game from them.
    # The game of README.md is the one that the other pages test.
    files = {block.file: block.text for block in [*Page("README.md").blocks, *page.blocks] if block.file}
    tests = [file for file in files if file.startswith("test_")]
    if not tests:
        return
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stdout


# --- Every public name --------------------------------------------------------------------------------

MODULES = (zoneserver, zoneserver.testing, zoneclient)
WITH_MEMBERS = (
    *(zoneserver.Rules, zoneserver.Entity, zoneserver.Player, zoneserver.Thing),
    *(Config, Limits, zoneserver.testing.TestClient),
    *(zoneclient.ZoneConnection, zoneclient.Update, zoneclient.Event, zoneclient.Replica, zoneclient.Behaviour),
)
# For the fixtures alone.
INTERNAL = {"TestClient.joined"}


def members(owner: type) -> set[str]:
    """The public methods and attributes of a class: those in its body, and those that `__init__` sets. What its base
    class has already is documented there."""
    names = {*vars(owner), *inspect.get_annotations(owner)}
    if inspect.isfunction(init := vars(owner).get("__init__")):
        names |= {str(step.argval) for step in dis.get_instructions(init) if step.opname == "STORE_ATTR"}
    names -= set(dir(owner.__base__))
    return {name for name in names if not name.startswith("_") and f"{owner.__name__}.{name}" not in INTERNAL}


def documented(heading: str) -> set[str]:
    """The names in the first column of the table in a section of the API page."""
    cells = (row[0] for row in API.rows(heading))
    return {name for cell in cells for name in re.findall(r"`(\w+)", cell)}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_public_name_has_a_heading_and_an_example(module: Any) -> None:
    headings = re.findall(r"^### (.*)$", API.section(f"Names of `{module.__name__}`"), re.MULTILINE)
    named = {name: heading for heading in headings for name in re.findall(r"`(\w+)`", heading)}
    assert named.keys() == set(module.__all__)
    for name, heading in named.items():
        (example,) = re.findall(r"```python.*?```", API.section(heading), re.DOTALL)
        assert re.search(rf"\b{name}\b", example), f"the example of {name} does not use it"


@pytest.mark.parametrize("owner", WITH_MEMBERS, ids=lambda owner: owner.__name__)
def test_every_public_member_has_a_row(owner: type) -> None:
    assert documented(f"`{owner.__name__}`") - {"entity"} == members(owner)


@pytest.mark.parametrize("values", [Config(), Limits()], ids=lambda values: type(values).__name__)
def test_defaults_of_settings_are_those_of_the_page(values: Any) -> None:
    shown = {row[0].strip("`"): row[1] for row in API.rows(f"`{type(values).__name__}`")}
    for field in dataclasses.fields(values):
        value = getattr(values, field.name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            number = shown[field.name].replace(" MiB", "*1048576").replace(",", "")
            assert eval(number) == value, field.name
        else:
            assert shown[field.name].strip("`") in (str(value) or "empty", f"{type(value).__name__}()", "empty")


# --- Commands -----------------------------------------------------------------------------------------

PARSERS: dict[str, Callable[[], argparse.ArgumentParser]] = {
    "zoneserver": zoneserver.cli.main._parser,
    "zone-client": zoneclient.__main__._parser,
    "zone-swarm": zonetools.swarm.__main__._parser,
    "zone-dash": zonetools.dashboard.__main__._parser,
    "zone-compare": zonetools.compare.__main__._parser,
    "zonetools.bench": zonetools.bench.__main__._parser,
    "zonetools.bench.gateways": zonetools.bench.gateways._parser,
    "zonetools.demo": zonetools.demo._parser,
    "zonetools.soak": zonetools.soak.__main__._parser,
}
SAME = {"zoneclient": "zone-client", "zonetools.swarm": "zone-swarm", "zonetools.dashboard": "zone-dash"}
# Programs of the system, of Python and of others, whose flags are theirs.
FOREIGN = re.compile(r"\.|base64|cat|cd|chmod|curl|echo|head|jq|pip|prometheus|promtool")
OPERATORS = {"|", "||", "&&", ";", "&", "(", ")", ">", ">>", "<"}


def commands(shell: str) -> Iterator[list[str]]:
    """The words of each simple command in some lines of shell."""
    for line in shell.replace("\\\n", " ").splitlines():
        words: list[str] = []
        lexer = shlex.shlex(re.sub(r"\$\(|\)", " ; ", line), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        for word in [*lexer, ";"]:
            if word in OPERATORS:
                if words:
                    yield words
                # What follows a redirection is a file.
                words = ["cat"] if word in {">", ">>", "<"} else []
            else:
                words.append(word)


def shell_commands() -> list[Any]:
    found = []
    for page in PAGES:
        lines = [block.text for block in page.blocks if block.language == "sh"]
        lines += re.findall(r"^ExecStart=(.*)$", page.text, re.MULTILINE)
        if page.name != "CHANGELOG.md":  # It names commands of earlier versions.
            lines += re.findall(
                r"`((?:make|zone-\w+|(?:zoneserver|(?:\.venv/bin/)?python -m) [^\s`]+) [^`]+)`", page.prose
            )
        shell = "\n".join(lines)
        found += [pytest.param(words, id=f"{page.name}: {' '.join(words)}") for words in commands(shell)]
    return found


def accepted(parser: argparse.ArgumentParser, arguments: list[str]) -> bool:
    """Whether a parser takes some arguments, or ends as it should (`--help`, `--version`)."""
    try:
        return not parser.parse_known_args(arguments)[1]
    except SystemExit as end:
        return not end.code


@functools.cache
def parser_of(program: str) -> argparse.ArgumentParser:
    return PARSERS[program]()


@pytest.fixture(scope="module")
def shown_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the pages show, and the report that an earlier run has left."""
    folder = tmp_path_factory.mktemp("shown")
    for block in BLOCKS:
        if block.file:
            (folder / block.file).write_text(block.text)
    (folder / "run.json").write_text(json.dumps({"schema": "zone-swarm/2"}))
    return folder


@pytest.mark.parametrize("words", shell_commands())
def test_shell_command_exists_and_takes_its_flags(
    words: list[str], shown_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shown_files)
    while re.match(r"\w+=", words[0]):
        words = words[1:]
    program, *arguments = words
    program = program.rpartition(".venv/bin/")[2]
    if program in {"python", "python3"} and arguments[:1] == ["-m"]:
        module, arguments = arguments[1], arguments[2:]
        program = SAME.get(module, module)
        if program in {"pytest", "venv", "pip"}:
            return
    if program == "make":
        targets = [word for word in arguments if "=" not in word]
        variables = [word.partition("=")[0] for word in arguments if "=" in word]
        makefile = (ROOT / "Makefile").read_text()
        assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
        assert all(f"$({name})" in makefile for name in variables)
    elif program in {"python", "python3"}:
        assert (shown_files / arguments[0]).exists()
    elif program in PARSERS:
        assert accepted(parser_of(program), arguments)
    else:
        assert FOREIGN.fullmatch(program), f"no command is called {program}"


def options(parser: argparse.ArgumentParser) -> set[str]:
    """All flags of a parser and of its commands."""
    found = set()
    for one in parser._actions:
        found |= set(one.option_strings)
        if isinstance(one, argparse._SubParsersAction):
            for command in one.choices.values():
                found |= options(command)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_flag_and_variable_that_a_page_names_exists(page: Page) -> None:
    flags = set.union(*(options(parser()) for parser in PARSERS.values()))
    flags |= {flag for usage, _ in BUILT_IN.values() for flag in re.findall(r"--[a-z]+", usage)}
    variables = {"ZONE_" + flag[2:].upper().replace("-", "_") for flag in flags} | {"ZONE_SECRET"}
    variables |= {"ZONE_STATS_TOKEN", "ZONE_LINK_TOKEN"}
    code = " ".join(re.findall(r"`([^`]+)`", page.prose))
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", code)) <= flags
    # The settings of a game have variables with names of the game.
    assert set(re.findall(r"\bZONE_(?!GAME_)[A-Z][A-Z_]*", code)) <= variables


def test_toml_files_are_read_by_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ZONE_")]:
        monkeypatch.delenv(name)
    files = [block.text for block in BLOCKS if block.language == "toml" and "[project]" not in block.text]
    assert files
    for text in files:
        tomllib.loads(text)
        path = tmp_path / "zone.toml"
        path.write_text(text)
        zoneserver.cli.main._parser().read(["run", "--config", str(path)])
        zonetools.swarm.__main__._parser().read(["--config", str(path)])


# --- Links --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Page) -> None:
    for link in page.links:
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.path.parent / target).resolve() if target else page.path
        assert path.exists(), link
        if anchor:
            assert anchor in Page(str(path.relative_to(ROOT))).anchors, link
