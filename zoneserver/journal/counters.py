"""The counters of a journal."""

from __future__ import annotations

from dataclasses import dataclass

from zoneserver.support.statistic import count

__all__ = ["JournalCounters"]


@dataclass
class JournalCounters:
    """Numbers that only grow."""

    journal_bytes_total: int = count("Bytes written to the journal.", "zone_journal_bytes_total")
    journal_slow_writes_total: int = count(
        "Writes to the journal that took longer than 5 ms.", "zone_journal_slow_writes_total"
    )
    journal_syncs_total: int = count("Times that the disk was told to keep the journal.", "zone_journal_syncs_total")
    journal_checkpoints_total: int = count("Checkpoints in the journal.", "zone_journal_checkpoints_total")
