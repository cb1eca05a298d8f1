"""The identity of players: one session per player, and tickets if the zone requires them."""

from __future__ import annotations

import contextlib
import secrets
import sys
import tempfile
import time
from pathlib import Path

from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.messages import Welcome
from zoneserver.protocol.tickets import issue_ticket, ticket_from_text
from zonetools.common.program import run_program
from zonetools.common.server_process import ServerProcess
from zonetools.soak.clients import hello
from zonetools.soak.fault_lab import Checks, Finding, Lab, stats


async def second_login(lab: Lab) -> Finding:
    """Join under one name again and again."""
    checks, times = Checks(), lab.pick(20, 5)
    codes = []
    async with lab.server() as server, lab.recorder(server, "recorder") as recorder:
        await recorder.ticks(1)
        # Without tickets, only a client at the address of the old session counts as the same player.
        home = lab.address()
        older = await lab.raw(server, address=home)
        await older.join("twin")
        thief = await lab.raw(server)
        await thief.hello("twin")
        refused = await thief.bye()
        thief.close()
        checks.expect(refused.code == CloseReason.NAME_TAKEN, f"another address gets {refused}")
        for _ in range(times):
            newer = await lab.raw(server, address=home)
            await newer.join("twin")
            codes.append((await older.bye()).code)
            older.close()
            older = newer
        await recorder.ticks(2)
        seen = await stats(server)
        frames = [tick for _, tick in recorder.frames]
        older.close()
    checks.expect(set(codes) == {CloseReason.REPLACED}, f"the old session gets {set(codes)}")
    checks.expect(seen.players == 2, f"there are {seen.players} players and not 2")
    joins = sum(name == "twin" for tick in frames for _, name in tick.joins)
    leaves = sum(len(tick.leaves) for tick in frames)
    checks.expect((joins, leaves) == (times + 1, times), f"other players see {joins} joins and {leaves} leaves")
    return checks.finding(f"{times} times: the newest session joins, the old one gets {'/'.join(sorted(set(codes)))}")


async def tickets(lab: Lab) -> Finding:
    """Join with good tickets, each once, and with all kinds of bad ones."""
    checks, name = Checks(), "ann"
    secret = secrets.token_hex(16).encode()
    with tempfile.TemporaryDirectory(prefix="zone-") as folder:
        file = Path(folder) / "secret"
        file.write_bytes(secret + b"\n")

        def ticket_for(name: str, key: bytes = secret, zone: str = "plaza", valid: float = 60.0) -> bytes:
            return issue_ticket(key, name, zone, int(time.time() + valid), secrets.token_bytes(16))

        async with lab.server("--secret-file", str(file)) as server:
            command = (sys.executable, "-m", "zoneserver", "ticket", name, "--secret-file", str(file))
            _, out, _ = await run_program(*command)
            printed = ticket_from_text(out.strip())
            used = ticket_for("bob")
            good = [(name, printed), ("bob", used), ("cyd", ticket_for("cyd", valid=2.0))]
            for player, ticket in good:
                answer = await _answer(lab, server, player, ticket)
                checks.expect(answer == "joined", f"a good ticket is answered with {answer}")
            fresh = ticket_for(name)
            flipped = [
                (name, fresh[:at] + bytes((fresh[at] ^ 1 << bit,)) + fresh[at + 1 :])
                for at in range(len(fresh))
                for bit in lab.pick(range(8), range(at % 8, at % 8 + 1))
            ]
            bad = {
                "none": [(name, b"")],
                "forged": [*flipped, (name, ticket_for(name, key=b"another secret, as long")), (name, bytes(56))],
                "too short or too long": [(name, fresh[:-1]), (name, fresh + b"\0"), (name, fresh * 4)],
                "for another name": [("eve", fresh), ("ann ", fresh), ("Ann", fresh)],
                "for another zone": [(name, ticket_for(name, zone="arena"))],
                "expired": [(name, ticket_for(name, valid=-1.0)), (name, ticket_for(name, valid=-(10**9)))],
                "used": good,
            }
            refused = 0
            for kind, tries in bad.items():
                for player, ticket in tries:
                    answer = await _answer(lab, server, player, ticket)
                    # A name with spaces around it is rejected before its ticket is checked.
                    wanted = CloseReason.BAD_NAME if player != player.strip() else CloseReason.BAD_TICKET
                    checks.expect(answer == wanted, f"a bad ticket ({kind}) is answered with {answer}")
                    refused += answer == wanted
            answer = await _answer(lab, server, name, fresh)
            checks.expect(answer == "joined", f"a good ticket is answered with {answer} after many forgeries of it")
    checks.expect_no_traceback(server)
    total = sum(len(tries) for tries in bad.values())
    return checks.finding(
        f"{refused} of {total} bad tickets refused ({', '.join(bad)}); {len(good) + 1} good ones accepted once"
    )


async def _answer(lab: Lab, server: ServerProcess, name: str, ticket: bytes) -> str:
    """`joined`, or the code of the refusal."""
    with contextlib.closing(await lab.raw(server)) as client:
        await client.send(hello(name, ticket))
        answer = await client.answer()
        return "joined" if isinstance(answer, Welcome) else answer.code
