"""Browsers and what a page can make them do: hostile WebSockets, pages from elsewhere, a tab that stands still."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.upgrade import upgrade_request
from zonetools.common.server_process import ServerProcess
from zonetools.soak.fault_lab import Checks, Crowd, Finding, Lab, poll, stats, wait_for_stats
from zonetools.soak.tasks import beside
from zonetools.swarm.commands import Stop
from zonetools.swarm.hostile.roles import HOSTILE_ROLES
from zonetools.swarm.hostile.web_roles import WEB_ROLES
from zonetools.swarm.measure.tally import Tally
from zonetools.swarm.processes import WorkerProcess

# The roles that attack: those that break the rules of WebSocket, and two that send no message at all.
_ATTACKERS = (*(role.__name__.lower() for role in WEB_ROLES), "garbage", "oversize")


async def web_attacks(lab: Lab) -> Finding:
    """Attack over WebSocket in every way that the swarm knows, beside a crowd of which half comes over WebSocket."""
    checks, crowds, seconds = Checks(), list[Crowd](), lab.pick(12.0, 4.0)
    share = lab.pick(10, 3)
    mix = {"idle": 1, **dict.fromkeys(_ATTACKERS, share)}

    def attack(server: ServerProcess) -> AbstractAsyncContextManager[object]:
        # The bots of a role begin within half of the time of their plan.
        plan = lab.plan(sum(mix.values()), mix=mix, web=1.0, seconds=2 * seconds)
        crowds.append(Crowd(server, plan))
        return crowds[-1]

    async with lab.server("--max-players", "2000") as server:
        comparison = await lab.compare(server, lab.pick(500, 200), lambda: attack(server), seconds, web=0.5)
        seen = await stats(server)
    comparison.check(checks)
    ends = Counter[str]()
    for role in _ATTACKERS:
        expected = {str(HOSTILE_ROLES[role].expected)}
        for crowd in crowds:
            found = crowd.report["hostile"][role]
            checks.expect(found["ok"], f"{role}: {'; '.join(found['why'])}")
            checks.expect(expected <= set(found["got"]), f"{role} was ended with {found['got']}")
            ends += Counter(found["got"])
    checks.expect(seen.rule_failures_total == 0, "a rule of the game failed")
    checks.expect_no_traceback(server)
    counts = ", ".join(f"{count:,} x {code}" for code, count in sorted(ends.items()))
    return checks.finding(f"{len(_ATTACKERS)} kinds of attack: {counts}, each with its close status; {comparison}")


# --- Pages from elsewhere -------------------------------------------------------------------------


def _requests(port: int, other_port: int) -> dict[str, tuple[str, str, int]]:
    """The `Host`, the `Origin` and the expected status of each request for a WebSocket to the port of a server that
    listens at loopback. An empty `Origin` is none."""
    own = f"127.0.0.1:{port}"
    return {
        "a program": (own, "", 101),
        "its own page": (own, f"http://{own}", 101),
        "its own page by name": (f"localhost:{port}", f"http://localhost:{port}", 101),
        "a page that --origin allows": (own, "https://play.example", 101),
        "a page from elsewhere": (own, "https://evil.example", 403),
        "a page without an address": (own, "null", 403),
        "a page of another port": (own, f"http://127.0.0.1:{other_port}", 403),
        "a page with a name like its own": (own, f"http://127.0.0.1:{port}.evil.example", 403),
        "a page of another scheme and port": (own, "https://127.0.0.1", 403),
        "a rebound name": (f"evil.example:{port}", f"http://evil.example:{port}", 403),
        "a rebound name and no origin": (f"evil.example:{port}", "", 403),
        "a rebound name like its own": (f"127.0.0.1.evil.example:{port}", f"http://127.0.0.1.evil.example:{port}", 403),
        "another address": (f"192.0.2.1:{port}", f"http://192.0.2.1:{port}", 403),
    }


async def origins(lab: Lab) -> Finding:
    """Ask for a WebSocket, for documents and for statistics as a page from elsewhere can make a browser do."""
    checks, counts = Checks(), Counter[int]()
    async with (
        lab.server("--origin", "https://play.example", "--page", "on") as server,
        lab.recorder(server, "ann") as ann,
    ):
        before = await stats(server)
        asked = _requests(server.port, server.stats_port)
        for name, (host, origin, expected) in asked.items():
            status = await _status(server.port, _upgrade(host, origin), lab.address())
            checks.expect(status == expected, f"a WebSocket for {name} is answered with {status}, not {expected}")
            counts[status] += 1
        for port, path in (server.port, "/game.json"), (server.stats_port, "/stats"), (server.stats_port, "/sessions"):
            for name, (host, origin, expected) in _requests(port, server.port + server.stats_port - port).items():
                if "--origin" in name:
                    continue  # It is for the port of the players.
                wanted = 200 if expected == 101 else 403
                status = await _status(port, _get(path, host, origin), "127.0.0.1")
                checks.expect(status == wanted, f"{path} for {name} is answered with {status}, not {wanted}")
                counts[status] += 1
        after = await wait_for_stats(server, lambda now: now.handshaking == 0)
        await ann.ticks(1)
        checks.expect((after.players, after.joins_total) == (1, before.joins_total), "a page from elsewhere has joined")
        checks.expect(not after.restraints, "an address was warned for what a page asks")
    checks.expect_no_traceback(server)
    return checks.finding(
        f"{counts.total()} requests: {counts[403]} from elsewhere or under another name get 403, "
        f"{counts[101]} WebSockets and {counts[200]} documents of its own pages are served; nobody else joined"
    )


def _upgrade(host: str, origin: str) -> bytes:
    request, _ = upgrade_request(host)
    return _with_origin(request, origin)


def _get(path: str, host: str, origin: str) -> bytes:
    return _with_origin(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode(), origin)


def _with_origin(request: bytes, origin: str) -> bytes:
    return request[:-2] + f"Origin: {origin}\r\n\r\n".encode() if origin else request


async def _status(port: int, request: bytes, address: str) -> int:
    """The status with which a port answers a request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    try:
        writer.write(request)
        async with asyncio.timeout(5.0):
            return int((await reader.readuntil(b"\r\n")).split()[1])
    finally:
        writer.transport.abort()


