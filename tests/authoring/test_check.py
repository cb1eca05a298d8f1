"""`zoneserver check`: the description of a game, and every kind of problem."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.paths import ROOT

from zoneserver.authoring.dry_run import TICKS
from zoneserver.cli import main as cli

HEAD = """\
import random, time
from typing import Annotated
from zoneserver import *

clock = time.time

class Game(Rules):
"""
numbers = itertools.count()


def check(body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The exit code and then the lines that `zoneserver check` prints about a game with this body."""
    name = f"checked_{next(numbers)}"
    (tmp_path / f"{name}.py").write_text(HEAD + "\n".join(f"    {line}" for line in body.splitlines()))
    monkeypatch.chdir(tmp_path)
    code = cli.main(["check", f"{name}:Game"])
    captured = capsys.readouterr()
    assert captured.err == ""
    return [str(code), *captured.out.splitlines()]


def test_check_describes_a_game_without_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = """\
name, width, height, stats = "park", 2_000, 50, {"hp": 100, "kills": 0}
@action
def aim(self, player, at: Player, with_: Annotated[float, Between(0.25, 0.75)], high: bool): ...
@action
def say(self, player, text: Annotated[str, Text(200)]): ...
@action
def never(self, player, number: int): raise Refused("NO")"""
    lines = check(body, tmp_path, monkeypatch, capsys)
    assert lines[0] == "0", lines
    assert lines[1].startswith("game     park (checked_")
    assert lines[2:4] == ["zone     2,000 x 50", "stats    hp = 100, kills = 0"]
    assert lines[4].startswith("actions  aim(at: Player, with_: float 0.25..0.75, high: bool)  tried ")
    assert lines[5].strip().startswith("never(number: int)  tried ")
    assert lines[5].endswith(" NO")
    assert lines[6].strip().startswith("say(text: str of 1..200 bytes)  tried ")
    assert "refused" not in lines[6]
    assert lines[-1] == "fine     nothing is wrong with it"


