"""The C# client in a process of its own: `tests/client/csharp/Driver.cs` tells what its commands are."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from helpers.markdown import Page
from helpers.paths import ROOT
from helpers.waiting import PATIENCE_SECONDS, until

CLIENT = ROOT / "client/csharp"
SOURCES = [
    CLIENT / "ZoneClient.cs",
    CLIENT / "Samples~/Walk/Walk.cs",
    *sorted((ROOT / "tests/client/csharp").glob("*.cs")),
]
INSTALL = "apt-get install mono-mcs mono-runtime libmono-system-core4.0-cil libmono-posix4.0-cil"


_USINGS = "using System;\nusing System.Collections.Generic;\nusing Zoneserver;\n"


def page_program() -> str:
    """The fragments of docs/unity.md as one file: each is the body of a method."""
    blocks = [block for block in Page("docs/unity.md").blocks if block.language == "csharp" and not block.file]
    bodies = [f"static void Block{number}() {{ {block.text} }}" for number, block in enumerate(blocks)]
    fields = "static ZoneClient zone = null; static ZoneOptions options = null;"
    return f"{_USINGS}static class Page {{ {fields} {' '.join(bodies)} }}\n"


def compile_driver(folder: Path) -> Path:
    """Compiles the driver with the oldest C# that the client promises, and with warnings as errors."""
    program, page = folder / "driver.exe", folder / "Page.cs"
    page.write_text(page_program())
    command = ["mcs", "-langversion:7.2", "-warnaserror", f"-out:{program}", *map(str, [*SOURCES, page])]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr
    return program


class Driver:
    """Runs clients, and collects what they tell."""

    def __init__(self, program: Path) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self._process = subprocess.Popen(["mono", str(program)], **pipes, text=True, encoding="utf-8")  # type: ignore[call-overload]
        self._told = threading.Condition()
        self._answers: list[list[str]] = []
        self._lines: dict[str, list[list[str]]] = {}
        self._clients = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            name, *parts = line.rstrip("\n").split("\t")
            with self._told:
                if name == "=":
                    self._answers.append(parts)
                else:
                    self._lines.setdefault(name, []).append(parts)
                self._told.notify_all()

    def tell(self, *parts: object) -> None:
        """Gives a command that is not answered."""
        self._process.stdin.write("\t".join(map(str, parts)) + "\n")
        self._process.stdin.flush()

    def ask(self, *parts: object) -> list[str]:
        """Returns the answer to a command."""
        self.tell(*parts)
        with self._told:
            assert self._told.wait_for(lambda: self._answers, PATIENCE_SECONDS), f"no answer to {parts}: {self._lines}"
            return self._answers.pop(0)

    def join(self, address: str, **options: object) -> CSharpClient:
        """Starts a client that joins a zone."""
        self._clients += 1
        client = CSharpClient(self, f"c{self._clients}")
        self.tell("join", client.name, address, *(f"{name}={value}" for name, value in options.items()))
        return client

    def lines(self, name: str) -> list[list[str]]:
        with self._told:
            return list(self._lines.get(name, ()))

    def close(self) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(10)
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            self._process.stdout.close()


class CSharpClient:
    """One client of a driver."""

    def __init__(self, driver: Driver, name: str) -> None:
        self._driver = driver
        self.name = name

    def told(self, *kinds: str) -> list[list[str]]:
        """What it has told of these kinds so far, in order; without the kind if there is only one."""
        lines = [line for line in self._driver.lines(self.name) if line[0] in kinds]
        return [line[1:] for line in lines] if len(kinds) == 1 else lines

    async def until(self, kind: str, found: Callable[[list[str]], object] = bool) -> list[str]:
        """Waits until it tells something of this kind; returns that."""
        hit: list[list[str]] = []

        def look() -> bool:
            hit[:] = [line for line in self.told(kind) if found(line)]
            return bool(hit)

        try:
            await until(look)
        except TimeoutError:
            raise AssertionError(f"no {kind}: {self._driver.lines(self.name)[-20:]}") from None
        return hit[0]

    def act(self, kind: str, *arguments: object) -> None:
        self._driver.tell("act", self.name, kind, *arguments)

    def do(self, command: str) -> None:
        """drop, close, dispose or forget."""
        self._driver.tell(command, self.name)

    def ask(self, what: str) -> str:
        """The client's `state` or `facts`, as JSON."""
        (answer,) = self._driver.ask(f"?client {what}", self.name)
        return answer
