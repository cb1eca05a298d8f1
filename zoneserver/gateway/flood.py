"""The guard of one session: notices a client that floods or talks nonsense before others pay for it.

An action costs its bytes times the receivers, so this sits before the zone. Four budgets drain with
time: frames, bytes, actions, and glitches (what no honest client does, by weight). The fullest of
them says where the session stands: warned at the brim, muted above it, out at twice the brim. An
honest client, even one that sends five seconds' worth at once after a stall, never gets to the brim.

Pure: the caller says what time it is, and carries out what is decided here.
"""

from __future__ import annotations

import enum

from zoneserver.config import Limits
from zoneserver.gateway.admission import AddressBudgets
from zoneserver.gateway.leaky_bucket import LeakyBucket
from zoneserver.protocol.codes import CloseReason

__all__ = ["FloodGuard", "PenaltyLevel"]


class PenaltyLevel(enum.IntEnum):
    """How far a session has gone. It only rises, until all its budgets have drained to half."""

    FINE = 0
    WARNED = 1
    """Told that it is at the brim of a budget."""
    MUTED = 2
    """Its actions are dropped."""
    OUT = 3
    """Over: its session ends for `Guard.reason`."""


_BRIM, _MUTED_FILL, _OUT_FILL, _FORGIVEN_FILL = 1.0, 1.5, 2.0, 0.5

# What a refusal weighs. Whoever plays over a slow line asks for what has just become impossible; but a
# client knows what an action looks like, and one that was muted knows that it is to be silent.
_REFUSAL_WEIGHT, _VIOLATION_WEIGHT = 1.0, 20.0


class FloodGuard:
    """Counts what one client sends, and says how far it has gone.

    What counts returns whether `standing` has just risen: then the client is to be told, or ended.

    >>> guard = FloodGuard(Limits(frames_burst=100))
    >>> any(guard.frame(10, now=0.0) for _ in range(99)), guard.frame(10, now=0.0), guard.frame(10, now=0.0)
    (False, True, False)
    >>> guard.standing, guard.text
    (<PenaltyLevel.WARNED: 1>, 'too many frames')
    """

    __slots__ = ("_actions", "_address", "_bytes", "_frames", "_violations", "reason", "standing", "text")

    def __init__(self, limits: Limits, address: AddressBudgets | None = None) -> None:
        self._address = address
        self._frames = LeakyBucket(limits.frames_per_second, limits.frames_burst)
        self._bytes = LeakyBucket(limits.bytes_per_second, limits.bytes_burst)
        self._actions = LeakyBucket(limits.actions_per_second, limits.actions_burst)
        self._violations = LeakyBucket(limits.violations_per_second, limits.violations_burst)
        self.standing = PenaltyLevel.FINE
        self.reason = CloseReason.FLOOD
        """What its session ends with, should it be out."""
        self.text = ""
        """What there was too much of when its standing last rose."""

    def frame(self, size: int, now: float) -> bool:
        """A frame of so many bytes arrived, whatever is in it."""
        frames, volume = self._frames.spend(1, now), self._bytes.spend(size, now)
        if frames < _BRIM and volume < _BRIM and not self.standing:
            return False
        if frames > volume:
            return self._judge(frames, CloseReason.FLOOD, "too many frames", now)
        return self._judge(volume, CloseReason.FLOOD, "too many bytes", now)

    def actions(self, count: int, now: float) -> bool:
        """So many actions were asked for."""
        fill = self._actions.spend(count, now)
        if fill < _BRIM and not self.standing:
            return False
        return self._judge(fill, CloseReason.FLOOD, "too many actions", now)

    def admits(self, count: int, now: float) -> bool:
        """Whether there is room for so many actions from its address; they are then charged there."""
        return self._address is None or self._address.admit(count, now)

    def is_address_out(self, now: float) -> bool:
        """Whether nobody else is wanted from its address, for all that is refused to those there."""
        return self._address is not None and self._address.is_out(now)

    def refused(self, code: str, is_violation: bool, now: float) -> bool:
        """An action came to nothing; a glitch is one that no honest client would have tried."""
        weight = _VIOLATION_WEIGHT if is_violation else _REFUSAL_WEIGHT
        if self._address is not None:
            self._address.refused(weight, now)
        fill = self._violations.spend(weight, now)
        if fill < _BRIM and not self.standing:
            return False
        return self._judge(fill, CloseReason.PROTOCOL_ERROR, f"refused again and again: {code:.32}", now)

    def ignored(self, now: float) -> bool:
        """It acts although it is muted: that weighs as much as a glitch, on top of what it is muted for."""
        return self._judge(self._violations.spend(_VIOLATION_WEIGHT, now), self.reason, self.text, now)

    def _judge(self, fill: float, reason: CloseReason, text: str, now: float) -> bool:
        steps = ((_OUT_FILL, PenaltyLevel.OUT), (_MUTED_FILL, PenaltyLevel.MUTED), (_BRIM, PenaltyLevel.WARNED))
        reached = next((standing for step, standing in steps if fill >= step), PenaltyLevel.FINE)
        if reached > self.standing:
            self.standing, self.reason, self.text = reached, reason, text
            return True
        budgets = (self._frames, self._bytes, self._actions, self._violations)
        if self.standing < PenaltyLevel.OUT and all(budget.fill(now) <= _FORGIVEN_FILL for budget in budgets):
            self.standing = PenaltyLevel.FINE
        return False
