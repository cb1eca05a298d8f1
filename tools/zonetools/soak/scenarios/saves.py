"""Saved players: a stop with actions under way, and a store that cannot be used."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import json
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from zoneserver.journal.reader import JournalReader
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.messages import Answered, Bye, Told
from zonetools.common.server_process import ServerProcess
from zonetools.soak.clients import RawClient, act
from zonetools.soak.fault_lab import Checks, Finding, Lab, poll, stats
from zonetools.soak.tasks import beside, together

_SAVING = "zonetools.soak.games:Saving"
# The bytes of `accounts.db-shm` that SQLite locks to write (120) and to read (123 to 127). See wal.c.
_LOCKS_FIRST, _LOCKS_COUNT = 120, 8
# How long a join waits for the store, with what a busy machine adds.
_JOIN_SECONDS_MAX = 2.0


class _Saver:
    """A player who earns gold. It knows the last amount that the server told it."""

    def __init__(self, client: RawClient, name: str) -> None:
        self.name = name
        self.gold = 0
        self.tick = 0
        """The tick in which the server told it."""
        self.is_told = asyncio.Event()
        self.bye: Bye | None = None
        self._client = client

    async def play(self, rate: float) -> None:
        """Earn gold until the connection ends."""
        with contextlib.suppress(OSError):
            for seq in itertools.count(1):
                await self._client.send(act(seq, ("earn",)))
                await asyncio.sleep(1 / rate)

    async def listen(self) -> None:
        """Read until the connection ends."""
        while (message := await self._client.receive()) is not None:
            if isinstance(message, Told | Answered):
                self.gold, self.tick = message.values[0], message.tick
                self.is_told.set()
            elif isinstance(message, Bye):
                self.bye = message


@contextlib.asynccontextmanager
async def _savers(lab: Lab, server: ServerProcess, names: list[str]) -> AsyncIterator[list[_Saver]]:
    """Players of these names. All have been told what they have when the block begins."""
    async with contextlib.AsyncExitStack() as stack:
        savers = []
        for name in names:
            client = await lab.raw(server)
            stack.callback(client.close)
            await client.hello(name)
            savers.append(_Saver(client, name))
        await stack.enter_async_context(beside(*(saver.listen() for saver in savers)))
        async with asyncio.timeout(10):
            await together(*(saver.is_told.wait() for saver in savers))
        yield savers


def _gold(store: Path) -> dict[str, int]:
    """The gold of each player in the file."""
    with contextlib.closing(sqlite3.connect(store)) as connection:
        return {
            name: json.loads(saved)["gold"] for name, saved in connection.execute("SELECT name, saved FROM players")
        }


async def saving_stop(lab: Lab) -> Finding:
    """Stop a server by SIGTERM while all its players act, read its store, and start it again."""
    checks, players, rate = Checks(), lab.pick(200, 60), 10
    names = [f"saver-{number}" for number in range(players)]
    with tempfile.TemporaryDirectory(prefix="zone-") as folder:
        store, journal = Path(folder) / "accounts.db", Path(folder) / "journal"
        # Nobody is saved before the stop.
        options = (_SAVING, "--store", str(store), "--store-interval", "1h", "--journal", str(journal))
        async with lab.server(*options) as server, _savers(lab, server, names) as savers:
            async with beside(*(saver.play(rate) for saver in savers)):
                await asyncio.sleep(lab.pick(3.0, 1.0))
                began = time.monotonic()
                server.send_signal(signal.SIGTERM)
                code = await server.wait()
                seconds = time.monotonic() - began
                await poll(lambda: _byes(savers), lambda byes: byes.total() == players, 5.0)
            told = {saver.name: saver.gold for saver in savers}
            byes = await _byes(savers)
        stopped_at = JournalReader(journal).last_tick
        newest = max(saver.tick for saver in savers)
        last = sum(saver.tick == newest for saver in savers)
        saved = _gold(store)
        async with lab.server(*options) as again, _savers(lab, again, names) as savers:
            found = {saver.name: saver.gold for saver in savers}
            goes_on = min(saver.tick for saver in savers) > stopped_at
    checks.expect(goes_on, "the second start does not go on where the journal ends")
    checks.expect(code == 0, f"the server exits with {code}")
    checks.expect(byes == {CloseReason.SERVER_STOPPING: players}, f"the players get {byes}")
    left = f"on_stop came after on_leave for {players} players"
    checks.expect(left in server.log, "on_leave was not called for every player")
    checks.expect(min(told.values()) > 0, "a player earned nothing")
    checks.expect(saved == told, f"{_differ(saved, told)} players are saved with another value than they were told")
    checks.expect(found == told, f"{_differ(found, told)} players find another value than they were told")
    checks.expect_no_traceback(server)
    return checks.finding(
        f"{players} players at {rate} actions/s: SIGTERM exit 0 after {seconds:.1f} s, {last} were told of an action "
        f"in the last tick; {players} x on_leave, on_stop; {players - _differ(saved, told)} saved and found as told"
    )


async def _byes(savers: list[_Saver]) -> Counter[str]:
    return Counter(saver.bye.code for saver in savers if saver.bye is not None)


def _differ(some: dict[str, int], told: dict[str, int]) -> int:
    return sum(some.get(name) != gold for name, gold in told.items())


async def store_fails(lab: Lab) -> Finding:
    """Lock the file of the store, first for writing, then for reading too, while players inside go on."""
    checks = Checks()
    # A locked write fails after half a second; a locked read fails later than the patience of a join.
    seconds, unreadable_seconds = lab.pick(4.0, 2.0), lab.pick(6.0, 3.0)
    names = [f"saver-{number}" for number in range(lab.pick(20, 5))]
    with tempfile.TemporaryDirectory(prefix="zone-") as folder:
        store = Path(folder) / "accounts.db"

        @contextlib.asynccontextmanager
        async def attack() -> AsyncIterator[None]:
            with _unwritable(store):
                yield
                seen = await stats(server)
                checks.expect(seen.store_unsaved > 0, "nothing waits to be written")

        async with (
            lab.server(_SAVING, "--store", str(store), "--store-interval", "1s") as server,
            lab.recorder(server, "recorder") as recorder,
            _savers(lab, server, names) as savers,
            beside(*(saver.play(5) for saver in savers)),
            contextlib.AsyncExitStack() as stack,
        ):
            comparison = await lab.compare(server, lab.pick(500, 100), attack, seconds, joins_first=True)
            before = await stats(server)
            leaves = await stack.enter_async_context(contextlib.AsyncExitStack())
            (leaver,) = await leaves.enter_async_context(_savers(lab, server, ["leaver"]))
            async with beside(leaver.play(20)):
                await asyncio.sleep(0.5)
            await recorder.ticks(2)
            began = time.monotonic()
            with _unreadable(store):
                await leaves.aclose()
                refused, waited = await _try_to_join(lab, server, unreadable_seconds)
                # A player whose gold waits to be written needs no read.
                async with _savers(lab, server, ["leaver"]) as (returned,):
                    kept = returned.gold == leaver.gold > 0
                during = await stats(server)
            ended = time.monotonic()
            after = await poll(lambda: stats(server), lambda now: not now.store_unsaved, 10.0)
            async with _savers(lab, server, ["newcomer"]):
                pass
            intervals = recorder.intervals(began, ended)
            closes = (await stats(server)).closes
            server.send_signal(signal.SIGTERM)
            code = await server.wait()
            await poll(lambda: _byes(savers), lambda byes: byes.total() == len(savers), 5.0)
        saved, told = _gold(store), {saver.name: saver.gold for saver in savers}
    comparison.check(checks)
    failures = during.store_failures_total
    checks.expect(before.store_failures_total > 0, "no failed write is counted")
    checks.expect(set(refused) == {CloseReason.STORE_FAILED}, f"joins end with {refused}")
    checks.expect(waited <= _JOIN_SECONDS_MAX, f"a join is refused after {waited:.1f} s")
    checks.expect(during.store_unsaved > 0, "nothing waits to be written")
    checks.expect(not after.store_unsaved, f"{after.store_unsaved} players are not written after the lock")
    checks.expect(kept, "a player who left while the file was locked has another value")
    checks.expect(
        set(closes) <= {CloseReason.CLIENT_LEFT, CloseReason.CONNECTION_LOST, CloseReason.STORE_FAILED},
        f"sessions end: {closes}",
    )
    checks.expect(code == 0, f"the server exits with {code}")
    checks.expect(not _differ(saved, told), f"{_differ(saved, told)} players are saved with another value than told")
    checks.expect_no_traceback(server)
    return checks.finding(
        f"locked for writing: {comparison}; locked for reading for {ended - began:.0f} s: the longest tick interval is "
        f"{1000 * max(intervals):.0f} ms of 50, {refused.total()} joins get STORE_FAILED after at most {waited:.1f} s; "
        f"{failures} failures counted, at most {during.store_unsaved} players unsaved, then 0; nothing lost"
    )


async def _try_to_join(lab: Lab, server: ServerProcess, seconds: float) -> tuple[Counter[str], float]:
    """Let newcomers join one after another for a while. Returns what ended their joins, and the longest wait."""
    codes: Counter[str] = Counter()
    waited = 0.0
    until = time.monotonic() + seconds
    for number in itertools.count():
        if time.monotonic() > until:
            break
        with contextlib.closing(await lab.raw(server)) as client:
            began = time.monotonic()
            await client.hello(f"early-{number}")
            answer = await client.answer()
            codes[answer.code if isinstance(answer, Bye) else "joined"] += 1
            waited = max(waited, time.monotonic() - began)
    return codes, waited


@contextlib.contextmanager
def _unwritable(store: Path) -> Iterator[None]:
    """Locks a file of SQLite as another program does that writes. Others can still read, since the file has a WAL."""
    with contextlib.closing(sqlite3.connect(store, timeout=5, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


@contextlib.contextmanager
def _unreadable(store: Path) -> Iterator[None]:
    """Locks a file of SQLite so that nobody can read or write it, as a broken file system may."""
    # The system takes the locks away when the file is closed.
    with open(f"{store}-shm", "r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX, _LOCKS_COUNT, _LOCKS_FIRST)
        yield
