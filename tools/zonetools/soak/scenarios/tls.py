"""Attacks on TLS itself: new keys, records that carry next to nothing, and handshakes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from zoneserver.protocol.codes import CloseReason
from zonetools.common.server_process import ServerProcess
from zonetools.soak.clients import RecordingClient, act
from zonetools.soak.fault_lab import Checks, Finding, Lab
from zonetools.soak.tasks import beside
from zonetools.soak.tls_client import KeyUpdateEnd, TlsEnd, TlsRawClient, client_context

# The most that an attack may delay the answer to another player.
_DELAY_MS_MAX = 5.0
_KEY_UPDATES, _TINY_RECORDS, _HANDSHAKES = 5_000, 6_000, 30

_Attack = Callable[[], Coroutine[Any, Any, str]]
"""Carries out an attack that is ready, and returns the code that ends it."""
_Prepare = Callable[[Lab, ServerProcess, str], Awaitable[_Attack]]


async def tls_attacks(lab: Lab) -> Finding:
    """Attack right after a tick, and measure how much later another player is answered."""
    try:
        import trustme
    except ImportError:
        return Finding(None, "needs trustme, for a certificate")
    if not KeyUpdateEnd.is_available():
        return Finding(None, "needs a Python whose OpenSSL can be reached")
    kinds = {"new keys": _new_keys, "a byte per record": _tiny_records, "handshakes": _handshakes}
    with tempfile.TemporaryDirectory(prefix="zone-") as folder:
        file = Path(folder) / "cert.pem"
        # A handshake with a key of RSA costs the server several times as much as one with a key of ECDSA.
        issued = trustme.CA().issue_cert("127.0.0.1", key_type=trustme.KeyType.RSA)
        issued.private_key_and_cert_chain_pem.write_to_path(file)
        return await _measure(lab, str(file), kinds)


async def _measure(lab: Lab, cert: str, kinds: Mapping[str, _Prepare]) -> Finding:
    checks, tokens = Checks(), itertools.count()
    results = []
    async with (
        lab.server("--tls-cert", cert) as server,
        lab.recorder(server, "prober", tls=client_context()) as prober,
    ):
        for kind, prepare in kinds.items():
            alone: list[float] = []
            attacked: list[float] = []
            codes = set()
            for number in range(lab.pick(20, 5)):
                attack = await prepare(lab, server, f"attacker-{number}")
                # Start right after a tick, so that no tick falls into the measurement.
                await prober.ticks(1)
                alone.append(await _longest_answer(prober, tokens))
                async with beside(attack()) as (attacking,):
                    await asyncio.sleep(0)
                    attacked.append(await _longest_answer(prober, tokens))
                    codes.add(await attacking)
            extra_ms = 1000 * (statistics.median(attacked) - statistics.median(alone))
            worst_ms = 1000 * (max(attacked) - statistics.median(alone))
            checks.expect(extra_ms <= _DELAY_MS_MAX, f"{kind}: the loop is delayed by more than {_DELAY_MS_MAX:g} ms")
            wanted = {""} if prepare is _handshakes else {str(CloseReason.FLOOD)}
            checks.expect(codes == wanted, f"{kind} end with {codes}")
            results.append(f"{kind} {extra_ms:.1f} ms (worst {worst_ms:.1f} ms)")
    checks.expect_no_traceback(server)
    return checks.finding(f"the answer to another player is later by: {', '.join(results)}")


async def _longest_answer(prober: RecordingClient, tokens: itertools.count[int]) -> float:
    return max([await prober.round_trip(next(tokens)) for _ in range(4)])


async def _joined(lab: Lab, server: ServerProcess, name: str, end: TlsEnd | KeyUpdateEnd) -> TlsRawClient:
    client = await TlsRawClient.connect(server.port, lab.address())
    await client.shake(end)
    await client.join(name)
    return client


async def _flood(client: TlsRawClient, ciphertext: bytes) -> str:
    """Send everything while the server reads it. Returns the code of the BYE."""

    async def send() -> None:
        with contextlib.suppress(OSError):
            await client.send_ciphertext(ciphertext)

    with contextlib.closing(client):
        async with beside(send()):
            return str((await client.bye(10.0)).code)


async def _new_keys(lab: Lab, server: ServerProcess, name: str) -> _Attack:
    end = KeyUpdateEnd()
    client = await _joined(lab, server, name, end)
    ciphertext = b"".join(end.key_update() for _ in range(_KEY_UPDATES))
    return lambda: _flood(client, ciphertext)


async def _tiny_records(lab: Lab, server: ServerProcess, name: str) -> _Attack:
    end = TlsEnd(client_context())
    client = await _joined(lab, server, name, end)
    # The longest packets that the game takes.
    data = b"".join(act(seq, ("say", "x" * 900)) for seq in range(1, 8))[:_TINY_RECORDS]
    ciphertext = b"".join(end.record(data[at : at + 1]) for at in range(len(data)))
    return lambda: _flood(client, ciphertext)


async def _handshakes(lab: Lab, server: ServerProcess, _name: str) -> _Attack:
    address = lab.address()
    clients = [await TlsRawClient.connect(server.port, address) for _ in range(_HANDSHAKES)]
    greetings = [TlsEnd(client_context()).handshake()[1] for _ in clients]

    async def attack() -> str:
        for client, greeting in zip(clients, greetings, strict=True):
            await client.send_ciphertext(greeting)
        await asyncio.sleep(0.2)
        for client in clients:
            client.close()
        return ""

    return attack
