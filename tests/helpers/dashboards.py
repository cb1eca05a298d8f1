"""For tests of the dashboard: invented statistics, a real server, a real pseudo-terminal."""

import contextlib
import dataclasses
import functools
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from helpers.paths import ROOT
from helpers.terminals import Terminal
from zonetools.common.admin_client import ZoneMap
from zonetools.dashboard.data.history import History, Sample
from zonetools.dashboard.data.monitor import ServerState
from zonetools.dashboard.screen.view import ScreenState

from zoneserver.admin.stats import ClosedSession, SessionList, SessionStats, Stats

SVG = "{http://www.w3.org/2000/svg}"
"""The namespace of SVG elements."""

PATIENCE = 30.0
"""How long a test waits, in seconds, before it fails. Usually a tenth of it is enough."""


def free_port() -> int:
    """A port that nothing listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def lasting_port() -> int:
    """A port that stays free between two servers, since it lies below the ports that the system assigns."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def stats(**changes: Any) -> Stats:
    """Statistics of a zone with 300 players that is ten seconds old, with these changes."""
    values: dict[str, Any] = {field.name: 0 for field in dataclasses.fields(Stats)}
    values |= {
        "schema": "zone-stats/1",
        "pid": 100,
        "game": "plaza",
        "ctl": "",
        "page": "",
        "loop": "asyncio",
        "uptime_s": 10.0,
        "players": 300,
        "players_max": 10_000,
        "hz": 20,
        "dilation": 1.0,
        "tick": 200,
        "ticks_total": 200,
        "encodes_total": 200,
        "actions_in_total": 1000,
        "deliveries_out_total": 300_000,
        "bytes_in_total": 50_000,
        "bytes_out_total": 9_000_000,
        "refusals": {"OUT_OF_RANGE": 5},
        "restraints": {"WARNED": 3},
        "closes": {"CLIENT_LEFT": 2},
        "replay": {},
        "gateway": "",
        "link": "",
        "gateways": [],
        "tick_ms": {"p50": 3.0, "p99": 5.0, "max": 8.0},
        "phases_ms": {"ingest": 1.0, "rules": 0.5, "encode": 0.1, "journal": 0.0, "deflate": 0.0, "fan_out": 2.4},
        "cpu_percent": 23.4,
        "rss_bytes": 50_000_000,
    }
    return Stats(**(values | changes))


def stats_after(seconds: float, **growth: int) -> Stats:
    """The statistics of that zone some seconds later, with its counters grown by `growth`."""
    first = stats()
    grown = {name: getattr(first, name) + value for name, value in growth.items()}
    ticks = int(20 * seconds)
    counted = {"ticks_total": 200 + ticks, "encodes_total": 200 + ticks, "uptime_s": 10.0 + seconds}
    return dataclasses.replace(first, **(counted | grown))


@functools.cache
def one_minute() -> tuple[Sample, ...]:
    """Sixty samples of a busy server."""
    history = History(1.0, 60)
    for step in range(60):
        history.add(stats_after(step, actions_in_total=500 * step, deliveries_out_total=150_000 * step), at=float(step))
    return history.samples()


def session(number: int, **changes: Any) -> SessionStats:
    """A session that is playing."""
    values: dict[str, Any] = {
        "name": f"bot-{number}",
        "slot": number,
        "address": f"127.0.0.1:{40_000 + number}",
        "via": "tcp",
        "state": "playing",
        "standing": "FINE",
        "connected_s": 65.0,
        "behind_ticks": 0,
        "queued_bytes": 0,
        "rtt_ms": 0.25,
        "bytes_out_total": 500_000,
        "actions_in_total": 325,
        "refusals_total": 2,
        "refusals": {"COOLDOWN": 2},
        "why": "",
    }
    return SessionStats(**(values | changes))


def session_list(sort: str = "queued", players: int = 300) -> SessionList:
    """The first forty of this many players, and forty closed sessions."""
    stuck = session(0, name="stuck-0", state="behind", behind_ticks=1234, queued_bytes=999_999, rtt_ms=None)
    closed = [
        ClosedSession("", "127.0.0.1:5", "HANDSHAKE_TIMEOUT", "no complete HELLO arrived in time", 0.5, 2.0),
        *(
            ClosedSession(f"gone-{n}", "127.0.0.1:6", "CLIENT_LEFT", "the player said goodbye", n, 3_725.0)
            for n in range(39)
        ),
    ]
    return SessionList("zone-sessions/1", 200, players, sort, players, [stuck, *map(session, range(1, 40))], closed)


def screen_state(**changes: Any) -> ScreenState:
    """A minute of a server with every player on the map, with changes of the server or of the screen."""
    positions = [value for index in range(300) for value in (index * 33 % 10_000, index * 577 % 10_000)]
    values: dict[str, Any] = {
        "address": "127.0.0.1:7778",
        "samples": one_minute(),
        "now": 59.0,
        "zone": ZoneMap(10_000, 10_000, 300, positions),
        "sessions": session_list(),
    }
    of_server = {field.name for field in dataclasses.fields(ServerState)}
    values |= {name: value for name, value in changes.items() if name in of_server}
    of_screen = {name: value for name, value in changes.items() if name not in of_server}
    return ScreenState(ServerState(**values), **of_screen)


def svg_texts(document: str) -> list[str]:
    """The text elements of an SVG document."""
    return [element.text or "" for element in ElementTree.fromstring(document).iter(f"{SVG}text")]


# --- A real server ------------------------------------------------------------------------------------


class Server:
    """A server process on free ports."""

    def __init__(self, directory: Path, stats_port: int = 0, words: Sequence[str] = ("run",)) -> None:
        ready = directory / f"ready-{time.monotonic_ns()}.json"
        command = [sys.executable, "-m", "zoneserver", *words, "--port", "0", "--stats-port", str(stats_port)]
        command += ["--loop", "asyncio", "--ready-file", str(ready), "--duration", "60s"]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        while not ready.exists():
            assert self.process.poll() is None, "the server did not start"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        ports = json.loads(ready.read_text())
        self.port: int = ports["port"]
        self.stats_port: int = ports["stats_port"]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)


def dashboard(server: Server, *arguments: str) -> list[str]:
    """The command that watches a server with a short interval."""
    port = str(server.stats_port)
    return [sys.executable, "-m", "zonetools.dashboard", "--stats-port", port, "--interval", "100ms", *arguments]


def in_terminal(command: list[str], columns: int = 80, rows: int = 24, **environment: str) -> Terminal:
    """Start a command in a new pseudo-terminal."""
    removed = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")
    inherited = {name: value for name, value in os.environ.items() if name not in removed}
    settings = {**inherited, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **environment}
    return Terminal(functools.partial(subprocess.Popen, command, cwd=ROOT, env=settings), columns, rows)
