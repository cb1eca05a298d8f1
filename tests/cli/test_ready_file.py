"""The file of `--ready-file`, from before the start of a server to its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from zoneserver.cli.ready_file import ReadyFile
from zoneserver.config import Config
from zoneserver.protocol.messages import PROTOCOL_VERSION
from zoneserver.support.errors import CannotStartError

SERVER = cast(Any, SimpleNamespace(config=Config(), port=7000, stats_port=None))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ready.json"


def ended_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_write_writes_pid_ports_and_protocol(path: Path) -> None:
    ReadyFile(path).write(SERVER)
    assert json.loads(path.read_text()) == {
        "pid": os.getpid(),
        "port": 7000,
        "stats_port": None,
        "page": "http://127.0.0.1:7000/",
        "protocol": PROTOCOL_VERSION,
    }
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_remove_removes_the_own_file_only(path: Path) -> None:
    ready_file = ReadyFile(path)
    ready_file.write(SERVER)
    ready_file.remove()
    assert not path.exists()
    ready_file.remove()
    path.write_text(json.dumps({"pid": os.getppid()}))
    ready_file.remove()
    assert path.exists()


@pytest.mark.parametrize(
    ("text", "is_kept"),
    [
        (json.dumps({"pid": os.getppid()}), True),
        (json.dumps({"pid": os.getpid()}), False),
        (json.dumps({"pid": 2**70}), False),
        (json.dumps({"pid": 0}), True),
        ("[" * 20_000, True),
        ("no ready file", True),
    ],
    ids=["a running server", "the own pid, as in a container", "an impossible pid", "pid 0", "nested", "another file"],
)
def test_a_ready_file_is_kept_unless_its_server_has_ended(path: Path, text: str, is_kept: bool) -> None:
    path.write_text(text)
    ReadyFile(path)
    assert path.exists() == is_kept


def test_a_ready_file_of_an_ended_process_is_removed_at_the_start(path: Path) -> None:
    path.write_text(json.dumps({"pid": ended_pid(), "port": 1}))
    ReadyFile(path)
    assert not path.exists()


@pytest.mark.parametrize("name", ["/", ".", "/dev/null", "missing/ready.json", "x" * 300])
def test_a_ready_file_that_cannot_be_written_raises_before_the_start(name: str, tmp_path: Path) -> None:
    with pytest.raises(CannotStartError, match="cannot write the ready file"):
        ReadyFile(tmp_path / name)


def test_write_into_a_folder_that_was_removed_raises(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    ready_file = ReadyFile(folder / "ready.json")
    folder.rmdir()
    with pytest.raises(CannotStartError, match="No such file or directory"):
        ready_file.write(SERVER)
