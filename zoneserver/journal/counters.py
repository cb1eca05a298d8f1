"""The counters of a journal."""

from __future__ import annotations

from dataclasses import dataclass

from zoneserver.support.statistic import count, gauge

__all__ = ["JournalCounters"]


@dataclass
class JournalCounters:
    """Numbers that only grow, and how long a write took of late."""

    journal_bytes_total: int = count("Bytes written to the journal.", "zone_journal_bytes_total")
    journal_slow_writes_total: int = count(
        "Writes to the journal that took longer than 5 ms.", "zone_journal_slow_writes_total"
    )
    journal_syncs_total: int = count("Times that the journal was synced to disk.", "zone_journal_syncs_total")
    journal_checkpoints_total: int = count("Checkpoints written to the journal.", "zone_journal_checkpoints_total")
    journal_longest_write_ms: float = gauge(
        "The longest write to the journal over the last ten to twenty seconds.",
        "zone_journal_longest_write_seconds",
        scale=0.001,
        default=0.0,
    )
