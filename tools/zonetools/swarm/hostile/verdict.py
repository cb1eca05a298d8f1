"""What hostile bots should have got, what they got, and whether that is right."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoneserver.protocol.codes import CloseReason, RefusalCode

__all__ = ["RoleTally", "judge"]

# What a session is told of all that it sent; any that is refused something may be told so as well.
_OF_EVERYTHING = frozenset({RefusalCode.WARNED, RefusalCode.MUTED, RefusalCode.TOO_MANY_ACTIONS})


@dataclass(slots=True)
class RoleTally:
    """What the bots of one hostile role should get, and what they saw of it. Codes, with how often."""

    bots: int
    expected: list[str]
    """Codes that their connections should end with: each of them, and no other."""
    refusals: list[str]
    """Codes that they should be refused with before."""
    got: Counter[str] = field(default_factory=Counter)
    """CONNECTION_LOST stands for connections that ended without a BYE that was read."""
    cut_short: Counter[str] = field(default_factory=Counter)
    """The same, of connections that were given up when the run ended: good for no verdict."""
    refused: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    """How long the shortest connection lasted to its end, and the longest; empty before the first end."""
    note: str = ""
    """What else there is to know of these bots."""

    def ended(self, code: str, seconds: float) -> None:
        """A connection came to its end after so long."""
        self.got[code] += 1
        self.seconds = [min((*self.seconds, seconds)), max((*self.seconds, seconds))]

    def to_json(self) -> dict[str, Any]:
        """A form that `from_json` takes back, in another process."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> RoleTally:
        """The tally that `to_json` wrote."""
        counters = {name: Counter(form[name]) for name in ("got", "cut_short", "refused")}
        return cls(**{**form, **counters})


def judge(
    tallies: Mapping[str, RoleTally], server: Mapping[str, int] | None, honest: Mapping[str, int], interrupted: bool
) -> dict[str, dict[str, Any]]:
    """The part `hostile` of the report, by role. `server` is what the server counted as ends of sessions
    during the run, None when that is not known; `honest` what the honest bots read of theirs.

    A bot that does not read, or resets its connection, reads no BYE. Then the server's count says what
    became of it: such an end counts as an expected one for which the server has counted an end that
    nobody has read. `unread` is how many these are. `seconds` are the shortest and the longest connection
    that came to its end.

    >>> tally = RoleTally(1, ["SLOW_CONSUMER"], [], got=Counter(CONNECTION_LOST=2))
    >>> verdict = judge({"stuck": tally}, {"SLOW_CONSUMER": 2, "CLIENT_LEFT": 9}, {"CLIENT_LEFT": 9}, False)
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
        why.append(f"{lost - explained:,} connections ended without BYE, and the server's count does not explain it")
    allowed = {*tally.refusals, *_OF_EVERYTHING} if tally.refusals else set()
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
