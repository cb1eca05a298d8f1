"""Open files, memory and garbage collection of a process."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys

import pytest
from helpers.paths import ROOT

from zoneserver.support import process


def in_a_process(code: str) -> list[int]:
    """The whole numbers that a program prints. It runs in another process, so that limits that it sets do not last."""
    finished = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return [int(word) for word in finished.stdout.split()]


RAISE = """
import resource
from zoneserver.support.process import raise_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 128))
print(raise_open_files({wanted}), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize(("wanted", "limit"), [(50, 64), (64, 64), (100, 100), (128, 128), (1000, 128)])
def test_raise_open_files_raises_as_far_as_needed_and_possible(wanted: int, limit: int) -> None:
    assert in_a_process(RAISE.format(wanted=wanted)) == [limit, limit, 128]


async def test_freeze_growth_freezes_at_each_new_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen_at: list[int] = []
    sizes = [0]
    monkeypatch.setattr(process.gc, "freeze", lambda: frozen_at.append(sizes[-1]))
    freezing = asyncio.create_task(process.freeze_growth(lambda: sizes[-1], 0.0))
    for size in (0, 3, 3, 2, 3, 7):
        sizes.append(size)
        for _ in range(4):  # turns of the loop; it checks the size in each of them
            await asyncio.sleep(0)
    freezing.cancel()
    await asyncio.gather(freezing, return_exceptions=True)
    assert frozen_at == [3, 7]


def test_rss_bytes_is_above_one_megabyte() -> None:
    assert process.rss_bytes() > 1_000_000


def test_own_environment_has_no_settings_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZONE_PORT", "7000")
    monkeypatch.setenv("OTHER", "kept")
    environment = process.own_environment()
    assert "ZONE_PORT" not in environment
    assert environment["OTHER"] == "kept"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which process listens")
def test_port_holder_names_the_listening_process() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        assert process.port_holder(sock.getsockname()[1]) is None
        sock.listen()
        holder = process.port_holder(sock.getsockname()[1])
    assert holder is not None
    assert holder.endswith(f"(pid {os.getpid()})")
