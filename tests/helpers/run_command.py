"""`zoneserver run` in a process of its own, and players on blocking sockets."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from helpers.paths import ROOT

from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.framing import Deframer, length_prefixed
from zoneserver.protocol.messages import (
    PROTOCOL_VERSION,
    RESUME,
    SERVER_PAYLOAD_BYTES,
    ClientMessage,
    Hello,
    Resume,
    Return,
    ServerMessage,
)

PATIENCE_SECONDS = 30.0
"""A test fails if a step takes this long. No step is expected to take a tenth of it."""

Message = TypeVar("Message", bound=ServerMessage)
Found = TypeVar("Found")


def until(find: Callable[[], Found]) -> Found:
    """The first true result of `find`, which is called again and again."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := find()):
        assert time.monotonic() < deadline, "the condition never became true"
        time.sleep(0.005)
    return found


class Server:
    """`python -m zoneserver run` on free ports."""

    def __init__(self, folder: Path, *arguments: str, cwd: Path = ROOT, stdin: int = subprocess.DEVNULL) -> None:
        self.ready_file = folder / f"ready-{time.monotonic_ns()}.json"
        ports = ("--port", "0", "--stats-port", "0", "--ready-file", str(self.ready_file))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "zoneserver", "run", *ports, *arguments],
            cwd=cwd,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> dict[str, int]:
        def content() -> str:
            if self.process.poll() is not None:
                pytest.fail(f"the server ended: {self.process.communicate()}")
            return self.ready_file.read_text() if self.ready_file.exists() else ""

        ready: dict[str, int] = json.loads(until(content))
        return ready

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ready()['stats_port']}/stats", timeout=10) as answer:
            stats: dict[str, Any] = json.load(answer)
        return stats

    def player(self, name: str, source: str = "") -> Player:
        player = Player(self.ready()["port"], source)
        player.hello(name)
        return player

    def ended(self) -> tuple[int, str, str]:
        """(exit code, stdout, stderr), after the end of the process."""
        out, err = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, out, err

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(number)
        return self.ended()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Player:
    """A client on a blocking socket, which reads only when the test tells it to."""

    def __init__(self, port: int, source: str = "") -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS, (source, 0))
        self._deframer = Deframer(SERVER_PAYLOAD_BYTES)
        self._payloads: list[bytes] = []

    def say(self, message: ClientMessage) -> None:
        self.sock.sendall(length_prefixed(message.encode()))

    def hello(self, name: str, *options: str) -> None:
        self.say(Hello(PROTOCOL_VERSION, name, b"", options))

    def resume(self, name: str, how: Return, tick: int) -> None:
        """Comes back as the player that a WELCOME told how to."""
        self.say(Resume(PROTOCOL_VERSION, name, how.token, how.epoch, tick, [RESUME]))

    def read(self) -> ServerMessage:
        while not self._payloads:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self._payloads += self._deframer.receive(data)
        return decode_server(self._payloads.pop(0))

    def read_until(self, kind: type[Message]) -> Message:
        while not isinstance(message := self.read(), kind):
            pass
        return message

    def close(self) -> None:
        self.sock.close()