# --- A tab that stands still ----------------------------------------------------------------------


async def frozen_tab(lab: Lab) -> Finding:
    """Stop a process with players over WebSocket, as a browser stops a tab, and let it go on."""
    checks, seconds, bots = Checks(), lab.pick(60.0, 8.0), lab.pick(50, 10)
    async with (
        lab.server("zonetools.soak.games:Bulky", "--resume", "2m") as server,
        lab.recorder(server, "loud") as loud,
        Crowd(server, lab.plan(100, web=0.5)) as crowd,
    ):
        plan = lab.plan(bots, port=server.port, mix={"idle": 1}, web=1.0, resume=True)
        tab = await WorkerProcess.start("worker", plan, 0, "the tab")
        async with beside(tab.listen(lambda _: None)):
            try:
                await _until(lambda: tab.progress.get("joined") == bots, 20.0)
                tab.freeze()
                # More than the kernel holds for a client that reads nothing.
                for _ in range(4):
                    loud.act("bulk", 400_000)
                    loud.flush()
                    await loud.ticks(4)
                await asyncio.sleep(seconds)
                ended = (await stats(server)).closes.get(CloseReason.SLOW_CONSUMER, 0)
                began = time.monotonic()
                tab.thaw()
                await _until(lambda: tab.progress.get("resumed", 0) >= bots, 20.0)
                back = time.monotonic() - began
                await loud.ticks(30)
                tab.send(Stop())
                await _until(lambda: tab.tally is not None, 20.0)
            finally:
                tab.thaw()
                await tab.end()
        tally: Tally = tab.tally
    checks.expect(ended == bots, f"of {bots} players of the frozen tab {ended} were ended as slow")
    ends = (tally.resumed, tally.resumes_failed, tally.closed_early)
    checks.expect(ends == (bots, 0, 0), f"the players of the tab ended with {dict(tally.closed)}")
    checks.expect(not (tally.mismatched or tally.diverged), "a frame or a state hash is wrong after the return")
    checks.expect(crowd.is_served, "another player missed something")
    checks.expect_no_traceback(server)
    return checks.finding(
        f"{bots} players frozen for {seconds:g} s: {ended} ended as SLOW_CONSUMER, {tally.resumed} back in their slots "
        f"within {back:.1f} s of the thaw; {crowd.report['bots']['joined']} others got everything"
    )


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait. Raises TimeoutError."""

    async def read() -> bool:
        return condition()

    if not await poll(read, bool, seconds):
        raise TimeoutError
