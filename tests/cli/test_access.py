"""The settings of commands that connect to a zone, and what is said about a connection that fails."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.loops import one_loop
from helpers.pki import Pki
from helpers.processes import Family
from helpers.servers import OpenServer
from zoneclient import JoinRefusedError, connect
from zoneclient.__main__ import _parser
from zoneclient.__main__ import main as zone_client
from zonetools.swarm.plan import Plan, check_target, parse_mix

from zoneserver.cli.access import Access, read_access
from zoneserver.cli.main import main as zoneserver
from zoneserver.games.chat import Chat
from zoneserver.games.plaza import Plaza
from zoneserver.protocol.tickets import ticket_to_text
from zoneserver.server import ZoneServer
from zoneserver.support.errors import CommandError
from zoneserver.support.tls_client import explain_connect_error
from zoneserver.zone.ticket_verifier import TicketVerifier

SECRET = b"a secret of the tests"


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


@pytest.fixture
async def guarded(open_server: OpenServer, pki: Pki) -> ZoneServer:
    """A server that requires TLS and tickets."""
    certificate, key = pki.issue()
    return await open_server(Plaza, tls_cert=certificate, tls_key=key, secret=SECRET)


@pytest.fixture
def secret_file(tmp_path: Path) -> str:
    (tmp_path / "secret").write_bytes(SECRET + b"\n")
    return str(tmp_path / "secret")


async def run(family: Family, *command: str) -> tuple[int, str, str]:
    return await asyncio.to_thread(family.run, *command)


@one_loop
async def test_console_client_joins_by_tls_with_a_ticket_of_its_own(
    guarded: ZoneServer, pki: Pki, secret_file: str, family: Family
) -> None:
    port = ("--port", str(guarded.port))
    admission = ("--tls-ca", pki.ca, "--secret-file", secret_file, "--zone", "plaza")
    code, out, err = await run(family, "zoneclient", "ann", *port, *admission)
    assert (code, "you are ann, in plaza" in err) == (0, True), (out, err)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "if the server requires TLS, connect with --tls"),
        (["--tls"], "the TLS certificate of the server is not accepted: unable to get local issuer certificate; name"),
        (["--tls-ca", "CA"], "BAD_TICKET: this zone requires a ticket"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@one_loop
async def test_console_client_tells_in_one_line_why_it_cannot_join(
    flags: list[str], words: str, guarded: ZoneServer, pki: Pki, family: Family
) -> None:
    given = [pki.ca if flag == "CA" else flag for flag in flags]
    code, out, err = await run(family, "zoneclient", "ann", "--port", str(guarded.port), *given)
    assert (code, out, err.count("\n"), words in err) == (3, "", 1, True), err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--tls-ca", "SECRET"], "it holds no certificate in PEM form"),
        (["--tls-ca", "/no/such/file"], "cannot read the authority's certificate in /no/such/file: No such file"),
        (["--tls-ca", "CA", "--secret-file", "SECRET"], "a ticket is for one zone: name it with --zone"),
        (["--secret-file", "SECRET", "--ticket", "x"], "--ticket and --secret-file exclude each other"),
        (["--secret-file", "/no/such/file"], "cannot read the secret in /no/such/file: No such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_files_and_flags_that_cannot_be_used_are_told_before_the_client_connects(
    flags: list[str], words: str, pki: Pki, secret_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [{"CA": pki.ca, "SECRET": secret_file}.get(flag, flag) for flag in flags]
    assert zone_client(["ann", *given]) in (2, 3)
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), words in err) == ("", 1, True), err


async def test_tls_client_at_a_server_without_tls_is_told_so(open_server: OpenServer, pki: Pki) -> None:
    server = await open_server(Plaza)
    with pytest.raises(ssl.SSLError) as caught:
        async with connect("127.0.0.1", server.port, name="ann", tls=Access(True, pki.ca).context()):
            pass
    assert explain_connect_error(caught.value) == "the server does not speak TLS: leave out --tls and --tls-ca"


async def test_certificate_for_another_name_is_told(open_server: OpenServer, pki: Pki) -> None:
    certificate, key = pki.issue()
    server = await open_server(Plaza, host="127.0.0.9", tls_cert=certificate, tls_key=key, is_open=True)
    with pytest.raises(ssl.SSLError) as caught:
        async with connect("127.0.0.9", server.port, name="ann", tls=Access(True, pki.ca).context()):
            pass
    assert "certificate is not valid for '127.0.0.9'" in explain_connect_error(caught.value)


async def test_expired_certificate_is_told(open_server: OpenServer, pki: Pki) -> None:
    certificate, key = pki.issue(days=-1)
    server = await open_server(Plaza, tls_cert=certificate, tls_key=key)
    with pytest.raises(ssl.SSLError) as caught:
        async with connect("127.0.0.1", server.port, name="ann", tls=Access(True, pki.ca).context()):
            pass
    text = "the TLS certificate of the server is not accepted: certificate has expired"
    assert explain_connect_error(caught.value) == text


@pytest.mark.parametrize("answer", [b"", b"\x15\x03\x03\x00\x02\x02\x46"])
async def test_client_without_tls_asks_whether_the_server_requires_it(answer: bytes) -> None:
    async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(4)
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(end, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(JoinRefusedError, match="if the server requires TLS, connect with --tls") as caught:
            async with connect("127.0.0.1", port, name="ann"):
                pass
    assert caught.value.retry is (answer == b"")


# --- The swarm ------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", [[], ["--zone", "plaza"]], ids=["from the server", "from a flag"])
@one_loop
async def test_swarm_joins_by_tls_with_tickets(
    zone: list[str], guarded: ZoneServer, pki: Pki, secret_file: str, family: Family
) -> None:
    ports = ("--port", str(guarded.port), "--stats-port", str(guarded.stats_port))
    admission = ("--tls-ca", pki.ca, "--secret-file", secret_file, *zone)
    run_flags = ("--bots", "10", "--time", "300ms", "--processes", "2", "--json", "-", "--no-progress")
    code, out, err = await run(family, "zonetools.swarm", *ports, *admission, *run_flags)
    assert (code, err) == (0, ""), out
    report = json.loads(out)
    assert report["bots"] == {"requested": 10, "joined": 10, "failed": 0, "web": 0}
    assert SECRET.decode() not in out


@one_loop
async def test_swarm_without_the_name_of_the_zone_asks_for_it(
    guarded: ZoneServer, secret_file: str, family: Family
) -> None:
    # The port for players has no statistics.
    ports = ("--port", str(guarded.port), "--stats-port", str(guarded.port))
    code, out, err = await run(family, "zonetools.swarm", *ports, "--tls", "--secret-file", secret_file)
    assert (code, out) == (2, "")
    assert "name it with --zone" in err


@pytest.mark.parametrize(
    ("flags", "words"),
    [([], "if the server requires TLS, connect with --tls"), (["--tls"], "name the authority's certificate with")],
    ids=["plain", "unknown authority"],
)
@one_loop
async def test_swarm_reports_why_no_bot_comes_in(
    flags: list[str], words: str, guarded: ZoneServer, family: Family
) -> None:
    ports = ("--port", str(guarded.port), "--stats-port", str(guarded.stats_port))
    run_flags = ("--bots", "3", "--time", "100ms", "--no-progress")
    code, out, _ = await run(family, "zonetools.swarm", *ports, *flags, *run_flags)
    (errors,) = [line for line in out.splitlines() if line.startswith("errors")]
    assert (code, words in errors) == (1, True), errors


@one_loop
async def test_hostile_bots_bring_tickets_too(open_server: OpenServer, secret_file: str, family: Family) -> None:
    server = await open_server(Plaza, secret=SECRET)
    ports = ("--port", str(server.port), "--stats-port", str(server.stats_port))
    mix = ("--mix", "walker=9,garbage=1,flood=1", "--bots", "11", "--time", "1s", "--no-control", "--no-progress")
    code, out, _ = await run(family, "zonetools.swarm", *ports, "--secret-file", secret_file, *mix)
    assert (code, "BAD_TICKET" in out) == (0, False), out


def test_hostile_bots_speak_no_tls() -> None:
    with pytest.raises(ValueError, match="hostile bots speak no TLS: remove them from --mix"):
        check_target(Plan(mix=parse_mix("walker=1,flood=1"), access=Access(is_tls=True)), yes_remote=False)


def test_secret_is_in_no_text_of_a_plan() -> None:
    assert SECRET.decode() not in repr(Plan(access=Access(secret=SECRET)))


# --- Settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("argv", [["--ticket", "text-of-a-ticket"], []])
def test_show_config_shows_no_ticket(
    argv: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not argv:
        monkeypatch.setenv("ZONE_TICKET", "text-of-a-ticket")
    with pytest.raises(SystemExit):
        _parser().read(["ann", *argv, "--show-config"])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "ticket =" in line]
    assert line.split() == ["#", "ticket", "=", "#", *(["flag,"] if argv else ["ZONE_TICKET,"]), "not", "shown"]


def test_secret_of_the_environment_makes_tickets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZONE_SECRET", SECRET.decode())
    access = read_access(_parser().read(["ann", "--zone", "chat"]))
    assert TicketVerifier(SECRET, "chat").check("ann", access.ticket("ann"), 0.0) is None


@pytest.mark.parametrize("secret", ["short", "\udcff"])
def test_short_secret_of_the_environment_is_told(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZONE_SECRET", secret)
    with pytest.raises(CommandError, match="a secret must have at least 16 bytes"):
        read_access(_parser().read(["ann"]))


@pytest.mark.parametrize(
    ("argv", "zone", "note"),
    [
        (["zoneserver.games.chat:Chat"], Chat.name or "chat", False),
        (["--zone", "mygame"], "mygame", False),
        ([], "plaza", True),
    ],
)
def test_ticket_takes_the_zone_from_the_game(
    argv: list[str], zone: str, note: bool, secret_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert zoneserver(["ticket", "ann", *argv, "--secret-file", secret_file, "--json"]) == 0
    out, err = capsys.readouterr()
    document: dict[str, Any] = json.loads(out)
    assert document["zone"] == zone
    assert ("the ticket is for plaza, the demo game" in err) == note
    assert zoneserver(["ticket", "ann", *argv, "--secret-file", secret_file]) == 0
    assert len(capsys.readouterr().out.strip()) == len(ticket_to_text(bytes(56)))


@pytest.mark.skipif(sys.platform != "linux", reason="needs a device without an end")
def test_secret_file_without_an_end_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert zoneserver(["ticket", "ann", "--secret-file", "/dev/zero"]) == 3
    assert "cannot read the secret in /dev/zero: the file is larger than" in capsys.readouterr().err
