"""The log of a command: one printable line per message, and a bound on similar messages per second."""

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
from zoneserver.support.output import OutputQueue

__all__ = [
    "LOG_FORMATS",
    "LOG_LEVELS",
    "RateLimit",
    "drain_logs",
    "fields",
    "hold_logs",
    "lines_dropped",
    "name_gateway",
    "place_of",
    "print_error",
    "set_up_logs",
]

LOG_FORMATS = ("text", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")
_LINES_PER_SECOND = 10
# The bound of a message in the text format, without its traceback: names and texts of players are part of it.
_LINE_BYTES_MAX = 200
# The number of messages that `hold_logs` keeps.
_HELD_LINES_MAX = 1_000
# The number of kinds that the rate limit remembers. A library that formats its messages itself makes each a new kind.
_KINDS_MAX = 1_000
# The outermost calls of a traceback that identify the raise site. Deeper calls may be endless recursion.
_PLACE_CALLS = 8


def set_up_logs(level: str, style: str) -> None:
    """Logs messages of at least this level to stderr, in the style `text` or `json` (one object per line).

    Logging never waits for stderr. Call `drain_logs` before the program ends.
    """
    formatter = _JsonFormatter() if style == "json" else _TextFormatter()

    def loss_text(count: int) -> str:
        text = "lines of this log are lost, since stderr did not take them: %d (is its reader stopped, its disk full?)"
        told = {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING", "msg": text, "args": (count,)}
        return formatter.format(logging.makeLogRecord(told | fields(lines_lost=count))) + "\n"

    handler = _StderrHandler(OutputQueue(sys.stderr, loss_text))
    handler.setFormatter(formatter)
    handler.addFilter(RateLimit(_LINES_PER_SECOND))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def name_gateway(name: str) -> None:
    """Puts the name of this gateway into each line of the log from now on: in the text format after the level, in the
    JSON format as the field `gateway`."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, _TextFormatter | _JsonFormatter):
            handler.formatter.gateway = name


class _StderrHandler(logging.StreamHandler[Any]):
    """Writes messages to stderr by a queue, even while `hold_logs` has given it another stream."""

    def __init__(self, output: OutputQueue) -> None:
        super().__init__(output)
        self.output = output


def _output() -> OutputQueue | None:
    """The queue of stderr, for everything that a command writes there, so that lines keep their order."""
    handlers = logging.getLogger().handlers
    return next((handler.output for handler in handlers if isinstance(handler, _StderrHandler)), None)


def print_error(text: str) -> None:
    """Prints lines on stderr, after the lines of the log, escaped as far as they could steer a terminal. A stderr that
    takes nothing does not matter."""
    text = "\n".join(map(printable, text.split("\n")))
    output = _output()
    if output is not None and output.stream is sys.stderr:
        output.write(f"{text}\n")
    else:
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)


def drain_logs(seconds: float = 1.0) -> None:
    """Waits until stderr has taken all lines, at most for some seconds."""
    output = _output()
    if output is not None:
        output.drain(seconds)


def lines_dropped() -> int:
    """The number of lines that stderr did not take."""
    output = _output()
    return 0 if output is None else output.dropped_total


def fields(**values: object) -> dict[str, object]:
    """The `extra` of a log call. In the JSON format these values are keys beside the message."""
    return {"fields": values}


@contextlib.contextmanager
def hold_logs() -> Iterator[None]:
    """Holds back the log while something else uses the terminal; writes its last 1,000 messages at the end of the
    block."""
    drain_logs()
    kept = deque[str](maxlen=_HELD_LINES_MAX)
    streams = [handler for handler in logging.getLogger().handlers if isinstance(handler, logging.StreamHandler)]
    before = [handler.setStream(_KeepingStream(kept)) for handler in streams]
    try:
        yield
    finally:
        for handler, stream in zip(streams, before, strict=True):
            if stream is not None:
                handler.setStream(stream)
        for text in kept:
            print_error(text.removesuffix("\n"))


class _KeepingStream(io.TextIOBase):
    """A stream that appends each text to a deque."""

    def __init__(self, kept: deque[str]) -> None:
        self._kept = kept

    def write(self, text: str) -> int:
        self._kept.append(text)
        return len(text)


def place_of(error: BaseException) -> tuple[object, ...]:
    """A hashable key of the raise site: the type of the exception, and the code and line of the outermost eight calls
    of its traceback."""
    calls = itertools.islice(traceback.walk_tb(error.__traceback__), _PLACE_CALLS)
    return type(error), *((frame.f_code, line) for frame, line in calls)


class RateLimit(logging.Filter):
    """Passes `per_second` messages of each kind, and says in the next second how many it held back.

    Messages with one format string are of one kind, so that 1,000 kicks within a second make ten lines and a number.
    Messages with exceptions are of one kind if the raise sites are equal as well.
    """

    def __init__(self, per_second: int) -> None:
        super().__init__()
        self._per_second = per_second
        # For each kind, the last second with such a message, and the number of them in that second.
        self._seen: dict[object, tuple[int, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind: object = record.msg
        if record.exc_info and record.exc_info[1] is not None:
            # asyncio writes the address of an object into its message, so each of these would be a kind of its own.
            place = place_of(record.exc_info[1])
            kind = place if record.name == "asyncio" else (kind, place)
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
    gateway = ""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(gateway)s%(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        record.gateway = f"{self.gateway} " if self.gateway else ""
        line = printable(super().formatMessage(record))
        encoded = line.encode(errors="replace")
        if len(encoded) > _LINE_BYTES_MAX:
            line = encoded[: _LINE_BYTES_MAX - 3].decode(errors="ignore") + "..."
        return line

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's own name
        # The text of an exception may contain what a player sent.
        return "\n".join(map(printable, super().formatException(ei).split("\n")))


class _JsonFormatter(logging.Formatter):
    gateway = ""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            **({"gateway": self.gateway} if self.gateway else {}),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)
