"""Faults on the server's side: rules, time, the process, the cable, the start and the stop."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import socket
import sys
import time

from zoneserver.protocol.codes import RESTRAINTS, CloseReason
from zoneserver.protocol.messages import Bye, Refusal
from zonetools.common.program import run_program
from zonetools.soak.clients import RawClient, act
from zonetools.soak.fault_lab import Checks, Crowd, Finding, Lab, stats, wait_for_stats
from zonetools.soak.machines import NotPossible, run_in_namespace
from zonetools.soak.tasks import beside, together

_PERIOD = 1 / 20


async def pulled_cable(_lab: Lab) -> Finding:
    """Take down the other end of a veth pair, in separate network namespaces (`network_namespace`)."""
    try:
        found = await run_in_namespace("zonetools.soak.network_namespace")
    except NotPossible as error:
        return Finding(None, f"not measurable here: {error:.200}")
    checks, seconds = Checks(), found["seconds"]
    checks.expect(set(found["closes"]) == {CloseReason.CONNECTION_LOST}, f"sessions end with {found['closes']}")
    checks.expect(4.9 <= seconds <= 6.0, "the sessions end too early or too late")
    checks.expect(not found["closes_after_2_s"], f"a cable pulled for 2 s ends sessions: {found['closes_after_2_s']}")
    checks.expect(found["is_near_served"], "a player on this side of the cable is lost")
    return checks.finding(f"all CONNECTION_LOST after {seconds:.1f} s; pulled for 2 s: no player lost")


async def failing_rule(lab: Lab) -> Finding:
    """Call a rule that raises, among actions that do not."""
    checks, times = Checks(), 20
    async with (
        lab.server("zonetools.soak.games:Failing") as server,
        lab.recorder(server, "unlucky") as unlucky,
        lab.recorder(server, "healthy") as healthy,
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
    heard = [event[3] for tick in frames for event in tick.events if event[0] == healthy.slot]
    waved = sum(event[0] == unlucky.slot and event[2] == "emote" for tick in frames for event in tick.events)
    gaps = sum(later.tick != earlier.tick + 1 for earlier, later in itertools.pairwise(frames))
    codes = {refusal.code for refusal in unlucky.refusals}
    checks.expect(len(unlucky.refusals) == times and codes == {"RULE_FAILED"}, f"its player gets {codes}")
    checks.expect(heard == [f"{number}" for number in range(times)], "an action of another player is lost")
    checks.expect(waved == times, "another action of the same packet is lost")
    checks.expect(not gaps, "a tick is missing")
    checks.expect(not any(unlucky.slot in tick.movers for tick in frames), "a failed action is broadcast as a motion")
    checks.expect(seen.rule_failures_total == times, f"{seen.rule_failures_total} failures are counted")
    checks.expect("'fail'" in server.log and "'unlucky'" in server.log, "the log does not name action and player")
    checks.expect(seen.closes == {}, f"sessions end: {seen.closes}")
    return checks.finding(
        f"{times} failures: {times} x RULE_FAILED, {len(heard)} other actions delivered, {gaps} ticks missing"
    )


async def overload(lab: Lab) -> Finding:
    """Make every tick take three periods for a while."""
    seconds, factor, checks = lab.pick(30, 3), 3, Checks()
    async with (
        lab.server("zonetools.soak.games:Heavy") as server,
        Crowd(server, lab.plan(100)) as crowd,
        lab.recorder(server, "recorder") as recorder,
    ):
        await recorder.ticks(20)
        began = time.monotonic()
        recorder.act("burden", factor, seconds)
        queued_max = 0
        while time.monotonic() < began + seconds:
            await asyncio.sleep(0.5)
            queued_max = max(queued_max, (await stats(server)).queued_bytes)
        relieved = time.monotonic()
        await asyncio.sleep(2.5)
        seen = await stats(server)
    burdened = [tick.dilation_percent for moment, tick in recorder.frames if began + 1 < moment < relieved]
    after = [(moment, tick.dilation_percent) for moment, tick in recorder.frames if moment > relieved]
    full = next((moment - relieved for moment, percent in after if percent == 100), float("inf"))
    late = [interval for interval in recorder.intervals(relieved + 2.0) if interval > 1.5 * _PERIOD]
    lowest = min(burdened, default=0)
    checks.expect(10 <= lowest <= 50, f"time runs at {lowest} %")
    checks.expect(queued_max < 1024 * 1024, f"{queued_max} bytes are queued")
    checks.expect(not seen.closes, f"a player is disconnected: {seen.closes}")
    checks.expect(crowd.is_served, "a player missed something")
    checks.expect(full <= 2.0, "full rate takes longer than 2 s")
    checks.expect(not late, "ticks are late after the overload")
    return checks.finding(
        f"ticks of {factor} periods for {seconds} s: time runs at {lowest} %, at most {queued_max} bytes queued, "
        f"0 disconnected, full rate {full:.1f} s after the overload"
    )


async def pause(lab: Lab) -> Finding:
    """Stop the server by SIGSTOP for three seconds."""
    checks, seconds = Checks(), 3.0
    async with (
        lab.server() as server,
        Crowd(server, lab.plan(50)) as crowd,
        lab.recorder(server, "recorder") as recorder,
    ):
        await recorder.ticks(5)
        before = await stats(server)
        server.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            server.send_signal(signal.SIGCONT)
        resumed = time.monotonic()
        await recorder.ticks(20)
        after = await stats(server)
        at_once = sum(resumed <= moment < resumed + 0.5 for moment, _ in recorder.frames)
    skipped = after.ticks_skipped_total - before.ticks_skipped_total
    checks.expect(not after.closes, f"a player is disconnected: {after.closes}")
    checks.expect(crowd.is_served, "a player missed something")
    checks.expect(abs(skipped - seconds / _PERIOD) <= 4, f"{skipped} ticks are skipped")
    checks.expect(at_once <= 13, f"{at_once} ticks arrive in the first half second")
    return checks.finding(f"stopped for 3 s: 0 disconnected, {skipped} ticks skipped, {at_once} sent in the next 0.5 s")


async def long_pause(lab: Lab) -> Finding:
    """Stop the server by SIGSTOP while honest players go on to act 20 times a second."""
    checks, seconds, count, rate = Checks(), lab.pick(20.0, 16.0), lab.pick(10, 3), 20
    told: list[str] = []

    async def play(client: RawClient) -> None:
        for seq in itertools.count(1):
            await client.send(act(seq, ("emote", 1)))
            await asyncio.sleep(1 / rate)

    async def listen(client: RawClient) -> None:
        while (message := await client.receive()) is not None:
            if isinstance(message, Bye) or (isinstance(message, Refusal) and message.code in RESTRAINTS):
                told.append(message.code)

    async with lab.server() as server, contextlib.AsyncExitStack() as clients:
        # They share an address, whose budgets outlive their sessions.
        home = lab.address()
        players = [await lab.raw(server, address=home) for _ in range(count)]
        for number, client in enumerate(players):
            clients.callback(client.close)
            await client.join(f"player {number}")
        async with beside(*map(play, players), *map(listen, players)):
            await asyncio.sleep(1.0)
            server.send_signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(seconds)
            finally:
                server.send_signal(signal.SIGCONT)
            await asyncio.sleep(2.0)
            seen = await stats(server)
    checks.expect(not told and not seen.closes, f"players are penalized: {told} {seen.closes}")
    checks.expect(seen.actions_in_total >= count * rate * seconds * 0.8, "too few actions arrived to show anything")
    return checks.finding(
        f"stopped for {seconds:g} s while {count} players of one address act {rate} times a second: "
        f"{seen.actions_in_total:,} actions arrive, 0 warned, 0 disconnected"
    )


async def shutdown(lab: Lab) -> Finding:
    """Stop the server by SIGTERM and Ctrl-C while 5 % of players are stuck; then send a second signal."""
    checks = Checks()
    players, outcomes = lab.pick(400, 100), []
    for number in (signal.SIGTERM, signal.SIGINT):
        async with (
            lab.server() as server,
            Crowd(server, lab.plan(players - players // 20)) as crowd,
            lab.stuck(server, players // 20),
        ):
            await wait_for_stats(server, lambda now: now.players == players)
            began = time.monotonic()
            server.send_signal(number)
            code = await server.wait()
            seconds = time.monotonic() - began
        closed = crowd.report["closed"]
        checks.expect(code == 0, f"the server exits with {code}")
        checks.expect(seconds <= 5.0, f"the stop takes {seconds:.1f} s")
        checks.expect(closed == {CloseReason.SERVER_STOPPING: players - players // 20}, f"healthy players get {closed}")
        outcomes.append(f"{number.name} exit {code} after {seconds:.1f} s")
    async with lab.server() as server, lab.stuck(server, 3):
        await wait_for_stats(server, lambda now: now.players == 3)
        server.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.1)
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        code = await server.wait()
        seconds = time.monotonic() - began
    checks.expect(code == 130, f"a second signal exits with {code}")
    checks.expect(seconds <= 0.5, f"a second signal takes {seconds:.1f} s")
    return checks.finding(
        f"{', '.join(outcomes)}, all healthy players told; a second signal exits {code} after {seconds * 1000:.0f} ms"
    )


async def cannot_start(_lab: Lab) -> Finding:
    """Start a server that cannot start: it prints one line and ends with an exit code."""
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
            "not a number": (2, "--hz", ("-m", "zoneserver", "run", "--hz", "fast")),
            "no such game": (3, "nosuch", ("-m", "zoneserver", "run", "nosuch:Game")),
            "missing extra": (3, "pip install", ("-c", without_uvloop, "run", "--loop", "uvloop", "--port", "0")),
        }
        outcomes = await together(
            *(run_program(sys.executable, *command, seconds=10) for _, _, command in tries.values())
        )
    for (name, (wanted, word, _)), (code, out, err) in zip(tries.items(), outcomes, strict=True):
        lines = [line for line in err.splitlines() if not line.startswith(("usage:", " "))]
        checks.expect(code == wanted, f"{name}: exit code {code}")
        checks.expect(len(lines) == 1 and word in lines[0], f"{name}: {len(lines)} lines, {lines[:2]}")
        checks.expect(not out and "Traceback" not in err, f"{name}: more output than one line")
    return checks.finding(", ".join(f"{name} {code}" for name, (code, _, _) in zip(tries, outcomes, strict=True)))
