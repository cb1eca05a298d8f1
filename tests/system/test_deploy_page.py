"""docs/deploy.md: its units are units of systemd, its image can run, and its limits let a school in."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import socket
import subprocess
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from helpers.markdown import Page
from helpers.paths import ROOT
from helpers.servers import OpenServer
from helpers.waiting import until
from zoneclient.protocol import ClientProtocol

from zoneserver.cli.main import main
from zoneserver.config import Config, Limits
from zoneserver.games.plaza import Plaza
from zoneserver.protocol.messages import Refusal

PAGE = Page("docs/deploy.md")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_units_are_accepted_by_systemd(tmp_path: Path) -> None:
    service, sock = re.findall(r"```ini\n(.*?)```", PAGE.section("A systemd unit"), re.DOTALL)
    # The program of the example is not on this machine.
    service = re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", service)
    for kind, text in (("service", service), ("socket", sock)):
        (tmp_path / f"zone.{kind}").write_text(text)
    files = [str(tmp_path / "zone.service"), str(tmp_path / "zone.socket")]
    done = subprocess.run(
        ["systemd-analyze", "verify", *files], capture_output=True, text=True, timeout=30, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if "zone." in line]
    assert (complaints, done.returncode) == ([], 0)


def test_unit_lets_the_players_stay_in_over_a_restart() -> None:
    (service, _) = re.findall(r"```ini\n(.*?)```", PAGE.section("A systemd unit"), re.DOTALL)
    settings = dict(line.split("=", 1) for line in service.splitlines() if "=" in line)
    # A server that died is started again; one that was told to stop is not.
    assert (settings["Restart"], settings["KillSignal"]) == ("on-failure", "SIGUSR2")
    assert settings["StateDirectoryMode"] == "0700"
    assert settings["WorkingDirectory"] == f"%S/{settings['StateDirectory']}"
    assert " --config /etc/" in settings["ExecStart"]
    assert f"Environment=ZONE_JOURNAL=%S/{settings['StateDirectory']}/" in service


def instructions() -> list[tuple[str, str]]:
    """(name, the rest) of each instruction of docs/Dockerfile."""
    text = re.sub(r"^#.*\n", "", (ROOT / "docs/Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", "")
    found = [line.split(" ", 1) for line in text.splitlines() if line]
    return [(name, rest) for name, rest in found]


def test_instructions_of_the_dockerfile_are_those_of_docker_and_their_commands_can_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = dict(instructions())
    names = [name for name, _ in instructions()]
    assert names[0] == "FROM"
    assert {*names} == {
        *("FROM", "COPY", "RUN", "USER", "VOLUME", "WORKDIR", "ENV", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"),
        *("ENTRYPOINT", "CMD"),
    }
    for name, rest in instructions():
        if name == "RUN":
            assert subprocess.run(["sh", "-n", "-c", rest], check=False).returncode == 0, rest
    (extras,) = re.findall(r"/usr/src/zoneserver\[(.*)\]", "\n".join(rest for _, rest in instructions()))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {*extras.split(",")} <= project["optional-dependencies"].keys()
    assert json.loads(found["ENTRYPOINT"])[0] in project["scripts"]
    assert signal.Signals[found["STOPSIGNAL"]] is signal.SIGUSR2
    _, python, option, code = ["HEALTHCHECK", *json.loads(found["HEALTHCHECK"].removeprefix("CMD "))]
    assert (python, option) == ("python", "-c")
    compile(code, "Dockerfile", "exec")
    assert f"127.0.0.1:{Config().stats_port}/healthz" in code
    assert int(found["EXPOSE"]) == Config().port
    for variable in found["ENV"].split():
        monkeypatch.setenv(*variable.split("=", 1))
    with pytest.raises(SystemExit) as end:
        main([*json.loads(found["CMD"]), "--show-config"])
    assert end.value.code == 0
    shown = tomllib.loads(capsys.readouterr().out)["run"]
    assert shown["journal"].startswith(f"{found['VOLUME']}/")
    assert shown["log-format"] == "json"


PLAYERS, SCHOOL = 200, "127.0.0.2"
# What takes eight seconds at five actions a second. The game refuses most of the strikes.
LESSON = ["move"] * 30 + ["strike"] * 10


class Pupil(ClientProtocol):
    """A player who counts what was refused."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.refused: Counter[str] = Counter()

    def on_refused(self, refusal: Refusal) -> None:
        self.refused[refusal.code] += 1


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="only Linux has all of 127.0.0.0/8")
async def test_limits_for_200_players_let_in_200_players_of_one_address(open_server: OpenServer) -> None:
    (toml,) = re.findall(r"```toml\n(\[run.limits\].*?)```", PAGE.section("Limits by address"), re.DOTALL)
    limits = Limits(**tomllib.loads(toml)["run"]["limits"])
    server = await open_server(Plaza, limits=limits)
    loop = asyncio.get_running_loop()

    async def join(number: int) -> Pupil:
        _, pupil = await loop.create_connection(
            lambda: Pupil(f"pupil-{number}"), "127.0.0.1", server.port, local_addr=(SCHOOL, 0)
        )
        return pupil

    pupils = await asyncio.gather(*map(join, range(PLAYERS)))
    await until(lambda: all(pupil.welcome or pupil.bye for pupil in pupils))
    assert [pupil.bye for pupil in pupils if pupil.bye] == []
    for number, pupil in enumerate(pupils):
        for kind in LESSON:
            pupil.act(kind, *([number % 9, 0] if kind == "move" else [(number + 1) % PLAYERS]))

    def refused() -> Counter[str]:
        return sum((pupil.refused for pupil in pupils), Counter[str]())

    await until(lambda: sum(refused().values()) > PLAYERS * 8 or any(pupil.bye for pupil in pupils))
    assert refused().keys() <= {"OUT_OF_RANGE", "COOLDOWN", "DEAD", "SELF"}
    assert (server.stats().players, server.stats().closes) == (PLAYERS, {})
    for pupil in pupils:
        pupil.abort()
