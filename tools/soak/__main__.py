"""The promises of the server, measured: `python -m tools.soak`. Each is a scenario of the fault lab."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tools.soak.lab import Finding, Lab
from tools.soak.promises import PROMISES, Promise
from tools.soak.tasks import together
from tools.source import AwayError
from tools.spawn import SpawnError, cancel_on_signals
from tools.swarm.conductor import SwarmError
from zoneserver.process import loop_factory, raise_open_files

__all__ = ["main"]

EXIT_OK, EXIT_CHECKS_FAILED, EXIT_USAGE, EXIT_CANNOT_START, EXIT_INTERRUPTED = 0, 1, 2, 3, 130

# Connections that the lab itself holds at once, at the most, and what else it has open.
FILES = 4_096
# Scenarios that measure no speed run side by side, as many as this.
_TOGETHER = 8

_EXAMPLES = """\
examples:
  python -m tools.soak                              every promise in full, in some minutes
  python -m tools.soak --quick                      shortened, in less than one
  python -m tools.soak --only flood,garbage --json -

exit codes: 0 all that was measured holds, 1 something does not, 2 wrong usage, 3 cannot start,
130 interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.list:
        for promise in PROMISES:
            print(f"{promise.name:<17} {promise.promise}")
        return EXIT_OK
    if raise_open_files(FILES) < FILES:
        print(f"soak: the lab needs {FILES} open files: ulimit -n {FILES}", file=sys.stderr)
        return EXIT_CANNOT_START
    chosen = [promise for promise in PROMISES if promise.name in arguments.only]
    try:
        with asyncio.Runner(loop_factory=loop_factory("auto")[1]) as runner:
            findings = runner.run(_run(Lab(arguments.quick, arguments.seed), chosen))
    except (SpawnError, SwarmError) as error:
        print(f"soak: {error}", file=sys.stderr)
        return EXIT_CANNOT_START
    except asyncio.CancelledError:
        return EXIT_INTERRUPTED
    _show(chosen, findings, arguments.json)
    return EXIT_CHECKS_FAILED if any(finding.ok is False for finding in findings) else EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.soak",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [promise.name for promise in PROMISES]

    def some(text: str) -> list[str]:
        unknown = [name for name in text.split(",") if name not in names]
        if unknown:
            raise argparse.ArgumentTypeError(f"there is no promise {unknown[0]!r}; --list shows all")
        return text.split(",")

    parser.add_argument("--quick", action="store_true", help="smaller crowds and shorter runs")
    parser.add_argument("--only", type=some, default=names, metavar="NAME[,NAME]", help="these alone")
    parser.add_argument("--list", action="store_true", help="name the promises and do nothing")
    parser.add_argument("--json", metavar="FILE", help="write the scorecard as JSON; - is stdout")
    parser.add_argument("--seed", type=int, default=1, help="seed of all that is drawn by chance (default 1)")
    return parser


async def _run(lab: Lab, chosen: list[Promise]) -> list[Finding]:
    """First those that must be alone, one by one; then the others side by side. In the order of `chosen`."""
    cancel_on_signals()
    seconds_max = lab.pick(420.0, 45.0)
    findings: dict[str, Finding] = {}

    async def measure(promise: Promise) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(seconds_max):
                finding = await promise.scenario(lab)
        except TimeoutError as error:
            finding = Finding(False, f"something did not come: {error or f'not over after {seconds_max:g} s'}")
        except (AwayError, OSError, ValueError) as error:
            finding = Finding(False, f"broke off: {error!r:.300}")
        findings[promise.name] = finding
        seconds = time.monotonic() - began
        print(f"{_mark(finding)} {promise.name} ({seconds:.1f} s): {finding.figure}", file=sys.stderr, flush=True)

    for promise in chosen:
        if promise.alone:
            await measure(promise)
    places = asyncio.Semaphore(_TOGETHER)

    async def measure_beside_others(promise: Promise) -> None:
        async with places:
            await measure(promise)

    await together(*(measure_beside_others(promise) for promise in chosen if not promise.alone))
    return [findings[promise.name] for promise in chosen]


def _mark(finding: Finding) -> str:
    return {True: "pass", False: "FAIL", None: "----"}[finding.ok]


def _show(chosen: list[Promise], findings: list[Finding], file: str | None) -> None:
    """The scorecard on stdout, and as JSON where that is wanted."""
    document: dict[str, Any] = {
        "schema": "zone-soak/1",
        "promises": [
            {"name": promise.name, "figure": finding.figure, "ok": finding.ok}
            for promise, finding in zip(chosen, findings, strict=True)
        ],
    }
    if file == "-":
        print(json.dumps(document))
        return
    if file is not None:
        Path(file).write_text(json.dumps(document, indent=2) + "\n")
    table = Table(show_lines=True)
    for heading in ("", "promise", "figure"):
        table.add_column(heading)
    for promise, finding in zip(chosen, findings, strict=True):
        style = {True: "green", False: "bold red", None: "yellow"}[finding.ok]
        what = Text.assemble((promise.name, "bold"), "\n", promise.promise)
        table.add_row(Text(_mark(finding), style), what, finding.figure)
    held = sum(finding.ok is True for finding in findings)
    console = Console(highlight=False)
    console.print(table)
    unknown = sum(finding.ok is None for finding in findings)
    console.print(f"{held} of {len(findings)} hold, {unknown} not measurable here", style="bold")


if __name__ == "__main__":
    sys.exit(main())
