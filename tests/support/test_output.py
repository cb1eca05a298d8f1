"""The output queue: real pipes that nobody reads, full disks, closed streams."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pytest
from helpers.processes import until

from zoneserver.support import output as output_module
from zoneserver.support.output import OutputQueue

PATIENCE_SECONDS = 30.0


@dataclass
class FullPipe:
    """A pipe without room, and a stream at its end."""

    reader: int
    stream: TextIO
    filled: int

    def read_all(self, until_text: bytes) -> bytes:
        """What was written after the filling, up to a text."""
        data = b""
        while until_text not in data:
            data += os.read(self.reader, 65536)
        return data[self.filled :]


@pytest.fixture
def pipe() -> Iterator[FullPipe]:
    reader, writer = os.pipe()
    filled = 0
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            filled += os.write(writer, b"." * 65536)
    os.set_blocking(writer, True)
    stream = os.fdopen(writer, "w")
    yield FullPipe(reader, stream, filled)
    with contextlib.suppress(OSError):
        os.close(reader)  # A thread that still waits gets EPIPE.
    with contextlib.suppress(OSError):
        stream.close()


def queue_for(stream: TextIO) -> OutputQueue:
    return OutputQueue(stream, lambda count: f"{count} lost\n")


def test_write_returns_at_once_and_order_is_kept_when_the_pipe_is_full(pipe: FullPipe) -> None:
    output = queue_for(pipe.stream)
    for number in range(100):
        output.write(f"line {number}\n")
    assert not output.drain(seconds=0.01)
    assert pipe.read_all(b"line 99\n") == b"".join(b"line %d\n" % number for number in range(100))
    assert output.drain(PATIENCE_SECONDS)
    assert output.dropped_total == 0


def test_text_without_room_is_dropped_and_a_later_text_tells_the_number(
    pipe: FullPipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_module, "_BYTES_MAX", 100)
    output = queue_for(pipe.stream)
    for number in range(50):
        output.write(f"line {number:02}\n")
    kept = 100 // len("line 00\n")
    assert output.dropped_total == 50 - kept
    expected = b"".join(b"line %02d\n" % number for number in range(kept)) + b"%d lost\n" % (50 - kept)
    got: list[bytes] = []
    reading = threading.Thread(target=lambda: got.append(pipe.read_all(b"lost\n")))
    reading.start()
    assert output.drain(PATIENCE_SECONDS)
    reading.join(PATIENCE_SECONDS)
    assert got == [expected]
    assert output.dropped_total == 50 - kept


def test_pipe_that_another_process_made_nonblocking_loses_nothing(pipe: FullPipe) -> None:
    flags = fcntl.fcntl(pipe.stream.fileno(), fcntl.F_GETFL)
    fcntl.fcntl(pipe.stream.fileno(), fcntl.F_SETFL, flags | os.O_NONBLOCK)
    output = queue_for(pipe.stream)
    output.write("x" * 200_000 + "\n")
    assert pipe.read_all(b"\n") == b"x" * 200_000 + b"\n"
    assert output.drain(PATIENCE_SECONDS)
    assert output.dropped_total == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_full_disk_loses_lines_and_nothing_else() -> None:
    with open("/dev/full", "w") as stream:
        output = queue_for(stream)
        output.write("lost\n")
        assert output.drain(PATIENCE_SECONDS)
        assert output.dropped_total == 1


@pytest.mark.parametrize("is_missing", [True, False])
def test_closed_stream_loses_lines_and_nothing_else(is_missing: bool) -> None:
    stream = io.StringIO()
    stream.close()
    output = OutputQueue(None if is_missing else stream, str)  # type: ignore[arg-type]
    output.write("lost\n")
    assert output.drain(PATIENCE_SECONDS)
    assert output.dropped_total == 1


def test_character_that_the_stream_cannot_encode_is_escaped() -> None:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding="ascii")
    output = queue_for(stream)
    output.write("\u00e4\n")
    assert output.drain(PATIENCE_SECONDS)
    assert buffer.getvalue() == b"\\xe4\n"


def test_idle_thread_ends_and_a_later_text_starts_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_module, "_IDLE_SECONDS", 0.0)
    stream = io.StringIO()
    output = queue_for(stream)
    output.write("one\n")
    until(lambda: output._thread is None)
    output.write("two\n")
    assert output.drain(PATIENCE_SECONDS)
    assert stream.getvalue() == "one\ntwo\n"
