"""The process that runs all hostile bots, apart from the workers that measure.

Its progress says whether the server has ended at least one connection of each bot. Its tally is one `RoleTally`
per role.
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
from zonetools.swarm.commands import Command, Stop, run_worker
from zonetools.swarm.hostile.connection import ConnectionEnded, HostileConnection
from zonetools.swarm.hostile.role import BANNING, Role
from zonetools.swarm.hostile.roles import HOSTILE_ROLES, BannedRetry
from zonetools.swarm.hostile.verdict import RoleTally
from zonetools.swarm.plan import Plan

CANNOT_CONNECT, NO_END = "CANNOT_CONNECT", "NO_END"
"""The codes that a bot reports when it could not connect, or when the server did not end the connection."""

# The server should have ended a connection of any role after this time.
_CONNECTION_SECONDS_MAX = 20.0
# How long the end of a connection may take that is given up.
_LEAVE_SECONDS_MAX = 3.0
# The pause before a bot tries to connect from an address that was just banned.
_RETRY_SECONDS = 0.25


class HostileWorker:
    """All hostile bots of a plan, from their first connection to the command to stop."""

    def __init__(self, plan: Plan, _process: int) -> None:
        self._plan = plan
        # With IPv4 on Linux each bot has an address of its own: all of 127.0.0.0/8 is this machine.
        addresses = socket.getaddrinfo(plan.host, plan.port, type=socket.SOCK_STREAM)
        found = min(addresses, key=lambda address: address[0] != socket.AF_INET)
        self._family, self._server = found[0], found[4]
        self._has_addresses = self._family == socket.AF_INET and sys.platform == "linux"
        self._addresses = self._all_addresses()
        self._tallies = {role: self._tally(HOSTILE_ROLES[role], bots) for role, bots in plan.hostile.items()}
        # How many bots have had no connection ended yet.
        self._unsettled = sum(plan.hostile.values())

    async def run(self, commands: asyncio.Queue[Command]) -> dict[str, Any]:
        """Run all bots until the command to stop; return the tally of each role, and the CPU time while measuring."""
        raise_open_files(self._plan.open_files_per_process)
        bots = [
            asyncio.create_task(self._run_bot(role, number))
            for role, count in self._plan.hostile.items()
            for number in range(count)
        ]
        began, cpu = time.monotonic(), time.process_time()
        try:
            while not isinstance(await commands.get(), Stop):
                began, cpu = time.monotonic(), time.process_time()
        finally:
            seconds, cpu_seconds = time.monotonic() - began, time.process_time() - cpu
            for bot in bots:
                bot.cancel()
            ends = await asyncio.gather(*bots, return_exceptions=True)
        for end in ends:
            if not isinstance(end, asyncio.CancelledError):
                raise RuntimeError("the script of a hostile bot failed") from end
        return {"roles": self._tallies, "cpu_seconds": cpu_seconds, "seconds": seconds}

    def progress(self) -> dict[str, Any]:
        """Return whether at least one connection of every bot has ended."""
        return {"settled": not self._unsettled}

    # --- A bot ------------------------------------------------------------------------------------

    async def _run_bot(self, name: str, number: int) -> None:
        """Run one bot: connect again and again, and after a ban from another address."""
        role = HOSTILE_ROLES[name](self._plan.bot_seed(number))
        tally, address, is_settled = self._tallies[name], next(self._addresses), False
        # Spread the first attacks, so that the bots of a role with long pauses do not all attack at once.
        span = min(role.pause_seconds, self._plan.seconds / 2 or role.pause_seconds)
        await asyncio.sleep(span * number / tally.bots)
        while True:
            began = time.monotonic()
            code = await self._connect(role, f"{name}-{number}-{role.turn}", address, tally)
            tally.record_end(code, time.monotonic() - began)
            role.turn += 1
            if code in BANNING and role.is_banned and self._has_addresses:
                await asyncio.sleep(_RETRY_SECONDS)
                tally.got[await self._connect(BannedRetry(0), f"{name}-{number}-retry", address, tally)] += 1
                address = next(self._addresses)
            if not is_settled:
                is_settled = True
                self._unsettled -= 1
            await asyncio.sleep(role.pause_seconds)

    async def _connect(self, role: Role, name: str, address: str, tally: RoleTally) -> str:
        """Run the script of a role on one connection; return its close code, NO_END or CANNOT_CONNECT."""
        is_web = role.is_web_only or role.random.random() < self._plan.web
        web_host = self._plan.address if is_web else ""
        connection = role.connection_class(name, self._plan.access.ticket(name), web_host=web_host)
        try:
            await self._open(connection, role, address)
        except (OSError, TimeoutError):
            return CANNOT_CONNECT
        try:
            async with asyncio.timeout(_CONNECTION_SECONDS_MAX):
                with contextlib.suppress(ConnectionEnded):
                    await role.play(connection)
                code = role.judge(await asyncio.shield(connection.ended), connection)
        except TimeoutError:
            code = NO_END
            await self._give_up(connection)
        except asyncio.CancelledError:
            tally.cut_short[await self._give_up(connection)] += 1
            raise
        finally:
            tally.refused += connection.refused
        return code

    async def _open(self, connection: HostileConnection, role: Role, address: str) -> None:
        loop = asyncio.get_running_loop()
        sock = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            for level, option, value in role.options:
                sock.setsockopt(level, option, value)
            if self._has_addresses:
                sock.bind((address, 0))
            async with asyncio.timeout(_CONNECTION_SECONDS_MAX):
                await loop.sock_connect(sock, self._server)
                await loop.create_connection(lambda: connection, sock=sock)
        except BaseException:
            sock.close()
            raise

    async def _give_up(self, connection: HostileConnection) -> str:
        """Leave properly if the server lets us, else abort; return the close code."""
        connection.resume_reading()
        try:
            async with asyncio.timeout(_LEAVE_SECONDS_MAX):
                with contextlib.suppress(ConnectionEnded):
                    await connection.wait_joined()
                    connection.leave()
                return await asyncio.shield(connection.ended)
        except TimeoutError:
            connection.abort()
            return await connection.ended

    # --- Expectations and addresses ---------------------------------------------------------------

    def _tally(self, role: type[Role], bots: int) -> RoleTally:
        tally = RoleTally(bots, [str(role.expected)], [str(code) for code in role.refusals])
        if role.expected in BANNING and role.is_banned:
            if self._has_addresses:
                tally.expected.append(str(CloseReason.BANNED))
            else:
                tally.note = "connected from the server's own address, which it never bans"
        return tally

    def _all_addresses(self) -> Iterator[str]:
        """Yield addresses of this machine from 127.16.0.0 to 127.223.255.255, from a random one on.

        Bans are by address and may outlast a run, so a run should not use the addresses of an earlier one.
        """
        first, count = IPv4Address("127.16.0.0"), 208 * 2**16
        offset = random.SystemRandom().randrange(count)
        while True:
            yield str(first + offset)
            offset = (offset + 1) % count


if __name__ == "__main__":
    run_worker(HostileWorker)
