"""SIGHUP at a running `zoneserver run`: the certificate and the secret are read again, and nobody is disconnected."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.paths import ROOT
from helpers.pki import Pki
from helpers.run_command import PATIENCE_SECONDS, Player, Server

from zoneserver.cli.secret import new_ticket
from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import PROTOCOL_VERSION, Bye, Hello, Tick, Welcome

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")

Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    servers: list[Server] = []

    def start(*arguments: str) -> Server:
        servers.append(Server(tmp_path, *arguments, cwd=tmp_path))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def hang_up(server: Server) -> str:
    """Sends SIGHUP, and returns what the server logs of it."""
    server.process.send_signal(signal.SIGHUP)
    return read_until(server, "SIGHUP: ")


def read_until(server: Server, words: str) -> str:
    assert server.process.stderr is not None
    while words not in (line := server.process.stderr.readline()):
        assert line, "the server ended"
    return line


def certificate_of(server: Server) -> bytes:
    """The certificate that a new connection gets, as DER."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", server.ready()["port"]), PATIENCE_SECONDS) as plain,
        context.wrap_socket(plain) as sock,
    ):
        found = sock.getpeercert(binary_form=True)
    assert found
    return found


def joins(server: Server, ticket: bytes) -> Player | Bye:
    player = Player(server.ready()["port"])
    player.sock.sendall(length_prefixed(Hello(PROTOCOL_VERSION, "ann", ticket).encode()))
    message = player.read()
    if isinstance(message, Welcome):
        return player
    player.close()
    assert isinstance(message, Bye)
    return message


def test_sighup_rereads_the_certificate_and_a_broken_one_changes_nothing(start: Start, tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    certificate, _ = pki.issue()
    (tmp_path / "token").write_text("the-token-of-the-link")
    link = ("--link", "tcp:127.0.0.1:0", "--link-token-file", "token", "--link-cert", "linkcert.pem")
    pki.issue("link")
    server = start("--tls-cert", "cert.pem", "--tls-key", "key.pem", *link, "--link-key", "linkkey.pem")
    first = certificate_of(server)
    pki.issue()
    assert "read the certificate cert.pem again; new connections get it" in hang_up(server)
    assert "read the certificate linkcert.pem again" in read_until(server, "SIGHUP: ")
    second = certificate_of(server)
    assert second != first
    Path(certificate).write_text("")
    assert "the server keeps its certificate: " in (line := hang_up(server))
    assert "cert.pem holds no certificate in PEM form" in line
    assert certificate_of(server) == second
    assert server.stop()[0] == 0


def test_sighup_rereads_the_secret_and_keeps_players_and_fresh_tickets(start: Start, tmp_path: Path) -> None:
    file, old, new = tmp_path / "secret", b"the secret of the year before", b"the secret of this year"
    file.write_bytes(old)
    server = start("--secret-file", "secret")
    player = joins(server, new_ticket(old, "ann", "plaza"))
    assert isinstance(player, Player)
    refused = joins(server, new_ticket(new, "ann", "plaza"))
    assert isinstance(refused, Bye)
    assert refused.code == "BAD_TICKET"
    assert "it is the same" in hang_up(server)
    file.write_bytes(b"short")
    assert "the server keeps its secret: a secret must have at least 16 bytes, not 5" in hang_up(server)
    file.unlink()
    assert "the server keeps its secret: cannot read the secret in secret: No such file" in hang_up(server)
    os.mkfifo(file)
    assert "the server keeps its secret: secret is no ordinary file" in hang_up(server)
    file.unlink()
    file.write_bytes(new)
    assert "read the secret secret again; tickets of the former one are good for 300 s" in hang_up(server)
    player.read_until(Tick)
    for secret in (new, old):
        joined = joins(server, new_ticket(secret, "ann", "plaza"))
        assert isinstance(joined, Player)
        joined.close()
    player.close()
    assert server.stop()[0] == 0


def test_sighup_without_files_to_read_says_so_even_if_it_came_during_the_start(start: Start, tmp_path: Path) -> None:
    game = """\
import os, signal, zoneserver
class Slow(zoneserver.Rules):
    def on_start(self):
        os.kill(os.getpid(), signal.SIGHUP)
"""
    (tmp_path / "slow.py").write_text(game)
    server = start("slow:Slow")
    assert "nothing was read again" in read_until(server, "SIGHUP: ")
    player = server.player("ann")
    player.read_until(Welcome)
    assert "nothing was read again" in hang_up(server)
    player.read_until(Tick)
    player.close()
    assert server.stop()[0] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs a pseudo-terminal that hangs up")
@pytest.mark.parametrize("nohup", [False, True])
def test_closed_terminal_stops_the_server_unless_nohup_started_it(nohup: bool, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    # The process makes the terminal its own; closing our end then hangs it up.
    script = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY); os.execvp(sys.argv[1], sys.argv[1:])"
    ready = tmp_path / "ready.json"
    command = [
        sys.executable,
        "-m",
        "zoneserver",
        "run",
        "--port",
        "0",
        "--stats-port",
        "0",
        "--ready-file",
        str(ready),
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", script, *(["nohup"] if nohup else []), *command],
        cwd=ROOT,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        assert process.stderr is not None
        while "Ctrl-C to stop" not in (line := process.stderr.readline()):
            assert line, "the server ended"
        os.close(ours)
        if nohup:
            while "nothing was read again" not in (line := process.stderr.readline()):
                assert line, "the server ended"
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def test_expired_certificate_is_warned_of_at_the_start(start: Start, tmp_path: Path) -> None:
    Pki(tmp_path).issue(days=-1)
    server = start("--tls-cert", "cert.pem", "--tls-key", "key.pem")
    assert "clients reject it; renew it, then send SIGHUP" in read_until(server, "the certificate cert.pem expired at ")


@pytest.mark.skipif(sys.platform != "linux", reason="needs a pseudo-terminal that is the terminal of a process")
def test_encrypted_key_asks_for_nothing_at_a_terminal(tmp_path: Path) -> None:
    certificate, key = Pki(tmp_path).issue(passphrase=b"secret")
    ours, theirs = os.openpty()
    script = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY); os.execv(sys.executable, sys.argv[1:])"
    command = [sys.executable, "-m", "zoneserver", "run", "--tls-cert", certificate, "--tls-key", key]
    try:
        done = subprocess.run(
            [sys.executable, "-c", script, *command],
            cwd=ROOT,
            stdin=theirs,
            capture_output=True,
            text=True,
            start_new_session=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    text = (
        f"zoneserver: the key in {key} is encrypted, and a server cannot ask for its passphrase; write it without one:"
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "", f"{text} openssl pkey -in {key} -out FILE\n")
