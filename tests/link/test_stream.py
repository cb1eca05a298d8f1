"""A link by streams, both ends on real sockets: what arrives, who is let in, what a peer costs that does not read."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import stat
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.link_ends import TOKEN, open_gateway, open_zone
from helpers.pki import Pki
from helpers.waiting import until

from zoneserver.link import stream, stream_gateway
from zoneserver.link.address import LinkAddress
from zoneserver.link.carrier import QUEUE_BYTES_MAX, LinkSecurity
from zoneserver.link.carriers import open_zone_carrier
from zoneserver.link.listener import LinkListener
from zoneserver.protocol.framing import Deframer, length_prefixed
from zoneserver.support.errors import CannotStartError

KINDS = ["unix", "tcp", "tls"]
SECURITY = LinkSecurity(token=TOKEN)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_gateway, "RETRY_SECONDS", 0.01)


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


def link(kind: str, folder: Path) -> tuple[str, LinkSecurity]:
    """An address to listen at, and the security of both ends."""
    if kind == "unix":
        return f"unix:{folder}/zone.sock", LinkSecurity()
    if kind == "tcp":
        return "tcp:127.0.0.1:0", SECURITY
    pki = Pki(folder)
    cert, key = pki.issue()
    return "tcp:127.0.0.1:0", LinkSecurity(token=TOKEN, cert=cert, key=key, ca=pki.ca)


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


@pytest.mark.parametrize("kind", KINDS)
async def test_payloads_arrive_in_order_at_those_they_are_for(
    kind: str, tmp_path: Path, cleanup: contextlib.AsyncExitStack
) -> None:
    address, security = link(kind, tmp_path)
    zone = await open_zone(cleanup, address, security)
    first = await open_gateway(cleanup, zone.carrier.address, security)
    second = await open_gateway(cleanup, zone.carrier.address, security)
    for gateway, name in (first, b"first"), (second, b"second"):
        await until(lambda gateway=gateway: gateway.carrier.is_up)
        gateway.carrier.send(name)
        await until(lambda name=name: zone.payloads and zone.payloads[-1][1] == name)
    assert zone.payloads == [("#1", b"first"), ("#2", b"second")]
    zone.carrier.accept("#1")
    # Much more than a socket holds, in both directions.
    large = os.urandom(20_000_000)
    zone.carrier.publish(b"to all")
    zone.carrier.send("#2", b"to the second")
    zone.carrier.send("#1", large)
    first.carrier.send(large[:1_000_000])
    zone.carrier.publish(b"after")
    await until(lambda: len(first.payloads) == 2 and len(zone.payloads) == 3)
    assert [len(payload) for payload in first.payloads] == [6, len(large)]
    assert (first.payloads[1], zone.payloads[2][1]) == (large, large[:1_000_000])
    assert (zone.carrier.skipped_total, second.payloads) == (1, [b"to the second"])
    # What was sent before `drop` arrives, and the gateway comes back as another peer.
    zone.carrier.send("#1", b"goodbye")
    zone.carrier.drop("#1")
    zone.carrier.drop("#9")
    zone.carrier.publish(b"to nobody")
    await until(lambda: first.changes == [True, False, True])
    assert (first.payloads[2:], zone.gone) == ([b"goodbye"], ["#1"])
    first.carrier.send(b"again")
    await until(lambda: zone.payloads[-1] == ("#3", b"again"))
    # The end of the zone sends what is queued.
    zone.carrier.send("#3", b"the zone stops")
    await zone.carrier.close()
    await until(lambda: first.payloads[-1] == b"the zone stops" and not second.carrier.is_up)
    assert zone.gone == ["#1"]


async def test_gateway_that_reads_nothing_is_skipped_and_costs_little(
    tmp_path: Path, cleanup: contextlib.AsyncExitStack
) -> None:
    zone = await open_zone(cleanup, f"unix:{tmp_path}/zone.sock", LinkSecurity())
    good = await open_gateway(cleanup, zone.carrier.address, LinkSecurity())
    good.carrier.send(b"good")
    await until(lambda: zone.payloads)
    reader, writer = await asyncio.open_unix_connection(tmp_path / "zone.sock", limit=1000)
    cleanup.callback(writer.close)
    writer.write(length_prefixed(b"bad"))
    await until(lambda: len(zone.payloads) == 2)
    for peer in ("#1", "#2"):
        zone.carrier.accept(peer)
    for number in range(20):
        zone.carrier.publish(bytes([number]) * 1_000_000)
        await until(lambda number=number: len(good.payloads) > number)
    assert zone.carrier._peers["#2"].queued_bytes <= QUEUE_BYTES_MAX + 1_000_004
    skipped = zone.carrier.skipped_total
    assert 10 <= skipped <= 16
    deframer, payloads = Deframer(1_000_000), list[bytes]()
    while len(payloads) < 20 - skipped:
        payloads += deframer.receive(await reader.read(1_000_000))
    assert payloads == [bytes([number]) * 1_000_000 for number in range(20 - skipped)]
    zone.carrier.publish(b"as before")
    assert await reader.readexactly(13) == length_prefixed(b"as before")


@pytest.mark.parametrize("kind", KINDS)
async def test_gateway_looks_for_the_zone_and_logs_an_outage_once(
    kind: str,
    tmp_path: Path,
    cleanup: contextlib.AsyncExitStack,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failures: list[object] = []
    failed = stream_gateway.StreamGatewayCarrier._failed

    def fail(carrier: stream_gateway.StreamGatewayCarrier, error: Exception) -> bool:
        failures.append(error)
        return failed(carrier, error)

    monkeypatch.setattr(stream_gateway.StreamGatewayCarrier, "_failed", fail)
    caplog.set_level(logging.INFO, logger="zoneserver.link.stream_gateway")
    address, security = link(kind, tmp_path)
    if kind != "unix":
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            address = f"tcp:127.0.0.1:{sock.getsockname()[1]}"
    gateway = await open_gateway(cleanup, address, security)
    gateway.carrier.send(b"lost")
    assert (gateway.carrier.is_up, gateway.changes) == (False, [])
    for _ in range(2):
        failures.clear()
        await until(lambda: len(failures) > 2)
        zone = await open_zone(cleanup, address, security)
        await until(lambda: gateway.carrier.is_up)
        gateway.carrier.send(b"first")
        await until(lambda zone=zone: zone.payloads)
        assert zone.payloads == [("#1", b"first")]
        await zone.carrier.close()
        await until(lambda: not gateway.carrier.is_up)
    await until(lambda: len(gateway.changes) == 4)
    assert gateway.changes == [True, False] * 2
    lines = [record.getMessage().partition(";")[0] for record in caplog.records]
    refused = "No such file or directory" if kind == "unix" else "Connection refused"
    lost, stands = f"no link to the zone at {address}: ", f"the link to the zone at {address} stands"
    assert lines[0] == lost + refused or kind != "unix"
    starts = [lost, f"{stands} after ", lost, f"{stands} again after ", lost]
    assert [line[: len(start)] for line, start in zip(lines, starts, strict=True)] == starts


async def test_close_without_a_zone_or_without_open_ends_at_once(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as cleanup:
        gateway = await open_gateway(cleanup, f"unix:{tmp_path}/zone.sock", LinkSecurity())
        await gateway.carrier.close()
    await open_zone_carrier("tcp:127.0.0.1:0", SECURITY).close()


HOSTILE = {
    "silence": (b"", "it said nothing within 0.2 s"),
    "half a length": (b"\0\0", "it said nothing within 0.2 s"),
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n", "it sent a frame of 1195725856 bytes"),
    "an empty payload": (b"\0\0\0\0", "it sent a frame of 0 bytes"),
    "a wrong token": (length_prefixed(b"guess"), "its token is wrong"),
    "a token that is too long": (struct.pack(">I", 1025), "it sent a frame of 1025 bytes"),
    "more than a token": (length_prefixed(TOKEN.encode()) + b"\0", "it did not wait for the answer to its token"),
}


@pytest.mark.parametrize("kind", ["tcp", "tls"])
@pytest.mark.parametrize("data", HOSTILE)
async def test_connection_without_the_token_is_closed_and_told(
    kind: str,
    data: str,
    tmp_path: Path,
    cleanup: contextlib.AsyncExitStack,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "FIRST_SECONDS", 0.2)
    address, security = link(kind, tmp_path)
    zone = await open_zone(cleanup, address, security)
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(zone.carrier.address))
    cleanup.callback(writer.close)
    writer.write(HOSTILE[data][0])
    with contextlib.suppress(ConnectionError):
        await reader.read()
    await until(lambda: zone.carrier.refused_total == 1)
    assert zone.payloads == zone.gone == []
    text = caplog.text if kind == "tcp" else HOSTILE[data][1]
    assert HOSTILE[data][1] in text
    assert "is no gateway" in caplog.text
    assert TOKEN not in caplog.text


async def test_crowd_of_silent_connections_keeps_no_gateway_out(cleanup: contextlib.AsyncExitStack) -> None:
    zone = await open_zone(cleanup, "tcp:127.0.0.1:0", SECURITY)
    socks = []
    for _ in range(110):
        sock = cleanup.enter_context(socket.socket())
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect(("127.0.0.1", port_of(zone.carrier.address)))
        socks.append(sock)
    gateway = await open_gateway(cleanup, zone.carrier.address, SECURITY)
    await until(lambda: gateway.carrier.is_up)
    await until(lambda: zone.carrier.refused_total >= 110 - 64)
    assert len(zone.carrier._strangers) <= 64
    gateway.carrier.send(b"here")
    await until(lambda: zone.payloads)


async def refusal(cleanup: contextlib.AsyncExitStack, address: str, security: LinkSecurity) -> str:
    with pytest.raises(CannotStartError) as raised:
        await open_gateway(cleanup, address, security)
    return str(raised.value)


async def test_gateway_that_no_waiting_helps_says_why(pki: Pki, cleanup: contextlib.AsyncExitStack) -> None:
    cert, key = pki.issue()
    zone = await open_zone(cleanup, "tcp:127.0.0.1:0", replace(SECURITY, cert=cert, key=key))
    place = zone.carrier.address
    good = replace(SECURITY, ca=pki.ca)
    wrong = await refusal(cleanup, place, replace(good, token="another token"))
    assert wrong == f"cannot use the link {place}: the zone has another token: give both the same --link-token-file"
    assert "needs the token of the link: --link-token-file FILE" in await refusal(cleanup, place, LinkSecurity())
    assert "cannot read the authority's certificate" in await refusal(cleanup, place, replace(good, ca="none.pem"))
    other = Path(pki.ca).parent / "other"
    other.mkdir()
    unknown = await refusal(cleanup, place, replace(good, ca=Pki(other).ca))
    assert "is not accepted: " in unknown
    assert "name the authority's certificate with --link-ca" in unknown
    elsewhere = place.replace("127.0.0.1", "127.0.0.9")
    zone = await open_zone(cleanup, "tcp:127.0.0.9:0", replace(SECURITY, cert=cert, key=key))
    elsewhere = zone.carrier.address
    assert "certificate is not valid for '127.0.0.9'" in await refusal(cleanup, elsewhere, good)


async def test_ends_that_disagree_about_tls_say_what_to_do(
    pki: Pki, cleanup: contextlib.AsyncExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    cert, key = pki.issue()
    plain = await open_zone(cleanup, "tcp:127.0.0.1:0", SECURITY)
    secure = await open_zone(cleanup, "tcp:127.0.0.1:0", replace(SECURITY, cert=cert, key=key))
    await open_gateway(cleanup, secure.carrier.address, SECURITY)
    await open_gateway(cleanup, plain.carrier.address, replace(SECURITY, ca=pki.ca))
    # The gateways try again and again.
    await until(lambda: min(plain.carrier.refused_total, secure.carrier.refused_total) > 2)
    for line in (
        "before it took the token (if it has a certificate, name the authority: --link-ca)",
        "is no gateway: it does not speak TLS: name the authority of the zone's certificate at the gateway (--link-ca)",
        "in the TLS handshake: if it does not speak TLS, give the zone a certificate (--link-cert)",
        "is no gateway: it speaks TLS, and this end does not: give the zone a certificate (--link-cert)",
    ):
        assert caplog.text.count(line) == 1


async def test_address_of_a_socket_is_shown_as_it_is_found_from_any_folder(
    tmp_path: Path, cleanup: contextlib.AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    zone = await open_zone(cleanup, "unix:zone.sock", LinkSecurity())
    gateway = await open_gateway(cleanup, "unix:zone.sock", LinkSecurity())
    assert zone.carrier.address == gateway.carrier.address == f"unix:{tmp_path}/zone.sock"


async def test_zone_that_cannot_listen_says_why(tmp_path: Path, pki: Pki, cleanup: contextlib.AsyncExitStack) -> None:
    first = await open_zone(cleanup, "tcp:127.0.0.1:0", SECURITY)
    cases = [
        (first.carrier.address, SECURITY, f"cannot listen at {first.carrier.address}: Address already in use by "),
        ("tcp:127.0.0.1:0", LinkSecurity(), "tcp:127.0.0.1:0 needs the token of the link: --link-token-file FILE"),
        ("tcp:0.0.0.0:0", SECURITY, "the token and all players at tcp:0.0.0.0:0: set --link-cert"),
        ("tcp:127.0.0.1:0", replace(SECURITY, cert=pki.ca), "holds no key: name the file of the key with --link-key"),
        ("tcp:192.0.2.1:0", replace(SECURITY, cert=pki.issue()[0], key=pki.issue()[1]), "cannot listen at "),
        (f"unix:{tmp_path}/none/zone.sock", SECURITY, "its folder: No such file or directory: "),
    ]
    for address, security, said in cases:
        with pytest.raises(CannotStartError) as raised:
            await open_zone(cleanup, address, security)
        assert said in str(raised.value)


async def test_socket_file_is_private_and_only_a_dead_zone_gives_it_up(
    tmp_path: Path, cleanup: contextlib.AsyncExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "zone.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    zone = await open_zone(cleanup, f"unix:{path}", LinkSecurity())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = rf"another server \(pid {os.getpid()}\) listens at {path} already: give another path: --link unix:PATH"
    with pytest.raises(CannotStartError, match=text):
        await open_zone(cleanup, f"unix:{path}", LinkSecurity())
    gateway = await open_gateway(cleanup, f"unix:{path}", LinkSecurity())
    gateway.carrier.send(b"the last to come")
    await until(lambda: zone.payloads)
    assert (zone.carrier.refused_total, caplog.text) == (0, "")
    await zone.carrier.close()
    assert not path.exists()
    path.write_text("mine")
    with pytest.raises(CannotStartError, match="is in the way and is no socket"):
        await open_zone(cleanup, f"unix:{path}", LinkSecurity())
    assert path.read_text() == "mine"


async def test_certificate_is_read_again_for_later_connections(pki: Pki, cleanup: contextlib.AsyncExitStack) -> None:
    cert, key = pki.issue()
    zone = await open_zone(cleanup, "tcp:127.0.0.1:0", replace(SECURITY, cert=cert, key=key))
    folder = Path(pki.ca).parent / "new"
    folder.mkdir()
    other = Pki(folder)
    for old, new in zip((cert, key), other.issue(), strict=True):
        Path(old).write_bytes(Path(new).read_bytes())
    assert zone.carrier.certificate is not None
    zone.carrier.certificate.reload()
    gateway = await open_gateway(cleanup, zone.carrier.address, replace(SECURITY, ca=other.ca))
    assert gateway.carrier.is_up


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has no such timeout")
def test_both_ends_notice_a_pulled_cable_in_seconds() -> None:
    """No cable is pulled: sockets that a listener accepts have the options, and those that connect."""

    async def main() -> None:
        accepted: list[socket.socket] = []
        address = LinkAddress.parse("tcp:127.0.0.1:0")
        listener = LinkListener(address, lambda sock, _: accepted.append(sock))
        connected = await stream_gateway._connect_tcp(replace(address, port=listener.port))
        await until(lambda: accepted)
        for sock in (connected, *accepted):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            idle, interval, count = (
                sock.getsockopt(socket.IPPROTO_TCP, option)
                for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            )
            assert idle + interval * count == 5
            sock.close()
        listener.close()

    asyncio.run(main())
