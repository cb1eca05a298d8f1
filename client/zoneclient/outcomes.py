"""What became of a player's own actions: the procedure that PROTOCOL.md prints, as one pure object.

Frames name an action by the low byte of its sequence, so that they are the same bytes for everybody. With fewer than
256 unanswered actions, that tells which one is meant.
"""

from __future__ import annotations

from collections.abc import Iterable

from zoneserver.protocol.codes import RefusalCode
from zoneserver.protocol.messages import Refusal

__all__ = ["Outcomes"]

# Sequences that are less than this apart differ in their low bytes.
_LOW_BYTES = 256
# How many fates are remembered, the newest.
_FATES_MAX = 1024


class Outcomes:
    """The actions of one player: those that wait for an answer, and the fates of the last ones.

    The fate of an action is None while nothing has told it, the Refusal of one that was refused, True for one that is
    known to have happened, and False for one that is past without a sign of its own: a newer action superseded it, or
    the frame of its tick was skipped.

    >>> outcomes = Outcomes()
    >>> for seq in (1, 2, 3): outcomes.sent(seq)
    >>> outcomes.in_frame([2])
    >>> outcomes.fate(1), outcomes.fate(2), outcomes.fate(3), len(outcomes)
    (False, True, None, 1)
    """

    def __init__(self) -> None:
        # The encoded actions without an answer by sequence, in the order in which they were sent.
        self._unanswered: dict[int, bytes] = {}
        self._fates: dict[int, bool | Refusal] = {}
        # The newest public action that is known to have happened; 0 before the first one.
        self._newest = 0
        # The refusal that began the present mute.
        self._mute: Refusal | None = None
        # The newest action that the zone had taken when the client came back, and the tick by which its outcome comes.
        self._taken = self._until = 0

    def __len__(self) -> int:
        """How many actions have no answer yet."""
        return len(self._unanswered)

    def takes(self, seq: int) -> bool:
        """Whether a frame could tell the action with this sequence from all that have no answer yet."""
        return not self._unanswered or seq - next(iter(self._unanswered)) < _LOW_BYTES - 1

    def sent(self, seq: int, action: bytes = b"") -> None:
        """An action was sent, in this encoded form."""
        self._unanswered[seq] = action

    def unanswered(self) -> dict[int, bytes]:
        """Return the encoded actions without an answer by sequence, the oldest first."""
        return dict(self._unanswered)

    def fate(self, seq: int) -> bool | Refusal | None:
        """Return the fate of an action. Raises LookupError for one that was never sent or is long past."""
        return None if seq in self._unanswered else self._fates[seq]

    def refused(self, refusal: Refusal) -> None:
        """REFUSED: its action was refused.

        MUTED and UNMUTED name the first and the last action that a mute drops. Only with UNMUTED it is known that there
        was any: a mute may begin for something else than actions.
        """
        if refusal.code == RefusalCode.MUTED:
            self._mute = refusal
        elif refusal.code == RefusalCode.UNMUTED:
            mute, self._mute = self._mute or refusal, None
            for seq in [seq for seq in self._unanswered if mute.seq <= seq <= refusal.seq]:
                self._settle(seq, Refusal(refusal.tick, seq, str(RefusalCode.MUTED), mute.text))
        elif refusal.code != RefusalCode.WARNED:
            self._settle(refusal.seq, refusal)

    def answered(self, seq: int) -> None:
        """ANSWERED: this private action happened. It tells nothing of others, for which the frame has yet to come."""
        self._settle(seq, True)

    def in_frame(self, seq_bytes: Iterable[int]) -> None:
        """TICK: the player's own slot stands in `acted` and in events, with these low bytes."""
        # An action may stand in a frame several times: it is settled only when all of them have been read.
        same = [next((seq for seq in self._unanswered if seq & 0xFF == seq_byte), 0) for seq_byte in seq_bytes]
        found = {seq for seq in same if seq}
        for seq in found:
            self._settle(seq, True)
        if found:
            self._pass(max(found))

    def in_snapshot(self, seq_byte: int) -> None:
        """SNAPSHOT: it stands in place of frames, and the player's own slot has this low byte in column `seq`."""
        if seq_byte == self._newest & 0xFF:
            return  # The newest action that a frame has told, or none at all.
        newest = next((seq for seq in reversed(self._unanswered) if seq & 0xFF == seq_byte), 0)
        if newest:
            self._settle(newest, True)
            self._pass(newest)

    def resumed(self, seq: int, until: int) -> None:
        """The client has come back, and the zone has taken the actions up to this one: their outcomes come by the tick
        `until`, or are lost."""
        self._taken, self._until = seq, until

    def lost(self, tick: int) -> list[int]:
        """Give up the actions whose outcomes are lost at this tick; return their sequences."""
        if not self._taken or tick < self._until:
            return []
        lost = [seq for seq in self._unanswered if seq <= self._taken]
        for seq in lost:
            self._settle(seq, False)
        self._taken = 0
        return lost

    def _pass(self, newest: int) -> None:
        """Settle all actions before `newest`, which has happened: they cannot happen any more."""
        self._newest = max(self._newest, newest)
        for seq in [seq for seq in self._unanswered if seq < newest]:
            self._settle(seq, False)

    def _settle(self, seq: int, fate: bool | Refusal) -> None:
        if seq in self._unanswered:
            del self._unanswered[seq]
            self._fates[seq] = fate
            if len(self._fates) > _FATES_MAX:
                del self._fates[next(iter(self._fates))]
