"""A report as one HTML page that can be sent to somebody: the verdict, then what it stands on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from zonetools.common.html import html_document
from zonetools.common.machine import machine_text
from zonetools.common.plots import Plot, Series
from zonetools.swarm.measure.errors import REFUSAL
from zonetools.swarm.measure.series import Row, thinned
from zonetools.swarm.report.build import got_everything, passed, verdict
from zonetools.swarm.report.metrics import FIGURES
from zonetools.swarm.report.text import UNKNOWN, difference_text

__all__ = ["page"]

_STYLE = """
.plots { display: flex; flex-wrap: wrap; gap: .5rem } .plots svg { flex: 1 1 18rem; max-width: 20.8rem }
.parts { display: flex; margin: 1rem 0 .2rem; border-radius: 6px; overflow: hidden; font-size: .85rem }
.parts div { padding: .35rem .5rem; color: #ffffff; white-space: nowrap; overflow: hidden; min-width: 0 }
.part-0 { background: #59636e } .part-1 { background: #0b63c5 } .part-2 { background: #a21262 }
.part-3 { background: #0f766e }
td.text, th.text { text-align: left } td.long { white-space: normal; overflow-wrap: anywhere }
"""
# More points than pixels show nobody anything.
_ROWS_MAX = 240
# A part of a bar that is smaller than this has no room for its name.
_LABEL_SHARE = 0.16
_POINTS = ("p50", "p90", "p99", "p999", "max", "mean")


def page(report: dict[str, Any]) -> str:
    """The report as one HTML document that needs nothing else."""
    rows = thinned([Row(**row) for row in report["series"]], _ROWS_MAX)
    good = passed(report)
    body = f"""
<h1 class="{"good" if good else "bad"}">{"✓" if good else "✗"} {escape(verdict(report))}</h1>
<p>{escape(_what(report))}</p>
{_conditions(report)}
<div class="tiles">{"".join(_tile(report, name, words) for name, words in _TILES)}</div>
<h2>How late</h2>
{_latency(report)}
{_plots([_latency_plot(report, rows), _tick_plot(report, rows)])}
<h2>What it cost</h2>
<p>{escape(_cost(report))}</p>
{_plots(_cost_plots(rows))}
<h2>Was the swarm the limit?</h2>
{_limits(report)}
<h2>What went wrong</h2>
{_went_wrong(report)}
{_hostile(report)}
{_compared(report)}
<h2>All figures</h2>
<details><summary>Each figure by its name</summary>{_figures(report)}</details>
<details><summary>The run second by second</summary><div class="scroll">{_seconds(rows)}</div></details>
<h2>How to read it</h2>
{_GUIDE}
<p class="dim">{escape(_where(report))}</p>
"""
    return html_document(f"zone-swarm: {verdict(report)}", body, _STYLE)


_TILES = (
    ("joined", "bots came in"),
    ("p99", "99 % of all actions were back by then"),
    ("cpu_server", "of a core: the server"),
    ("bytes_per_action", "for each action delivered to one bot"),
)
_GUIDE = """
<p>Every bot holds every frame it gets, byte for byte, against the copies that all others got, checks the state
hashes, and follows each of its own actions until it is delivered, superseded or refused.</p>
<p>Latency counts from the moment an action was <em>due</em>, so that neither a server nor a swarm that falls behind
can hide it. An action waits for its tick: half a period on average, nearly a whole one at the 99th percentile;
that is the floor, however fast everything else is. The way to the server is half of a PING's round trip, which
is inferred; the wait is what is left of the time from sending an action to its tick; the rest is measured from the
moment the tick was due, which the server tells, to the moment the bot had read the frame.</p>
<p>Percent are of one core. In the plots the bots still come in at the beginning; the figures are of the time after.</p>
"""


def _what(report: dict[str, Any]) -> str:
    plan = report["plan"]
    zone = f" ({plan['game']}, {plan['hz']} ticks a second)" if plan["hz"] is not None else ""
    mix = ", ".join(f"{share} {role}" for role, share in plan["mix"].items() if share)
    cut = "Interrupted: what had been measured by then. " if report["interrupted"] else ""
    return (
        f"{cut}{plan['bots']:,} bots ({mix}), {plan['rate']:g} actions a second each, measured for "
        f"{report['seconds']:.1f} s against {report['target']}{zone}, {_day(report['started'])}."
    )


def _day(started: str | None) -> str:
    """A moment for people.

    >>> _day("2026-11-24T17:39:39+00:00")
    '2026-11-24 17:39 UTC'
    """
    return f"{started[:10]} {started[11:16]} UTC" if started else "an unknown time"


def _where(report: dict[str, Any]) -> str:
    plan, machine = report["plan"], report["machine"]
    text = f"{plan['processes']} process(es) of bots, seed {plan['seed']}, {plan['ramp']:g} joins a second."
    return f"The swarm ran on {machine_text(machine)}. {text}" if machine else text


def _conditions(report: dict[str, Any]) -> str:
    items = [
        f'<li class="{"bad" if condition["failed"] else "good"}">{"failed" if condition["failed"] else "passed"}: '
        f"{escape(condition['text'])}</li>"
        for condition in report["conditions"]
    ]
    return f"<ul>{''.join(items)}</ul>" if items else ""


def _tile(report: dict[str, Any], name: str, words: str) -> str:
    figure = FIGURES[name]
    return f'<div class="tile">{escape(name)}<strong>{escape(figure.text(figure.of(report)))}</strong>{words}</div>'


# --- How late -------------------------------------------------------------------------------------


def _latency(report: dict[str, Any]) -> str:
    table = [
        ("from when it was due", report["latency_ms"]),
        ("from when it was sent", report["latency_uncorrected_ms"]),
    ]
    split = report["latency_split_ms"]
    if split is not None:
        table += [
            ("of it: from client to server", split["client_to_server"]),
            ("of it: waiting for the tick", split["wait_for_tick"]),
            ("what the tick rate alone makes of that", split["floor"]),
            ("of it: from the tick to the client", split["tick_to_client"]),
        ]
    rows = [[name, *(_number(values.get(point), 1) for point in _POINTS)] for name, values in table]
    return _parts(report) + _table(["ms", *_POINTS], rows, texts=(0,))


def _parts(report: dict[str, Any]) -> str:
    """The mean latency as a bar, in its parts."""
    split, late = report["latency_split_ms"], report["swarm"]["send_delay_ms"]["mean"]
    if split is None or late is None:
        return ""
    parts = [
        ("late to leave", late),
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
    words = ", ".join(f"{name} {value:.1f}" for name, value in parts)
    return f'<div class="parts">{bars}</div><p class="dim">On average, in ms: {words}.</p>'


def _latency_plot(report: dict[str, Any], rows: Sequence[Row]) -> Plot:
    series = [_series(rows, "latency_p50_ms", "median"), _series(rows, "latency_p99_ms", "99th percentile")]
    return Plot("Latency", "seconds", "ms", series, limit=_period(report))


def _tick_plot(report: dict[str, Any], rows: Sequence[Row]) -> Plot:
    series = [_series(rows, "tick_p99_ms", "99th percentile of 10 s")]
    return Plot("A tick's work", "seconds", "ms", series, limit=_period(report))


def _period(report: dict[str, Any]) -> tuple[str, float] | None:
    hz = report["plan"]["hz"]
    return None if hz is None else ("one tick", 1000 / hz)


# --- What it cost ---------------------------------------------------------------------------------


def _cost(report: dict[str, Any]) -> str:
    def text(name: str) -> str:
        return FIGURES[name].text(FIGURES[name].of(report))

    told = report["server"]
    server = "The server has no admin port that answers: its side is not known."
    if told is not None:
        server = (
            f"The server used {text('cpu_server')} of a core and {text('memory_server')} of memory; of "
            f"{told['ticks']:,} ticks {told['overruns']:,} overran and {told['ticks_skipped']:,} were skipped."
        )
    return (
        f"{server} The swarm used {text('cpu_swarm')} of a core. To each bot went {text('bytes_per_bot')} a second: "
        f"{text('bytes_per_action')} for each action that was delivered to it."
    )


def _cost_plots(rows: Sequence[Row]) -> list[Plot]:
    cpu = [_series(rows, "cpu_percent_server", "server"), _series(rows, "cpu_percent_swarm", "swarm")]
    return [
        Plot("CPU", "seconds", "% of a core", cpu),
        Plot("Players", "seconds", "", [_series(rows, "players", "players")]),
        Plot("Deliveries", "seconds", "per second", [_series(rows, "deliveries_per_s", "actions, times who got them")]),
    ]


def _series(rows: Sequence[Row], column: str, name: str) -> Series:
    # A part of a second is too short for a fair figure.
    points = [(row.s, getattr(row, column)) for row in rows if row.seconds > 0.5]
    return Series(name, [(s, value) for s, value in points if value is not None])


def _plots(plots: Iterable[Plot]) -> str:
    return f'<div class="plots">{"".join(plot.svg() for plot in plots if any(s.points for s in plot.series))}</div>'


# --- What was wrong -------------------------------------------------------------------------------


def _limits(report: dict[str, Any]) -> str:
    swarm = report["swarm"]
    if report["limited_by_swarm"]:
        words = "Yes, it may have been: " + "; ".join(swarm["why_limited"]) + ". The figures say as much about it."
    else:
        words = "No: it was not late itself, and had CPU to spare."
    rows = [
        [name, *(_number(values.get(point), 1) for point in _POINTS)]
        for name, values in (
            ("its loop was late by", swarm["loop_lag_ms"]),
            ("actions left late by", swarm["send_delay_ms"]),
        )
    ]
    busiest = f"Its busiest process used {swarm['cpu_percent_busiest']:.0f} % of a core."
    return f'<p class="{"bad" if report["limited_by_swarm"] else "good"}">{escape(words)}</p><p>{busiest}</p>' + _table(
        ["ms", *_POINTS], rows, texts=(0,)
    )


def _went_wrong(report: dict[str, Any]) -> str:
    actions = report["actions"]
    words = "Nothing that should not have." if got_everything(report) else f"{report['faults']:,} faults."
    refused = ", ".join(f"{count:,} {code}" for code, count in actions["refused"].items()) or "none"
    closed = ", ".join(f"{count:,} {code}" for code, count in report["closed"].items()) or "none"
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
    header = ["kind", "code", "times", "first at", "by", "which was told"]
    return f"<p>{words} Refused actions: {escape(refused)}. Sessions ended with: {escape(closed)}.</p>" + (
        _table(header, rows, texts=(0, 1, 4, 5)) if rows else ""
    )


def _hostile(report: dict[str, Any]) -> str:
    if not report["hostile"]:
        return ""
    rows = [
        [
            name,
            f"{role['bots']:,}",
            ", ".join(role["expected"]),
            ", ".join(f"{count:,} {code}" for code, count in role["got"].items()),
            "yes" if role["ok"] else "NO: " + "; ".join(role["why"]),
        ]
        for name, role in report["hostile"].items()
    ]
    control, text = report["control"], ""
    if control is not None and control["p99_ratio"] is not None:
        text = (
            f"<p>The honest bots' 99th percentile was {report['latency_ms']['p99']:.1f} ms beside them, and "
            f"{control['latency_ms']['p99']:.1f} ms in a run without: x {control['p99_ratio']:.3f}.</p>"
        )
    return "<h2>Hostile bots</h2>" + _table(["role", "bots", "expected", "got", "ok"], rows, texts=(0, 2, 3, 4)) + text


def _compared(report: dict[str, Any]) -> str:
    compared = report["compared"]
    if compared is None:
        return ""
    rows = [
        [
            row["name"],
            FIGURES[row["name"]].text(row["old"]),
            FIGURES[row["name"]].text(row["new"]),
            "" if row["ratio"] is None else f"x {row['ratio']:.2f}",
            row["verdict"],
        ]
        for row in compared["figures"]
        if row["old"] or row["new"]
    ]
    warnings = "".join(f'<li class="bad">{escape(difference_text(each))}</li>' for each in compared["differences"])
    return (
        f"<h2>Against {escape(compared['file'])}, of {escape(_day(compared['started']))}</h2>"
        + (f"<ul>{warnings}</ul>" if warnings else "")
        + _table(["figure", "before", "now", "ratio", ""], rows, texts=(0, 4))
    )


# --- Tables ---------------------------------------------------------------------------------------


def _figures(report: dict[str, Any]) -> str:
    rows = [[name, figure.text(figure.of(report)), figure.says] for name, figure in FIGURES.items()]
    return _table(["figure", "value", "what"], rows, texts=(0, 2))


def _seconds(rows: Sequence[Row]) -> str:
    if not rows:
        return f"<p>{UNKNOWN}</p>"
    names = list(rows[0].plain())
    return _table(
        [name.replace("_", " ") for name in names], [[_cell(value) for value in row.plain().values()] for row in rows]
    )


def _cell(value: float | bool | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else f"{value:,.6g}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], texts: Sequence[int] = ()) -> str:
    """A table of plain text; the columns `texts` hold words, all others figures."""

    def cells(tag: str, values: Sequence[str]) -> str:
        return "".join(
            f'<{tag} class="text{" long" if len(value) > 40 else ""}">{escape(value)}</{tag}>'
            if place in texts
            else f"<{tag}>{escape(value)}</{tag}>"
            for place, value in enumerate(values)
        )

    lines = [f"<tr>{cells('th', header)}</tr>", *(f"<tr>{cells('td', row)}</tr>" for row in rows)]
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'
