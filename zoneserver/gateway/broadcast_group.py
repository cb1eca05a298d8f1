"""The round of a tick: one buffer, and one call of the kernel for each who gets it.

Everything else that a send could be made of (a method of the session, a transport, a queue) costs about a
tenth of the server at a thousand players, for thousands of objects that are in no cache. So the round knows of
each receiver only what takes bytes to the kernel, and asks for the receiver itself when it does not take all.

Pure: what takes bytes to the kernel is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Generic, Protocol, TypeVar

__all__ = ["BroadcastGroup", "KernelSend", "Receiver", "never_ready"]

KernelSend = Callable[[bytes], int]
"""A socket's non-blocking `send`: how many bytes the kernel took, or OSError."""


def never_ready(_data: bytes) -> int:
    """The KernelSend of a receiver to whose socket nothing may be sent directly: all is left over."""
    return 0


class Receiver(Protocol):
    """Who can be in a round."""

    def send_remainder(self, data: bytes, taken: int) -> None:
        """Of this buffer the kernel took so many bytes, and not all."""


_Receiver = TypeVar("_Receiver", bound=Receiver)


class BroadcastGroup(Generic[_Receiver]):
    """Those who get every frame in one form.

    >>> class Quiet:
    ...     def send_remainder(self, data: bytes, taken: int) -> None:
    ...         print("left over:", data[taken:])
    >>> ann, bob = Quiet(), Quiet()
    >>> taken = bytearray()
    >>> members = BroadcastGroup[Quiet]()
    >>> members.route(ann, lambda data: taken.extend(data) or len(data))
    >>> members.route(bob, lambda data: 2)
    >>> members.send(b"frame"), bytes(taken), members.bytes_total
    left over: b'ame'
    (None, b'frame', 5)
    """

    __slots__ = ("_sends", "bytes_total")

    def __init__(self) -> None:
        self.bytes_total = 0
        """Bytes of all frames so far: what each who was in from the first has been sent."""
        self._sends: dict[_Receiver, KernelSend] = {}

    def __len__(self) -> int:
        return len(self._sends)

    def __iter__(self) -> Iterator[_Receiver]:
        return iter(self._sends)

    def route(self, receiver: _Receiver, send: KernelSend) -> None:
        """From now on frames go to the receiver so, whether or not it was in the round."""
        self._sends[receiver] = send

    def remove(self, receiver: _Receiver) -> None:
        """It gets nothing more; there must have been one."""
        del self._sends[receiver]

    def send(self, data: bytes, first: Iterable[_Receiver] = ()) -> None:
        """One frame to everybody, beginning with those of `first` who are here: the rest waits for them, and not
        they for the rest. Who was not taken all of it for is told once all others have been served."""
        sends, size, short = self._sends, len(data), list[tuple[int, int]]()
        self.bytes_total += size
        ahead = {receiver: sends[receiver] for receiver in first if receiver in sends}
        # In their own places, nothing is left to do for them.
        sends.update(dict.fromkeys(ahead, len))
        try:
            # Nothing but the kernel is called in this loop, so that nobody comes or goes meanwhile.
            for place, send in enumerate(chain(ahead.values(), sends.values())):
                try:
                    taken = send(data)
                except OSError:
                    # No room, or nobody there any more: whoever sees to the rest finds out which.
                    taken = 0
                if taken != size:
                    short.append((place, taken))
        finally:
            sends.update(ahead)
        if short:
            receivers = [*ahead, *sends]
            for place, taken in short:
                receivers[place].send_remainder(data, taken)
