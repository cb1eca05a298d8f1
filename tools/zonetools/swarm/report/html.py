"""The report as one HTML page that can be sent as a file. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from zoneserver.support.format import format_decimal
from zonetools.common.html import html_document
from zonetools.common.machine import machine_text
from zonetools.swarm.measure.errors import REFUSAL
from zonetools.swarm.measure.series import Row, merge_rows
from zonetools.swarm.report.build import got_everything, passed, verdict
from zonetools.swarm.report.format import compared_rows, control_text, counts_text, date_text, difference_text
from zonetools.swarm.report.metrics import METRICS, NOT_MEASURED
from zonetools.swarm.report.places import GATEWAY_COLUMNS, TARGET_COLUMNS, Rows, gateway_rows, target_rows
from zonetools.swarm.report.plots import cost_plots, latency_plots

_STYLE = """
.plots { display: flex; flex-wrap: wrap; gap: .5rem } .plots svg { flex: 1 1 18rem; max-width: 20.8rem }
.parts { display: flex; margin: 1rem 0 .2rem; border-radius: 6px; overflow: hidden; font-size: .85rem }
.parts div { padding: .35rem .5rem; color: #ffffff; white-space: nowrap; overflow: hidden; min-width: 0 }
.part-0 { background: #59636e } .part-1 { background: #0b63c5 } .part-2 { background: #a21262 }
.part-3 { background: #0f766e }
td.text, th.text { text-align: left } td.long { white-space: normal; overflow-wrap: anywhere }
"""
# More points than pixels are of no use.
_ROWS_MAX = 240
# A part of the bar that is smaller than this share has no room for its name.
_LABEL_SHARE = 0.16
_POINTS = ("p50", "p90", "p99", "p999", "max", "mean")


def html_page(report: dict[str, Any]) -> str:
    """Return the report as one HTML document that loads nothing."""
    rows = merge_rows([Row(**row) for row in report["series"]], _ROWS_MAX)
    good = passed(report)
    tiles = [
        f'<div class="tile">{n}<strong>{escape(METRICS[n].text(report))}</strong>{text}</div>' for n, text in _TILES
    ]
    metrics = _table(
        ["metric", "value", "description"],
        [[name, each.text(report), each.description] for name, each in METRICS.items()],
        texts=(0, 2),
    )
    body = f"""
<h1 class="{"good" if good else "bad"}">{"✓" if good else "✗"} {escape(verdict(report))}</h1>
<p>{escape(_setup(report))}</p>
{_conditions(report)}
<div class="tiles">{"".join(tiles)}</div>
<h2>Latency</h2>
{_latency(report)}
{latency_plots(report, rows)}
<h2>Cost</h2>
<p>{escape(_cost(report))}</p>
{cost_plots(rows)}
<h2>Was the swarm the limit?</h2>
{_limits(report)}
{_places("Addresses", TARGET_COLUMNS, target_rows(report))}
{_places("Gateways of the zone", GATEWAY_COLUMNS, gateway_rows(report))}
<h2>Errors</h2>
{_errors(report)}
{_resume(report)}
{_hostile(report)}
{_compared(report)}
<h2>All metrics</h2>
<details><summary>Each metric by its name</summary>{metrics}</details>
<details><summary>The run second by second</summary><div class="scroll">{_seconds(rows)}</div></details>
<h2>How to read it</h2>
{_GUIDE}
<p class="dim">{escape(_machine(report))}</p>
"""
    return html_document(f"zone-swarm: {verdict(report)}", body, _STYLE)


_TILES = (
    ("joined", "bots joined"),
    ("p99", "99 % of all actions were seen within this time"),
    ("cpu_server", "of a core, used by the server"),
    ("bytes_per_action", "per action and bot that received it"),
)
_GUIDE = """
<p>Every bot compares every frame, byte for byte, with the copies that the other bots received, checks the state
hashes, and tracks each of its own actions until it is delivered, superseded or refused.</p>
<p>Latency counts from the moment an action was <em>due</em>. So a server or a swarm that falls behind cannot hide
it. An action waits for its tick: half a period on average, nearly a whole period at the 99th percentile. That is the
floor, however fast everything else is. The time to the server is inferred: half of a PING's round trip. The wait for
the tick is the time from sending an action to its tick, less the time to the server. The time back is measured, from
the moment the tick was due by the clock of the server to the moment the bot had read the frame.</p>
<p>Percent are of one core. The plots begin with the ramp, while bots still join; the metrics are of the measured time
after the ramp.</p>
"""


def _setup(report: dict[str, Any]) -> str:
    plan = report["plan"]
    zone = f" ({plan['game']}, {plan['hz']} ticks a second)" if plan["hz"] is not None else ""
    mix = ", ".join(f"{share} {role}" for role, share in plan["mix"].items() if share)
    way = f", {plan['web']:.0%} of them over WebSocket" if plan["web"] else ""
    note = "Interrupted: these are the values up to then. " if report["interrupted"] else ""
    return (
        f"{note}{plan['bots']:,} bots ({mix}){way}, {plan['rate']:g} actions a second each, measured for "
        f"{report['seconds']:.1f} s against {report['target']}{zone}, {date_text(report['started'])}."
    )


def _machine(report: dict[str, Any]) -> str:
    plan, machine = report["plan"], report["machine"]
    text = f"Worker processes: {plan['processes']}. Seed: {plan['seed']}. Joins per second: {plan['ramp']:g}."
    return f"The swarm ran on {machine_text(machine)}. {text}" if machine else text


def _conditions(report: dict[str, Any]) -> str:
    items = [
        f'<li class="{"bad" if condition["failed"] else "good"}">{"failed" if condition["failed"] else "passed"}: '
        f"{escape(condition['text'])}</li>"
        for condition in report["conditions"]
    ]
    return f"<ul>{''.join(items)}</ul>" if items else ""


# --- Latency --------------------------------------------------------------------------------------


def _latency(report: dict[str, Any]) -> str:
    table = [
        ("from the time an action was due", report["latency_ms"]),
        ("from the time it was sent", report["latency_uncorrected_ms"]),
    ]
    split = report["latency_split_ms"]
    if split is not None:
        table += [
            ("of this: from client to server", split["client_to_server"]),
            ("of this: waiting for the tick", split["wait_for_tick"]),
            ("the least wait at this tick rate", split["floor"]),
            ("of this: from the tick to the client", split["tick_to_client"]),
        ]
    return _parts(report) + _percentile_table(table)


def _parts(report: dict[str, Any]) -> str:
    split, late = report["latency_split_ms"], report["swarm"]["send_delay_ms"]["mean"]
    if split is None or late is None:
        return ""
    parts = [
        ("sent late", late),
        ("to the server", split["client_to_server"]["p50"]),
        ("waiting for the tick", split["wait_for_tick"]["mean"]),
        ("back to the client", split["tick_to_client"]["mean"]),
    ]
    total = sum(value for _, value in parts)
    bars = "".join(
        f'<div class="part-{index}" style="flex: {max(value, 0.001):.3f} 1 0" title="{name} {value:.1f} ms">'
        f"{f'{name} {value:.1f}' if value > total * _LABEL_SHARE else ''}</div>"
        for index, (name, value) in enumerate(parts)
    )
    means = ", ".join(f"{name} {value:.1f}" for name, value in parts)
    return f'<div class="parts">{bars}</div><p class="dim">Means in ms: {means}.</p>'


# --- Cost -----------------------------------------------------------------------------------------


def _cost(report: dict[str, Any]) -> str:
    def text(name: str) -> str:
        return METRICS[name].text(report)

    counts = report["server"]
    server = "The cost of the server is not known: its admin port did not answer."
    if counts is not None:
        server = (
            f"The server used {text('cpu_server')} of a core and {text('memory_server')} of memory. Of "
            f"{counts['ticks']:,} ticks, {counts['overruns']:,} overran and {counts['ticks_skipped']:,} were skipped."
        )
    return (
        f"{server} The swarm used {text('cpu_swarm')} of a core. Each bot received {text('bytes_per_bot')} per second: "
        f"{text('bytes_per_action')} for each action that was delivered to it."
    )


# --- Limits and errors ----------------------------------------------------------------------------


def _limits(report: dict[str, Any]) -> str:
    swarm = report["swarm"]
    if report["limited_by_swarm"]:
        answer = f"Yes, possibly: {'; '.join(swarm['why_limited'])}. The latencies may be those of the swarm."
    else:
        answer = "No: its timers were on time, and it had CPU to spare."
    busiest = f"Its busiest process used {swarm['cpu_percent_busiest']:.0f} % of a core."
    lateness = [("timers were late by", swarm["loop_lag_ms"]), ("actions were sent late by", swarm["send_delay_ms"])]
    return (
        f'<p class="{"bad" if report["limited_by_swarm"] else "good"}">{escape(answer)}</p><p>{busiest}</p>'
        + _percentile_table(lateness)
    )


def _errors(report: dict[str, Any]) -> str:
    faults = "No faults." if got_everything(report) else f"{report['faults']:,} faults."
    refused, closed = counts_text(report["actions"]["refused"]), counts_text(report["closed"])
    rows = [
        [
            "refused" if error["kind"] == REFUSAL else error["kind"],
            error["code"],
            f"{error['count']:,}",
            f"{error['first']['s']:.1f} s",
            error["first"]["bot"],
            error["first"]["text"],
        ]
        for error in report["errors"]
    ]
    header = ["kind", "code", "count", "first at", "first bot", "first text"]
    return f"<p>{faults} Refused actions: {escape(refused)}. Sessions ended with: {escape(closed)}.</p>" + (
        _table(header, rows, texts=(0, 1, 4, 5)) if rows else ""
    )


def _resume(report: dict[str, Any]) -> str:
    resume, actions = report["resume"], report["actions"]
    if not resume["drops"]:
        return ""
    moved = f" ({resume['moved']:,} at another address)" if resume["moved"] else ""
    text = (
        f"Of {resume['drops']:,} lost connections {resume['resumed']:,} were taken up again{moved}, and "
        f"{resume['failed']:,} could not be. The bots missed {resume['ticks_missed']:,} ticks. They sent "
        f"{actions['resent']:,} actions again; the outcome of {actions['unanswered']:,} was lost with a connection."
    )
    away = _percentile_table([("without a connection", resume["away_ms"])])
    return f"<h2>Lost connections</h2><p>{text}</p>{away}"


def _places(title: str, columns: Sequence[str], rows: Rows) -> str:
    return f"<h2>{title}</h2>{_table(columns, rows, texts=(0,))}" if rows else ""


def _hostile(report: dict[str, Any]) -> str:
    if not report["hostile"]:
        return ""
    rows = [
        [
            name,
            f"{role['bots']:,}",
            ", ".join(role["expected"]),
            counts_text(role["got"]),
            "yes" if role["ok"] else "NO: " + "; ".join(role["why"]),
        ]
        for name, role in report["hostile"].items()
    ]
    text = ""
    if report["control"] is not None and (words := control_text(report)):
        text = f"<p>The 99th percentile of the honest bots was {words}.</p>"
    return "<h2>Hostile bots</h2>" + _table(["role", "bots", "expected", "got", "ok"], rows, texts=(0, 2, 3, 4)) + text


def _compared(report: dict[str, Any]) -> str:
    compared = report["compared"]
    if compared is None:
        return ""
    warnings = "".join(f'<li class="bad">{escape(difference_text(each))}</li>' for each in compared["differences"])
    return (
        f"<h2>Compared with {escape(compared['file'])}, of {escape(date_text(compared['started']))}</h2>"
        + (f"<ul>{warnings}</ul>" if warnings else "")
        + _table(["metric", "before", "now", "ratio", ""], compared_rows(compared), texts=(0, 4))
    )


# --- Tables ---------------------------------------------------------------------------------------


def _percentile_table(rows: Sequence[tuple[str, dict[str, float | None]]]) -> str:
    cells = [[name, *(format_decimal(values.get(point), 1) for point in _POINTS)] for name, values in rows]
    return _table(["ms", *_POINTS], cells, texts=(0,))


def _seconds(rows: Sequence[Row]) -> str:
    if not rows:
        return f"<p>{NOT_MEASURED}</p>"
    names = list(rows[0].plain())
    return _table(
        [name.replace("_", " ") for name in names], [[_cell(value) for value in row.plain().values()] for row in rows]
    )


def _cell(value: float | bool | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else f"{value:,.6g}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], texts: Sequence[int] = ()) -> str:
    """Return a table. The columns `texts` contain words, all others numbers."""

    def cells(tag: str, values: Sequence[str]) -> str:
        return "".join(
            f'<{tag} class="text{" long" if len(value) > 40 else ""}">{escape(value)}</{tag}>'
            if place in texts
            else f"<{tag}>{escape(value)}</{tag}>"
            for place, value in enumerate(values)
        )

    lines = [f"<tr>{cells('th', header)}</tr>", *(f"<tr>{cells('td', row)}</tr>" for row in rows)]
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'
