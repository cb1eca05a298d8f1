"""`zoneserver run` as a service of systemd: it takes a socket that listens already, and tells how far it is."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.paths import ROOT
from helpers.run_command import PATIENCE_SECONDS, Player

from zoneserver.control.client import ask
from zoneserver.protocol.messages import RESUME, Bye, Welcome

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd runs on Linux")

# This program puts the socket where systemd does, and becomes the server, so that LISTEN_PID is the server's process.
SCRIPT = """\
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


class Supervisor:
    """Starts a server with a socket of its own, and hears what the server tells it."""

    def __init__(self, folder: Path) -> None:
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(folder / "notify"))
        self._notify.settimeout(PATIENCE_SECONDS)
        self._environment = os.environ | {"PYTHONPATH": str(ROOT), "NOTIFY_SOCKET": str(folder / "notify")}
        self.process: subprocess.Popen[str]

    def start(self, sock: socket.socket, *arguments: str) -> None:
        command = ["-m", "zoneserver", "run", "--stats-port", "0", *arguments]
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(sock.fileno()), *command],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[sock.fileno()],
        )

    def heard(self) -> list[str]:
        return self._notify.recv(1000).decode().split("\n")

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self._notify.close()


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path)
    yield supervisor
    supervisor.close()


def test_restart_keeps_the_socket_of_the_supervisor_and_tells_of_it(supervisor: Supervisor, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        control = tmp_path / "ctl"
        supervisor.start(sock, "--journal", str(tmp_path / "journal"), "--ctl", str(control))
        assert supervisor.heard() == ["READY=1"]
        assert ask(control, ["restart"]) == (0, "fine: restarting; nobody is in")
        assert supervisor.heard()[0] == "RELOADING=1"
        assert supervisor.heard() == ["READY=1"]
        player = Player(sock.getsockname()[1])
        player.hello("ann", RESUME)
        welcome = player.read_until(Welcome)
        assert welcome.resume is not None
        assert welcome.resume.epoch == 2
        player.close()
        supervisor.process.send_signal(signal.SIGTERM)
        assert supervisor.heard() == ["STOPPING=1"]
        assert supervisor.process.communicate(timeout=PATIENCE_SECONDS)
        assert supervisor.process.returncode == 0


def test_players_who_connect_before_the_server_runs_are_let_in(supervisor: Supervisor, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        player = Player(port)
        player.hello("ann")
        supervisor.start(sock, "--ready-file", str(tmp_path / "ready"))
        assert supervisor.heard() == ["READY=1"]
        assert json.loads((tmp_path / "ready").read_text())["port"] == port
        assert player.read_until(Welcome).zone.name == "plaza"
        supervisor.process.send_signal(signal.SIGHUP)
        reloading, moment = supervisor.heard()
        assert (reloading, moment.partition("=")[0]) == ("RELOADING=1", "MONOTONIC_USEC")
        assert supervisor.heard() == ["READY=1"]
        supervisor.process.send_signal(signal.SIGTERM)
        assert supervisor.heard() == ["STOPPING=1"]
        assert player.read_until(Bye).code == "SERVER_STOPPING"
        player.close()
        _, err = supervisor.process.communicate(timeout=PATIENCE_SECONDS)
        assert supervisor.process.returncode == 0
        assert f"players    127.0.0.1:{port}\n" in err
        # The socket is the supervisor's: it still listens.
        Player(port).close()


def test_open_socket_needs_a_secret_or_open(supervisor: Supervisor) -> None:
    with socket.create_server(("0.0.0.0", 0)) as sock:
        supervisor.start(sock)
        out, err = supervisor.process.communicate(timeout=PATIENCE_SECONDS)
    text = "zoneserver: without a secret anyone who can reach 0.0.0.0 may join under any name: set a secret"
    assert (supervisor.process.returncode, out, err.startswith(text)) == (2, "", True)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_descriptor_that_is_no_listening_tcp_socket_is_told(family: int, supervisor: Supervisor) -> None:
    with socket.socket(family) as sock:
        if family == socket.AF_UNIX:
            sock.bind("")  # Linux takes a name of the abstract namespace.
            sock.listen()
        supervisor.start(sock)
        out, err = supervisor.process.communicate(timeout=PATIENCE_SECONDS)
    text = (
        "zoneserver: descriptor 3 of socket activation is no listening TCP socket: the socket unit needs ListenStream="
    )
    assert (supervisor.process.returncode, out, err.startswith(text)) == (3, "", True)
