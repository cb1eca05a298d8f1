"""The machine that a measurement ran on, as plain values for a report."""

from __future__ import annotations

import os
import platform
from typing import Any


def load_average() -> float | None:
    """The load average of the last minute; None if the system does not provide it."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine(load_before: float | None) -> dict[str, Any]:
    """The machine and how busy it is. `load_before` is the load average at the start of the measurement."""
    return {
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_average": {"before": load_before, "after": load_average()},
    }


def machine_text(machine: dict[str, Any]) -> str:
    """One line of text about the machine.

    >>> load = {"before": 0.5, "after": None}
    >>> machine_text({"cpus": 2, "system": "Linux x86_64", "python": "3.11.2", "load_average": load})
    '2 cores, Linux x86_64, Python 3.11.2; load average 0.5 before, unknown after'
    """
    return f"{machine['cpus']} cores, {machine['system']}, Python {machine['python']}; {load_text(machine)}"


def load_text(machine: dict[str, Any]) -> str:
    load = machine["load_average"]
    before, after = ("unknown" if load[name] is None else f"{load[name]:.1f}" for name in ("before", "after"))
    return f"load average {before} before, {after} after"
