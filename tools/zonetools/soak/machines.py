"""Network namespaces that stand for machines: each has a cable to the players and one to the other machines.

    the lab   front-NAME  ---  front   machine NAME     players come by this cable
              back-NAME   ---  back                     the link of zone and gateways; a bridge joins all back cables

Needs a network namespace of its own, in which this process may do everything: `run_in_namespace`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from typing import Any

from zoneserver.support.errors import Exit
from zonetools.common.program import run_program

__all__ = ["Machine", "Network", "NotPossible", "ip", "run_in_namespace"]

_BRIDGE, _HOLD = "bridge", "import sys; sys.stdin.read()"


class NotPossible(Exception):
    """This machine does not allow network namespaces, or lacks a program. The text says which."""


async def run_in_namespace(module: str, *arguments: str) -> Any:
    """Run a module of Python in a network namespace of its own; return the JSON that it prints.

    Raises NotPossible if the machine does not allow it, ValueError if the module fails.
    """
    missing = [tool for tool in ("unshare", "nsenter", "ip") if shutil.which(tool) is None]
    if missing:
        raise NotPossible(f"there is no {' and no '.join(missing)}")
    namespace = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    code, out, err = await run_program(*namespace, sys.executable, "-m", module, *arguments)
    if code:
        error = (err.strip().splitlines() or [f"exit code {code}"])[-1]
        raise ValueError(error) if code == Exit.FAILED else NotPossible(error)
    return json.loads(out)


def ip(*words: str) -> None:
    """Run the program `ip`. Raises CalledProcessError."""
    subprocess.run(("ip", *words), check=True, capture_output=True, text=True)


class Machine:
    """A network namespace with the cables `front` and `back`. The lab has the other end of `front`."""

    def __init__(self, name: str, number: int, pid: int) -> None:
        self.name = name
        self.host = f"10.77.{number}.2"
        """Its address for players."""
        self.link_host = f"10.78.0.{number}"
        """Its address for other machines."""
        self.prefix = ("nsenter", f"--net=/proc/{pid}/ns/net")
        """The command that runs a program on this machine."""
        for cable in "front", "back":
            end, other = f"{cable}-{name}", cable
            ip("link", "add", end, "type", "veth", "peer", "name", other, "netns", str(pid))
            ip("link", "set", end, "up")
        ip("addr", "add", f"10.77.{number}.1/24", "dev", f"front-{name}")
        ip("link", "set", f"back-{name}", "master", _BRIDGE)
        for words in (
            f"addr add {self.host}/24 dev front",
            f"addr add {self.link_host}/24 dev back",
            *(f"link set {device} up" for device in ("lo", "front", "back")),
        ):
            subprocess.run((*self.prefix, "ip", *words.split()), check=True, capture_output=True, text=True)

    def pull(self, cable: str) -> None:
        """Pull a cable: what is sent is lost, and nobody is told."""
        ip("link", "set", f"{cable}-{self.name}", "down")

    def plug(self, cable: str) -> None:
        """Plug a cable in again."""
        ip("link", "set", f"{cable}-{self.name}", "up")

    def shape(self, cable: str, rate: str, *, queue: str = "64kb") -> None:
        """Bound how fast the machine is sent something by a cable. What exceeds the queue is lost."""
        self._shape(f"{cable}-{self.name}", "replace", "root", "tbf", "rate", rate, "burst", "4kb", "limit", queue)

    def unshape(self, cable: str) -> None:
        """Let the cable be as fast as it is."""
        self._shape(f"{cable}-{self.name}", "del", "root")

    def delay(self, cable: str, milliseconds: int, loss_percent: int) -> bool:
        """Delay and lose packets in both directions. Returns False if the kernel has no netem."""
        netem = ("replace", "root", "netem", "delay", f"{milliseconds}ms", "loss", f"{loss_percent}%")
        try:
            self._shape(f"{cable}-{self.name}", *netem)
            subprocess.run(
                (*self.prefix, "tc", "qdisc", "replace", "dev", cable, *netem[1:]), check=True, capture_output=True
            )
        except subprocess.CalledProcessError:
            return False
        return True

    def _shape(self, device: str, verb: str, *words: str) -> None:
        command = ("tc", "qdisc", verb, "dev", device, *words)
        subprocess.run(command, check=True, capture_output=True, text=True)


class Network:
    """The machines that a bridge joins. The lab is on it, at `link_host`."""

    link_host = "10.78.0.254"

    def __init__(self) -> None:
        self._stack = contextlib.AsyncExitStack()
        self._count = 0

    async def __aenter__(self) -> Network:
        ip("link", "set", "lo", "up")
        ip("link", "add", _BRIDGE, "type", "bridge")
        ip("addr", "add", f"{self.link_host}/24", "dev", _BRIDGE)
        ip("link", "set", _BRIDGE, "up")
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._stack.aclose()

    async def machine(self, name: str) -> Machine:
        """A new machine. Its name has at most nine characters."""
        self._count += 1
        return Machine(name, self._count, await self._stack.enter_async_context(_namespace()))


@contextlib.asynccontextmanager
async def _namespace() -> AsyncIterator[int]:
    """A process that holds a network namespace of its own: its id."""
    process = await asyncio.create_subprocess_exec("unshare", "--net", sys.executable, "-c", _HOLD, stdin=PIPE)
    try:
        async with asyncio.timeout(10):
            while os.readlink(f"/proc/{process.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
                await asyncio.sleep(0.02)
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
