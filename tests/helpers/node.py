"""Node as a process of its own, which evaluates what tests ask it."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from helpers.paths import ROOT

HOW_TO_INSTALL = "Node 20 or later is not installed: apt-get install nodejs"
PATIENCE_SECONDS = 30.0
WEB = ROOT / "zoneserver" / "web"


class NodeError(Exception):
    """An exception of JavaScript."""


class Node:
    """One process. Values that bodies put on `globalThis` stay there."""

    def __init__(self, program: str) -> None:
        with tempfile.TemporaryFile() as log:
            self._process = subprocess.Popen(
                [program, "--experimental-websocket", "--no-warnings", str(ROOT / "tests/web/evaluate.mjs")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._number = 0
        self._asked: dict[int, Future[Any]] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def ask(self, body: str) -> Future[Any]:
        """Starts the body of an async function. It has no names but the global ones."""
        self._number += 1
        answer = self._asked[self._number] = Future[Any]()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": self._number, "body": body}) + "\n")
        self._process.stdin.flush()
        return answer

    def evaluate(self, body: str) -> Any:
        """What the body of an async function returns, in JSON."""
        return self.ask(body).result(PATIENCE_SECONDS)

    async def run(self, body: str) -> Any:
        """As `evaluate`, for a test whose server runs in its own event loop."""
        return await asyncio.wait_for(asyncio.wrap_future(self.ask(body)), PATIENCE_SECONDS)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            asked = self._asked.pop(answer["id"])
            if "error" in answer:
                asked.set_exception(NodeError(answer["error"]))
            elif answer["failures"]:
                asked.set_exception(NodeError(f"uncaught: {answer['failures']}"))
            else:
                asked.set_result(answer["value"])
        for asked in self._asked.values():
            asked.set_exception(NodeError("node has ended"))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdin.close()
        assert self._process.stdout is not None
        self._process.stdout.close()


def node_program() -> str:
    """The path of Node, or skips the test with the line that installs it."""
    program = shutil.which("node")
    if program is None:
        pytest.skip(HOW_TO_INSTALL)
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    if int(re.findall(r"\d+", version)[0]) < 20:
        pytest.skip(f"{HOW_TO_INSTALL} (this is {version.strip()})")
    return program


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """One process for all tests of a module, with everything that zone.js exports as `zonejs`."""
    process = Node(node_program())
    try:
        process.evaluate(f"globalThis.zonejs = await import({json.dumps((WEB / 'zone.js').as_uri())})")
        yield process
    finally:
        process.close()
