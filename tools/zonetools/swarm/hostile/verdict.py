"""Compares the close codes that hostile bots received with the expected ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoneserver.protocol.codes import RESTRAINTS, CloseReason, RefusalCode

# Codes about everything that a session sent. Any role that expects refusals may receive these too.
_GENERAL_CODES = RESTRAINTS | {RefusalCode.TOO_MANY_ACTIONS}


@dataclass(slots=True)
class RoleTally:
    """The expected and the received codes of the bots of one hostile role, with their counts."""

    bots: int
    expected: list[str]
    """The close codes that should occur: each of them, and no other."""
    refusals: list[str]
    """The codes of refusals that should occur before the end."""
    got: Counter[str] = field(default_factory=Counter)
    """The close codes that occurred. CONNECTION_LOST stands for a connection whose bot read no BYE."""
    cut_short: Counter[str] = field(default_factory=Counter)
    """The close codes of connections that the end of the run cut short. They do not count for the verdict."""
    refused: Counter[str] = field(default_factory=Counter)
    """The codes of the refusals that occurred."""
    seconds: list[float] = field(default_factory=list)
    """The durations of the shortest and the longest complete connection; empty before the first end."""
    note: str = ""
    """A remark for the report."""

    def record_end(self, code: str, seconds: float) -> None:
        """A connection ended with `code` after `seconds`."""
        self.got[code] += 1
        self.seconds = [min((*self.seconds, seconds)), max((*self.seconds, seconds))]


def judge_roles(
    tallies: Mapping[str, RoleTally], server: Mapping[str, int] | None, honest: Mapping[str, int], interrupted: bool
) -> dict[str, dict[str, Any]]:
    """Return the part `hostile` of the report, by role.

    `server` are the close codes that the server counted during the run, None if they are not known. `honest` are
    the close codes that the honest bots read.

    A bot that does not read, or that resets its connection, reads no BYE. For such a connection an expected code
    is assumed if the server counted that code once more than all bots have read it. `unread` is the number of
    such connections.

    >>> tally = RoleTally(1, ["SLOW_CONSUMER"], [], got=Counter(CONNECTION_LOST=2))
    >>> verdict = judge_roles({"stuck": tally}, {"SLOW_CONSUMER": 2, "CLIENT_LEFT": 9}, {"CLIENT_LEFT": 9}, False)
    >>> verdict["stuck"]["got"], verdict["stuck"]["unread"], verdict["stuck"]["ok"]
    ({'SLOW_CONSUMER': 2}, 2, True)
    """
    unread = Counter(server or {})
    for read in (honest, *(tally.got for tally in tallies.values()), *(t.cut_short for t in tallies.values())):
        unread.subtract({code: count for code, count in read.items() if code != CloseReason.CONNECTION_LOST})
    return {role: _judge_role(tally, unread, interrupted) for role, tally in tallies.items()}


def _judge_role(tally: RoleTally, unread: Counter[str], interrupted: bool) -> dict[str, Any]:
    got, explained = Counter(tally.got), 0
    lost = got.pop(CloseReason.CONNECTION_LOST, 0)
    for code in tally.expected:
        found = min(lost - explained, max(0, unread[code]))
        if found:
            unread[code] -= found
            got[code] += found
            explained += found
    if lost > explained:
        got[CloseReason.CONNECTION_LOST] += lost - explained
    why = [f"{count:,} x {code}" for code, count in got.items() if code not in tally.expected]
    if lost > explained:
        why.append(f"{lost - explained:,} connections ended without a BYE, and the server's count does not explain it")
    allowed = {*tally.refusals, *_GENERAL_CODES} if tally.refusals else set()
    why += [f"{count:,} x refused with {code}" for code, count in tally.refused.items() if code not in allowed]
    if not interrupted:
        why += [f"never {code}" for code in tally.expected if not got[code]]
        why += [f"never refused with {code}" for code in tally.refusals if not tally.refused[code]]
    return {
        "bots": tally.bots,
        "expected": tally.expected,
        "got": {str(code): count for code, count in sorted(got.items())},
        "unread": explained,
        "refused": dict(sorted(tally.refused.items())),
        "seconds": [round(seconds, 3) for seconds in tally.seconds],
        "note": tally.note,
        "ok": not why,
        "why": why,
    }
