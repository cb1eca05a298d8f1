"""How the log reads: one line per message whatever a player calls itself, and no floods of lines."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import logging
import sys
import traceback
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from zoneserver.support.format import printable

__all__ = ["LOG_FORMATS", "LOG_LEVELS", "RateLimit", "fields", "hold_logs", "place_of", "set_up_logs"]

LOG_FORMATS = ("text", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")
_LINES_PER_SECOND = 10
# A message as text, without its traceback: what players call themselves and send is in it, and costs no more.
_LINE_BYTES_MAX = 200
# Of what is logged while nobody can read it, so many of the last lines are kept.
_HELD_LINES_MAX = 1_000
# A library may write its messages without a format string, each of a kind of its own.
_KINDS_MAX = 1_000
# So many calls on the way to a failure tell it from others; deeper down it may be endless recursion.
_PLACE_CALLS = 8


def set_up_logs(level: str, style: str) -> None:
    """Logs to stderr from `level` on, as `text` or as `json` (one object per line)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if style == "json" else _TextFormatter())
    handler.addFilter(RateLimit(_LINES_PER_SECOND))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def fields(**values: object) -> dict[str, object]:
    """For the `extra` of a log call: what the JSON format has as keys beside the message.

    >>> logging.getLogger().debug("%s left", "ann", extra=fields(player="ann"))
    """
    return {"fields": values}


@contextlib.contextmanager
def hold_logs() -> Iterator[None]:
    """Keeps what is logged within the block, the last 1,000 messages of it, and shows that at its end: for as
    long as something else has the terminal."""
    kept = deque[str](maxlen=_HELD_LINES_MAX)
    streams = [handler for handler in logging.getLogger().handlers if isinstance(handler, logging.StreamHandler)]
    before = [handler.setStream(_Kept(kept)) for handler in streams]
    try:
        yield
    finally:
        for handler, stream in zip(streams, before, strict=True):
            if stream is not None:
                handler.setStream(stream)
        with contextlib.suppress(OSError):
            sys.stderr.write("".join(kept))


class _Kept(io.TextIOBase):
    """A stream whose texts are kept."""

    def __init__(self, kept: deque[str]) -> None:
        self._kept = kept

    def write(self, text: str) -> int:
        self._kept.append(text)
        return len(text)


def place_of(error: BaseException) -> tuple[object, ...]:
    """Where an exception was raised: the same for each that came the same way, for others another."""
    calls = itertools.islice(traceback.walk_tb(error.__traceback__), _PLACE_CALLS)
    return type(error), *((frame.f_code, line) for frame, line in calls)


class RateLimit(logging.Filter):
    """Lets so many messages of one kind through per second, and then says how many it held back.

    Messages are of one kind when they are written with the same format string: a thousand players
    thrown out within a second are ten lines and a number. Exceptions must come from the same place as well.
    """

    def __init__(self, per_second: int) -> None:
        super().__init__()
        self._per_second = per_second
        # By kind: the second it was last seen in, and how many came in that second.
        self._seen: dict[object, tuple[int, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind: object = record.msg
        if record.exc_info and record.exc_info[1] is not None:
            kind = kind, place_of(record.exc_info[1])
        second = int(record.created)
        last, count = self._seen.get(kind, (second, 0))
        if last != second:
            held_back, count = count - self._per_second, 0
            if held_back > 0:
                record.msg, record.args = f"({held_back} more like this were not shown) {record.getMessage()}", ()
                record.__dict__["fields"] = {**getattr(record, "fields", {}), "held_back": held_back}
        if len(self._seen) > _KINDS_MAX:
            self._seen.clear()
        self._seen[kind] = second, count + 1
        return count < self._per_second


class _TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        return _cut(printable(super().formatMessage(record)))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's own name
        # What a rule raises may hold what players sent.
        return "\n".join(map(printable, super().formatException(ei).split("\n")))


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _cut(line: str) -> str:
    encoded = line.encode(errors="replace")
    if len(encoded) <= _LINE_BYTES_MAX:
        return line
    return encoded[: _LINE_BYTES_MAX - 3].decode(errors="ignore") + "..."
