"""Which of the saved players in a journal have to be handed to the store."""

from __future__ import annotations

from dataclasses import dataclass, field

from zoneserver.journal.values import Entry, RecordedTick

__all__ = ["Unsaved"]


@dataclass(slots=True)
class Unsaved:
    """The players who were saved after the newest mark of a journal: their texts may not be in the store, whatever the
    time of day is. Give it the entries behind the mark, in order."""

    tick: int = 0
    """The tick of the mark: the store has what was saved up to it."""
    texts: dict[str, str] = field(default_factory=dict)
    """The newest JSON text of each player, by name."""

    def take(self, entry: Entry) -> None:
        """Goes on by one entry; one ahead of the mark changes nothing."""
        if isinstance(entry, RecordedTick) and entry.tick > self.tick:
            self.texts |= dict(entry.saves)
