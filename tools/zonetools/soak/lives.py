"""The lives of one server: it is killed and started again, with the same port and journal."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zoneclient.connection import ZoneConnection
from zoneclient.errors import ZoneError
from zoneclient.join import connect
from zoneclient.protocol import ClientProtocol

from zoneserver.journal.reader import JournalReader
from zoneserver.journal.values import RecordedTick
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Tick
from zonetools.common.server_process import ServerProcess, SpawnError
from zonetools.soak.fault_lab import Checks, Lab
from zonetools.soak.tasks import beside

__all__ = ["Kills", "Lives", "Observer", "Talker", "check_lines", "check_told", "read_ticks"]

_TORN = re.compile(r"(\d+) bytes at the end of the journal")
# So long after a start a server is killed at the latest.
_LIFE_SECONDS = 0.5


class Observer(ClientProtocol):
    """A watcher that keeps every frame as it came. One lives as long as a server."""

    def __init__(self, frames: dict[int, bytes], conflicts: list[int]) -> None:
        super().__init__("", watch=True)
        self._frames = frames
        self._conflicts = conflicts
        self.has_frame = asyncio.Event()

    def on_tick(self, payload: bytes) -> None:
        tick = decode_server(payload)
        assert isinstance(tick, Tick)
        if self._frames.setdefault(tick.tick, payload) != payload:
            self._conflicts.append(tick.tick)
        self.has_frame.set()


@dataclass
class Talker:
    """A player who says numbered lines, over all restarts."""

    name: str
    resume: bool = True
    """Whether the player comes back after a lost connection."""
    said: dict[int, str] = field(default_factory=dict)
    """The line of each sequence."""
    refused: set[int] = field(default_factory=set)
    slots: set[int | None] = field(default_factory=set)
    resumed: int = 0
    error: str = ""
    is_in: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the player is in the zone."""

    async def talk(self, port: int, until: asyncio.Event, rate: float) -> None:
        """Talk until the event is set, and then until the fate of every line is known."""
        joining = connect("127.0.0.1", port, name=self.name, resume=self.resume, whole=True)
        try:
            async with joining as zone, beside(self._listen(zone)):
                self.is_in.set()
                while not until.is_set():
                    if not zone.is_away:
                        line = f"{self.name} {len(self.said)}"
                        self.said[zone.act("say", line)] = line
                    await asyncio.sleep(1 / rate)
                async with asyncio.timeout(10):
                    while zone.unsettled:
                        await asyncio.sleep(0.05)
        except (ZoneError, TimeoutError, OSError) as error:
            self.error = f"{type(error).__name__}: {error}"

    async def _listen(self, zone: ZoneConnection) -> None:
        async for update in zone:
            self.slots.add(zone.slot)
            self.resumed += update.resumed
            self.refused |= {refusal.seq for refusal in update.refused}


@dataclass
class Kills:
    """What became of a server that was killed again and again."""

    frames: dict[int, bytes] = field(default_factory=dict)
    """What the observer was told, by tick."""
    conflicts: list[int] = field(default_factory=list)
    """The ticks of which the observer was told two frames."""
    starting: int = 0
    """The kills of a server that had not started yet."""
    torn: int = 0
    """The starts that found a torn tail."""
    seconds: list[float] = field(default_factory=list)
    """From each start to the first frame that the observer got."""
    logs: list[str] = field(default_factory=list)


