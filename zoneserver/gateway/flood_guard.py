"""Flood control of one session: notices a client that floods or sends nonsense before others pay for it.

An action costs its bytes multiplied by the receivers, so flood control comes before the zone. Four leaky
buckets drain with time: packets, bytes, actions, and violations (refused actions, by weight). The fullest of
them decides the penalty level: WARNED when it is full, MUTED at one and a half times its size, OUT at twice.
An honest client never fills one, even when it sends five seconds' worth at once after a stall.

Pure: the time is passed in, and the caller carries out what is decided here.
"""

from __future__ import annotations

import enum

from zoneserver.config import Limits
from zoneserver.gateway.address_limits import AddressBudgets
from zoneserver.gateway.leaky_bucket import LeakyBucket
from zoneserver.protocol.codes import CloseReason

__all__ = ["FloodGuard", "PenaltyLevel"]


class PenaltyLevel(enum.IntEnum):
    """How far a session has gone. The level only rises, until all its buckets have drained to half."""

    FINE = 0
    WARNED = 1
    """The client was told that a bucket is full."""
    MUTED = 2
    """The client's actions are dropped."""
    OUT = 3
    """The session ends for `FloodGuard.reason`."""


_WARNED_FILL, _MUTED_FILL, _OUT_FILL, _FORGIVEN_FILL = 1.0, 1.5, 2.0, 0.5

# The weights of refused actions. An honest client on a slow line may send an action that has just become
# impossible. It never sends a violation, and it sends no actions after it was muted.
_REFUSAL_WEIGHT, _VIOLATION_WEIGHT = 1.0, 20.0


class FloodGuard:
    """Counts what one client sends, and decides its penalty level.

    Each `record_...` returns whether the level has just risen: then the caller tells the client, or ends the session.

    >>> guard = FloodGuard(Limits(frames_burst=100))
    >>> any(guard.record_packet(10, now=0.0) for _ in range(99)), guard.record_packet(10, now=0.0)
    (False, True)
    >>> guard.level, guard.text, guard.record_packet(10, now=0.0)
    (<PenaltyLevel.WARNED: 1>, 'too many frames', False)
    """

    __slots__ = ("_actions", "_address", "_bytes", "_packets", "_violations", "level", "reason", "text")

    def __init__(self, limits: Limits, address: AddressBudgets | None = None) -> None:
        self._address = address
        self._packets = LeakyBucket(limits.frames_per_second, limits.frames_burst)
        self._bytes = LeakyBucket(limits.bytes_per_second, limits.bytes_burst)
        self._actions = LeakyBucket(limits.actions_per_second, limits.actions_burst)
        self._violations = LeakyBucket(limits.violations_per_second, limits.violations_burst)
        self.level = PenaltyLevel.FINE
        self.reason = CloseReason.FLOOD
        """Why the session ends, should the level become OUT."""
        self.text = ""
        """Names the full bucket, as of the last rise of the level."""

    def record_packet(self, size: int, now: float) -> bool:
        """Counts a packet of `size` bytes. Returns whether the level rose."""
        packets, volume = self._packets.spend(1, now), self._bytes.spend(size, now)
        if packets < _WARNED_FILL and volume < _WARNED_FILL and not self.level:
            return False
        if packets > volume:
            return self._judge(packets, CloseReason.FLOOD, "too many frames", now)
        return self._judge(volume, CloseReason.FLOOD, "too many bytes", now)

    def record_actions(self, count: int, now: float) -> bool:
        """Counts actions that the client sent. Returns whether the level rose."""
        fill = self._actions.spend(count, now)
        if fill < _WARNED_FILL and not self.level:
            return False
        return self._judge(fill, CloseReason.FLOOD, "too many actions", now)

    def admit_actions(self, count: int, now: float) -> bool:
        """Charges actions to the client's address; returns False, and charges nothing, when there is no room."""
        return self._address is None or self._address.admit(count, now)

    def is_address_out(self, now: float) -> bool:
        """Whether so many actions from the address were refused that it is to be banned."""
        return self._address is not None and self._address.is_out(now)

    def record_refusal(self, code: str, is_violation: bool, now: float) -> bool:
        """Counts a refused action. Returns whether the level rose."""
        weight = _VIOLATION_WEIGHT if is_violation else _REFUSAL_WEIGHT
        if self._address is not None:
            self._address.record_refusal(weight, now)
        fill = self._violations.spend(weight, now)
        if fill < _WARNED_FILL and not self.level:
            return False
        return self._judge(fill, CloseReason.PROTOCOL_ERROR, f"refused again and again: {code:.32}", now)

    def record_ignored(self, now: float) -> bool:
        """Counts actions of a muted client: they weigh as much as a violation. Returns whether the level rose."""
        return self._judge(self._violations.spend(_VIOLATION_WEIGHT, now), self.reason, self.text, now)

    def _judge(self, fill: float, reason: CloseReason, text: str, now: float) -> bool:
        steps = ((_OUT_FILL, PenaltyLevel.OUT), (_MUTED_FILL, PenaltyLevel.MUTED), (_WARNED_FILL, PenaltyLevel.WARNED))
        reached = next((level for step, level in steps if fill >= step), PenaltyLevel.FINE)
        if reached > self.level:
            self.level, self.reason, self.text = reached, reason, text
            return True
        buckets = (self._packets, self._bytes, self._actions, self._violations)
        if self.level < PenaltyLevel.OUT and all(bucket.fill(now) <= _FORGIVEN_FILL for bucket in buckets):
            self.level = PenaltyLevel.FINE
        return False
