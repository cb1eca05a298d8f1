"""The display during a run, on stderr: a bar and a table on a terminal, otherwise a line every five seconds."""

from __future__ import annotations

import sys
from typing import IO, Self, cast

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from zoneserver.support.format import format_decimal
from zonetools.common.console import BoundedConsole
from zonetools.common.terminal_output import terminal_output
from zonetools.swarm.conductor import Progress
from zonetools.swarm.measure.series import Row
from zonetools.swarm.plan import Plan

_LINE_SECONDS = 5.0
_BAR_WIDTH_MAX = 30
# The remaining time is shown once this many bots have joined or failed.
_JOINED_MIN = 5


class Display:
    """Shows the progress of a run until the end of the `with` block. The conductor calls `show`."""

    def __init__(self, plan: Plan, enabled: bool) -> None:
        self._plan = plan
        self._enabled = enabled
        self._output = terminal_output(sys.stderr) if enabled else None
        console = BoundedConsole(file=cast("IO[str]", self._output or sys.stderr), highlight=False)
        # No automatic refresh: its thread could draw between two log lines.
        is_live = enabled and console.is_terminal and not console.is_dumb_terminal
        self._live = Live(console=console, auto_refresh=False, transient=True) if is_live else None
        # When the next line is due: during the ramp, and while measuring.
        self._next_line = [_LINE_SECONDS, 0.0]

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._live is not None:
            self._live.stop()
        if self._output is not None:
            self._output.finish()

    def show(self, progress: Progress) -> None:
        """Draw the progress, or print a line if one is due."""
        if self._live is not None:
            # A terminal that is behind gets a later table in place of this one.
            if self._output is not None and self._output.is_behind:
                return
            self._live.update(progress_panel(progress, self._plan), refresh=True)
        elif self._enabled:
            is_measuring = progress.measuring_for is not None
            seconds = progress.ramping_for if progress.measuring_for is None else progress.measuring_for
            if seconds >= self._next_line[is_measuring]:
                self._next_line[is_measuring] = seconds + _LINE_SECONDS
                print(progress_line(progress, self._plan), file=sys.stderr, flush=True)


def progress_panel(progress: Progress, plan: Plan) -> RenderableType:
    """Return the progress and the last second, for a terminal."""
    parts: list[RenderableType] = [_bar(progress, plan)]
    if progress.last is not None:
        parts.append(_last_second(progress.last))
    if len(plan.others) and progress.places.each:
        parts.append(_places(progress, plan))
    faults = progress.lost + progress.duplicated
    parts.append(Text(f"so far     {_so_far(progress)}", "bold red" if faults else "dim"))
    return Group(*parts)


def progress_line(progress: Progress, plan: Plan) -> str:
    """Return the progress and the last second in one line."""
    if progress.measuring_for is None:
        return f"joining: {_joining(progress, plan)}"
    text = f"{progress.measuring_for:5.0f} s  actions: {_so_far(progress)}"
    if (last := progress.last) is not None:
        late = f"p50 {format_decimal(last.latency_p50_ms, 1)} ms, p99 {format_decimal(last.latency_p99_ms, 1)} ms"
        server, swarm = format_decimal(last.cpu_percent_server, 0), format_decimal(last.cpu_percent_swarm, 0)
        text += (
            f"; the last second: {last.players:,} players, {last.sent_per_s:,.0f} actions, "
            f"{last.deliveries_per_s:,.0f} deliveries, {late}, CPU of the server {server} %, of the swarm {swarm} %"
        )
    return text


def _bar(progress: Progress, plan: Plan) -> RenderableType:
    bots, seconds = plan.honest.bots, progress.measuring_for
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(max_width=_BAR_WIDTH_MAX)
    grid.add_column(no_wrap=True)
    if seconds is None:
        bar = ProgressBar(total=bots, completed=progress.joined + progress.failed)
        grid.add_row("joining ", bar, _joining(progress, plan))
    elif plan.seconds:
        bar = ProgressBar(total=plan.seconds, completed=min(seconds, plan.seconds))
        grid.add_row("measuring", bar, f"{seconds:.0f} of {plan.seconds:g} s")
    else:
        grid.add_row("measuring", f"{seconds:.0f} s, until Ctrl-C")
    return grid


def _joining(progress: Progress, plan: Plan) -> str:
    """Return how many bots joined and failed, and the estimated time for the rest."""
    bots, done = plan.honest.bots, progress.joined + progress.failed
    text = f"{progress.joined:,} of {bots:,} joined, {progress.failed:,} failed"
    if _JOINED_MIN <= done < bots:
        text += f", {progress.ramping_for * (bots - done) / done:.0f} s left"
    return text


def _so_far(progress: Progress) -> str:
    drops = f", {progress.drops:,} drops, {progress.resumed:,} came back" if progress.drops else ""
    return (
        f"{progress.sent:,} sent, {progress.delivered:,} delivered, {progress.refused:,} refused, "
        f"{progress.lost:,} lost, {progress.duplicated:,} duplicated{drops}"
    )


def _places(progress: Progress, plan: Plan) -> RenderableType:
    """Return where the bots are."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("address", no_wrap=True)
    for name in ("players", "failed", "drops", "moved"):
        table.add_column(name, justify="right", no_wrap=True)
    for address, place in zip(plan.addresses, progress.places.each, strict=True):
        counts = place.connected, place.failed + place.closed_early, place.drops, place.moved
        table.add_row(str(address), *(f"{count:,}" for count in counts))
    return table


def _last_second(row: Row) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    cells = [
        ("\nplayers", f"{row.players:,}"),
        ("actions\n/s", f"{row.sent_per_s:,.0f}"),
        ("deliveries\n/s", f"{row.deliveries_per_s:,.0f}"),
        ("p50\nms", format_decimal(row.latency_p50_ms, 1)),
        ("p99\nms", format_decimal(row.latency_p99_ms, 1)),
        ("tick\np99 ms", format_decimal(row.tick_p99_ms, 1)),
        ("server\nCPU %", format_decimal(row.cpu_percent_server, 0)),
        ("swarm\nCPU %", format_decimal(row.cpu_percent_swarm, 0)),
    ]
    for name, _ in cells:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row(*(value for _, value in cells))
    return table
