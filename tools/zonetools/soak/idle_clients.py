"""Many idle players in one process that a test can kill.

`python -m zonetools.soak.idle_clients PORT COUNT` prints a line once all players have joined, and stays until
its stdin ends.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial

from zoneclient.protocol import ClientProtocol

from zoneserver.support.event_loop import loop_factory
from zoneserver.support.process import raise_open_files


async def main(port: int, count: int) -> None:
    """Let this many players join, then wait."""
    raise_open_files(count + 64)
    loop = asyncio.get_running_loop()
    clients = []
    for number in range(count):
        make = partial(ClientProtocol, f"idle-{number}")
        clients.append((await loop.create_connection(make, "127.0.0.1", port))[1])
    while not all(client.welcome for client in clients):
        await asyncio.sleep(0.01)
    print("joined", flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory("auto")[1]) as runner:
        runner.run(main(int(sys.argv[1]), int(sys.argv[2])))
