"""What can go wrong between a client and its zone, each with the code that says why."""

from __future__ import annotations

__all__ = ["DivergedError", "JoinRefusedError", "ZoneClosedError", "ZoneError"]


class ZoneError(Exception):
    """Any of the errors below."""


class ZoneClosedError(ZoneError):
    """The connection is over: `code` as in `CloseReason`, `text` for a person, `retry` if to come back."""

    def __init__(self, code: str, text: str, retry: bool) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.retry = retry


class JoinRefusedError(ZoneClosedError):
    """The server did not let this client in, for the reason in `code`."""


class DivergedError(ZoneError):
    """The replica no longer agrees with the server: a frame's state hash is not the replica's."""

    def __init__(self, tick: int, expected: int, found: int) -> None:
        super().__init__(f"tick {tick}: the server's state hash is {expected:08x}, the replica's {found:08x}")
        self.tick = tick
