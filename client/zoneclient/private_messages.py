"""The messages to one player alone that wait for the next update."""

from __future__ import annotations

from zoneclient.receiver import MESSAGE_BYTES
from zoneserver.protocol.messages import Answered, Refusal, Told

__all__ = ["PrivateMessage", "PrivateMessages"]

PrivateMessage = Refusal | Told | Answered

# How many bytes of private messages may come without a frame: an honest server sends a frame with every tick.
_BYTES_MAX = 4 * 1024 * 1024
# How many refusals of the client's own wait while it is away. A program may act much faster than it is told.
_OWN_MAX = 1024


class PrivateMessages:
    """What came since the last update, in order.

    When the connection was lost, the server sends these messages again. They count once.

    >>> messages = PrivateMessages()
    >>> message = Told(7, "whisper", ["hello"])
    >>> messages.add(message, message.encode())
    True
    >>> messages.expect_again()
    >>> messages.add(message, message.encode()), messages.add(message, message.encode())
    (False, True)
    >>> refused, told, answered = messages.take(7)
    >>> len(refused), len(told), len(answered)
    (0, 2, 0)
    """

    def __init__(self) -> None:
        # With the payload of each: a float that is no number is equal to no other.
        self._messages: list[tuple[bytes, PrivateMessage]] = []
        self._bytes = 0
        # The payloads that may come again.
        self._again: list[bytes] = []
        # Those that an update handed out ahead of the frame of their tick: behind a return, all that was missed comes
        # before the frames.
        self._ahead: list[tuple[bytes, PrivateMessage]] = []

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._messages)

    def add(self, message: PrivateMessage, payload: bytes) -> bool:
        """Add a message of the server; return False for one that came before. Raises ValueError beyond the bound."""
        if payload in self._again:
            self._again.remove(payload)
            return False
        self._messages.append((payload, message))
        self._bytes += MESSAGE_BYTES + len(payload)
        if self._bytes > _BYTES_MAX:
            count = len(self._messages)
            self._messages, self._bytes = [], 0
            raise ValueError(f"{count:,} refusals and private messages came without a frame")
        return True

    def add_own(self, refusal: Refusal) -> None:
        """Add a refusal of the client itself."""
        if len(self._messages) < _OWN_MAX:
            self._messages.append((b"", refusal))

    def expect_again(self) -> None:
        """The client has come back: until the next update all messages come again that are of later ticks than that of
        the last update."""
        self._again = [payload for payload, _ in (*self._ahead, *self._messages)]

    def take(self, tick: int) -> tuple[list[Refusal], list[Told], list[Answered]]:
        """Return the messages of the update of this tick."""
        messages = [message for _, message in self._messages]
        self._ahead = [each for each in (*self._ahead, *self._messages) if each[1].tick > tick]
        self._messages, self._again, self._bytes = [], [], 0
        return (
            [message for message in messages if isinstance(message, Refusal)],
            [message for message in messages if isinstance(message, Told)],
            [message for message in messages if isinstance(message, Answered)],
        )
