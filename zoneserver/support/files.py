"""Files that people name, which may be any file: how much of one is read is bounded."""

from __future__ import annotations

import codecs
import stat
from pathlib import Path

__all__ = ["FILE_BYTES_MAX", "may_block", "read_file", "read_text"]

FILE_BYTES_MAX = 32 * 1024
"""The largest file of settings, or secret, that is read. The time to read settings grows with the square of it."""


def may_block(path: str | Path) -> bool:
    """Whether a read of the file may wait, as it does for a pipe whose writer is gone."""
    try:
        return not stat.S_ISREG(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return False  # The read fails at once.


def read_file(path: str | Path) -> bytes:
    """The content of a file. Raises OSError, and ValueError with a sentence if the file is too large."""
    with open(path, "rb") as file:
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise ValueError(f"the file is larger than {FILE_BYTES_MAX // 1024} KiB")
    return data


def read_text(path: str | Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark. Raises as `read_file` does, and ValueError if the
    file is no UTF-8."""
    data = read_file(path)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("the text is UTF-16: save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"the text is not UTF-8 (at line {line}): save it as UTF-8") from None
