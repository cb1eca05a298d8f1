"""The report of a swarm for a person: did everyone get everything, how late, at what cost."""

from __future__ import annotations

import errno
import io
import json
import sys
from collections.abc import Iterator
from typing import Any

from rich.box import SIMPLE
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from zoneserver.support.process import discard_output
from zonetools.swarm.measure.errors import REFUSAL
from zonetools.swarm.report.build import passed, verdict
from zonetools.swarm.report.metrics import FIGURES

__all__ = ["UNKNOWN", "difference_text", "error_text", "render", "show"]

# Beyond any line of the report: where nobody reads it on a terminal, nothing is wrapped.
_WIDTH_MAX = 1_000
_ERRORS_SHOWN = 6
UNKNOWN = "not measured"


def show(report: dict[str, Any], as_json: bool = False) -> None:
    """Prints the report, for a person or for a program; says nothing when nobody is left to read it."""
    try:
        if as_json:
            print(json.dumps(report), flush=True)
        elif sys.stdout.isatty():
            Console(highlight=False).print(render(report))
        else:
            wide = Console(highlight=False, width=_WIDTH_MAX, file=(text := io.StringIO()))
            wide.print(render(report))
            # A table fills its lines up with spaces.
            print("\n".join(line.rstrip() for line in text.getvalue().splitlines()), flush=True)
    except OSError as error:
        # A pipe that was closed, or a terminal.
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise
        discard_output()


def render(report: dict[str, Any]) -> RenderableType:
    """The report for a person: did everyone get everything, how late, at what cost."""
    head = Text(verdict(report), "bold green" if passed(report) else "bold red")
    if report["interrupted"]:
        head.append("  (interrupted)", "not bold yellow")
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    for rows in (_counted(report), _latency(report), _cost(report), _went_wrong(report)):
        for name, value in rows:
            table.add_row(name, value)
    parts: list[RenderableType] = [head, *_conditions(report), table]
    if report["hostile"]:
        parts.append(_hostile(report["hostile"]))
    if report["control"] is not None:
        parts.append(_control(report))
    if report["compared"] is not None:
        parts.append(_compared(report["compared"]))
    return Group(*parts)


def _conditions(report: dict[str, Any]) -> list[Text]:
    return [
        Text(f"FAILED: {condition['text']}", "bold red")
        if condition["failed"]
        else Text(f"passed: {condition['text']}", "green")
        for condition in report["conditions"]
    ]


_Rows = Iterator[tuple[str, RenderableType]]


def _counted(report: dict[str, Any]) -> _Rows:
    bots, actions, frames = report["bots"], report["actions"], report["frames"]
    refused = ", ".join(f"{count:,} {code}" for code, count in actions["refused"].items()) or "0"
    joined = f"{bots['joined']:,} of {bots['requested']:,} joined"
    if bots["joined"]:
        joined += f" within {report['join_seconds']:.1f} s"
    yield "bots", f"{joined}, {bots['failed']:,} failed"
    yield (
        "actions",
        f"{actions['sent']:,} sent, {actions['delivered']:,} delivered, {actions['superseded']:,} superseded",
    )
    yield "", f"refused: {refused}"
    yield "", _faults(actions, "lost", "duplicated", "reordered")
    yield "frames", f"{frames['received']:,} received, {frames['caught_up_by_snapshot']:,} catch-ups"
    yield "", _faults(frames, "mismatched", "gaps")
    hashes = Text(f"{report['state_hash']['checked']:,} hashes checked, ")
    yield "state", hashes + _faults(report["state_hash"], "diverged")


def _latency(report: dict[str, Any]) -> _Rows:
    for name, key, since in (("latency ms", "latency_ms", "due"), ("", "latency_uncorrected_ms", "sent")):
        figures = _figures(report[key])
        yield name, Text(f"{figures}  (from {since})" if figures else UNKNOWN, "" if name else "dim")
    split = report["latency_split_ms"]
    if split is None:
        return
    yield "  of it", f"to the server   {_figures(split['client_to_server'])}  (half of a PING's round trip)"
    floor = f"(floor: mean {split['floor']['mean']:g}, max {split['floor']['max']:g})"
    yield "", f"wait for tick   {_figures(split['wait_for_tick'])}  {floor}"
    yield "", f"tick to client  {_figures(split['tick_to_client'])}"