def test_check_describes_commands_and_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = """\
settings = {"coins": 30, "motto": "hi"}
@command
def give(self, player: Player, gold: Annotated[int, Between(1, 9)], reason: str = "a gift"): ...
@command
def reset(self): ..."""
    lines = check(body, tmp_path, monkeypatch, capsys)
    assert (lines[0], lines[4]) == ("0", "settings coins = 30, motto = 'hi'"), lines
    assert lines[6:8] == ["commands give(player: Player, gold: int 1..9, reason: str = 'a gift')", "         reset()"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("width = 0", "width is 0: it must be a whole number"),
        ("height = 1.5", "height is 1.5"),
        ("stats = ['hp']", "stats is ['hp']: it must be a dict of names and initial values"),
        (
            "stats = {'hp': 2**31}",
            "stats has 'hp': 2147483648: it must be a printable str of at most 64 bytes and a whole number of 32 bits",
        ),
        ("stats = {'hp': 0.5}", "stats has 'hp': 0.5"),
        ("name = 7", "name is 7: it must be a printable str of at most 64 bytes"),
        ("@action\ndef go(self, player, way: list): ...", "Game.go(way) is annotated <class 'list'>"),
        ("@action\ndef go(self, player, way): ...", "Game.go(way) has no annotation that says what is sent for it"),
        ("@command\ndef give(self, player): ...", "Game.give(player) has no annotation that says what is sent for it"),
        ("@action\ndef go(self, way: int): ...", "Game.go takes way: int first: it must take the player before"),
        ("@property\ndef board(self): return {}", "board is a property: it must be a dict of names and first values"),
        ("version = '\\ud800'", "version of the game is '\\ud800': a text that clients are told must be Unicode"),
        (
            "settings = {'motto': '\\ud800'}",
            "settings has 'motto': '\\ud800': a default must be an int, a finite float",
        ),
        ("events = {'\\ud800': ()}", "events['\\ud800']['name'] of the game is '\\ud800'"),
        (
            "@action\ndef say(self, player, text: str = '\\ud800'): ...",
            "actions['say']['parameters']['text']['default'] of the game is '\\ud800'",
        ),
        (
            "settings = {f's{n}': 'x' * 1000 for n in range(80)}",
            "bytes as JSON, most of them for its settings, and clients are told at most 65,471",
        ),
        ("def __init__(self):\n    self.stats = {'hp': 'x'}", "stats has 'hp': 'x'"),
        ("@action\ndef go(self, player, way: 'Way'): ...", "an annotation of Game.go cannot be evaluated"),
        ("@action\ndef go(self, player, *way: int): ...", "Game.go(way): actions and commands take a fixed number"),
        (
            "@action\ndef go(self, player, *, way: int): ...",
            "Game.go(way): actions and commands take a fixed number",
        ),
        ("@command\ndef give(self, what: list): ...", "Game.give(what) is annotated <class 'list'>"),
        ("@command\nasync def give(self): ...", "Game.give is async"),
        ("@action\ndef go(self): ...", "Game.go has no parameter for the player"),
        ("@action\nasync def go(self, player): ...", "Game.go is async"),
        ("@staticmethod\n@action\ndef go(player): ...", "go is marked as an action, but is not an ordinary method"),
        (
            "@action\ndef emit(self, player): ...",
            "emit cannot be the name of an action or a command: Rules has",
        ),
        ("def on_joined(self, player): ...", "on_joined is never called; did you mean on_join?"),
        ("def on_join(self): ...", "on_join must accept the call on_join(player)"),
        ("async def on_tick(self): ...", "on_tick is async: it must be an ordinary method"),
        ("def on_tick(self):\n    yield", "on_tick is a generator: it must be an ordinary method"),
        ("@action\ndef go(self, player):\n    yield", "Game.go is a generator"),
        ("async def on_stop(self):\n    yield", "on_stop is async"),
        ("hz = 10", "hz cannot be defined by a game: it is the tick rate"),
        ("@property\ndef players(self): ...", "players cannot be defined by a game: it is the zone's own view"),
        ("def tick(self): ...", "tick cannot be defined by a game: it is the number"),
        ("@action\ndef go(self, player, way: Annotated[int, Between(3, 1)]): ...", "which allows no value"),
        ("@action\ndef go(self, player, way: Annotated[int, Between('a', 1)]): ...", "which allows no value"),
        ("@action\ndef go(self, player, way: Annotated[str, Text(0)]): ...", "which allows no value"),
        ("events = {'won': int}", "events['won'] is <class 'int'>: it must be a tuple of types"),
        ("events = {'won': (dict,)}", "events['won'][0] is annotated <class 'dict'>"),
        (
            "events = {'won': (int,)}\ndef on_tick(self):\n    self.emit('won', 'x')",
            "tick 1: on_tick raised ValueError: values[0] of the event 'won' must be a whole number",
        ),
        (
            "events = {'won': (int,)}\ndef on_tick(self):\n    self.emit('lost')",
            "the event 'lost' is not among the declared events: won",
        ),
        (
            "events = {'go': (int,)}\n@action\ndef go(self, player): ...",
            "raised ValueError: the event 'go' has 0 values, and is declared with 1",
        ),
        (
            "@action\ndef go(self, player, way: int = 'x'): return way + 1",
            "raised TypeError",
        ),
        ("def __init__(self, size): ...", "Game() raised TypeError: "),
        ("def on_start(self):\n    1 / 0", "on_start raised ZeroDivisionError: division by zero (checked_"),
        ("def on_join(self, player):\n    player.place(-1, 0)", "tick 1: on_join raised ValueError"),
        ("def on_leave(self, player):\n    self.nobody", "on_leave raised AttributeError"),
        ("def on_tick(self):\n    1 / 0", f"rules raised {TICKS} times in total"),
        (
            "stats = {'gold': 1}\n@action\ndef go(self, player):\n    player['hp'] = 1",
            "raised KeyError: \"player has no stat 'hp': it has gold\" (checked_",
        ),
        (
            "board = {'round': 1}\ndef on_tick(self):\n    self.board['rounds'] += 1",
            "raised KeyError: \"the board has no entry 'rounds': it has round\" (checked_",
        ),
        (
            "settings = {'coins': 1}\ndef on_tick(self):\n    self.setting['coin']",
            "raised KeyError: \"the game has no setting 'coin': it has coins\" (checked_",
        ),
        ("def on_tick(self):\n    self.emit('now', int(time.time()))", "tick 1: equal input gave other bytes"),
        ("def on_tick(self):\n    self.emit('now', int(clock()) // 1000)", "tick 1: equal input gave other bytes"),
        (
            "t = 0\n@action\ndef go(self, who):\n    last, self.t = self.t, time.time()\n    return self.t > last + 9",
            "equal input gave other bytes",
        ),
        ("def save(self): return {1}\ndef load(self, value): ...", "save() is of type set: a checkpoint cannot hold"),
        ("def on_tick(self):\n    self.emit('dice', random.random())", "equal input gave other bytes"),
        (
            "@action(private=True)\ndef draw(self, player) -> int:\n    return random.randint(0, 2**60)",
            "equal input gave other answers, refusals or messages to players alone in the second run",
        ),
        (
            "def to_save(self, player): return {'drawn': random.random()}",
            "equal input gave other saved values of players in the second run",
        ),
        ("def on_tick(self):\n    self.emit('set', *{str(n) for n in range(9)})", "equal input gave other bytes"),
        ("def on_tick(self):\n    self.emit('pid', __import__('os').getpid())", "equal input gave other bytes"),
    ],
)
def test_check_prints_each_problem_as_the_last_lines(
    body: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, *lines = check(body, tmp_path, monkeypatch, capsys)
    assert code == "1"
    wrong = [line for line in lines if line.startswith("wrong    ")]
    assert any(words in line for line in wrong), lines
    assert lines[-len(wrong) :] == wrong


def test_check_describes_every_kind_of_argument_and_the_declared_events(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT / "tests")
    assert cli.main(["check", "helpers.arsenal:Arsenal"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for words in (
        "choices(pick: 'red' | 'green' | 3, weapon: 'sword' | 'bow' = 'bow', rank: 1 | 7 or None = None) tried",
        "count(other: Player or None = None) in private tried",
        "find(coin: Thing 'coin', any_thing: Thing or None = None) tried",
        "lists(dice: list of at most 5 (int 1..6), others: list of at most 16 (Player)) tried",
        "numbers(whole: int -9..9, real: float or None = 0.5) tried",
        "raw(data: bytes, at most 4 = b'\\x01') tried",
        "texts(line: str, name: str of 1..8 bytes = '', flag: bool = False) tried",
        "events taken(int, Player) won(str of 1..24 bytes) numbers(int -9..9, float or None) found(",
        "fine nothing is wrong with it",
    ):
        assert words in text


def test_check_names_the_actions_that_no_trial_player_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = """\
kinds = {"coin": {}}
@action
def take(self, player, coin: Thing): ...
@action
def say(self, player): ...
@action
def never(self, player): raise Refused("NO")"""
    code, *lines = check(body, tmp_path, monkeypatch, capsys)
    assert code == "0"
    assert lines[-2] == "untried  take: no player of the trial got as far as the rule; test it"


def test_exception_of_one_place_is_told_once_with_the_number_and_as_one_of_the_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = check("@action\ndef go(self, player, way: int): 1 / 0", tmp_path, monkeypatch, capsys)
    one, total = (line for line in lines if line.startswith("wrong"))
    assert "of <Player 'trial-" in one
    assert re.fullmatch(r"wrong    rules raised \d\d+ times in total", total)


def test_check_prints_all_problems_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = "@action\ndef go(self): ...\n@action\ndef stop(self, player, way: list): ..."
    assert sum(line.startswith("wrong") for line in check(body, tmp_path, monkeypatch, capsys)) == 2


@pytest.mark.parametrize(
    ("target", "code", "words"),
    [
        ("nowhere:Game", 3, "there is no module 'nowhere' here"),
        ("broken:Game", 3, "broken cannot be imported: ZeroDivisionError: division by zero (broken.py:1)"),
        ("unread:Game", 3, "SyntaxError: invalid syntax (unread.py:1)"),
        ("folder:Game", 3, "'folder' is a folder, not a module: cd into it first"),
        ("zoneserver.games.chat:Char", 3, "zoneserver.games.chat has no Rules class named 'Char'; it has Chat"),
        ("chat", 2, "not of the form module:Class"),
    ],
)
def test_check_of_a_target_that_cannot_be_loaded_is_one_line_on_stderr(
    target: str,
    code: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "broken.py").write_text("1 / 0")
    (tmp_path / "unread.py").write_text("class")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    assert cli.main(["check", target]) == code
    captured = capsys.readouterr()
    assert (captured.out, len(captured.err.splitlines())) == ("", 1)
    assert words in captured.err


@pytest.mark.parametrize("game", ["chat:Chat", "pixels:Pixels", "plaza:Plaza", "tag:Tag"])
def test_the_example_games_have_no_problems(game: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", f"zoneserver.games.{game}"]) == 0
    assert "nothing is wrong with it" in capsys.readouterr().out


def test_check_ends_with_the_place_of_a_rule_that_never_ends(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text(HEAD + "    def on_tick(self):\n        while True: pass\n")
    program = (
        "import zoneserver.authoring.check as check; check._STALL_SECONDS = 0.2\n"
        "from zoneserver.cli.main import main; main()"
    )
    command = [sys.executable, "-c", program, "check", "endless:Game"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50)
    assert done.returncode == 1
    assert re.search(r"wrong    Game.on_tick \(endless.py:\d+\) has run for \d+ s without an end\n$", done.stdout)


@pytest.mark.parametrize("error", ["sys.exit(5)", "raise asyncio.CancelledError"])
@pytest.mark.parametrize("place", ["def on_tick(self):", "def on_start(self):", "def __init__(self):"])
def test_check_tells_of_a_rule_that_meets_a_base_exception(
    error: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = f"import asyncio, sys\n{place}\n    import asyncio, sys\n    {error}"
    code, *lines = check(body, tmp_path, monkeypatch, capsys)
    assert code == "1"
    assert any("raised SystemExit: 5" in line or "raised CancelledError" in line for line in lines)


def test_check_tells_of_a_value_that_cannot_be_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = "def to_save(self, player):\n    return {'friends': [player]}"
    code, *lines = check(body, tmp_path, monkeypatch, capsys)
    assert code == "1"
    assert any("to_save()['friends'][0] is of type Player: JSON cannot hold it" in line for line in lines)
