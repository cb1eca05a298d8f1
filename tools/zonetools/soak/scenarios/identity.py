"""Who somebody is: one player, one session, and a ticket where the zone asks for one."""

from __future__ import annotations

import secrets
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, create_subprocess_exec
from pathlib import Path

from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.messages import Bye, Welcome
from zoneserver.protocol.tickets import issue_ticket, ticket_from_text
from zonetools.common.server_process import ServerProcess
from zonetools.soak.lab import Checks, Finding, Lab, stats
from zonetools.soak.peers import hello

__all__ = ["second_login", "tickets"]


async def second_login(lab: Lab) -> Finding:
    """Row 17: the same name joins again, and again."""
    checks, times = Checks(), lab.pick(20, 5)
    codes = []
    async with lab.server() as server, lab.witness(server, "witness") as witness:
        await witness.ticks(1)
        # Without tickets, only somebody at the same address is taken for the same player.
        home = lab.address()
        older = await lab.raw(server, address=home)
        await older.join("twin")
        thief = await lab.raw(server)
        await thief.hello("twin")
        refused = await thief.bye()
        thief.close()
        checks.expect(refused is not None and refused.code == CloseReason.BAD_NAME, f"from elsewhere: {refused}")
        for _ in range(times):
            newer = await lab.raw(server, address=home)
            await newer.join("twin")
            said = await older.bye()
            codes.append("nothing" if said is None else said.code)
            older.close()
            older = newer
        await witness.ticks(2)
        seen = await stats(server)
        frames = [tick for _, tick in witness.frames]
        older.close()
    checks.expect(set(codes) == {CloseReason.REPLACED}, f"the old one is told {set(codes)}")
    checks.expect(seen.players == 2, f"{seen.players} players are in rather than 2")
    joins = sum(name == "twin" for tick in frames for _, name in tick.joins)
    leaves = sum(len(tick.leaves) for tick in frames)
    checks.expect((joins, leaves) == (times + 1, times), f"others see {joins} joins and {leaves} leaves")
    return checks.finding(f"{times} times: the newest is in, the old one told {'/'.join(sorted(set(codes)))}")


async def tickets(lab: Lab) -> Finding:
    """Row 18: good tickets once each; everything else, never."""
    checks, name = Checks(), "ann"
    secret = secrets.token_hex(16).encode()
    with tempfile.TemporaryDirectory(prefix="zone-") as folder:
        file = Path(folder) / "secret"
        file.write_bytes(secret + b"\n")

        def made(name: str, key: bytes = secret, zone: str = "plaza", valid: float = 60.0) -> bytes:
            return issue_ticket(key, name, zone, int(time.time() + valid), secrets.token_bytes(16))

        async with lab.server("--secret-file", str(file)) as server:
            printed = await _printed(name, file)
            used = made("bob")
            good = [(name, printed), ("bob", used), ("cyd", made("cyd", valid=2.0))]
            for player, ticket in good:
                answer = await _answer(lab, server, player, ticket)
                checks.expect(answer == "in", f"a good ticket is answered with {answer}")
            fresh = made(name)
            flipped = [
                (name, fresh[:at] + bytes((fresh[at] ^ 1 << bit,)) + fresh[at + 1 :])
                for at in range(len(fresh))
                for bit in lab.pick(range(8), range(at % 8, at % 8 + 1))
            ]
            bad = {
                "none": [(name, b"")],
                "forged": [*flipped, (name, made(name, key=b"another secret, as long")), (name, bytes(56))],
                "cut or longer": [(name, fresh[:-1]), (name, fresh + b"\0"), (name, fresh * 4)],
                "of another name": [("eve", fresh), ("ann ", fresh), ("Ann", fresh)],
                "of another zone": [(name, made(name, zone="arena"))],
                "expired": [(name, made(name, valid=-1.0)), (name, made(name, valid=-(10**9)))],
                "used": good,
            }
            refused = 0
            for kind, tries in bad.items():
                for player, ticket in tries:
                    answer = await _answer(lab, server, player, ticket)
                    # A name with a space around it is refused as that, before its ticket is looked at.
                    wanted = CloseReason.BAD_NAME if player != player.strip() else CloseReason.BAD_TICKET
                    checks.expect(answer == wanted, f"a ticket that is {kind} is answered with {answer}")
                    refused += answer == wanted
            answer = await _answer(lab, server, name, fresh)
            checks.expect(answer == "in", f"a good ticket, after all those made of it, is answered with {answer}")
    checks.expect("Traceback" not in server.log, "the server logs a traceback")
    total = sum(len(tries) for tries in bad.values())
    return checks.finding(
        f"{refused} of {total} bad ones refused ({', '.join(bad)}); {len(good) + 1} good ones in, once"
    )


async def _printed(name: str, file: Path) -> bytes:
    """The ticket that the command prints."""
    process = await create_subprocess_exec(
        *(sys.executable, "-m", "zoneserver", "ticket", name, "--secret-file", str(file)), stdout=PIPE
    )
    out, _ = await process.communicate()
    return ticket_from_text(out.decode().strip())


async def _answer(lab: Lab, server: ServerProcess, name: str, ticket: bytes) -> str:
    """`in`, or the code with which somebody is refused."""
    client = await lab.raw(server)
    try:
        await client.send(hello(name, ticket))
        while (message := await client.receive()) is not None:
            if isinstance(message, Welcome):
                return "in"
            if isinstance(message, Bye):
                return message.code
        return "nothing"
    finally:
        client.close()
