"""What can go wrong between a client and its zone, each with the code that says why."""

from __future__ import annotations

from zoneserver.support.format import printable

__all__ = ["DivergedError", "JoinRefusedError", "ZoneClosedError", "ZoneError"]


class ZoneError(Exception):
    """Any of the errors below.

    >>> issubclass(JoinRefusedError, ZoneClosedError) and issubclass(ZoneClosedError, ZoneError)
    True
    """


class ZoneClosedError(ZoneError):
    """The connection is over: `code` as in PROTOCOL.md, `text` for a person, `retry` if to come back.

    >>> raise ZoneClosedError("SERVER_STOPPING", "the server is shutting down", retry=True)
    Traceback (most recent call last):
    zoneclient.errors.ZoneClosedError: SERVER_STOPPING: the server is shutting down
    """

    def __init__(self, code: str, text: str, retry: bool) -> None:
        # The server's words: they may be anything, and a terminal obeys some of it.
        super().__init__(printable(f"{code}: {text}"))
        self.code = code
        self.text = text
        self.retry = retry


class JoinRefusedError(ZoneClosedError):
    """The server did not let this client in, for the reason in `code`.

    >>> JoinRefusedError("SERVER_FULL", "the zone has no room for another player", retry=True).retry
    True
    """


class DivergedError(ZoneError):
    """The replica no longer agrees with the server: a frame's state hash is not the replica's.

    >>> raise DivergedError(tick=7, expected=0x1234, found=0x5678)
    Traceback (most recent call last):
    zoneclient.errors.DivergedError: tick 7: the server's state hash is 00001234, the replica's 00005678
    """

    def __init__(self, tick: int, expected: int, found: int) -> None:
        super().__init__(f"tick {tick}: the server's state hash is {expected:08x}, the replica's {found:08x}")
        self.tick = tick