class Lives:
    """The lives of one server: each is ended by SIGKILL, and the next one has the same port and journal."""

    def __init__(self, lab: Lab, folder: str, *options: str, target: str = "zoneserver.games.plaza:Plaza") -> None:
        self.target = target
        """The game of the next life."""
        self.kills = Kills()
        self.journal = Path(folder) / "journal"
        self.port = 0
        self._lab = lab
        self._options = options
        self._chance = random.Random(lab.seed)

    def _server(self, prefix: Sequence[str] = ()) -> ServerProcess:
        port = ("--port", str(self.port)) if self.port else ()
        options = "--journal", str(self.journal), "--resume", "60s", *self._options, *port
        return self._lab.server(self.target, *options, prefix=prefix)

    @contextlib.asynccontextmanager
    async def life(self, prefix: Sequence[str] = (), *, is_killed: bool = True) -> AsyncIterator[ServerProcess]:
        """A server, which is killed at the end of the block."""
        began = time.monotonic()
        async with self._server(prefix) as server:
            self.port = server.port
            loop = asyncio.get_running_loop()
            make = lambda: Observer(self.kills.frames, self.kills.conflicts)  # noqa: E731
            _, observer = await loop.create_connection(make, "127.0.0.1", server.port)
            async with asyncio.timeout(20):
                await observer.has_frame.wait()
            self.kills.seconds.append(time.monotonic() - began)
            yield server
            if is_killed:
                server.send_signal(signal.SIGKILL)
            await server.wait()
            observer.abort()
        self._note(server)

    async def kill_soon(self) -> None:
        """A life that ends at a random moment, perhaps before the server has started."""
        if self._chance.random() < 0.2:
            await self._kill_while_starting()
            return
        async with self.life():
            await asyncio.sleep(self._chance.uniform(0.0, _LIFE_SECONDS))

    async def _kill_while_starting(self) -> None:
        server = self._server()
        starting = asyncio.create_task(server.__aenter__())
        await asyncio.sleep(self._chance.uniform(0.1, 0.6))
        with contextlib.suppress(AttributeError):  # There is no process yet.
            server.send_signal(signal.SIGKILL)
        with contextlib.suppress(SpawnError):
            await starting
            await server.__aexit__()
        self.kills.starting += 1

    def _note(self, server: ServerProcess) -> None:
        self.kills.torn += bool(_TORN.search(server.log))
        self.kills.logs.append(server.log)

    def recorded(self) -> list[RecordedTick]:
        """Every tick of the journal."""
        return read_ticks(self.journal)

    def check_told(self, checks: Checks) -> None:
        """Check that the journal has every frame that the observer was told, in the same bytes."""
        check_told(checks, self.recorded(), self.kills.frames, self.kills.conflicts)


# --- What a journal proves ------------------------------------------------------------------------


def read_ticks(journal: Path) -> list[RecordedTick]:
    """Every tick of a journal."""
    return [entry for entry in JournalReader(journal).entries() if isinstance(entry, RecordedTick)]


def check_told(
    checks: Checks, ticks: Sequence[RecordedTick], frames: Mapping[int, bytes], conflicts: Sequence[int]
) -> None:
    """Check that a journal has every frame that observers were told, in the same bytes."""
    recorded = {tick.tick: tick.frame for tick in ticks}
    missing = [tick for tick, frame in frames.items() if recorded.get(tick) != frame]
    checks.expect(not missing, f"{len(missing)} frames were told that the journal does not have")
    checks.expect(not conflicts, f"{len(conflicts)} ticks were told twice, with other bytes")


def check_lines(checks: Checks, ticks: Sequence[RecordedTick], talkers: Sequence[Talker]) -> int:
    """Check that a journal has each tick, and that each line of the talkers was said once; return how many were."""
    numbers, lines = [recorded.tick for recorded in ticks], Counter[str]()
    for recorded in ticks:
        frame = decode_server(recorded.frame)
        assert isinstance(frame, Tick)
        lines.update(event[3] for event in frame.events if event[2] == "say")
    said = {line: seq in talker.refused for talker in talkers for seq, line in talker.said.items()}
    twice = [line for line in said if lines[line] > 1]
    lost = [line for line, is_refused in said.items() if not lines[line] and not is_refused]
    errors = [talker.error for talker in talkers if talker.error]
    checks.expect(numbers == list(range(1, len(numbers) + 1)), "the ticks of the journal have a gap")
    checks.expect(not errors, f"players failed: {errors[:2]}")
    checks.expect(not twice, f"{len(twice)} actions happened twice: {twice[:2]}")
    checks.expect(not lost, f"{len(lost)} actions are lost: {lost[:2]}")
    checks.expect(all(len(talker.slots) == 1 for talker in talkers), "a player changed the slot")
    return sum(lines[line] for line in said)
