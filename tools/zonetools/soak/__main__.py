"""Measure what the server promises. Each promise is one scenario of the fault lab."""

from __future__ import annotations

if __name__ == "__main__":
    # Ctrl-C and closed descriptors are taken care of before this module imports anything.
    from zoneserver.cli.start import start

    raise SystemExit(start("zonetools.soak.__main__"))

import argparse
import asyncio
import json
import logging
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from zoneserver.cli.command import parse_output, require_open_files, run_command, write_output
from zoneserver.cli.parser import Parser
from zoneserver.support.errors import Exit
from zoneserver.support.event_loop import loop_factory
from zoneserver.support.parse import one_of, parse_integer
from zonetools.common.admin_client import ServerUnreachable
from zonetools.common.server_process import cancel_on_signals
from zonetools.soak.fault_lab import Finding, Lab
from zonetools.soak.promises import PROMISES, Promise
from zonetools.soak.tasks import together

_log = logging.getLogger(__name__)

# The most files that the lab itself holds open at once, most of them connections.
OPEN_FILES = 4_096
# How many scenarios run in parallel, among those that measure no speed.
_PARALLEL_MAX = 8

_MARKS = {True: ("pass", "green"), False: ("FAIL", "bold red"), None: ("----", "yellow")}
_SUMMARY = "Measure what the server promises. Each promise is one scenario of the fault lab."
_EXAMPLES = """\
  python -m zonetools.soak                              every promise in full, in about ten minutes
  python -m zonetools.soak --quick                      shortened, in less than two minutes
  python -m zonetools.soak --only flood,garbage --json -
"""
_EXIT_CODES = (
    "0 every measured promise holds, 1 some promise does not hold, 2 wrong usage, 3 cannot start, 130 interrupted"
)


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(_parser(), _main, argv)


def _main(arguments: argparse.Namespace) -> int:
    if arguments.list:
        for promise in PROMISES:
            print(f"{promise.name:<17} {promise.promise}")
        return Exit.OK
    require_open_files(OPEN_FILES, "the lab needs")
    chosen = [promise for promise in PROMISES if promise.name in arguments.only]
    with asyncio.Runner(loop_factory=loop_factory("auto")[1]) as runner:
        findings = runner.run(_run(Lab(arguments.quick, arguments.seed), chosen))
    _show(chosen, findings, arguments.json)
    return Exit.FAILED if any(finding.ok is False for finding in findings) else Exit.OK


def _parser() -> Parser:
    parser = Parser("python -m zonetools.soak", _SUMMARY, examples=_EXAMPLES, exit_codes=_EXIT_CODES)
    names = [promise.name for promise in PROMISES]
    parse_name = one_of(names, "promise")

    parser.section("what")
    parser.switch("--quick", help="use smaller crowds and shorter runs")
    parser.setting(
        "--only",
        parse=lambda text: [parse_name(name) for name in text.split(",")],
        default=names,
        metavar="NAME[,NAME]",
        help="measure only these promises",
        shown="all",
    )
    parser.switch("--list", help="list the promises and exit")
    parser.setting("--seed", parse=parse_integer, default=1, help="seed of everything random")
    text = "write the scorecard as JSON; - is stdout"
    parser.setting("--json", parse=parse_output, metavar="FILE", help=text)
    parser.common()
    return parser


async def _run(lab: Lab, chosen: list[Promise]) -> list[Finding]:
    """Measure the promises that must run alone, then the others in parallel. Returns findings in given order."""
    cancel_on_signals()
    seconds_max = lab.pick(420.0, 45.0)
    findings: dict[str, Finding] = {}

    async def measure(promise: Promise) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(seconds_max):
                finding = await promise.scenario(lab)
        except TimeoutError as error:
            finding = Finding(False, f"timed out: {error or f'not finished after {seconds_max:g} s'}")
        except (ServerUnreachable, OSError, ValueError) as error:
            finding = Finding(False, f"failed to run: {error!r:.300}")
        findings[promise.name] = finding
        seconds = time.monotonic() - began
        _log.info("%s %s (%.1f s): %s", _MARKS[finding.ok][0], promise.name, seconds, finding.measured)

    for promise in chosen:
        if promise.alone:
            await measure(promise)
    slots = asyncio.Semaphore(_PARALLEL_MAX)

    async def measure_in_parallel(promise: Promise) -> None:
        async with slots:
            await measure(promise)

    await together(*(measure_in_parallel(promise) for promise in chosen if not promise.alone))
    return [findings[promise.name] for promise in chosen]


def _show(chosen: list[Promise], findings: list[Finding], file: str | None) -> None:
    """Print the scorecard, and write it as JSON on request."""
    document: dict[str, Any] = {
        "schema": "zone-soak/1",
        "promises": [
            {"name": promise.name, "figure": finding.measured, "ok": finding.ok}
            for promise, finding in zip(chosen, findings, strict=True)
        ],
    }
    if file == "-":
        print(json.dumps(document))
        return
    if file is not None:
        write_output(file, json.dumps(document, indent=2) + "\n")
    table = Table(show_lines=True)
    for heading in ("", "promise", "measured"):
        table.add_column(heading)
    for promise, finding in zip(chosen, findings, strict=True):
        title = Text.assemble((promise.name, "bold"), "\n", promise.promise)
        table.add_row(Text(*_MARKS[finding.ok]), title, finding.measured)
    held = sum(finding.ok is True for finding in findings)
    console = Console(highlight=False)
    console.print(table)
    unknown = sum(finding.ok is None for finding in findings)
    console.print(f"{held} of {len(findings)} hold, {unknown} not measurable here", style="bold")
