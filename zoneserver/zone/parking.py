"""Players whose connection is lost but who may come back, and what each player was told of late."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import msgpack

from zoneserver.protocol.messages import Refusal
from zoneserver.protocol.values import pack

__all__ = ["Parking", "pack_kept", "unpack_kept"]

# The bounds on the private messages that are kept of one player. The oldest are dropped first.
_MESSAGES_MAX = 64
_BYTES_MAX = 64 * 1024
# The lost connection of a player is noticed within six seconds: so much older a message may be than the drop.
_UNNOTICED_SECONDS = 8


class Parking:
    """Keeps the places of players without a connection for `grace_ticks`, and the newest private messages of everybody
    who may come back. With a grace of 0 nobody may.

    A player who comes back says which tick they have, and gets the private messages since then. A message that went
    into a dead connection is therefore not lost.

    >>> parking = Parking(grace_ticks=300, hz=20)
    >>> parking.enter(7)
    >>> parking.keep(7, 40, b"told"); parking.keep(7, 41, b"told again"); parking.park(7, 50)
    >>> 7 in parking, parking.expired(349), parking.since(7, 40)
    (True, [], [b'told again'])
    >>> parking.expired(350)
    [7]
    """

    def __init__(self, grace_ticks: int, hz: int) -> None:
        self.grace_ticks = grace_ticks
        self._unnoticed_ticks = _UNNOTICED_SECONDS * hz
        # The tick in which each parked player leaves, the earliest first.
        self._until: dict[int, int] = {}
        # (tick, payload or refusal) of each private message, by the player's ref, the oldest first.
        self._kept: dict[int, deque[tuple[int, bytes | Refusal]]] = {}

    def __contains__(self, ref: int) -> bool:
        """Whether the player is parked."""
        return ref in self._until

    def __len__(self) -> int:
        """The number of parked players."""
        return len(self._until)

    @property
    def returning(self) -> int:
        """The number of players who may come back, parked ones included."""
        return len(self._kept)

    def enter(self, ref: int) -> None:
        """A player has come in who may come back."""
        if self.grace_ticks:
            self._kept[ref] = deque()

    def may_return(self, ref: int) -> bool:
        """Whether the player may come back, should the connection be lost."""
        return ref in self._kept

    def forget(self, ref: int) -> None:
        """The player has left."""
        self._until.pop(ref, None)
        self._kept.pop(ref, None)

    def park(self, ref: int, tick: int) -> None:
        """The player's connection is lost."""
        self._until[ref] = tick + self.grace_ticks

    def rename(self, former: int, ref: int) -> None:
        """The player has come back with another ref."""
        self._until.pop(former, None)
        self._kept[ref] = self._kept.pop(former, deque())

    def expired(self, tick: int) -> list[int]:
        """The players who are parked no longer at this tick: they have to leave."""
        expired = []
        for ref, until in self._until.items():
            if until > tick:
                break
            expired.append(ref)
        return expired

    # --- Private messages -------------------------------------------------------------------------

    def keep(self, ref: int, tick: int, message: bytes | Refusal) -> None:
        """Keeps a private message of this tick, if its player may come back."""
        kept = self._kept.get(ref)
        if kept is None:
            return
        kept.append((tick, message))
        # Of a player who is away, nothing is too old.
        oldest = 0 if ref in self._until else tick - self._unnoticed_ticks
        while len(kept) > _MESSAGES_MAX or kept[0][0] < oldest:
            kept.popleft()
        if not isinstance(message, bytes):
            return
        size = 0
        for number, (_, each) in enumerate(reversed(kept)):
            size += len(each) if isinstance(each, bytes) else 0
            if size > _BYTES_MAX and number:
                while len(kept) > number:
                    kept.popleft()
                break

    def since(self, ref: int, tick: int) -> list[bytes]:
        """The private messages of the ticks after `tick`, as payloads."""
        messages = [message for at, message in self._kept.get(ref, ()) if at > tick]
        return [message if isinstance(message, bytes) else message.encode() for message in messages]

    # --- Checkpoints ------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything as plain values, for `restore`."""
        return {"parked": [list(each) for each in self._until.items()], "kept": pack_kept(self._kept)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes over a state."""
        self._until = dict(state["parked"])
        self._kept = unpack_kept(state["kept"])


def pack_kept(kept: Mapping[int, Iterable[tuple[int, bytes | Refusal]]]) -> bytes:
    """The private messages that are kept, as bytes: a crowd has thousands of them, which would be slow to write as
    values."""
    return pack([(ref, list(messages)) for ref, messages in kept.items()])


def unpack_kept(packed: bytes) -> dict[int, deque[tuple[int, bytes | Refusal]]]:
    """The private messages of `pack_kept`, by the player's ref."""
    return {
        ref: deque((tick, each if type(each) is bytes else Refusal(*each)) for tick, each in messages)
        for ref, messages in msgpack.unpackb(packed, use_list=False)
    }
