"""The exceptions of the client library."""

from __future__ import annotations

from zoneserver.support.format import printable

__all__ = ["ActionRefusedError", "DivergedError", "JoinRefusedError", "ZoneClosedError", "ZoneError"]


class ZoneError(Exception):
    """The base class of all errors of the client library.

    >>> issubclass(ZoneClosedError, ZoneError)
    True
    """


class ZoneClosedError(ZoneError):
    """The connection has ended. `code` is one of PROTOCOL.md, `text` is for people, `retry` says whether a new
    connection may succeed.

    >>> print(ZoneClosedError("SERVER_STOPPING", "the server is shutting down", retry=True))
    SERVER_STOPPING: the server is shutting down
    """

    def __init__(self, code: str, text: str, retry: bool) -> None:
        # The server chose this text. It may contain control sequences for a terminal.
        super().__init__(printable(f"{code}: {text}"))
        self.code = code
        self.text = text
        self.retry = retry


class JoinRefusedError(ZoneClosedError):
    """The server refused to let this client in. `code` says why.

    >>> JoinRefusedError("SERVER_FULL", "the zone has no room for another player", retry=True).retry
    True
    """


class DivergedError(ZoneError):
    """The state hash in a frame differs from the hash of the replica.

    >>> print(DivergedError(tick=7, expected=0x1234, found=0x5678))
    tick 7: the server's state hash is 00001234, the replica's 00005678
    """

    def __init__(self, tick: int, expected: int, found: int) -> None:
        super().__init__(f"tick {tick}: the server's state hash is {expected:08x}, the replica's {found:08x}")
        self.tick = tick


class ActionRefusedError(ZoneError):
    """The zone refused an action, for the reason in `code`; `text` is for people. The session goes on.

    >>> print(ActionRefusedError("TOO_FAR", "the coin is out of reach"))
    TOO_FAR: the coin is out of reach
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(printable(f"{code}: {text}"))
        self.code = code
        self.text = text
