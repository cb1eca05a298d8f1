"""What has a slot in a zone and is no player."""

from __future__ import annotations

__all__ = ["Thing"]


class Thing:
    """One thing in the zone, as rules see it."""

    def __init__(self, slot: int, kind: str) -> None:
        self.slot = slot
        self.kind = kind
        self.present = True
