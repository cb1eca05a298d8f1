"""What goes wrong on our own side: rules, time, the process, the cable, the start and the stop."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import sys
import time

from zoneserver.protocol.codes import CloseReason
from zonetools.soak.lab import Checks, Crowd, Finding, Lab, stats, until_stats
from zonetools.soak.tasks import together

__all__ = ["cannot_start", "failing_rule", "overload", "pause", "pulled_cable", "shutdown"]

_PERIOD = 1 / 20


async def pulled_cable(_lab: Lab) -> Finding:
    """Row 9: the other end of a veth pair goes down, in network namespaces of our own (`cable`)."""
    missing = [tool for tool in ("unshare", "ip") if shutil.which(tool) is None]
    if missing:
        return Finding(None, f"not measurable here: there is no {' and no '.join(missing)}")
    namespace = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    process = await asyncio.create_subprocess_exec(
        *(*namespace, sys.executable, "-m", "zonetools.soak.cable"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
    if process.returncode:
        said = (err.decode(errors="replace").strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        if process.returncode == 1:
            return Finding(False, f"broke off: {said:.200}")
        return Finding(None, f"not measurable here: {said:.200}")
    found = json.loads(out)
    checks, seconds = Checks(), found["seconds"]
    checks.expect(set(found["closes"]) == {CloseReason.CONNECTION_LOST}, f"they end with {found['closes']}")
    checks.expect(4.9 <= seconds <= 6.0, "that is too early or too late")
    checks.expect(not found["closes_after_2_s"], f"a cable pulled for 2 s loses somebody: {found['closes_after_2_s']}")
    checks.expect(found["is_near_served"], "somebody on this side of the cable is lost")
    return checks.finding(f"all CONNECTION_LOST after {seconds:.1f} s; pulled for 2 s: nobody lost")


async def failing_rule(lab: Lab) -> Finding:
    """Row 19: a rule that raises, beside actions that do not."""
    checks, times = Checks(), 20
    async with (
        lab.server("zonetools.soak.games:Failing") as server,
        lab.witness(server, "unlucky") as unlucky,
        lab.witness(server, "healthy") as healthy,
    ):
        await healthy.ticks(2)
        for number in range(times):
            unlucky.act("fail")
            unlucky.act("emote", 2)
            healthy.act("say", f"{number}")
            await healthy.ticks(1)
        await healthy.ticks(3)
        seen = await stats(server)
        frames = [tick for _, tick in healthy.frames]
    said = [event[3] for tick in frames for event in tick.events if event[0] == healthy.slot]
    waved = sum(event[0] == unlucky.slot and event[2] == "emote" for tick in frames for event in tick.events)
    gaps = sum(later.tick != earlier.tick + 1 for earlier, later in itertools.pairwise(frames))
    codes = {refusal.code for refusal in unlucky.refusals}
    checks.expect(len(unlucky.refusals) == times and codes == {"RULE_FAILED"}, f"its player is told {codes}")
    checks.expect(said == [f"{number}" for number in range(times)], "an action of somebody else is lost")
    checks.expect(waved == times, "another action of the same packet is lost")
    checks.expect(not gaps, "a tick does not go out")
    checks.expect(not any(unlucky.slot in tick.movers for tick in frames), "a failed action is told as a motion")
    checks.expect(seen.rule_failures_total == times, f"{seen.rule_failures_total} failures are counted")
    checks.expect("'fail'" in server.log and "'unlucky'" in server.log, "the log does not name action and player")
    checks.expect(seen.closes == {}, f"sessions end: {seen.closes}")
    return checks.finding(
        f"{times} failures: {times} x RULE_FAILED, {len(said)} other actions told, {gaps} ticks missing"
    )


async def overload(lab: Lab) -> Finding:
    """Row 20: every tick takes three periods for a while."""
    seconds, factor, checks = lab.pick(30, 3), 3, Checks()
    async with (
        lab.server("zonetools.soak.games:Heavy") as server,
        Crowd(server, 100, seed=lab.seed) as crowd,
        lab.witness(server, "witness") as witness,
    ):
        await witness.ticks(20)
        began = time.monotonic()
        witness.act("burden", factor, seconds)
        most_queued = 0
        while time.monotonic() < began + seconds:
            await asyncio.sleep(0.5)
            most_queued = max(most_queued, (await stats(server)).queued_bytes)
        relieved = time.monotonic()
        await asyncio.sleep(2.5)
        seen = await stats(server)
    burdened = [tick.dilation_percent for moment, tick in witness.frames if began + 1 < moment < relieved]
    after = [(moment, tick.dilation_percent) for moment, tick in witness.frames if moment > relieved]
    full = next((moment - relieved for moment, percent in after if percent == 100), float("inf"))
    late = [interval for interval in witness.intervals(relieved + 2.0) if interval > 1.5 * _PERIOD]
    lowest = min(burdened, default=0)
    checks.expect(10 <= lowest <= 50, f"time runs at {lowest} %")
    checks.expect(most_queued < 1024 * 1024, f"{most_queued} bytes wait")
    checks.expect(not seen.closes, f"somebody is kicked: {seen.closes}")
    checks.expect(crowd.is_served, "a player missed something")
    checks.expect(full <= 2.0, "full rate takes longer than 2 s")
    checks.expect(not late, "ticks come late after the relief")
    return checks.finding(
        f"{factor} x the tick for {seconds} s: time runs at {lowest} %, {most_queued} bytes wait at the most, "
        f"0 kicked, full rate {full:.1f} s after the relief"
    )


async def pause(lab: Lab) -> Finding:
    """Row 21: SIGSTOP, three seconds, SIGCONT."""
    checks, seconds = Checks(), 3.0
    async with (
        lab.server() as server,
        Crowd(server, 50, seed=lab.seed) as crowd,
        lab.witness(server, "witness") as witness,
    ):
        await witness.ticks(5)
        before = await stats(server)
        server.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            server.send_signal(signal.SIGCONT)
        resumed = time.monotonic()
        await witness.ticks(20)
        after = await stats(server)
        at_once = sum(resumed <= moment < resumed + 0.5 for moment, _ in witness.frames)
    skipped = after.ticks_skipped_total - before.ticks_skipped_total
    checks.expect(not after.closes, f"somebody is kicked: {after.closes}")
    checks.expect(crowd.is_served, "a player missed something")
    checks.expect(abs(skipped - seconds / _PERIOD) <= 4, f"{skipped} ticks are skipped")
    checks.expect(at_once <= 13, f"{at_once} ticks come in the first half second")
    return checks.finding(f"stopped for 3 s: 0 kicked, {skipped} ticks skipped, {at_once} in the next 0.5 s")


async def shutdown(lab: Lab) -> Finding:
    """Row 22: SIGTERM and Ctrl-C while a twentieth is stuck; and a second signal."""
    checks = Checks()
    players, figures = lab.pick(400, 100), []
    for number in (signal.SIGTERM, signal.SIGINT):
        async with (
            lab.server() as server,
            Crowd(server, players - players // 20, seed=lab.seed) as crowd,
            lab.stuck(server, players // 20),
        ):
            await until_stats(server, lambda now: now.players == players)
            began = time.monotonic()
            server.send_signal(number)
            code = await server.wait()
            seconds = time.monotonic() - began
        told = crowd.report["closed"]
        checks.expect(code == 0, f"it exits with {code}")
        checks.expect(seconds <= 5.0, f"it takes {seconds:.1f} s")
        checks.expect(told == {CloseReason.SERVER_STOPPING: players - players // 20}, f"the healthy are told {told}")
        figures.append(f"{number.name} exit {code} after {seconds:.1f} s")
    async with lab.server() as server, lab.stuck(server, 3):
        await until_stats(server, lambda now: now.players == 3)
        server.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.1)
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        code = await server.wait()
        seconds = time.monotonic() - began
    checks.expect(code == 130, f"a second signal exits with {code}")
    checks.expect(seconds <= 0.5, f"a second signal takes {seconds:.1f} s")
    return checks.finding(
        f"{', '.join(figures)}, all healthy told; a second signal exits {code} after {seconds * 1000:.0f} ms"
    )


async def cannot_start(_lab: Lab) -> Finding:
    """Row 23: what stops a server from starting is one line and an exit code."""
    checks = Checks()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        without_uvloop = (
            "import sys; sys.modules['uvloop'] = None; "
            "from zoneserver.cli.main import main; sys.exit(main(sys.argv[1:]))"
        )
        tries = {
            "port in use": (3, port, ("-m", "zoneserver", "run", "--port", port, "--stats-port", "0")),
            "bad value": (2, "hz", ("-m", "zoneserver", "run", "--hz", "0")),
            "bad option": (2, "--hertz", ("-m", "zoneserver", "run", "--hertz", "20")),
            "no number": (2, "--hz", ("-m", "zoneserver", "run", "--hz", "fast")),
            "no such game": (3, "nosuch", ("-m", "zoneserver", "run", "nosuch:Game")),
            "missing extra": (3, "pip install", ("-c", without_uvloop, "run", "--loop", "uvloop", "--port", "0")),
        }
        outcomes = await together(*(_run(*command) for _, _, command in tries.values()))
    for (what, (wanted, named, _)), (code, out, err) in zip(tries.items(), outcomes, strict=True):
        lines = [line for line in err.splitlines() if not line.startswith(("usage:", " "))]
        checks.expect(code == wanted, f"{what}: exit code {code}")
        checks.expect(len(lines) == 1 and named in lines[0], f"{what}: {len(lines)} lines, {lines[:2]}")
        checks.expect(not out and "Traceback" not in err, f"{what}: more than a line")
    return checks.finding(", ".join(f"{what} {code}" for what, (code, _, _) in zip(tries, outcomes, strict=True)))


async def _run(*command: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(10):
            out, err = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    return process.returncode or 0, out.decode(), err.decode()
