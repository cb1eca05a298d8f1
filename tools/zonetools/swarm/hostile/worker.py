"""The process of the swarm in which the hostile bots live, apart from those who measure.

It takes the same orders as any (`orders`), and says of itself only whether every bot has come to its
end at least once; its tally is one `RoleTally` per role.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import sys
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any

from zoneserver.protocol.codes import CloseReason
from zoneserver.support.process import raise_open_files
from zonetools.swarm import commands as orders
from zonetools.swarm.commands import Order, Stop
from zonetools.swarm.hostile.connection import HostileConnection, OverError
from zonetools.swarm.hostile.roles import BANNING, HOSTILE_ROLES, BannedRetry, Role
from zonetools.swarm.hostile.verdict import RoleTally
from zonetools.swarm.plan import Plan

__all__ = ["CANNOT_CONNECT", "NO_END", "HostileWorker"]

CANNOT_CONNECT, NO_END = "CANNOT_CONNECT", "NO_END"
"""What a bot says it got when there was no connection, or when the server made no end of it."""

# How long a connection may last before the server should have made an end of it, whatever its role.
_PATIENCE_SECONDS = 20.0
# How long a connection may take to end when it is given up.
_LET_GO_SECONDS = 3.0
_KNOCK_SECONDS = 0.25


class HostileWorker:
    """All hostile bots of a plan, from their first connection to the order to stop."""

    def __init__(self, plan: Plan, _process: int) -> None:
        self._plan = plan
        # Where the server is, and whether bots come from addresses of their own: IPv4 has enough of them.
        addresses = socket.getaddrinfo(plan.host, plan.port, type=socket.SOCK_STREAM)
        found = min(addresses, key=lambda address: address[0] != socket.AF_INET)
        self._family, self._server = found[0], found[4]
        self._has_addresses = self._family == socket.AF_INET and sys.platform == "linux"
        self._addresses = self._all_addresses()
        self._tallies = {role: self._tally(HOSTILE_ROLES[role], bots) for role, bots in plan.hostile.items()}
        # How many bots have not come to an end yet.
        self._unsettled = sum(plan.hostile.values())
        self._cpu_seconds = 0.0
        self._seconds = 0.0

    async def run(self, queue: asyncio.Queue[Order]) -> dict[str, Any]:
        """Runs all bots until the order to stop; returns the tally."""
        raise_open_files(self._plan.open_files_per_process)
        bots = [
            asyncio.create_task(self._live(role, number))
            for role, count in self._plan.hostile.items()
            for number in range(count)
        ]
        began, cpu = time.monotonic(), time.process_time()
        try:
            while not isinstance(await queue.get(), Stop):
                began, cpu = time.monotonic(), time.process_time()
        finally:
            self._seconds, self._cpu_seconds = time.monotonic() - began, time.process_time() - cpu
            for bot in bots:
                bot.cancel()
            ends = await asyncio.gather(*bots, return_exceptions=True)
        for end in ends:
            if not isinstance(end, asyncio.CancelledError):
                raise RuntimeError("a hostile bot broke") from end
        return self.tally()

    def progress(self) -> dict[str, Any]:
        """Whether every bot has come to an end at least once."""
        return {"settled": not self._unsettled}

    def tally(self) -> dict[str, Any]:
        """What each role got, and what this process spent on it while measuring."""
        return {
            "roles": {role: tally.to_json() for role, tally in self._tallies.items()},
            "cpu_seconds": self._cpu_seconds,
            "seconds": self._seconds,
        }

    # --- A bot ------------------------------------------------------------------------------------

    async def _live(self, name: str, number: int) -> None:
        """One bot: connection after connection, and after a ban from another address."""
        role = HOSTILE_ROLES[name](self._plan.seed * 7_919 + number)
        tally, address, is_settled = self._tallies[name], next(self._addresses), False
        # Those who rest long between two attacks do not all attack at once.
        span = min(role.rest_seconds, self._plan.seconds / 2 or role.rest_seconds)
        await asyncio.sleep(span * number / tally.bots)
        while True:
            began = time.monotonic()
            code = await self._connect(role, f"{name}-{number}-{role.turn}", address, tally)
            tally.ended(code, time.monotonic() - began)
            role.turn += 1
            if code in BANNING and self._has_addresses:
                await asyncio.sleep(_KNOCK_SECONDS)
                tally.got[await self._connect(BannedRetry(0), f"{name}-{number}-knock", address, tally)] += 1
                address = next(self._addresses)
            if not is_settled:
                is_settled = True
                self._unsettled -= 1
            await asyncio.sleep(role.rest_seconds)

    async def _connect(self, role: Role, name: str, address: str, tally: RoleTally) -> str:
        """One connection, from its beginning to its end; returns what it got."""
        line = role.line(name)
        try:
            await self._open_line(line, role, address)
        except (OSError, TimeoutError):
            return CANNOT_CONNECT
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                with contextlib.suppress(OverError):
                    await role.play(line)
                code = await asyncio.shield(line.over)
        except TimeoutError:
            code = NO_END
            await self._let_go(line)
        except asyncio.CancelledError:
            tally.cut_short[await self._let_go(line)] += 1
            raise
        finally:
            tally.refused += line.refused
        return code

    async def _open_line(self, line: HostileConnection, role: Role, address: str) -> None:
        loop = asyncio.get_running_loop()
        sock = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            for level, option, value in role.options:
                sock.setsockopt(level, option, value)
            if self._has_addresses:
                sock.bind((address, 0))
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await loop.sock_connect(sock, self._server)
                await loop.create_connection(lambda: line, sock=sock)
        except BaseException:
            sock.close()
            raise

    async def _let_go(self, line: HostileConnection) -> str:
        """Ends a connection as politely as it can be; returns the code it ended with."""
        line.read_on()
        try:
            async with asyncio.timeout(_LET_GO_SECONDS):
                with contextlib.suppress(OverError):
                    await line.joined()
                    line.leave()
                return await asyncio.shield(line.over)
        except TimeoutError:
            line.abort()
            return await line.over

    # --- What should come of it -------------------------------------------------------------------

    def _tally(self, role: type[Role], bots: int) -> RoleTally:
        tally = RoleTally(bots, [str(role.expected)], [str(code) for code in role.refusals])
        if role.expected in BANNING:
            if self._has_addresses:
                tally.expected.append(str(CloseReason.BANNED))
            else:
                tally.note = "from the server's own address, which it never bans"
        return tally

    def _all_addresses(self) -> Iterator[str]:
        """Addresses of this machine that nobody else uses and no run before this one: 127.16.0.0 to
        127.223.255.255 begin anywhere and go on. Bans are by address, and last beyond a run."""
        first, count = IPv4Address("127.16.0.0"), 208 * 2**16
        place = random.SystemRandom().randrange(count)
        while True:
            yield str(first + place)
            place = (place + 1) % count


if __name__ == "__main__":
    orders.run(HostileWorker)
