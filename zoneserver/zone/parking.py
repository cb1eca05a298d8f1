"""Players whose connection is lost but who may come back, and what each player was told of late."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

import msgpack

from zoneserver.protocol.messages import Refusal
from zoneserver.protocol.values import pack
from zoneserver.zone.link import Standing

__all__ = ["Parking", "pack_kept", "unpack_kept"]

# The bounds on the private messages that are kept of one player. The oldest are dropped first.
_MESSAGES_MAX = 64
_BYTES_MAX = 64 * 1024
# The bound on those of all players together.
_ALL_BYTES_MAX = 64 * 2**20
# The lost connection of a player is noticed within six seconds: so much older a message may be than the drop.
_UNNOTICED_SECONDS = 8


class _Kept:
    """The private messages that are kept of one player: (tick, payload or refusal) of each, the oldest first."""

    __slots__ = ("is_parked", "messages", "size", "standing")

    def __init__(self, messages: Iterable[tuple[int, bytes | Refusal]] = ()) -> None:
        self.messages = deque(messages)
        self.size = sum(_size(message) for _, message in self.messages)
        self.is_parked = False
        # The tick in which a gateway has told how the player stands, and how.
        self.standing: tuple[int, Standing] | None = None

    def add(self, tick: int, message: bytes | Refusal) -> int:
        """Adds a message; returns by how many bytes more are kept."""
        before = self.size
        self.messages.append((tick, message))
        self.size += _size(message)
        while len(self.messages) > _MESSAGES_MAX or (self.size > _BYTES_MAX and len(self.messages) > 1):
            self._drop()
        return self.size - before

    def forget_until(self, tick: int) -> int:
        """Drops the messages of ticks up to this one; returns their bytes."""
        before = self.size
        while self.messages and self.messages[0][0] <= tick:
            self._drop()
        return before - self.size

    def _drop(self) -> None:
        self.size -= _size(self.messages.popleft()[1])


def _size(message: bytes | Refusal) -> int:
    return len(message) if isinstance(message, bytes) else len(message.text) + 32


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
        self._hz = hz
        self._unnoticed_ticks = _UNNOTICED_SECONDS * hz
        # The tick in which each parked player leaves, the earliest first.
        self._until: dict[int, int] = {}
        # The private messages of each player who may come back, by ref.
        self._kept: dict[int, _Kept] = {}
        self._kept_bytes = 0
        # (tick, player's messages) for each time that one was added, the oldest first: what is too old is found here.
        self._added: deque[tuple[int, _Kept]] = deque()

    def __contains__(self, ref: int) -> bool:
        """Whether the player is parked."""
        return ref in self._until

    def __len__(self) -> int:
        """The number of parked players."""
        return len(self._until)

    def parked(self) -> Iterable[int]:
        """The refs of the parked players."""
        return self._until

    @property
    def returning(self) -> int:
        """The number of players who may come back, parked ones included."""
        return len(self._kept)

    def enter(self, ref: int) -> None:
        """A player has come in who may come back."""
        if self.grace_ticks:
            self._kept[ref] = _Kept()

    def may_return(self, ref: int) -> bool:
        """Whether the player may come back, should the connection be lost."""
        return ref in self._kept

    def forget(self, ref: int) -> None:
        """The player has left."""
        self._until.pop(ref, None)
        kept = self._kept.pop(ref, None)
        if kept is not None:
            self._kept_bytes -= kept.size
            kept.messages.clear()
            kept.size = 0

    def park(self, ref: int, tick: int) -> None:
        """The player's connection is lost."""
        self._until[ref] = tick + self.grace_ticks
        self._kept[ref].is_parked = True

    def go_on(self, ref: int, tick: int) -> None:
        """The connection of a parked player is there after all."""
        self._until.pop(ref, None)
        self._kept[ref].is_parked = False
        self._added.append((tick, self._kept[ref]))

    def rename(self, former: int, ref: int, tick: int) -> None:
        """The player has come back with another ref."""
        self._until.pop(former, None)
        kept = self._kept[ref] = self._kept.pop(former) if former in self._kept else _Kept()
        kept.is_parked = False
        self._added.append((tick, kept))

    def change(self, grace_ticks: int, tick: int) -> None:
        """Sets another grace, which is the longest from now on for those who are parked already."""
        self.grace_ticks = grace_ticks
        until = {ref: min(last, tick + grace_ticks) for ref, last in self._until.items()}
        self._until = dict(sorted(until.items(), key=itemgetter(1)))

    def expired(self, tick: int) -> list[int]:
        """The players who are parked no longer at this tick: they have to leave."""
        expired = []
        for ref, until in self._until.items():
            if until > tick:
                break
            expired.append(ref)
        return expired

    # --- Flood control ----------------------------------------------------------------------------

    def keep_standing(self, ref: int, tick: int, standing: Standing) -> None:
        """Keeps how a player stands with the flood control, if they may come back."""
        kept = self._kept.get(ref)
        if kept is not None:
            kept.standing = tick, standing

    def standing(self, ref: int, tick: int) -> Standing | None:
        """How a player stood when their gateway told it last."""
        kept = self._kept.get(ref)
        if kept is None or kept.standing is None:
            return None
        told_at, standing = kept.standing
        return standing._replace(age_seconds=(tick - told_at) / self._hz)

    # --- Private messages -------------------------------------------------------------------------

    def keep(self, ref: int, tick: int, message: bytes | Refusal) -> None:
        """Keeps a private message of this tick, if its player may come back."""
        kept = self._kept.get(ref)
        if kept is not None:
            self._kept_bytes += kept.add(tick, message)
            self._added.append((tick, kept))

    def tidy(self, tick: int) -> None:
        """Drops the messages that no player can have missed any more, and the oldest ones if there are too many. Of a
        player who is away, nothing is too old."""
        added, oldest = self._added, tick - self._unnoticed_ticks
        while added and (added[0][0] < oldest or self._kept_bytes > _ALL_BYTES_MAX):
            # All of a tick are dropped together: in which order they came does not matter.
            last = added[0][0]
            while added and added[0][0] <= last:
                _, kept = added.popleft()
                if not kept.is_parked or self._kept_bytes > _ALL_BYTES_MAX:
                    self._kept_bytes -= kept.forget_until(last)

    def since(self, ref: int, tick: int) -> list[bytes]:
        """The private messages of the ticks after `tick`, as payloads."""
        kept = self._kept.get(ref)
        messages = [message for at, message in kept.messages if at > tick] if kept is not None else []
        return [message if isinstance(message, bytes) else message.encode() for message in messages]

    # --- Checkpoints ------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything as plain values, for `restore`."""
        kept = {ref: kept.messages for ref, kept in self._kept.items()}
        told = ((ref, kept.standing) for ref, kept in self._kept.items() if kept.standing is not None)
        return {
            "parked": [list(each) for each in self._until.items()],
            "kept": pack_kept(kept),
            "standings": [[ref, tick, *standing[:4]] for ref, (tick, standing) in told],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes over a state."""
        self._until = dict(state["parked"])
        self._kept = {ref: _Kept(messages) for ref, messages in unpack_kept(state["kept"]).items()}
        self._kept_bytes = sum(kept.size for kept in self._kept.values())
        for ref, kept in self._kept.items():
            kept.is_parked = ref in self._until
        # A journal of an earlier version has none.
        for ref, tick, *standing in state.get("standings", ()):
            self._kept[ref].standing = tick, Standing(*standing)
        added = [(tick, kept) for kept in self._kept.values() for tick, _ in kept.messages]
        self._added = deque(sorted(added, key=itemgetter(0)))


def pack_kept(kept: Mapping[int, Iterable[tuple[int, bytes | Refusal]]]) -> bytes:
    """The private messages that are kept, as bytes: a crowd has thousands of them, which would be slow to write as
    values."""
    return pack([(ref, list(messages)) for ref, messages in kept.items()])


def unpack_kept(packed: bytes) -> dict[int, list[tuple[int, bytes | Refusal]]]:
    """The private messages of `pack_kept`, by the player's ref."""
    return {
        ref: [(tick, each if type(each) is bytes else Refusal(*each)) for tick, each in messages]
        for ref, messages in msgpack.unpackb(packed, use_list=False)
    }
