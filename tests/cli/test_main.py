"""The command `zoneserver`: help, and errors before a server starts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.paths import ROOT
from helpers.run_command import PATIENCE_SECONDS

from zoneserver.cli import main as cli
from zoneserver.support.event_loop import loop_factory


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """(exit code, the one line of the error) of a command that must not start."""
    try:
        code = cli.main(["run", *arguments])
    except SystemExit as error:
        assert isinstance(error.code, int)
        code = error.code
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if not line.startswith(("usage:", " "))]
    assert len(lines) == 1, err
    assert lines[0].startswith(("zoneserver: ", "zoneserver run: "))
    return code, lines[0]


def test_help_of_run_has_examples_exit_codes_and_flags(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["run", "--help"]):
        with pytest.raises(SystemExit) as caught:
            cli.main(arguments)
        assert caught.value.code == 0
        out = capsys.readouterr().out
        assert "examples:\n  zoneserver run " in out
        assert "exit codes: 0 " in out
    for flag in ("--port", "--stats-port", "--hz", "--max-players", "--duration", "--seed", "--ready-file", "--loop"):
        assert flag in out


@pytest.mark.parametrize("flag", ["--port", "--stats-port"])
def test_the_error_of_a_port_in_use_names_its_holder(flag: str) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        other = "--stats-port" if flag == "--port" else "--port"
        done = subprocess.run(
            [sys.executable, "-m", "zoneserver", "run", flag, str(port), other, "0"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    assert (done.returncode, done.stdout) == (3, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"zoneserver: port {port} is in use by ")
    assert f"any free one with {flag} 0" in done.stderr
    if sys.platform == "linux":
        assert f"(pid {os.getpid()})" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--hz", "0"], "hz must be from 1 to 100, not 0"),
        (["--hz", "101"], "hz must be from 1 to 100"),
        (["--hz", "fast"], "--hz: 'fast' is not a whole number"),
        (["--port", "70000"], "port must be from 0 to 65535"),
        (["--stats-port", "-1"], "stats_port must be from 0 to 65535"),
        (["--max-players", "0"], "max_players must be from 1 to"),
        (["--max-players", "few"], "'few'"),
        (["--duration", "soon"], "'soon'"),
        (["--duration", "-5s"], "'-5s' is not a duration: write 30s, 2m or 1h30m"),
        (["--log-level", "loud"], "'loud'"),
        (["--loop", "twisted"], "'twisted'"),
        (["--nonsense"], "run"),
        (["no_such_module:Game"], "no module 'no_such_module'"),
        (["no_such_module"], "not of the form module:Class"),
        (["hz"], "not of the form module:Class, as in mygame:Tag; did you mean --hz?"),
        (["zoneserver.games.plaza:"], "not of the form module:Class"),
        ([":Plaza"], "not of the form module:Class"),
        (["zoneserver.games.plaza:Piazza"], "no Rules class named 'Piazza'; it has Plaza"),
        (["zoneserver.games.plaza:EMOTES"], "no Rules class named 'EMOTES'"),
        (["zoneserver.zone.zone:Zone"], "no Rules class named 'Zone'"),
        (["./mygame.py:Tag"], "mygame"),
        ([".plaza:Plaza"], "plaza"),
        (["--open", "--host", "no-such-host.invalid"], "cannot listen on no-such-host.invalid"),
        (["--host", "999.1.1.1"], "--host: '999.1.1.1' is not an address: write 127.0.0.1, ::1, 0.0.0.0 or a name"),
        (["--host", ""], "--host: '' is not an address"),
        (["--host", "a..b"], "--host: 'a..b' is not an address"),
        (["--open", "--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
        (["--host", "0.0.0.0"], "without a secret anyone who can reach 0.0.0.0 may join"),
        (["--secret-file", "/no/such/file"], "cannot read the secret in /no/such/file"),
        (["--secret-file", "/dev/null"], "the secret file /dev/null is empty"),
        (["--tls-cert", "/no/such/file"], "cannot read the certificate /no/such/file: No such file"),
        (["--tls-key", "/no/such/file"], "a TLS key needs its certificate"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments_are_one_line_on_stderr(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ports = [] if {"--port", "--stats-port"} & set(arguments) else ["--port", "0", "--stats-port", "0"]
    if "--nonsense" in arguments:
        with pytest.raises(SystemExit) as caught:
            cli.main(["run", *arguments])
        assert caught.value.code == 2
        assert "there is no flag --nonsense" in capsys.readouterr().err
        return
    code, line = fails(capsys, *arguments, *ports)
    assert code == 2 or not ("error:" in line or "not of the form" in line)
    assert code in (2, 3)
    assert words in line


GAME = """\
from __future__ import annotations
from zoneserver.zone.rules import *

class Game(Rules):
    @action
    def jump(self, player: Player, how{}) -> None: ...
"""


FAILING = """\
from zoneserver import Rules

class Game(Rules):
    def {}(self):
        raise LookupError("there is no map")
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import no_such_package", "needs the module no_such_package, which is not installed"),
        (GAME.format(": list"), "Game.jump(how) is annotated <class 'list'>: it can be int"),
        (GAME.format(""), "jump(how)"),
        (GAME.format(": Highly"), "Highly"),
        (GAME.format(": :"), "SyntaxError: invalid syntax (NAME.py:6)"),
        (FAILING.format("__init__"), "Game() raised LookupError: there is no map (NAME.py:5)"),
        (FAILING.format("on_start"), "on_start raised LookupError: there is no map (NAME.py:5)"),
        ("from json import nothing", "ImportError: cannot import name 'nothing'"),
    ],
    ids=["a package", "a list", "no annotation", "no such name", "no syntax", "__init__", "on_start", "an import"],
)
def test_a_game_that_cannot_run_is_one_line_on_stderr(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"game_{abs(hash(text))}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    code, line = fails(capsys, f"{name}:Game", "--port", "0", "--stats-port", "0")
    assert code == 3
    assert words.replace("NAME", name) in line


def test_log_level_debug_adds_the_traceback_of_a_game_that_cannot_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failing_game.py").write_text(FAILING.format("on_start"))
    monkeypatch.chdir(tmp_path)
    arguments = ("failing_game:Game", "--port", "0", "--stats-port", "0", "--log-level", "debug")
    assert cli.main(["run", *arguments]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert "LookupError: there is no map" in lines
    assert lines[-1] == "zoneserver: on_start raised LookupError: there is no map (failing_game.py:5)"


def test_a_missing_uvloop_is_an_error_with_the_pip_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    code, line = fails(capsys, "--loop", "uvloop")
    assert code == 3
    assert "pip install 'zoneserver[speed]'" in line
    assert loop_factory("auto")[0] == "asyncio"
