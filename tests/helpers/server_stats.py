"""Made-up statistics of a server."""

from __future__ import annotations

import dataclasses
from typing import Any

from zoneserver.admin.stats import Stats


def stats(**changes: Any) -> Stats:
    """Return statistics that are all zero or empty, except for the changes."""
    empty: dict[str, Any] = {"int": 0, "float": 0.0, "str": ""}
    values = {field.name: empty.get(str(field.type), {}) for field in dataclasses.fields(Stats)}
    values["tick_ms"] = {"p50": 0.0, "p99": 0.0, "max": 0.0}
    return Stats(**values | changes)
