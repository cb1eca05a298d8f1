"""Output that never makes the program wait: a bounded queue, and a thread that writes it."""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

__all__ = ["OutputQueue"]

# About 1,500 lines of a log. A reader that pauses for a moment loses none.
_BYTES_MAX = 256 * 1024
# How long the thread waits for the next text before it ends; a later text starts it again.
_IDLE_SECONDS = 5.0


class OutputQueue:
    """Writes text to a stream in a thread of its own, in order.

    `write` never waits. A pipe that nobody reads, a stopped terminal or a full disk therefore stops the thread and not
    the program: text that does not fit into the queue is dropped and counted. As soon as there is room again,
    `loss_text` makes the text that tells how many texts were lost since the last such text.

    >>> import io
    >>> stream = io.StringIO()
    >>> output = OutputQueue(stream, lambda count: f"{count} texts were lost")
    >>> output.write("hello"); output.drain(seconds=10), stream.getvalue()
    (True, 'hello')
    """

    def __init__(self, stream: TextIO, loss_text: Callable[[int], str]) -> None:
        self.stream = stream
        self.dropped_total = 0
        """The number of texts that were not written."""
        self._has_failed = False
        self._loss_text = loss_text
        # Held for moments only, and never while the thread writes.
        self._changed = threading.Condition()
        self._texts: deque[bytes] = deque()
        self._waiting_bytes = 0
        # True from the moment when the thread takes texts until they are written.
        self._is_writing = False
        # Dropped texts that no text in the queue tells of.
        self._untold = 0
        self._thread: threading.Thread | None = None

    def write(self, text: str) -> None:
        """Adds a text to the queue, or drops it if there is no room."""
        with self._changed:
            self._tell_losses()
            if self._untold or not self._add(text):
                self.dropped_total += 1
                self._untold += 1

    def drain(self, seconds: float) -> bool:
        """Waits until everything is written, at most for some seconds; returns whether it is."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                # A stream that takes nothing would not take this text either.
                if not self._has_failed:
                    self._tell_losses()
                if not self._texts and not self._is_writing:
                    return True
                rest = deadline - time.monotonic()
                if rest <= 0:
                    return False
                self._changed.wait(rest)

    def _tell_losses(self) -> None:
        if self._untold and self._add(self._loss_text(self._untold)):
            self._untold = 0

    def _add(self, text: str) -> bool:
        data = text.encode(getattr(self.stream, "encoding", None) or "utf-8", "backslashreplace")
        if self._waiting_bytes + len(data) > _BYTES_MAX:
            return False
        self._texts.append(data)
        self._waiting_bytes += len(data)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="output", daemon=True)
            self._thread.start()
        self._changed.notify_all()
        return True

    def _run(self) -> None:
        write = _writer(self.stream)
        while True:
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()
                if not self._changed.wait_for(lambda: self._texts, _IDLE_SECONDS):
                    self._thread = None
                    return
                texts = list(self._texts)
                self._texts.clear()
                self._is_writing = True
            lost = 0
            try:
                write(b"".join(texts))
            except (OSError, ValueError, AttributeError):  # The stream is closed, or there is none.
                lost = len(texts)
            with self._changed:
                self._has_failed = lost > 0
                self._waiting_bytes -= sum(map(len, texts))
                self.dropped_total += lost
                self._untold += lost


def _writer(stream: TextIO) -> Callable[[bytes], object]:
    """The function that writes bytes to a stream, and raises OSError or ValueError.

    It writes to the file below the stream: a thread that waits inside of the stream holds its lock, and the interpreter
    aborts at its end when it cannot flush the standard streams.
    """
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError):
        return lambda data: (stream.write(data.decode(errors="replace")), stream.flush())

    def write(data: bytes) -> None:
        while data:
            try:
                data = data[os.write(descriptor, data) :]
            except BlockingIOError:  # Another process has made the shared file non-blocking.
                select.select([], [descriptor], [])

    return write
