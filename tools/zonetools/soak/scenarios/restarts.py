"""A server that is killed and started again, with a journal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from zoneserver.protocol.codes import CloseReason
from zonetools.common.program import run_program
from zonetools.common.server_process import SpawnError
from zonetools.soak.fault_lab import Checks, Finding, Lab, stats
from zonetools.soak.lives import Lives, Talker, check_lines
from zonetools.soak.made_journal import write_journal
from zonetools.soak.tasks import beside


async def kill_zone(lab: Lab) -> Finding:
    """Kill a server at random moments, again and again, while players talk; each time start it again."""
    checks, kills = Checks(), lab.pick(200, 4)
    talkers = [Talker(f"talker-{number}") for number in range(lab.pick(20, 5))]
    with tempfile.TemporaryDirectory(prefix="zone-") as folder:
        lives, over = Lives(lab, folder, "--journal-keep", "all"), asyncio.Event()
        async with contextlib.AsyncExitStack() as stack:
            async with lives.life():
                talks = (talker.talk(lives.port, over, lab.pick(5.0, 20.0)) for talker in talkers)
                talking = await stack.enter_async_context(beside(*talks))
                await asyncio.sleep(1.0)
            for _ in range(kills - 2):
                await lives.kill_soon()
            async with lives.life():
                over.set()
                async with asyncio.timeout(30):
                    await asyncio.wait(talking)
        ticks = lives.recorded()
        lives.check_told(checks)
    told, actions = lives.kills.frames, check_lines(checks, ticks, talkers)
    for log in lives.kills.logs:
        checks.expect("Traceback" not in log, "the server logs a traceback")
        checks.expect("DIVERGED" not in log, "a re-run diverged")
    seconds = sorted(lives.kills.seconds[1:])
    return checks.finding(
        f"{kills} kills, {lives.kills.starting} of them before the server had started: {lives.kills.torn} torn tails "
        f"cut, {len(told):,} frames told, all in the journal; {len(ticks):,} ticks without a gap; "
        f"{len(talkers)} players came back {sum(talker.resumed for talker in talkers):,} times into their slots, "
        f"{actions:,} actions, 0 lost, 0 twice; from the start to the first frame "
        f"{statistics.median(seconds):.2f} s (longest {seconds[-1]:.2f} s)"
    )


async def long_journal(lab: Lab) -> Finding:
    """Start a server with the journal of ten minutes, in which 500 players walk."""
    checks, players, minutes = Checks(), lab.pick(500, 50), lab.pick(10, 1)
    with tempfile.TemporaryDirectory(prefix="zone-") as folder:
        lives = Lives(lab, folder)
        last = await asyncio.to_thread(write_journal, lives.journal, players, 60.0 * minutes, lab.seed)
        size = sum(path.stat().st_size for path in lives.journal.iterdir())
        async with lives.life() as server:
            here = (await stats(server)).parked
        first = min(lives.kills.frames)
        (seconds,) = lives.kills.seconds
    checks.expect(
        first in range(last + 1, last + 41), f"the journal ends at tick {last}, and the zone goes on at {first}"
    )
    checks.expect(here == players, f"{here} of {players} players are there")
    # A quick run shares the machine.
    checks.expect(seconds <= lab.pick(2.0, 20.0), f"it takes {seconds:.2f} s")
    checks.expect("DIVERGED" not in lives.kills.logs[0], "a re-run diverged")
    return checks.finding(
        f"{minutes} minutes of {players} players ({size / 1e6:.0f} MB): the first frame {seconds:.2f} s after the "
        f"start, all {here} players in their slots"
    )


# --- Broken journals -----------------------------------------------------------------------------


async def broken_journal(lab: Lab) -> Finding:
    """Cut bytes off the end of a journal, and flip one in the middle; each time start a server with it."""
    checks, cuts, chance = Checks(), lab.pick(20, 3), random.Random(lab.seed)
    with tempfile.TemporaryDirectory(prefix="zone-") as folder:
        lives = Lives(lab, folder)
        async with lives.life(), _talkers(lives.port, 5):
            await asyncio.sleep(2.0)
        for _ in range(cuts):
            segment = max(lives.journal.glob("*.zlog"))
            size = segment.stat().st_size
            os.truncate(segment, size - chance.randint(1, 20))
            # What the observer was told of a tick that is cut off now may be told otherwise.
            lives.kills.frames.clear()
            async with lives.life():
                await asyncio.sleep(0.2)
        async with lives.life(), _talkers(lives.port, 5):
            await asyncio.sleep(1.0)
        last = max(lives.journal.glob("*.zlog"))
        offset = last.stat().st_size // 2
        _flip(last, offset)
        refused = await _refusal(lives)
        code, out, err = await run_program(*_JOURNAL, "check", str(lives.journal), seconds=20)
        place = re.search(rf"{re.escape(last.name)}\D+(\d+)", refused)
        is_named = place is not None and int(place[1]) <= offset
        checks.expect(is_named, f"the start does not name the place: {refused:.200}")
        checks.expect(code == 1 and last.name in out + err, f"journal check exits with {code}: {(out + err):.200}")
        _flip(last, offset)
        async with lives.life():
            pass
    torn = lives.kills.torn
    checks.expect(torn == cuts, f"{torn} of {cuts} torn tails were told")
    checks.expect(not any("DIVERGED" in log for log in lives.kills.logs), "a re-run diverged")
    return checks.finding(
        f"{cuts} torn tails: cut off, told, and gone on; a flipped byte in the middle: refused with file and offset, "
        f"by the server and by journal check; flipped back: goes on"
    )


_JOURNAL = (sys.executable, "-m", "zoneserver", "journal")


def _flip(path: Path, offset: int) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x40]))


async def _refusal(lives: Lives) -> str:
    """What a server says that does not start."""
    try:
        async with lives.life():
            return "the server has started"
    except SpawnError as error:
        return str(error)


@contextlib.asynccontextmanager
async def _talkers(port: int, count: int, rate: float = 10.0) -> AsyncIterator[list[Talker]]:
    """Players who talk during the block."""
    talkers, over = [Talker(f"talker-{number}") for number in range(count)], asyncio.Event()
    async with beside(*(talker.talk(port, over, rate) for talker in talkers)):
        yield talkers


# --- Disks ---------------------------------------------------------------------------------------


async def full_disk(lab: Lab) -> Finding:
    """Let a server write until its disk is full, slow, or fails to sync."""
    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="zone-") as folder:
        lives = Lives(lab, folder)
        await _stopped_by_disk(lab, lives, "full", checks)
        async with lives.life():
            pass
        lives.check_told(checks)
    with tempfile.TemporaryDirectory(prefix="zone-") as folder:
        lives = Lives(lab, folder, target="zonetools.soak.games:Disk")
        await _stopped_by_disk(lab, lives, "fail", checks)
        async with lives.life() as server, lab.recorder(server, "recorder") as recorder:
            lives.check_told(checks)
            async with _talkers(lives.port, 20) as talkers:
                await recorder.ticks(5)
                recorder.act("slow", 2)
                await recorder.ticks(5)
                began = time.monotonic()
                await asyncio.sleep(lab.pick(6.0, 4.0))
                longest = max(recorder.intervals(began - 3.0))
                after = await stats(server)
                last = recorder.intervals(time.monotonic() - 1.0)
        slow_log = lives.kills.logs[-1]
    checks.expect(longest >= 0.5, f"no write was slow: the longest tick interval is {longest:.2f} s")
    checks.expect(max(last) < 0.5, "the ticks are late when the disk is quick again")
    checks.expect(after.journal_slow_writes_total > 0, "no slow write is counted")
    checks.expect("journal" in slow_log, "the log does not say that the journal made ticks late")
    checks.expect(not any(talker.error for talker in talkers), "a slow disk disconnects a player")
    return checks.finding(
        f"full, or a sync that fails: the log says why, players get SERVER_STOPPING, exit 1, every frame that was told "
        f"is in the journal, a second start goes on; writes of 0.5 s: the longest tick interval is {longest:.2f} s, "
        f"{after.journal_slow_writes_total} slow writes counted, nobody disconnected"
    )


async def _stopped_by_disk(lab: Lab, lives: Lives, how: str, checks: Checks) -> None:
    """Run a server until its disk stops it."""
    prefix = ("prlimit", f"--fsize={40_000}") if how == "full" else ()
    async with (
        lives.life(prefix, is_killed=False) as server,
        lab.recorder(server, "recorder") as recorder,
        _talkers(lives.port, 5, 20.0),
    ):
        if how == "fail":
            recorder.act(how)
        async with asyncio.timeout(60):
            code = await server.wait()
        await recorder.until(lambda: recorder.is_lost)
        bye = recorder.bye
    log = lives.kills.logs[-1]
    told = next((line for line in log.splitlines() if "CRITICAL" in line), "")
    checks.expect(code == 1, f"{how}: the server exits with {code}")
    checks.expect(bye is not None and bye.code == CloseReason.SERVER_STOPPING, f"{how}: players get {bye}")
    checks.expect("journal" in told, f"{how}: the log does not say what stopped the server: {log[-300:]}")
    checks.expect("Traceback" not in log, f"{how}: the server logs a traceback")


# --- Other code ----------------------------------------------------------------------------------


async def changed_code(lab: Lab) -> Finding:
    """Kill a server, and start it with another version of its game."""
    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="zone-") as folder:
        lives = Lives(lab, folder, target="zonetools.soak.games:Points")
        over = asyncio.Event()
        talkers = [Talker(f"talker-{number}") for number in range(lab.pick(20, 5))]
        async with contextlib.AsyncExitStack() as stack:
            async with lives.life():
                talking = await stack.enter_async_context(
                    beside(*(talker.talk(lives.port, over, 5.0) for talker in talkers))
                )
                await asyncio.sleep(2.0)
            lives.target = "zonetools.soak.games:MorePoints"
            async with lives.life():
                async with asyncio.timeout(15):
                    while not all(talker.resumed for talker in talkers):
                        await asyncio.sleep(0.05)
                over.set()
                async with asyncio.timeout(30):
                    await asyncio.wait(talking)
        lives.check_told(checks)
    log = lives.kills.logs[-1]
    diverged = re.search(r"DIVERGED[^\n]*", log)
    named = "" if diverged is None else diverged[0]
    checks.expect("points" in named, f"the log does not name the first difference: {named:.200}")
    checks.expect(all(len(talker.slots) == 1 and talker.resumed for talker in talkers), "a player lost the slot")
    checks.expect(not any(talker.error for talker in talkers), "a player failed")
    checks.expect("Traceback" not in log, "the server logs a traceback")
    return checks.finding(f"{len(talkers)} players came back into their slots; the log: {named[:160]}")
