"""The admin port with a token: the server, its banner, its settings, and the tools that read it."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.processes import Family, until

from zoneserver.cli.main import main
from zoneserver.cli.token import read_token
from zoneserver.config import Config
from zoneserver.support.errors import CannotStartError

TOKEN = "sixteen-or-more-characters"


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    return file


def test_token_is_read_from_the_file_and_else_from_the_variable(
    token_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_token(None) == ""
    monkeypatch.setenv("ZONE_STATS_TOKEN", "from-the-environment")
    assert read_token(None) == "from-the-environment"
    assert read_token(token_file) == TOKEN
    with pytest.raises(CannotStartError, match="cannot read the token in"):
        read_token(tmp_path / "missing")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(CannotStartError, match="is empty"):
        read_token(tmp_path / "empty")


def test_public_admin_port_needs_a_token() -> None:
    with pytest.raises(ValueError, match="--stats-token-file"):
        Config(stats_host="0.0.0.0")
    Config(stats_host="0.0.0.0", stats_token=TOKEN)
    Config(stats_host="0.0.0.0", stats_port=None)


@pytest.mark.parametrize("token", ["short", "with a space in it", "l\u00f6nger-than-sixteen"])
def test_token_that_could_be_guessed_or_fits_in_no_header_is_rejected(token: str) -> None:
    with pytest.raises(ValueError, match="must have 16 to 1024 characters"):
        Config(stats_token=token)


def test_token_is_not_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ZONE_STATS_TOKEN", TOKEN)
    with pytest.raises(SystemExit):
        main(["run", "--show-config"])
    assert TOKEN not in capsys.readouterr().out
    assert TOKEN not in repr(Config(stats_token=TOKEN))


def test_run_says_which_admin_address_cannot_be_bound(token_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--stats-host", "192.0.2.1", "--stats-token-file", str(token_file), "--port", "0"]
    assert main(["run", *arguments]) == 3
    assert "cannot listen on 192.0.2.1:7778 for statistics: " in capsys.readouterr().err


def test_dashboard_reads_a_public_admin_port_with_the_token(family: Family, token_file: Path, tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    address = ("--port", "0", "--stats-port", "0", "--stats-host", "0.0.0.0", "--stats-token-file", str(token_file))
    server = family.start("zoneserver", "run", *address, "--ready-file", str(ready))
    until(ready.exists)
    port = ready.read_text().partition('"stats_port": ')[2].partition(",")[0]
    ask = ("zonetools.dashboard", "--once", "--interval", "100ms", "--stats-port", port)
    code, _, err = family.run(*ask)
    assert (code, "the admin port wants its token (--stats-token-file)" in err) == (3, True)
    code, out, err = family.run(*ask, "--stats-token-file", str(token_file))
    assert (code, err) == (0, "")
    assert "plaza" in out
    server.terminate()
    out, err = server.communicate(timeout=30)
    assert f"statistics http://0.0.0.0:{port}/stats, /metrics, /sessions, /map, /game.json, /healthz by token" in err
    assert TOKEN not in out + err
