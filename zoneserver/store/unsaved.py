"""A file with the players whom a stopping server could not write to its store."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

__all__ = ["write_unsaved"]


def write_unsaved(game: str, unix_seconds: float, unsaved: Mapping[str, str]) -> Path:
    """Writes one line of JSON per player, `{"name": ..., "saved": {...}}`, to a file in the working directory that only
    its owner can read. Returns its name. Raises OSError."""
    path = Path(f"unsaved-{re.sub(r'[^A-Za-z0-9_.-]+', '_', game)}-{int(unix_seconds)}.jsonl")
    # Another server of this game may stop within the same second.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.writelines(
            f'{{"name":{json.dumps(name, ensure_ascii=False)},"saved":{text}}}\n' for name, text in unsaved.items()
        )
        file.flush()
        os.fsync(file.fileno())
    return path
