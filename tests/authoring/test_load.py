"""Errors of loading or starting a game name the place in the author's own files."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.driven_zone import DrivenZone

from zoneserver.authoring.load import LoadError, TargetError, load_class
from zoneserver.support.errors import GameError
from zoneserver.zone.game_class import new_game
from zoneserver.zone.rules import Rules

numbers = itertools.count()
Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes modules into the current folder: `write(body, map=body)`; returns the name of the first. The names are new
    in every test, because Python imports a name once."""
    monkeypatch.chdir(tmp_path)

    def write(body: str, **others: str) -> str:
        number = next(numbers)
        for name, text in {"game": body, **others}.items():
            path = tmp_path / f"{name}_{number}.py"
            path.write_text(text.replace("NUMBER", str(number)))
        return f"game_{number}"

    return write


def load(name: str) -> type[Rules]:
    return load_class(f"{name}:Game", "Rules class", lambda found: issubclass(found, Rules))


@pytest.mark.parametrize(
    ("body", "others", "text"),
    [
        ("def f(:\n", {}, "NAME cannot be imported: SyntaxError: invalid syntax (NAME.py:1)"),
        ("\nimport map_NUMBER\n", {"map": "x = 1\nif x\n"}, "SyntaxError: expected ':' (map_NUMBER.py:2)"),
        ("\n\nimport nowhere.at_all\n", {}, "NAME needs the module nowhere, which is not installed (NAME.py:3)"),
        ("import map_NUMBER\n", {"map": "\nimport nowhere\n"}, "which is not installed (map_NUMBER.py:2)"),
        ("\nfrom json import nothing\n", {}, "ImportError: cannot import name 'nothing' from 'json' (*) (NAME.py:2)"),
        ("import json\njson.loads('{')\n", {}, "JSONDecodeError: * (NAME.py:2)"),
        ("import map_NUMBER\nmap_NUMBER.f()\n", {"map": "def f():\n    {}['x']\n"}, "KeyError: 'x' (map_NUMBER.py:2)"),
        ("raise SystemExit('no')", {}, "SystemExit: no (NAME.py:1)"),
    ],
)
def test_load_class_names_the_place_of_an_exception_during_the_import(
    body: str, others: dict[str, str], text: str, write: Write
) -> None:
    name = write(body, **others)
    with pytest.raises(LoadError) as caught:
        load(name)
    begin, _, end = text.replace("NAME", name).replace("NUMBER", name.removeprefix("game_")).partition("*")
    assert begin in str(caught.value)
    assert str(caught.value).endswith(end)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None, "the log level debug shows its traceback"


@pytest.mark.parametrize("target", ["game", ":Game", "game:", "./game.py:Game", "a b:Game"])
def test_load_class_rejects_a_target_of_another_form(target: str) -> None:
    with pytest.raises(TargetError, match="is not of the form module:Class"):
        load_class(target, "Rules class", lambda _found: True)


GAME = """\
from zoneserver import Rules

class Game(Rules):
    def {}(self):
        {}
"""


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("raise ValueError('no\\nmap')", "ValueError: no map"),
        ("{}['x']", "KeyError: 'x'"),
        ("raise LookupError", "LookupError"),
        ("open('/nonexistent')", "FileNotFoundError: [Errno 2] No such file or directory: '/nonexistent'"),
        ("self.nobody", "AttributeError: 'Game' object has no attribute 'nobody'"),
        ("__import__('json').loads('')", "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
    ],
)
@pytest.mark.parametrize("method", ["__init__", "on_start"])
def test_game_error_names_the_place_of_an_exception_during_the_start(
    method: str, body: str, what: str, write: Write
) -> None:
    name = write(GAME.format(method, body))
    game = load(name)
    with pytest.raises(GameError) as caught:
        DrivenZone(new_game(game), hz=20, seed=1)
    shown = "Game()" if method == "__init__" else method
    assert str(caught.value) == f"{shown} raised {what} ({name}.py:5)"
    assert caught.value.__cause__ is not None


def test_game_error_names_a_file_of_another_folder_in_full(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    game = load(write(GAME.format("on_start", "1 / 0")))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with pytest.raises(GameError, match=rf"\({tmp_path}/game_[0-9]+\.py:5\)$"):
        DrivenZone(game(), hz=20, seed=1)


def test_a_property_of_a_game_is_not_evaluated(write: Write) -> None:
    game = load(write("from zoneserver import Rules\nclass Game(Rules):\n    @property\n    def area(self): 1 / 0\n"))
    assert DrivenZone(game(), hz=20, seed=1).step().tick == 1
