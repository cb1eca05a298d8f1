"""What is told to systemd."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from zoneserver.support.errors import CannotStartError
from zoneserver.support.systemd import notify, take_sockets


@pytest.mark.parametrize("prefix", ["", "@"])
def test_notify_sends_one_datagram(prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"{prefix}{tmp_path / 'notify'}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(address.replace("@", "\0"))
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        notify("READY=1", "STATUS=fine")
        assert supervisor.recv(100) == b"READY=1\nSTATUS=fine"


@pytest.mark.parametrize("address", [None, "", "relative", "/no/such/socket", "/" + 200 * "x", "vsock:2:1"])
def test_notify_without_a_supervisor_does_nothing(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")


@pytest.mark.parametrize(("pid", "count"), [("", ""), ("1", "1"), ("own", ""), ("own", "-1")])
def test_sockets_of_another_process_are_not_taken(pid: str, count: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()) if pid == "own" else pid)
    monkeypatch.setenv("LISTEN_FDS", count)
    assert take_sockets() == []
    assert not os.environ.keys() & {"LISTEN_PID", "LISTEN_FDS"}


def test_descriptor_that_does_not_listen_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as sock:
        monkeypatch.setattr("zoneserver.support.systemd._FIRST_DESCRIPTOR", sock.fileno())
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        monkeypatch.setenv("LISTEN_FDS", "1")
        with pytest.raises(CannotStartError, match=f"descriptor {sock.fileno()} of socket activation is no listening"):
            take_sockets()


HANDING_OVER = """\
import os, socket, sys
from zoneserver.support.systemd import hand_over
lowest = os.dup(0)
socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
os.close(lowest)
named = [("b", socks[1]), ("a", socks[3]), ("", socks[0])]
print(*[(name, sock.getsockname()[1]) for name, sock in named], flush=True)
hand_over(named)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""
TAKING = """\
from zoneserver.support.systemd import take_sockets
print(*[(name, sock.getsockname()[1]) for name, sock in take_sockets()])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="socket activation is of Linux")
def test_sockets_that_are_handed_over_reach_the_next_program_with_their_names() -> None:
    command = [sys.executable, "-c", HANDING_OVER, TAKING]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    handed, taken = done.stdout.splitlines()
    assert handed == taken
