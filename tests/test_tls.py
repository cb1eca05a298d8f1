"""TLS: the same session core behind an encrypted door, on both loops."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from conftest import Connect, OpenServer, until

from client import JoinRefusedError, connect
from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.rules import Rules
from zoneserver.server import ZoneServer


@dataclass(frozen=True)
class Pki:
    cert: str
    key: str
    context: ssl.SSLContext
    """What a client connects with that trusts the certificate's issuer, and nobody else."""


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    folder: Path = tmp_path_factory.mktemp("pki")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return Pki(str(folder / "cert.pem"), str(folder / "key.pem"), context)


async def test_players_meet_by_tls_and_see_the_same(open_server: OpenServer, pki: Pki) -> None:
    server = await open_server(Plaza, hz=50, tls_cert=pki.cert, tls_key=pki.key)
    async with (
        connect("127.0.0.1", server.port, name="ann", tls=pki.context) as ann,
        connect("127.0.0.1", server.port, name="bob", tls=pki.context, deflate=True) as bob,
    ):
        assert (ann.is_deflated, bob.is_deflated) == (False, True)
        ann.act("say", "hello")
        async for update in bob:
            if update.events:
                assert update.events[0].values == ("hello",)
                break
        while bob.replica.hashes_checked < 1:
            await anext(bob)
    await until(lambda: server.gateway.connections == 0)
    assert server.gateway.counters.closes == {"CLIENT_LEFT": 2}


async def test_a_client_that_trusts_nobody_here_does_not_connect(open_server: OpenServer, pki: Pki) -> None:
    server = await open_server(Plaza, tls_cert=pki.cert, tls_key=pki.key)
    with pytest.raises(ssl.SSLCertVerificationError):
        async with connect("127.0.0.1", server.port, name="ann", tls=ssl.create_default_context()):
            pass
    async with connect("127.0.0.1", server.port, name="ann", tls=pki.context) as zone:
        await anext(zone)


async def test_a_refusal_reaches_its_client_by_tls_too(open_server: OpenServer, pki: Pki) -> None:
    server = await open_server(Plaza, tls_cert=pki.cert, tls_key=pki.key, secret=b"a secret of the tests")
    with pytest.raises(JoinRefusedError, match="BAD_TICKET"):
        async with connect("127.0.0.1", server.port, name="ann", tls=pki.context):
            pass


class Noisy(Rules):
    def on_tick(self) -> None:
        self.emit("noise", bytes(8192))


async def test_a_client_that_never_reads_is_noticed_by_tls_too(open_server: OpenServer, pki: Pki) -> None:
    limits = Limits(socket_send_bytes=16 * 1024, stall_seconds=0.3, linger_seconds=0.1)
    server = await open_server(Noisy, hz=50, tls_cert=pki.cert, tls_key=pki.key, limits=limits)
    from client.protocol import ClientProtocol

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(
        lambda: ClientProtocol("stuck"), "127.0.0.1", server.port, ssl=pki.context
    )
    transport.pause_reading()
    await until(lambda: server.gateway.counters.closes)
    assert server.gateway.counters.closes == {"SLOW_CONSUMER": 1}
    transport.abort()
    await until(lambda: server.gateway.connections == 0)


async def test_who_speaks_no_tls_or_is_slow_at_it_is_dropped_in_time(
    open_server: OpenServer, connect: Connect, pki: Pki
) -> None:
    limits = Limits(handshake_seconds=0.5)
    server: ZoneServer = await open_server(Plaza, tls_cert=pki.cert, tls_key=pki.key, limits=limits)
    plain, silent = await connect(server.port), await connect(server.port)
    await plain.hello("ann")
    for client in (plain, silent):
        with pytest.raises((EOFError, ConnectionError, AssertionError, ValueError)):
            while True:
                await client.read()
    assert server.gateway.counters.connections_total == 0
