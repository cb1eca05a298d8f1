"""Flood control of one session: notices a client that floods or sends nonsense before others pay for it.

An action costs its bytes multiplied by the receivers, so flood control comes before the zone. Four leaky
buckets drain with time: packets, bytes, actions, and violations. Actions that the game refuses for another cause
than a violation count as any other, since honest players have their actions refused too. The fullest bucket
decides the penalty level: WARNED when it is full, MUTED at one and a half times its size, OUT at twice.
An honest client never fills one, even when it sends five seconds' worth at once after a stall.

Pure: the time is passed in, and the caller carries out what is decided here.
"""

from __future__ import annotations

import enum
import math

from zoneserver.config import Limits
from zoneserver.gateway.address_limits import AddressBudgets
from zoneserver.gateway.leaky_bucket import LeakyBucket
from zoneserver.protocol.codes import CloseReason
from zoneserver.zone.link import Standing

__all__ = ["FloodGuard", "PenaltyLevel", "charged_actions"]

# Every player is told of an action, so a long packet counts as several, one per 100 bytes. An honest client with 5
# actions of 190 bytes a second is charged 10 of 40. One session can so add 4,000 bytes a second to the frames, and one
# address 64,000, which are 3.2 KB in each frame. A send of 12 KB costs no more than one of 0.8 KB.
_BYTES_PER_ACTION = 100


def charged_actions(actions: int, size: int) -> int:
    """How many actions a packet with so many actions and bytes counts as."""
    return max(actions, size // _BYTES_PER_ACTION)


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


class FloodGuard:
    """Counts what one client sends, and decides its penalty level.

    Each `record_...` returns whether the level has just risen: then the caller tells the client, or ends the session.

    >>> guard = FloodGuard(Limits(frames_burst=100))
    >>> any(guard.record_packet(10, now=0.0) for _ in range(99)), guard.record_packet(10, now=0.0)
    (False, True)
    >>> guard.level, guard.text, guard.record_packet(10, now=0.0)
    (<PenaltyLevel.WARNED: 1>, 'too many packets (limit: frames_per_second)', False)
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
            return self._judge(packets, CloseReason.FLOOD, "too many packets (limit: frames_per_second)", now)
        return self._judge(volume, CloseReason.FLOOD, "too many bytes (limit: bytes_per_second)", now)

    def record_actions(self, count: int, now: float) -> bool:
        """Counts actions that the client sent. Returns whether the level rose."""
        fill = self._actions.spend(count, now)
        if fill < _WARNED_FILL and not self.level:
            return False
        return self._judge(fill, CloseReason.FLOOD, "too many actions (limit: actions_per_second)", now)

    def admit_actions(self, count: int, now: float) -> bool:
        """Charges actions to the client's address; returns False, and charges nothing, when there is no room."""
        return self._address is None or self._address.admit(count, now)

    def is_address_out(self, now: float) -> bool:
        """Whether there were so many violations from the address that it is to be banned."""
        return self._address is not None and self._address.is_out(now)

    def record_violation(self, code: str, now: float) -> bool:
        """Counts a violation, which was refused with this code. Returns whether the level rose."""
        if self._address is not None:
            self._address.record_violation(now)
        fill = self._violations.spend(1, now)
        if fill < _WARNED_FILL and not self.level:
            return False
        text = f"refused again and again: {code:.32} (limit: violations_per_second)"
        return self._judge(fill, CloseReason.PROTOCOL_ERROR, text, now)

    def record_ignored(self, now: float) -> bool:
        """Counts a packet with actions of a muted client as a violation. Returns whether the level rose."""
        return self._judge(self._violations.spend(1, now), self.reason, self.text, now)

    def excuse(self, seconds: float, until: float) -> None:
        """Does not count a pause of the server against the client, as `LeakyBucket.excuse` says."""
        for bucket in self._buckets():
            bucket.excuse(seconds, until)

    def standing(self, now: float) -> Standing | None:
        """What another guard of the same player has to know; None if they stand as a new player does."""
        fills = tuple(math.ceil(1000 * bucket.fill(now)) for bucket in self._buckets())
        return Standing(int(self.level), str(self.reason), self.text, fills) if self.level or any(fills) else None

    def take_over(self, standing: Standing, now: float) -> None:
        """Adds what another guard of the same player has counted. A penalty whose time has come is over."""
        for bucket, fill in zip(self._buckets(), standing.fills, strict=True):
            bucket.pour(fill / 1000, standing.age_seconds, now)
        if standing.level > self.level:
            self.level = PenaltyLevel(standing.level)
            self.reason, self.text = CloseReason[standing.reason], standing.text
        self.forgive(now)

    def _buckets(self) -> tuple[LeakyBucket, ...]:
        return self._packets, self._bytes, self._actions, self._violations

    def _judge(self, fill: float, reason: CloseReason, text: str, now: float) -> bool:
        steps = ((_OUT_FILL, PenaltyLevel.OUT), (_MUTED_FILL, PenaltyLevel.MUTED), (_WARNED_FILL, PenaltyLevel.WARNED))
        reached = next((level for step, level in steps if fill >= step), PenaltyLevel.FINE)
        if reached > self.level:
            self.level, self.reason, self.text = reached, reason, text
            return True
        if self.level is PenaltyLevel.WARNED:
            self.forgive(now)
        return False

    def forgive(self, now: float) -> bool:
        """Ends the penalty if every bucket has drained to half. Returns whether the level is FINE.

        A warning ends by itself with a later packet. The end of a mute is asked for, since the client is told of it.
        """
        if self.level < PenaltyLevel.OUT and all(bucket.fill(now) <= _FORGIVEN_FILL for bucket in self._buckets()):
            self.level = PenaltyLevel.FINE
        return not self.level
