"""A zone and its gateways on machines of their own, as network namespaces, with a bad network between them.

Run it by `run_in_namespace`, with `quick` for a short run. It writes what players saw to stdout as JSON. If the machine
does not allow it, it writes one line to stderr and ends with exit code 3.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
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
from zonetools.swarm.plan import Address

# The network belongs to this run alone.
_LINK_PORT = 7700
DELAY_MS = 25
"""How long each byte of the link of the distant gateway is on its way."""


class _Gateway:
    """A gateway on a machine, with one player who notes when frames come."""

    def __init__(self, machine: Machine, process: ServerProcess, recorder: RecordingClient) -> None:
        self.machine = machine
        self.process = process
        self.recorder = recorder

    def longest_silence(self, since: float) -> float:
        """The longest time without a frame since a moment, in seconds."""
        # The last frame came before that moment.
        return max(self.recorder.intervals(since - 0.5), default=0.0)


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
        """A gateway on a machine."""
        secure = ("--link-token-file", self._token, "--link-ca", self._ca)
        place = ("--host", machine.host, "--open", "--name", machine.name, "--log-level", "info")
        command = ("--link", f"tcp:{link}", *secure, *place)
        async with ServerProcess(*command, prefix=machine.prefix, program=("zoneserver", "gateway")) as process:
            # One who could not come back would leave while the cable is pulled.
            recorder = RecordingClient(f"recorder-{machine.name}", resume=True)
            await asyncio.get_running_loop().create_connection(lambda: recorder, machine.host, process.port)
            try:
                yield _Gateway(machine, process, recorder)
            finally:
                recorder.abort()

    def crowd(self, zone: ServerProcess, gateways: list[_Gateway]) -> Crowd:
        """Players at gateways in turn, who come back if they are disconnected."""
        first, *others = (Address(gateway.machine.host, gateway.process.port) for gateway in gateways)
        plan = self.lab.plan(self.lab.pick(100, 40), mix=BOOKKEEPERS, resume=True)
        return Crowd(zone, dataclasses.replace(plan, host=first.host, port=first.port, others=tuple(others)))


async def main(quick: bool) -> dict[str, Any]:
    """Spoil the network of one gateway in several ways; return what the players of each gateway saw."""
    cancel_on_signals()
    silences: dict[str, list[float]] = {}
    async with Network() as network:
        with tempfile.TemporaryDirectory(prefix="zone-") as folder:
            lab, processes = _Lab(network, Path(folder), quick), list[ServerProcess]()
            async with contextlib.AsyncExitStack() as stack:
                zone = await stack.enter_async_context(lab.zone())
                machines = [await network.machine(name) for name in ("north", "south")]
                both = [await stack.enter_async_context(lab.gateway(machine)) for machine in machines]
                processes += [zone, *(gateway.process for gateway in both)]
                async with lab.crowd(zone, both) as crowd:
                    await asyncio.sleep(0.5)
                    for fault, spoil in FAULTS.items() if not quick else [*FAULTS.items()][:1]:
                        silences[fault] = await _silences(both, spoil(machines[0]))
                distance = None if quick else await _distance(lab, stack, zone, both[1])
        logs = [process.log for process in processes]
    return {"silences": silences, "report": crowd.report, "distance": distance, "logs": logs}


async def _silences(gateways: list[_Gateway], fault: Coroutine[Any, Any, None]) -> list[float]:
    """The longest times without a frame at each gateway, during a fault and for a second after it."""
    began = time.monotonic()
    await fault
    for gateway in gateways:
        async with asyncio.timeout(20):
            await gateway.recorder.ticks(20)
    return [gateway.longest_silence(began) for gateway in gateways]


async def _pull(machine: Machine, seconds: float) -> None:
    machine.pull("back")
    try:
        await asyncio.sleep(seconds)
    finally:
        machine.plug("back")


async def _squeeze(machine: Machine, seconds: float) -> None:
    # tbf loses what exceeds its queue, and TCP sends it again.
    machine.shape("back", "32kbit", queue="8kb")
    try:
        await asyncio.sleep(seconds)
    finally:
        machine.unshape("back")


FAULTS: dict[str, Callable[[Machine], Coroutine[Any, Any, None]]] = {
    "pulled for 3 s": lambda machine: _pull(machine, 3.0),
    "32 kbit/s for 5 s": lambda machine: _squeeze(machine, 5.0),
    "pulled for 20 s": lambda machine: _pull(machine, 20.0),
}
"""What happens to the cable between a gateway and the zone. A quick run has the first of them."""


async def _distance(lab: _Lab, stack: contextlib.AsyncExitStack, zone: ServerProcess, near: _Gateway) -> dict[str, Any]:
    """The latency at a gateway that is far away and at one that is near: by netem where the kernel has it, which also
    loses packets, otherwise by a relay."""
    machine = await lab.network.machine("distant")
    link, means = f"10.78.0.1:{_LINK_PORT}", "netem, which loses 1 % of the packets"
    if not machine.delay("back", DELAY_MS, loss_percent=1):
        relay = Relay(_LINK_PORT, DELAY_MS / 1000, host="10.78.0.1", listen=Network.link_host)
        await stack.enter_async_context(relay)
        link, means = f"{Network.link_host}:{relay.port}", "a relay, since the kernel has no netem"
    far = await stack.enter_async_context(lab.gateway(machine, link))
    async with lab.crowd(zone, [far, near]) as crowd:
        await asyncio.sleep(5.0)
    return {"means": means, "report": crowd.report}


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
