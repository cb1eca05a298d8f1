"""The results of a comparison as an HTML document, and as an SVG file for a README. Pure."""

from __future__ import annotations

from html import escape
from typing import Any

from zoneserver.support.format import format_decimal
from zonetools.common.html import html_document
from zonetools.common.machine import machine_text
from zonetools.common.plots import Plot, Series, plots_svg
from zonetools.compare.measure import Verdict
from zonetools.compare.report import notes_of, runs_by_crowd

_STYLE = """
.tiles { grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)) }
th:nth-child(2), td:nth-child(2), th:last-child, td:last-child { text-align: left }
tr.first td { border-top: 1px solid var(--rule) }
"""
_CROSS = "A cross marks a crowd that the strategy could not keep up with; larger ones were not tried."
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


def svg(document: dict[str, Any]) -> str:
    """The comparison in three plots, as an SVG document."""
    plots, plan = _plots(document), document["plan"]
    return plots_svg(
        [plots["cpu"], plots["p99"], plots["sends"]],
        title="All actions of a tick in one buffer, or each action sent by itself",
        note=f"{plan['rate']:g} actions a second each, {plan['hz']} ticks a second, server and bots on "
        f"{document['machine']['cpus']} cores. {_CROSS}",
    )


def html(document: dict[str, Any]) -> str:
    """The comparison as one self-contained HTML document."""
    plots, plan = _plots(document), document["plan"]
    order = ("sends", "calls", "cpu", "p50", "p99", "bytes")
    body = f"""
<h1>Three ways to send every action to every player</h1>
<p>The server code, the bots and their actions are equal in all runs; only the moment of sending differs.
{plan["rate"]:g} actions per second and player, {plan["hz"]} ticks per second, all see each other.</p>
<div class="tiles">{"".join(map(_tile, document["deliveries"]))}</div>
{plots_svg([plots[name] for name in order], note=_CROSS)}
<h2>Measurements</h2>
<div class="scroll">{_table(document)}</div>
{_notes(document)}
<h2>How to read it</h2>
<p>A crowd is <em>held</em> if every player gets everything and 99 % of all actions return to their own player
within {document["held_ms_p99"]:.0f} ms (two ticks), counted from the moment they were due. It is <em>late</em> if
that takes longer. The server <em>cannot keep up</em> if it takes longer and longer, or if players are lost.
A tick buffer waits for its tick: with few players this strategy is slower by half a tick.</p>
<p>A send is one call that hands bytes of one session to the kernel. System calls are all calls of the server
process, of any kind, in a sample of the run. Bytes are those of the protocol without the TCP and IP headers of
each packet; those headers add more, the smaller the packets are. Percentages are of one core.
If each action is a frame of its own, a frame number counts actions and not twentieths of a second. The bots
therefore only do what does not depend on time: they walk, talk and wave.</p>
<p class="dim">Measured on {escape(machine_text(document["machine"]))}; server, swarm and everything else
on one machine; {plan["seconds"]:g} s each, {plan["processes"]} process(es) of bots, seed {plan["seed"]}.</p>
"""
    return html_document("zoneserver: three ways to send every action to every player", body, _STYLE)


def _value(run: dict[str, Any], key: str) -> float | None:
    value: float | None = run["latency_ms"].get(key) if key in {"p50", "p99"} else run[key]
    return value


def _plots(document: dict[str, Any]) -> dict[str, Plot]:
    def plot(title: str, key: str, unit: str, limit: tuple[str, float] | None = None, *, log: bool = True) -> Plot:
        series = []
        for delivery in document["deliveries"]:
            measured = [(run, value) for run in delivery["runs"] if (value := _value(run, key)) is not None]
            stops = bool(measured) and measured[-1][0]["verdict"] == Verdict.BEHIND
            points = [(run["players"], value) for run, value in measured]
            series.append(Series(f"{delivery['name']}: {delivery['what']}", points, stops))
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


def _tile(delivery: dict[str, Any]) -> str:
    largest = max((run["players"] for run in delivery["runs"]), default=0)
    held = delivery["largest_crowd_held"]
    caption = "players held, the largest crowd tried" if held and held == largest else "players held"
    return (
        f'<div class="tile"><b>{escape(delivery["name"])}</b> <span class="dim">{escape(delivery["what"])}</span>'
        f"<strong>{held:,}</strong>{caption}</div>"
    )


def _table(document: dict[str, Any]) -> str:
    names = ("players", "delivery", *(name for name, _, _ in _COLUMNS), "verdict")
    rows = ["<tr>" + "".join(f"<th>{escape(name)}</th>" for name in names) + "</tr>"]
    players = 0
    for delivery, run in runs_by_crowd(document):
        values = ((_value(run, key), digits) for _, key, digits in _COLUMNS)
        cells = [f"{run['players']:,}", delivery["name"]]
        cells += [format_decimal(value, digits) for value, digits in values]
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