def _cost(report: dict[str, Any]) -> _Rows:
    per_bot, per_action = report["bytes_in_per_bot_per_s"], report["bytes_per_delivered_action"]
    if per_bot is None or per_action is None:
        yield "traffic", UNKNOWN
    else:
        yield "traffic", f"{per_bot / 1000:,.1f} kB/s per bot, {per_action:,.2f} bytes per delivered action"
    cpu = report["cpu_percent"]
    # Who told its tick rate has an admin port.
    no_server = "unknown: no admin port" if report["plan"]["hz"] is None else UNKNOWN
    server, swarm = (
        missing if value is None else f"{value:.0f} % of a core"
        for value, missing in ((cpu["server"], no_server), (cpu["swarm"], UNKNOWN))
    )
    yield "cpu", f"server {server}, swarm {swarm}"
    if (told := report["server"]) is not None:
        late = Text(f"{told['overruns']:,} overran, {told['ticks_skipped']:,} skipped")
        late.stylize("yellow" if told["overruns"] else "")
        yield "ticks", Text(f"{told['ticks']:,}, the 99th percentile took {told['tick_p99_ms']:.1f} ms, ") + late


def _went_wrong(report: dict[str, Any]) -> _Rows:
    yield "closed", ", ".join(f"{count:,} {reason}" for reason, count in report["closed"].items()) or "none"
    name = "errors"
    for error in report["errors"][:_ERRORS_SHOWN]:
        yield name, Text(error_text(error), "dim" if error["kind"] == REFUSAL else "red")
        name = ""
    for reason in report["swarm"]["why_limited"]:
        yield "note", Text(f"limited by the swarm: {reason}", "yellow")


def error_text(error: dict[str, Any]) -> str:
    """A group of errors in one line.

    >>> first = {"s": 1.5, "bot": "walker-3", "text": "too slow"}
    >>> error_text({"kind": "close", "code": "SLOW_CONSUMER", "count": 1200, "first": first})
    '1,200 x close SLOW_CONSUMER, first at 1.5 s, walker-3: too slow'
    """
    first = error["first"]
    said = f": {first['text']}" if first["text"] else ""
    return f"{error['count']:,} x {error['kind']} {error['code']}, first at {first['s']:.1f} s, {first['bot']}{said}"


def _figures(values: dict[str, float | None]) -> str:
    return "  ".join(f"{name} {value:,.1f}" for name, value in values.items() if value is not None)


def _hostile(roles: dict[str, dict[str, Any]]) -> RenderableType:
    """Each hostile role: what it should get, and what it got; dim, how that is known and what came before."""
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
    """How late everything was for the honest bots, beside a run without the hostile ones."""
    control = report["control"]
    p99, without = report["latency_ms"]["p99"], control["latency_ms"]["p99"]
    line = Text("honest bots' p99: ")
    if p99 is None or without is None:
        line.append(f"{UNKNOWN} beside the hostile ones and without them")
    else:
        line.append(f"{p99:.1f} ms, without the hostile ones {without:.1f} ms: x {control['p99_ratio']:.3f}")
    if report["limited_by_swarm"] or control["limited_by_swarm"]:
        line.append("; limited by the swarm, which was late itself", "yellow")
    if not control["passed"]:
        line.append("; NOT everybody got everything without them", "bold red")
    return line


def _compared(compared: dict[str, Any]) -> RenderableType:
    """Each figure of the two reports, but for those that are 0 in both."""
    table = Table("", "before", "now", "ratio", "", box=SIMPLE, title_justify="left")
    for column in table.columns[1:4]:
        column.justify = "right"
    for row in compared["figures"]:
        if row["old"] or row["new"]:
            figure, word = FIGURES[row["name"]], row["verdict"]
            ratio = "" if row["ratio"] is None else f"x {row['ratio']:.2f}"
            style = {"better": "green", "worse": "red"}.get(word, "dim")
            table.add_row(figure.name, figure.text(row["old"]), figure.text(row["new"]), ratio, Text(word, style))
    lines = [Text(difference_text(difference), "yellow") for difference in compared["differences"]]
    return Group(Text(f"\nagainst {compared['file']}, of {compared['started'] or 'an unknown time'}"), *lines, table)


def difference_text(difference: dict[str, Any]) -> str:
    """What of two plans is not the same, as a warning.

    >>> difference_text({"name": "bots", "old": 1000, "new": 500})
    'not the same run: bots was 1000 and is 500'
    """
    return f"not the same run: {difference['name']} was {difference['old']} and is {difference['new']}"


def _faults(counts: dict[str, int], *names: str) -> Text:
    parts = [Text(f"{counts[name]:,} {name}", "bold red" if counts[name] else "green") for name in names]
    return Text(", ").join(parts)
