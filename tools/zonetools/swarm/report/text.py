"""The report as text: the verdict, the latency, the cost, the errors."""

from __future__ import annotations

import errno
import io
import json
import sys
from collections.abc import Iterator, Sequence
from typing import IO, Any, cast

from rich.box import SIMPLE
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from zoneserver.support.process import discard_output
from zonetools.common.terminal_output import terminal_output
from zonetools.swarm.measure.errors import REFUSAL
from zonetools.swarm.report.build import passed, verdict
from zonetools.swarm.report.format import compared_rows, control_text, counts_text, difference_text
from zonetools.swarm.report.metrics import NOT_MEASURED
from zonetools.swarm.report.places import GATEWAY_COLUMNS, TARGET_COLUMNS, Rows, gateway_rows, target_rows

# Longer than any line of the report: without a terminal nothing is wrapped.
_WIDTH_MAX = 1_000
_ERRORS_SHOWN = 6


def show(report: dict[str, Any], as_json: bool = False) -> None:
    """Print the report as text or as JSON. A closed pipe or terminal is no error."""
    try:
        if as_json:
            print(json.dumps(report), flush=True)
        elif sys.stdout.isatty():
            output = terminal_output(sys.stdout)
            Console(file=cast("IO[str] | None", output), highlight=False).print(render_text(report))
            if output is not None:
                output.finish()
        else:
            wide = Console(highlight=False, width=_WIDTH_MAX, file=(text := io.StringIO()))
            wide.print(render_text(report))
            # Tables pad their lines with spaces.
            print("\n".join(line.rstrip() for line in text.getvalue().splitlines()), flush=True)
    except OSError as error:
        # EPIPE: the pipe was closed. EIO: the terminal was closed.
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise
        discard_output()


def render_text(report: dict[str, Any]) -> RenderableType:
    """Return the report for a terminal."""
    head = Text(verdict(report), "bold green" if passed(report) else "bold red")
    if report["interrupted"]:
        head.append("  (interrupted)", "not bold yellow")
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    for rows in (_counts(report), _latency(report), _cost(report), _errors(report)):
        for name, value in rows:
            table.add_row(name, value)
    parts: list[RenderableType] = [head, *_conditions(report), table]
    for columns, cells in ((TARGET_COLUMNS, target_rows(report)), (GATEWAY_COLUMNS, gateway_rows(report))):
        if cells:
            parts.append(_places(columns, cells))
    if report["hostile"]:
        parts.append(_hostile(report["hostile"]))
    if report["control"] is not None:
        parts.append(_control(report))
    if report["compared"] is not None:
        parts.append(_compared(report["compared"]))
    return Group(*parts)


