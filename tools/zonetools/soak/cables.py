"""A zone and its gateways on machines of their own, as network namespaces, with a bad network between them.

Run it by `run_in_namespace`, with `quick` for a short run. It writes what players saw to stdout as JSON. If the machine
does not allow it, it writes one line to stderr and ends with exit code 3.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from zoneserver.support.errors import Exit
from zoneserver.support.event_loop import loop_factory
from zonetools.common.server_process import ServerProcess, cancel_on_signals
from zonetools.soak.clients import RecordingClient
from zonetools.soak.fault_lab import Crowd, Lab
from zonetools.soak.machines import Machine, Network
from zonetools.soak.relay import Relay
from zonetools.soak.site import BOOKKEEPERS, LEDGER

# The network belongs to this run alone.
_LINK_PORT = 7700
DELAY_MS = 25
"""How long each byte of the link of the distant gateway is on its way."""


@dataclass
class Seen:
    """What the players of a gateway saw."""

    silences: dict[str, float] = field(default_factory=dict)
    """The longest time without a frame, in seconds, by fault."""
    network: str = ""
    """What makes the link slow, if something does."""
    report: dict[str, Any] = field(default_factory=dict)
    """The report of the crowd."""
    log: str = ""
    """What the gateway logged."""


class _Gateway:
    """A gateway on a machine, with its players and one who notes when frames come."""

    def __init__(self, machine: Machine, recorder: RecordingClient) -> None:
        self.machine = machine
        self.recorder = recorder
        self.seen = Seen()

    def note(self, fault: str, since: float) -> None:
        """Note the longest silence since the beginning of a fault."""
        self.seen.silences[fault] = max(self.recorder.intervals(since), default=0.0)


class _Lab:
    """The zone on its machine, with a link by TCP, TLS and a token."""

    def __init__(self, network: Network, folder: Path, quick: bool) -> None:
        import trustme

        self.lab = Lab(quick, seed=1)
        self.network = network
        authority = trustme.CA()
        # The address of the zone, and that of the lab, which may stand between.
        issued = authority.issue_cert("10.78.0.1", Network.link_host)
        self._ca, self._cert, self._key, self._token = (str(folder / name) for name in ("ca", "cert", "key", "token"))
        authority.cert_pem.write_to_path(self._ca)
        issued.cert_chain_pems[0].write_to_path(self._cert)
        issued.private_key_pem.write_to_path(self._key)
        Path(self._token).write_text(secrets.token_hex(32) + "\n")
        Path(self._token).chmod(0o600)

    @contextlib.asynccontextmanager
    async def zone(self) -> AsyncIterator[ServerProcess]:
        machine = await self.network.machine("zone")
        link = ("--link", f"tcp:{machine.link_host}:{_LINK_PORT}", "--link-token-file", self._token)
        options = (*link, "--link-cert", self._cert, "--link-key", self._key, "--port", "off", "--resume", "60s")
        async with self.lab.server(LEDGER, *options, prefix=machine.prefix) as server:
            yield server

    @contextlib.asynccontextmanager
    async def gateway(self, machine: Machine, link: str = f"10.78.0.1:{_LINK_PORT}") -> AsyncIterator[_Gateway]:
        """A gateway on a machine. Its players come back if they are disconnected."""
        secure = ("--link-token-file", self._token, "--link-ca", self._ca)
        place = ("--host", machine.host, "--open", "--name", machine.name, "--log-level", "info")
        command = ("--link", f"tcp:{link}", *secure, *place)
        async with ServerProcess(*command, prefix=machine.prefix, program=("zoneserver", "gateway")) as process:
            plan = self.lab.plan(
                self.lab.pick(50, 20), host=machine.host, port=process.port, mix=BOOKKEEPERS, resume=True
            )
            recorder = RecordingClient(f"recorder-{machine.name}")
            await asyncio.get_running_loop().create_connection(lambda: recorder, machine.host, process.port)
            try:
                async with Crowd(process, plan) as crowd:
                    gateway = _Gateway(machine, recorder)
                    yield gateway
            finally:
                recorder.abort()
        gateway.seen.report, gateway.seen.log = crowd.report, process.log


async def main(quick: bool) -> dict[str, Any]:
    """Spoil the network of one gateway in several ways; return what the players of each gateway saw."""
    cancel_on_signals()
    async with Network() as network:
        with tempfile.TemporaryDirectory(prefix="zone-") as folder:
            lab = _Lab(network, Path(folder), quick)
            async with contextlib.AsyncExitStack() as stack:
                zone = await stack.enter_async_context(lab.zone())
                north, south = [await network.machine(name) for name in ("north", "south")]
                both = [await stack.enter_async_context(lab.gateway(machine)) for machine in (north, south)]
                await asyncio.sleep(0.5)
                async with _fault(both, "pulled for 3 s"):
                    await _pull(north, 3.0)
                if not quick:
                    async with _fault(both, "32 kbit/s for 5 s"):
                        # tbf loses what exceeds its queue, and TCP sends it again.
                        north.shape("back", "32kbit", queue="8kb")
                        await asyncio.sleep(5.0)
                        north.unshape("back")
                    async with _fault(both, "pulled for 20 s"):
                        await _pull(north, 20.0)
                    both += [await _distant(lab, stack)]
            return {"zone": zone.log, **{each.machine.name: asdict(each.seen) for each in both}}


@contextlib.asynccontextmanager
async def _fault(gateways: list[_Gateway], fault: str) -> AsyncIterator[None]:
    """Note how long the players of each gateway hear nothing, and wait until all hear something again."""
    began = time.monotonic()
    yield
    for gateway in gateways:
        async with asyncio.timeout(20):
            await gateway.recorder.ticks(20)
    for gateway in gateways:
        gateway.note(fault, began)


async def _pull(machine: Machine, seconds: float) -> None:
    machine.pull("back")
    try:
        await asyncio.sleep(seconds)
    finally:
        machine.plug("back")


async def _distant(lab: _Lab, stack: contextlib.AsyncExitStack) -> _Gateway:
    """A gateway that is far away: by netem where the kernel has it, which also loses packets, otherwise by a relay."""
    machine = await lab.network.machine("distant")
    link, means = f"10.78.0.1:{_LINK_PORT}", "netem, with 1 % of the packets lost"
    if not machine.delay("back", DELAY_MS, loss_percent=1):
        relay = Relay(_LINK_PORT, DELAY_MS / 1000, host="10.78.0.1", listen=Network.link_host)
        await stack.enter_async_context(relay)
        link, means = f"{Network.link_host}:{relay.port}", "a relay, since the kernel has no netem"
    gateway = await stack.enter_async_context(lab.gateway(machine, link))
    gateway.seen.network = means
    await asyncio.sleep(3.0)
    return gateway


@contextlib.contextmanager
def _told_as_one_line() -> Iterator[None]:
    """What this machine does not allow is told in one line."""
    try:
        yield
    except (FileNotFoundError, ImportError, subprocess.CalledProcessError) as error:
        print(getattr(error, "stderr", None) or error, file=sys.stderr)
        sys.exit(Exit.CANNOT_START)
    except asyncio.CancelledError:
        sys.exit(Exit.INTERRUPTED)


if __name__ == "__main__":
    with _told_as_one_line(), asyncio.Runner(loop_factory=loop_factory("auto")[1]) as runner:
        print(json.dumps(runner.run(main("quick" in sys.argv[1:]))))
