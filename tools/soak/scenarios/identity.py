"""Who somebody is: one player, one session."""

from __future__ import annotations

from tools.soak.lab import Checks, Finding, Lab, stats
from zoneserver.closing import CloseReason

__all__ = ["second_login"]


async def second_login(lab: Lab) -> Finding:
    """Row 17: the same name joins again, and again."""
    checks, times = Checks(), lab.pick(20, 5)
    codes = []
    async with lab.server() as server, lab.witness(server, "witness") as witness:
        await witness.ticks(1)
        older = await lab.raw(server)
        await older.join("twin")
        for _ in range(times):
            newer = await lab.raw(server)
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
