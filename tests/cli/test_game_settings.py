"""The settings of a game on the command line, in the environment and in a file."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import ClassVar

import pytest
from helpers.paths import ROOT

from zoneserver.server import ZoneServer
from zoneserver.testing import StartServer
from zoneserver.zone.rules import Rules

_GAME = """\
import os
from zoneserver import Rules


class Game(Rules):
    settings = {"coins": 30, "motto": "run", "night": False}

    def on_start(self):
        print(dict(self.setting), flush=True)
        os._exit(42)


class Bad(Rules):
    settings = {"coins": None}
"""


def run(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    (folder / "settingsgame.py").write_text(_GAME)
    done = subprocess.run(
        [sys.executable, "-m", "zoneserver", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


RUN = ("run", "settingsgame:Game", "--port", "0", "--stats-port", "0")


def test_flag_wins_over_environment_over_file_over_default(tmp_path: Path) -> None:
    (tmp_path / "zone.toml").write_text('[game]\ncoins = 1\nmotto = "file"\nnight = true\n')
    more = ("--config", "zone.toml", "--set", "coins=50")
    code, out, err = run(tmp_path, *RUN, *more, ZONE_GAME_COINS="x", ZONE_GAME_MOTTO="a b")
    assert (code, out, err) == (42, "{'coins': 50, 'motto': 'a b', 'night': True}\n", "")


@pytest.mark.parametrize(
    ("flags", "environment", "complaint"),
    [
        (["--set", "coin=5"], {}, "--set coin: the game has no setting 'coin'; did you mean 'coins'?"),
        (["--set", "coins=many"], {}, "--set coins: coins is 'many': it must be a whole number, as its default 30"),
        (["--set", "coins"], {}, "'coins' is not of the form NAME=VALUE"),
        ([], {"ZONE_GAME_NIGHT": "2"}, "ZONE_GAME_NIGHT: night is '2': it must be true or false"),
        ([], {"ZONE_GAME_WOLVES": "2"}, "ZONE_GAME_WOLVES: the game has no setting 'wolves'"),
    ],
)
def test_wrong_setting_is_one_line_and_wrong_usage(
    tmp_path: Path, flags: list[str], environment: dict[str, str], complaint: str
) -> None:
    code, out, err = run(tmp_path, *RUN, *flags, **environment)
    assert (code, out) == (2, "")
    assert complaint in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[game]\ncoins = [1]\n", "zone.toml: [game] coins: [1] is not a text, a number, true or false"),
        ("[game]\ncoins = 3.5\n", "zone.toml: [game] coins: coins is '3.5': it must be a whole number"),
        ("game = 3\n", "zone.toml: game is a table, with the settings of the game: write [game] above them"),
    ],
)
def test_wrong_file_is_one_line_and_wrong_usage(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "zone.toml").write_text(text)
    code, out, err = run(tmp_path, *RUN, "--config", "zone.toml")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert complaint in err


def test_bad_declaration_cannot_start(tmp_path: Path) -> None:
    code, _, err = run(tmp_path, "run", "settingsgame:Bad", "--port", "0", "--stats-port", "0")
    assert code == 3
    assert "the game cannot run: settings has 'coins': None" in err


def test_show_config_prints_a_file_that_gives_the_same_settings(tmp_path: Path) -> None:
    code, out, _ = run(tmp_path, *RUN, "--set", "coins=50", "--show-config", ZONE_GAME_MOTTO='a "b"')
    assert code == 0
    assert tomllib.loads(out)["game"] == {"coins": "50", "motto": 'a "b"'}
    (tmp_path / "zone.toml").write_text(out)
    assert run(tmp_path, "run", "--config", "zone.toml")[1] == "{'coins': 50, 'motto': 'a \"b\"', 'night': False}\n"


def test_check_takes_and_prints_the_settings(tmp_path: Path) -> None:
    target = "zoneserver.games.tag:Tag"
    assert "the game has no setting 'coins'; it has none" in run(tmp_path, "check", target, "--set", "coins=1")[2]
    (tmp_path / "quiet.py").write_text(
        'from zoneserver import Rules\n\n\nclass Quiet(Rules):\n    settings = {"coins": 30}\n'
    )
    code, out, _ = run(tmp_path, "check", "quiet:Quiet", "--set", "coins=50")
    assert code == 0
    assert "settings coins = 50\n" in out


class Coins(Rules):
    settings: ClassVar = {"coins": 30}


def test_fixtures_take_the_settings_of_a_game(zone_server: StartServer) -> None:
    server = zone_server(Coins, game={"coins": 50})
    assert server.zone.rules.setting == {"coins": 50}


async def test_server_refuses_a_wrong_setting_before_it_starts() -> None:
    server = ZoneServer(Coins, port=0, stats_port=None, game={"coin": 50})
    with pytest.raises(ValueError, match="the game has no setting 'coin'"):
        await server.start()
