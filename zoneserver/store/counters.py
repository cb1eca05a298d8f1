"""The counters of a store."""

from __future__ import annotations

from dataclasses import dataclass

from zoneserver.support.statistic import count

__all__ = ["StoreCounters"]


@dataclass
class StoreCounters:
    """Numbers that only grow."""

    store_reads_total: int = count("Players who were read from the store.", "zone_store_reads_total")
    store_writes_total: int = count("Players who were written to the store.", "zone_store_writes_total")
    store_failures_total: int = count("Reads and writes of the store that failed.", "zone_store_failures_total")
