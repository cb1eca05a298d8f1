"""Many idle players in one process that a test can kill.

`python -m zonetools.soak.idle_clients PORT COUNT` prints a line once all players have joined, and stays until
its stdin ends.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial

from zoneclient.protocol import ClientProtocol

from zoneserver.protocol.messages import Welcome
from zoneserver.support.event_loop import loop_factory
from zoneserver.support.process import raise_open_files


class IdleClient(ClientProtocol):
    """A player that joins and does nothing. `joined` collects the names of all players in the process."""

    def __init__(self, name: str, joined: list[str], count: int) -> None:
        super().__init__(name)
        self._joined = joined
        self._count = count

    def on_welcome(self, welcome: Welcome) -> None:
        self._joined.append(self.name)
        if len(self._joined) == self._count:
            print("joined", flush=True)


async def main(port: int, count: int) -> None:
    """Let this many players join, then wait."""
    raise_open_files(count + 64)
    loop, joined = asyncio.get_running_loop(), list[str]()
    for number in range(count):
        await loop.create_connection(partial(IdleClient, f"idle-{number}", joined, count), "127.0.0.1", port)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory("auto")[1]) as runner:
        runner.run(main(int(sys.argv[1]), int(sys.argv[2])))
