"""Many idle players in a process of their own, which can then be killed.

`python -m zonetools.soak.idle_clients PORT COUNT`. Writes a line when all are in, and stays until its stdin ends.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial

from zoneclient.protocol import ClientProtocol

from zoneserver.protocol.messages import Welcome
from zoneserver.support.process import loop_factory, raise_open_files

__all__ = ["main"]


class IdleClient(ClientProtocol):
    def __init__(self, name: str, herd: list[str], count: int) -> None:
        super().__init__(name)
        self._herd = herd
        self._count = count

    def on_welcome(self, welcome: Welcome) -> None:
        self._herd.append(self.name)
        if len(self._herd) == self._count:
            print("in", flush=True)


async def main(port: int, count: int) -> None:
    """Brings so many players in, and waits."""
    raise_open_files(count + 64)
    loop, herd = asyncio.get_running_loop(), list[str]()
    for number in range(count):
        await loop.create_connection(partial(IdleClient, f"sheep-{number}", herd, count), "127.0.0.1", port)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory("auto")[1]) as runner:
        runner.run(main(int(sys.argv[1]), int(sys.argv[2])))
