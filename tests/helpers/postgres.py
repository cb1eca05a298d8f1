"""A PostgreSQL server of a test's own, on a Unix socket in a temporary folder."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

HOW_TO_INSTALL = "PostgreSQL is not installed: apt-get install postgresql, and pip install 'psycopg[binary]'"


class Postgres:
    """One cluster. It can be stopped and started again. Every test should use a database of its own (`url`)."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="zone-postgres-"))
        self._databases = 0
        # PostgreSQL refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self._run("initdb", "-D", "data", "-A", "trust", "-U", "zone", "--no-sync", "-E", "UTF8", "--locale=C")
        self.start()

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c fsync=off"
        self._run("pg_ctl", "-D", "data", "-w", "-s", "-l", "log", "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", "data", "-w", "-s", "-m", "immediate", "stop")

    def url(self) -> str:
        """The address of a new database."""
        self._databases += 1
        name = f"game{self._databases}"
        self._run("createdb", "-h", str(self.folder), "-U", "zone", name)
        return f"postgresql://zone@/{name}?host={self.folder}"

    def close(self) -> None:
        if (self.folder / "data/postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.folder)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            cwd=self.folder,
            user=self._user,
            group=pwd.getpwnam(self._user).pw_gid if self._user else None,
            extra_groups=[] if self._user else None,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            # A server that starts keeps these open.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=50,
            check=False,
        )
        assert done.returncode == 0, f"{program} failed: {self._log()}"

    def _log(self) -> str:
        log = self.folder / "log"
        return log.read_text() if log.exists() else ""


def start_postgres() -> Postgres:
    """Starts a server, or skips the test with the line that installs it."""
    pytest.importorskip("psycopg", reason=HOW_TO_INSTALL)
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    program = found[-1] if found else shutil.which("initdb")
    if program is None:
        pytest.skip(HOW_TO_INSTALL)
    return Postgres(Path(program).parent)
