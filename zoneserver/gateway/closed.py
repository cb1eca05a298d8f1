"""A session that ended, as it is remembered for operators."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Closed"]


class Closed(NamedTuple):
    """A session that ended. Times are of the loop's clock."""

    name: str
    """Empty for a connection that never said HELLO."""
    address: str
    code: str
    text: str
    opened_at: float
    closed_at: float