def _places(columns: Sequence[str], rows: Rows) -> RenderableType:
    """Return a table whose first column is text, and whose others are numbers."""
    table = Table(box=SIMPLE)
    for name in columns:
        table.add_column(name, justify="left" if name == columns[0] else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _conditions(report: dict[str, Any]) -> list[Text]:
    return [
        Text(f"FAILED: {condition['text']}", "bold red")
        if condition["failed"]
        else Text(f"passed: {condition['text']}", "green")
        for condition in report["conditions"]
    ]


_Rows = Iterator[tuple[str, RenderableType]]


def _counts(report: dict[str, Any]) -> _Rows:
    bots, actions, frames = report["bots"], report["actions"], report["frames"]
    joined = f"{bots['joined']:,} of {bots['requested']:,} joined"
    if bots["joined"]:
        joined += f" within {report['join_seconds']:.1f} s"
    yield "bots", f"{joined}, {bots['failed']:,} failed"
    if report["plan"]["web"]:
        yield "", f"{bots['web']:,} over WebSocket, {bots['joined'] - bots['web']:,} over TCP"
    rare = (name for name in ("unanswered", "resent") if actions[name])
    outcomes = "delivered", *(("answered",) if actions["answered"] else ()), "superseded", *rare
    yield "actions", ", ".join(f"{actions[name]:,} {name}" for name in ("sent", *outcomes))
    yield "", f"refused: {counts_text(actions['refused'], '0')}"
    yield "", _faults(actions, "lost", "duplicated", "reordered")
    if report["resume"]["drops"]:
        yield from _resume(report["resume"])
    if told := report["told"]["messages"]:
        yield "told", f"{told:,} messages to single bots, {report['told']['bytes'] / 1000:,.1f} kB"
    yield "frames", f"{frames['received']:,} received, {frames['caught_up_by_snapshot']:,} catch-ups"
    yield "", _faults(frames, "mismatched", "gaps")
    hashes = Text(f"{report['state_hash']['checked']:,} hashes checked, ")
    yield "state", hashes + _faults(report["state_hash"], "diverged")


def _resume(resume: dict[str, Any]) -> _Rows:
    moved = f" ({resume['moved']:,} at another address)" if resume["moved"] else ""
    known = Text(f"{resume['drops']:,} drops, {resume['resumed']:,} came back{moved}, ")
    yield "resume", known + _faults(resume, "failed") + f", {resume['ticks_missed']:,} ticks missed"
    if away := _values(resume["away_ms"]):
        yield "", f"away ms {away}"


def _latency(report: dict[str, Any]) -> _Rows:
    for name, key, since in (("latency ms", "latency_ms", "due"), ("", "latency_uncorrected_ms", "sent")):
        values = _values(report[key])
        yield name, Text(f"{values}  (from {since})" if values else NOT_MEASURED, "" if name else "dim")
    split = report["latency_split_ms"]
    if split is None:
        return
    yield "  of it", f"to the server   {_values(split['client_to_server'])}  (half of a PING's round trip)"
    floor = f"(floor: mean {split['floor']['mean']:g}, max {split['floor']['max']:g})"
    yield "", f"wait for tick   {_values(split['wait_for_tick'])}  {floor}"
    yield "", f"tick to client  {_values(split['tick_to_client'])}"


def _cost(report: dict[str, Any]) -> _Rows:
    per_bot, per_action = report["bytes_in_per_bot_per_s"], report["bytes_per_delivered_action"]
    if per_bot is None or per_action is None:
        yield "traffic", NOT_MEASURED
    else:
        yield "traffic", f"{per_bot / 1000:,.1f} kB/s per bot, {per_action:,.2f} bytes per delivered action"
    cpu = report["cpu_percent"]
    # A server whose tick rate is known has an admin port.
    no_server = "unknown: no admin port" if report["plan"]["hz"] is None else NOT_MEASURED
    cpu_server, cpu_swarm = (
        missing if value is None else f"{value:.0f} % of a core"
        for value, missing in ((cpu["server"], no_server), (cpu["swarm"], NOT_MEASURED))
    )
    yield "cpu", f"server {cpu_server}, swarm {cpu_swarm}"
    if (server := report["server"]) is not None:
        late = Text(f"{server['overruns']:,} overran, {server['ticks_skipped']:,} skipped")
        late.stylize("yellow" if server["overruns"] else "")
        yield "ticks", Text(f"{server['ticks']:,}, the 99th percentile took {server['tick_p99_ms']:.1f} ms, ") + late


def _errors(report: dict[str, Any]) -> _Rows:
    yield "closed", counts_text(report["closed"])
    name = "errors"
    for error in report["errors"][:_ERRORS_SHOWN]:
        yield name, Text(error_text(error), "dim" if error["kind"] == REFUSAL else "red")
        name = ""
    for reason in report["swarm"]["why_limited"]:
        yield "note", Text(f"limited by the swarm: {reason}", "yellow")


def error_text(error: dict[str, Any]) -> str:
    """Return a group of errors in one line.

    >>> first = {"s": 1.5, "bot": "walker-3", "text": "too slow"}
    >>> error_text({"kind": "close", "code": "SLOW_CONSUMER", "count": 1200, "first": first})
    '1,200 x close SLOW_CONSUMER, first at 1.5 s, walker-3: too slow'
    """
    first = error["first"]
    said = f": {first['text']}" if first["text"] else ""
    return f"{error['count']:,} x {error['kind']} {error['code']}, first at {first['s']:.1f} s, {first['bot']}{said}"


def _values(values: dict[str, float | None]) -> str:
    return "  ".join(f"{name} {value:,.1f}" for name, value in values.items() if value is not None)


def _hostile(roles: dict[str, dict[str, Any]]) -> RenderableType:
    """Return a table of the expected and the received close codes by role. Details are dim."""
    table = Table("hostile", "bots", "expected", "got", "ok", box=SIMPLE)
    for name, role in roles.items():
        got = Text("\n").join(Text(f"{count:,} {code}") for code, count in role["got"].items())
        if role["unread"]:
            got.append(f"\n{role['unread']:,} by the server's count", "dim")
        if role["note"]:
            got.append(f"\n{role['note']}", "dim")
        for code, count in role["refused"].items():
            got.append(f"\nrefused {count:,} {code}", "dim")
        ok = Text("yes", "green") if role["ok"] else Text("NO: " + "; ".join(role["why"]), "bold red")
        table.add_row(name, f"{role['bots']:,}", "\n".join(role["expected"]), got, ok)
    return table


def _control(report: dict[str, Any]) -> Text:
    """Return the latency of the honest bots with and without the hostile bots."""
    control = report["control"]
    line = Text(f"honest bots' p99: {control_text(report) or f'{NOT_MEASURED} with or without the hostile bots'}")
    if report["limited_by_swarm"] or control["limited_by_swarm"]:
        line.append("; limited by the swarm, which was too busy or too late", "yellow")
    if not control["passed"]:
        line.append("; NOT everybody got everything in the run without them", "bold red")
    return line


def _compared(compared: dict[str, Any]) -> RenderableType:
    """Return a table of the metrics of the two reports, without those that are 0 in both."""
    table = Table("", "before", "now", "ratio", "", box=SIMPLE, title_justify="left")
    for column in table.columns[1:4]:
        column.justify = "right"
    for *row, word in compared_rows(compared):
        table.add_row(*row, Text(word, {"better": "green", "worse": "red"}.get(word, "dim")))
    lines = [Text(difference_text(difference), "yellow") for difference in compared["differences"]]
    return Group(
        Text(f"\ncompared with {compared['file']}, of {compared['started'] or 'an unknown time'}"), *lines, table
    )


def _faults(counts: dict[str, int], *names: str) -> Text:
    parts = [Text(f"{counts[name]:,} {name}", "bold red" if counts[name] else "green") for name in names]
    return Text(", ").join(parts)
