"""What a comparison came to, in pictures: one HTML file, and one SVG for a README. Pure."""

from __future__ import annotations

from html import escape
from typing import Any

from zonetools.common.html import html_document
from zonetools.common.machine import machine_text
from zonetools.common.plots import Plot, Series, figure
from zonetools.compare.measure import Verdict
from zonetools.compare.report import notes_of, runs_by_crowd

__all__ = ["page", "picture"]

_STYLE = """
.tiles { grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)) }
th:nth-child(2), td:nth-child(2), th:last-child, td:last-child { text-align: left }
tr.first td { border-top: 1px solid var(--rule) }
"""
_CROSS = "A cross: could not keep up; larger crowds were not tried."
_COLUMNS = (
    ("sends/s", "sends_per_s", 0),
    ("system calls/s", "system_calls_per_s", 0),
    ("bytes/s per player", "bytes_per_player_per_s", 0),
    ("bytes per delivered action", "bytes_per_delivered_action", 1),
    ("server CPU %", "cpu_percent", 0),
    ("p50 ms", "p50", 1),
    ("p99 ms", "p99", 1),
    ("tick overruns", "tick_overruns", 0),
)


def picture(document: dict[str, Any]) -> str:
    """The comparison in three plots, as an SVG document."""
    plots, plan = _plots(document), document["plan"]
    return figure(
        [plots["cpu"], plots["p99"], plots["sends"]],
        title="Everything that everybody does in a tick as one buffer, or action by action",
        note=f"{plan['rate']:g} actions a second each, {plan['hz']} ticks a second, server and bots on "
        f"{document['machine']['cpus']} cores. {_CROSS}",
    )


def page(document: dict[str, Any]) -> str:
    """The comparison as one HTML document that needs nothing else."""
    plots = _plots(document)
    order = ("sends", "calls", "cpu", "p50", "p99", "bytes")
    body = f"""
<h1>Three ways to tell everybody what everybody does</h1>
<p>The same server code, the same bots, the same actions; only when the server sends differs.
{escape(_head(document))}.</p>
<div class="tiles">{"".join(_tile(delivery) for delivery in document["deliveries"])}</div>
{figure([plots[name] for name in order], note=_CROSS)}
<h2>In figures</h2>
<div class="scroll">{_table(document)}</div>
{_notes(document)}
<h2>How to read it</h2>
<p>A crowd is <em>held</em> when everybody gets everything and 99 % of all actions are back at their own player
within {document["held_ms_p99"]:.0f} ms (two ticks), from the moment they were due. It is <em>late</em> when that takes
longer, and the server <em>cannot keep up</em> when it takes longer and longer, or when players are lost.
A tick buffer waits for its tick: with few players it is the slower way, by half a tick.</p>
<p>A send is the server handing bytes of one session to the kernel; system calls are all that the server process
makes, of any kind, in a sample of the same run. Bytes are those of the protocol, without the headers that TCP
and IP put on each packet: the more and the smaller the packets, the more those add. Percent are of one core.
Where each action is a frame of its own, a frame number counts actions and not twentieths of a second; the
bots therefore do what does not depend on the time: they walk, talk and wave.</p>
<p class="dim">{escape(_machine(document))}</p>
"""
    return html_document("zoneserver: three ways to tell everybody", body, _STYLE)


def _head(document: dict[str, Any]) -> str:
    plan = document["plan"]
    return f"{plan['rate']:g} actions per second and player, {plan['hz']} ticks per second, everybody sees everybody"


def _machine(document: dict[str, Any]) -> str:
    plan = document["plan"]
    return (
        f"Measured on {machine_text(document['machine'])}; server, swarm and all else on the same machine; "
        f"{plan['seconds']:g} s each, {plan['processes']} process(es) of bots, seed {plan['seed']}."
    )


def _value(run: dict[str, Any], key: str) -> float | None:
    value: float | None = run["latency_ms"].get(key) if key in {"p50", "p99"} else run[key]
    return value


def _plots(document: dict[str, Any]) -> dict[str, Plot]:
    def plot(title: str, key: str, unit: str, limit: tuple[str, float] | None = None, *, log: bool = True) -> Plot:
        series = [_series(delivery, key) for delivery in document["deliveries"]]
        return Plot(title, "players", unit, series, log_x=True, log_y=log, limit=limit, x_ticks=crowds)

    crowds = sorted({run["players"] for _, run in runs_by_crowd(document)})

    two_ticks = ("two ticks", document["held_ms_p99"])
    return {
        "cpu": plot("CPU of the server", "cpu_percent", "% of a core", ("one core", 100.0), log=False),
        "p50": plot("Latency, median", "p50", "ms", two_ticks),
        "p99": plot("Latency, 99th percentile", "p99", "ms", two_ticks),
        "sends": plot("Sends", "sends_per_s", "per second"),
        "calls": plot("System calls", "system_calls_per_s", "per second"),
        "bytes": plot("Bytes to each player", "bytes_per_player_per_s", "per second"),
    }


def _series(delivery: dict[str, Any], key: str) -> Series:
    measured = [(run, value) for run in delivery["runs"] if (value := _value(run, key)) is not None]
    stops = bool(measured) and measured[-1][0]["verdict"] == Verdict.BEHIND
    points = [(run["players"], value) for run, value in measured]
    return Series(f"{delivery['name']}: {delivery['what']}", points, stops)


def _tile(delivery: dict[str, Any]) -> str:
    largest = max((run["players"] for run in delivery["runs"]), default=0)
    held = delivery["largest_crowd_held"]
    words = "players held, the largest crowd tried" if held and held == largest else "players held"
    return (
        f'<div class="tile"><b>{escape(delivery["name"])}</b> <span class="dim">{escape(delivery["what"])}</span>'
        f"<strong>{held:,}</strong>{words}</div>"
    )


def _table(document: dict[str, Any]) -> str:
    names = ("players", "delivery", *(name for name, _, _ in _COLUMNS), "verdict")
    rows = ["<tr>" + "".join(f"<th>{escape(name)}</th>" for name in names) + "</tr>"]
    players = 0
    for delivery, run in runs_by_crowd(document):
        values = ((_value(run, key), digits) for _, key, digits in _COLUMNS)
        cells = [f"{run['players']:,}", delivery["name"]]
        cells += ["-" if value is None else f"{value:,.{digits}f}" for value, digits in values]
        cells.append(run["verdict"] + (" *" if run["limited_by_swarm"] else ""))
        first = ' class="first"' if run["players"] != players else ""
        players = run["players"]
        rows.append(f"<tr{first}>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    return "<table>" + "\n".join(rows) + "</table>"


def _notes(document: dict[str, Any]) -> str:
    items = [
        f"<li>{escape(delivery['name'])}, {run['players']:,} players: {escape('; '.join(notes))}</li>"
        for delivery, run in runs_by_crowd(document)
        if (notes := notes_of(run))
    ]
    return f'<ul class="dim">{"".join(items)}</ul>' if items else ""
