"""A broadcast group: receivers that get identical bytes, with one call of the kernel each.

Every other way to send (a method of the session, a transport, a queue) costs about a tenth of the server's time
at a thousand players, since it touches thousands of objects that are in no cache. So the group knows only a
function of each receiver that takes bytes to the kernel. Pure: that function is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Generic, TypeVar

__all__ = ["BroadcastGroup", "never_ready"]

_Receiver = TypeVar("_Receiver")
_Send = Callable[[bytes], int]


def never_ready(_data: bytes) -> int:
    """Takes no bytes: the send function of a receiver whose socket must not be sent to directly."""
    return 0


class BroadcastGroup(Generic[_Receiver]):
    """Receivers of one form of each frame.

    >>> taken = bytearray()
    >>> group = BroadcastGroup[str]()
    >>> group.set_sender("ann", lambda data: taken.extend(data) or len(data))
    >>> group.set_sender("bob", lambda data: 2)
    >>> group.send(b"frame"), bytes(taken), group.bytes_total
    ([('bob', 2)], b'frame', 5)
    """

    __slots__ = ("_senders", "bytes_total")

    def __init__(self) -> None:
        self.bytes_total = 0
        """Bytes of all frames so far, for one receiver."""
        self._senders: dict[_Receiver, _Send] = {}

    def __len__(self) -> int:
        return len(self._senders)

    def __iter__(self) -> Iterator[_Receiver]:
        return iter(self._senders)

    def __contains__(self, receiver: _Receiver) -> bool:
        return receiver in self._senders

    def set_sender(self, receiver: _Receiver, send: _Send) -> None:
        """Sets the function that sends frames to the receiver; adds a receiver that is new."""
        self._senders[receiver] = send

    def remove(self, receiver: _Receiver) -> None:
        """Removes a receiver, which must be in the group."""
        del self._senders[receiver]

    def send(self, data: bytes, first: Iterable[_Receiver] = ()) -> list[tuple[_Receiver, int]]:
        """Sends one frame to every receiver, to those in `first` before the others.

        Returns each receiver whose socket did not accept all of it, with how many bytes were accepted.
        """
        senders, size, short = self._senders, len(data), list[tuple[int, int]]()
        self.bytes_total += size
        ahead = {receiver: senders[receiver] for receiver in first if receiver in senders}
        # They are served once: in their own places `len` stands for a send that accepts everything.
        senders.update(dict.fromkeys(ahead, len))
        try:
            # Nothing but the kernel is called in this loop, so the table does not change meanwhile.
            for place, send in enumerate(chain(ahead.values(), senders.values())):
                try:
                    taken = send(data)
                except OSError:
                    # The socket has no room, or the peer is gone: sending the remainder finds out which.
                    taken = 0
                if taken != size:
                    short.append((place, taken))
        finally:
            senders.update(ahead)
        if not short:
            return []
        receivers = [*ahead, *senders]
        return [(receivers[place], taken) for place, taken in short]
