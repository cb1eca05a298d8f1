"""The command `zone-dash`: its arguments, output and exit codes."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.admin_ports import open_admin_port
from helpers.dashboards import (
    PATIENCE,
    ROOT,
    Server,
    dashboard,
    free_port,
    session_list,
    stats,
)
from zonetools.dashboard.__main__ import main
from zonetools.dashboard.screen import lines

from zoneserver.admin.stats import Stats


def test_once_without_a_server_is_exit_code_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--once", "--stats-port", str(free_port())]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "connection refused" in captured.err
    assert "zoneserver run" in captured.err


@pytest.mark.parametrize(
    "arguments", [["--interval", "1y"], ["--interval", "0s"], ["--count", "0"], ["--stats-port", "x"]]
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err


@pytest.mark.parametrize("port", ["localhost", "localhost:", "localhost:x", "a b:7778", ":7778"])
def test_address_that_is_no_admin_port_is_wrong_usage(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["127.0.0.1:7778", port])
    assert ended.value.code == 2
    assert "HOST:PORT" in capsys.readouterr().err


def test_several_ports_are_read_from_every_layer(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ZONE_PORTS", "a:1,[::1]:2")
    with pytest.raises(SystemExit):
        main(["--show-config"])
    shown = capsys.readouterr().out
    assert 'ports = ["a:1", "[::1]:2"]' in shown
    (tmp_path / "zone.toml").write_text(shown)
    monkeypatch.delenv("ZONE_PORTS")
    with pytest.raises(SystemExit):
        main(["--config", str(tmp_path / "zone.toml"), "--show-config"])
    assert 'ports = ["a:1", "[::1]:2"]' in capsys.readouterr().out


def test_several_ports_are_one_summary_and_one_line_with_a_record_for_each(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with (
        open_admin_port(stats(gateway="gw1", players=30), session_list()) as first,
        open_admin_port(stats(gateway="gw2", players=12), session_list()) as second,
    ):
        away = f"127.0.0.1:{free_port()}"

        def advance() -> None:
            for port in (first, second):
                if port.stats is not None:
                    port.stats = dataclasses.replace(port.stats, uptime_s=port.stats.uptime_s + 1)

        first.on_ask = advance
        ports = [first.address, second.address, away]
        assert main([*ports, "--once", "--interval", "100ms"]) == 0
        printed = capsys.readouterr()
        assert "42 of 10.0k" in printed.out
        assert re.search(r"\n3 +127\S+ +away ", printed.out)
        assert main([*ports, "--json", "--count", "1", "--interval", "100ms"]) == 0
        printed = capsys.readouterr()
        assert f"zone-dash: {away} does not answer: connection refused; trying again" in printed.err
    document = json.loads(printed.out)
    assert (document["players"], Stats.from_json(document).gateway) == (42, "gw1")
    assert [(port["name"], port["state"], port["players"]) for port in document["ports"]] == [
        ("gw1", "fine", 30),
        ("gw2", "fine", 12),
        (away, "away", None),
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--size", "80x24"], "--size is the size of the picture"),
        (["--svg", "-"], "a picture needs a file"),
        (["--svg", "/nowhere/screen.svg"], "cannot write /nowhere/screen.svg: No such file or directory"),
        (["--svg", os.devnull, "--size", "80"], "'80' is not a size"),
        (["--svg", os.devnull, "--size", "59x24"], "59x24 is not between 60x15"),
        (["--svg", os.devnull, "--size", "80x9999"], "80x9999 is not between"),
    ],
)
def test_impossible_picture_is_wrong_usage(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = ended.code  # type: ignore[assignment]
    assert code == 2
    assert complaint in capsys.readouterr().err


def test_once_recognizes_the_port_for_players(tmp_path: Path) -> None:
    running = Server(tmp_path)
    result = subprocess.run(
        [sys.executable, "-m", "zonetools.dashboard", "--stats-port", str(running.port), "--once"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    running.stop()
    address = f"127.0.0.1:{running.port}"
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr.startswith(f"zone-dash: no statistics at {address}: this is not the admin port of a zone")


def run(server: Server, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        dashboard(server, *arguments),
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_once_prints_a_summary(server: Server) -> None:
    result = run(server, "--once")
    assert (result.returncode, result.stderr) == (0, "")
    assert "players and tick" in result.stdout
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize(
    ("environment", "has_color"),
    [({}, False), ({"FORCE_COLOR": "1", "TERM": "xterm"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
    ids=["a pipe", "FORCE_COLOR", "NO_COLOR too"],
)
def test_summary_in_a_pipe_has_colours_only_on_request(
    server: Server, environment: dict[str, str], has_color: bool
) -> None:
    result = run(server, "--once", **environment)
    assert bool(re.search(r"\x1b\[[0-9;]*3[0-7]", result.stdout)) is has_color


def test_json_prints_one_object_per_line(server: Server) -> None:
    result = run(server, "--json", "--count", "2", FORCE_COLOR="1")
    assert (result.returncode, result.stderr) == (0, "")
    documents = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(documents) == 2
    for document in documents:
        assert Stats.from_json(document).pid == server.process.pid
        assert document["rates"]["seconds"] > 0


def test_pipe_gets_lines_below_a_header(server: Server) -> None:
    result = run(server, "--count", "2", FORCE_COLOR="1")
    assert (result.returncode, result.stderr) == (0, "")
    rows = result.stdout.splitlines()
    assert len(rows) == 3
    assert rows[0] == lines.header()
    assert "\x1b" not in result.stdout


def test_closed_pipe_is_no_failure(server: Server) -> None:
    process = subprocess.Popen(dashboard(server), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_lines_with_exit_code_0(server: Server, number: signal.Signals) -> None:
    process = subprocess.Popen(dashboard(server), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (0, b"")
