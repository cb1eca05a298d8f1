"""`zoneserver gateway`: what it refuses, what it waits for, and what signals do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from helpers.pki import Pki
from helpers.processes import until

from zoneserver.cli.main import main
from zoneserver.control.client import ask
from zoneserver.control.messages import Outcome
from zoneserver.control.socket_file import default_path
from zoneserver.games.chat import Chat
from zoneserver.server import ZoneServer

SECRET = b"a secret of sixteen bytes or more"


@contextlib.contextmanager
def running(link: str, **settings: Any) -> Iterator[None]:
    """A zone in a thread of its own."""
    loop, is_up, over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def run() -> None:
        async with ZoneServer(Chat, link=link, stats_port=None, drain_seconds=0.1, **settings):
            is_up.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        assert is_up.wait(20)
        yield
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


@pytest.mark.parametrize("flag", ["--port", "--stats-port"])
def test_a_port_that_is_taken_is_told_before_the_zone_answers(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        flags = {"--port": "0", "--stats-port": "0", flag: str(port)}
        command = [
            "gateway",
            "--link",
            f"unix:{tmp_path}/zone.sock",
            *(word for pair in flags.items() for word in pair),
        ]
        assert main(command) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"zoneserver: port {port} is in use")
    cause = (
        "only gateways of one user share a port" if flag == "--port" else "each gateway of a machine has an admin port"
    )
    assert cause in line
    assert line.endswith(f"any free one with {flag} 0")


def test_a_gateway_that_waits_for_its_zone_says_so_once_and_can_be_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The standard input of tests is empty.
    command = ["gateway", "--link", f"unix:{tmp_path}/zone.sock", "--port", "0", "--stop-on-stdin-eof", "--name", "gw1"]
    assert main(command) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert f"gw1 no link to the zone at unix:{tmp_path}/zone.sock: No such file or directory; trying again" in line


def test_supervisor_is_told_that_a_gateway_waits_for_its_zone_and_that_it_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, heard = f"unix:{tmp_path}/zone.sock", []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

        def supervise() -> None:
            heard.append(supervisor.recv(1000).decode())
            with running(link):
                heard.append(supervisor.recv(1000).decode())
                os.kill(os.getpid(), signal.SIGINT)
                heard.append(supervisor.recv(1000).decode())

        with ThreadPoolExecutor(1) as thread:
            supervision = thread.submit(supervise)
            assert main(["gateway", "--link", link, "--port", "0"]) == 0
            supervision.result()
    assert heard == [
        f"READY=1\nSTATUS=waiting for the zone at {link}",
        f"READY=1\nSTATUS=players can connect; the zone is at {link}",
        "STOPPING=1",
    ]


@pytest.mark.parametrize("secret", [b"", SECRET])
def test_other_machines_may_join_only_where_the_zone_needs_tickets(
    secret: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = f"unix:{tmp_path}/zone.sock"
    with running(link, secret=secret):
        command = ["gateway", "--link", link, "--host", "0.0.0.0", "--port", "0", "--duration", "1ms", "--json", "-q"]
        assert main(command) == (0 if secret else 2)
    out, err = capsys.readouterr()
    if secret:
        assert json.loads(out)["page"] == ""
    else:
        assert "so anyone who can reach 0.0.0.0 may join" in err


@pytest.mark.parametrize("flag", ["--hz", "--resume", "--secret-file", "--max-players"])
def test_setting_of_the_zone_is_named_as_such(flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["gateway", "--link", "unix:zone.sock", flag, "10"])
    told = f"{flag} is a setting of the zone: give it to zoneserver run\n"
    assert capsys.readouterr().err == f"zoneserver gateway: there is no flag {flag}; {told}"
    file = tmp_path / "zone.toml"
    file.write_text(f"[gateway]\n{flag[2:]} = 10\n")
    with pytest.raises(SystemExit):
        main(["gateway", "--link", "unix:zone.sock", "--config", str(file)])
    assert capsys.readouterr().err.endswith(told)


def test_check_reads_the_certificate_and_asks_no_zone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    certificate, _ = Pki(tmp_path).issue()
    command = ["gateway", "--link", f"unix:{tmp_path}/zone.sock", "--check", "--tls-cert", certificate]
    assert main(command) == 3, "the key is not in the same file"
    assert main([*command, "--tls-key", str(tmp_path / "key.pem")]) == 0
    assert capsys.readouterr().out == "fine: the settings can be used\n"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_gateway_rereads_its_certificate_on_sighup_and_stops_on_a_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: list[Outcome] = []
    pki, ready, link = Pki(tmp_path), tmp_path / "ready.json", f"unix:{tmp_path}/zone.sock"
    certificate, key = pki.issue()

    def operate() -> None:
        until(ready.exists)
        told = json.loads(ready.read_text())
        port = told["port"]
        first = certificate_at(port)
        pki.issue()
        os.kill(os.getpid(), signal.SIGHUP)
        until(lambda: certificate_at(port) != first)
        answers.append(ask(default_path(told["stats_port"]), ["stop"]))

    with running(link), ThreadPoolExecutor(1) as operator:
        operation = operator.submit(operate)
        command = ["gateway", "--link", link, "--port", "0", "--ready-file", str(ready)]
        assert main([*command, "--tls-cert", certificate, "--tls-key", key]) == 0
        operation.result()
    assert answers == [(0, "the gateway stops; its players come back at another one")]
    assert not ready.exists()
    assert f"read the certificate {certificate} again; new connections get it" in capsys.readouterr().err


def certificate_at(port: int) -> bytes:
    """The certificate that a new connection gets, as DER."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 20) as plain, context.wrap_socket(plain) as sock:
        return sock.getpeercert(binary_form=True) or b""
