"""A network cable that can be pulled: a server here, and players at the other end of a veth pair.

Run it by `run_in_namespace`. It writes its result to stdout as JSON. If the machine does not allow this, it writes one
line to stderr and ends with exit code 3.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from zoneserver.protocol.codes import CloseReason
from zoneserver.support.errors import Exit
from zoneserver.support.event_loop import loop_factory
from zonetools.common.server_process import ServerProcess, SpawnError, cancel_on_signals
from zonetools.soak.clients import hello
from zonetools.soak.fault_lab import HEALTHY, Crowd, stats, wait_for_stats
from zonetools.soak.machines import ip

_HERE, _THERE = "10.77.0.1", "10.77.0.2"
_NEAR_PLAYERS, _FAR_PLAYERS = 50, 10

Tell = Callable[[str], Awaitable[None]]


async def main() -> dict[str, Any]:
    """Pull the cable for two seconds, plug it in again, and pull it for good."""
    cancel_on_signals()
    ip("link", "set", "lo", "up")
    ip("link", "add", "near", "type", "veth", "peer", "name", "far")
    ip("addr", "add", f"{_HERE}/24", "dev", "near")
    ip("link", "set", "near", "up")
    async with (
        ServerProcess("--host", _HERE, "--open") as server,
        _far_end(server) as tell,
        Crowd(server, dataclasses.replace(HEALTHY, bots=_NEAR_PLAYERS, host=_HERE)) as near,
    ):
        await wait_for_stats(server, lambda now: now.players == _NEAR_PLAYERS + _FAR_PLAYERS)
        await tell("down")
        await asyncio.sleep(2.0)
        await tell("up")
        # Within this time, TCP sends the lost data again and gets it acknowledged.
        await asyncio.sleep(2.0)
        blip = await stats(server)
        await tell("down")
        pulled = time.monotonic()
        last = await wait_for_stats(server, lambda now: sum(now.closes.values()) >= _FAR_PLAYERS, 15.0)
        seconds = time.monotonic() - pulled
    return {
        "closes_after_2_s": blip.closes,
        "closes": last.closes,
        "seconds": seconds,
        "is_near_served": near.report["closed"] == {CloseReason.CLIENT_LEFT: _NEAR_PLAYERS},
    }


@contextlib.asynccontextmanager
async def _far_end(server: ServerProcess) -> AsyncIterator[Tell]:
    """A process at the other end, with players that read. It sets its interface `up` or `down` on command."""
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--net", sys.executable, "-m", "zonetools.soak.network_namespace", str(server.port)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    commands, answers = process.stdin, process.stdout

    async def tell(command: str) -> None:
        commands.write(command.encode() + b"\n")
        async with asyncio.timeout(10):
            if not await answers.readline():
                raise ConnectionError("the far end of the cable is gone")

    try:
        async with asyncio.timeout(10):
            while os.readlink(f"/proc/{process.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
                await asyncio.sleep(0.02)
        ip("link", "set", "far", "netns", str(process.pid))
        await tell("up")
        yield tell
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _be_far_end(port: int) -> None:
    """Run the other end: players that send nothing, while the kernel reads for them."""
    players: list[socket.socket] = []
    for command in sys.stdin:
        if not players:
            ip("addr", "add", f"{_THERE}/24", "dev", "far")
        ip("link", "set", "far", command.strip())
        while len(players) < _FAR_PLAYERS:
            players.append(socket.create_connection((_HERE, port)))
            players[-1].sendall(hello(f"far-{len(players)}"))
        print("done", flush=True)


if __name__ == "__main__":
    try:
        if len(sys.argv) > 1:
            _be_far_end(int(sys.argv[1]))
        else:
            with asyncio.Runner(loop_factory=loop_factory("auto")[1]) as runner:
                print(json.dumps(runner.run(main())))
    except (FileNotFoundError, subprocess.CalledProcessError, SpawnError) as error:
        # The machine does not allow it, or a program is missing.
        print(getattr(error, "stderr", None) or error, file=sys.stderr)
        sys.exit(Exit.CANNOT_START)
    except asyncio.CancelledError:
        sys.exit(Exit.INTERRUPTED)
