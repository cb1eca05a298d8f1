"""Watching a server: ask, remember and show, until the user has seen enough."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import IO, Any, cast

from rich.console import Console

from zonetools.common.admin_client import ServerUnreachable
from zonetools.common.terminal_output import terminal_output
from zonetools.dashboard.controls import Controls
from zonetools.dashboard.data.group import Group
from zonetools.dashboard.data.history import Sample
from zonetools.dashboard.data.monitor import Monitor
from zonetools.dashboard.orders import GroupOrders, Orders
from zonetools.dashboard.screen import lines
from zonetools.dashboard.screen.glyphs import Glyphs
from zonetools.dashboard.screen.options import DisplayOptions
from zonetools.dashboard.screen.terminal import Screen
from zonetools.dashboard.screen.view import HEIGHT_MIN, WIDTH_MIN, ScreenState, render, summary

# The screen asks more often than once per interval, so that players on the map walk and do not jump.
_PERIOD_SECONDS = 0.25


async def watch(
    host: str,
    port: int,
    options: DisplayOptions | None = None,
    *,
    count: int | None = None,
    until: asyncio.Event | None = None,
    token: str = "",
    more: Sequence[tuple[str, int]] = (),
) -> Sample | None:
    """Watch the server with this admin port, which may want a token; with `more` ports, all of these servers as one.

    Returns the last sample; None if the server never answered.

    On a terminal it uses the whole screen; otherwise it prints one line per interval. It ends when `until`
    is set, after `count` intervals, and when the user presses q. While the server does not answer, it keeps
    trying. The last screen stays on the terminal.

    Signals belong to the caller, who sets `until` or cancels the task; the terminal is always restored before
    watch ends. Only Ctrl-Z is handled here. Nothing else should write to the terminal while the screen is up.
    Raises OSError if it cannot write to standard output or to the file of `options.export`.
    """
    options = options or DisplayOptions()
    # Chosen now: while the screen is up, standard output is a stand-in.
    glyphs = options.glyphs()
    with contextlib.closing(_monitor([(host, port), *more], options, glyphs, token)) as monitor:
        # FORCE_COLOR makes rich treat a pipe as a terminal, but a pipe has no screen.
        has_screen = sys.stdout.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")
        if has_screen and not options.json:
            seconds = None if count is None else count * options.interval
            output = terminal_output(sys.stdout)
            console = options.console(cast("IO[str] | None", output))

            def tell(text: str) -> None:
                controls.notice = text
                controls.changed.set()

            orders = _orders(monitor, [host, *(host for host, _ in more)], tell, glyphs)
            controls = Controls(lambda: console.size, monitor.reset, glyphs, orders, 1 + len(more))
            try:
                await _run(_on_screen(monitor, console, controls), seconds, until)
            finally:
                if monitor.last is not None:
                    # The terminal may have been closed.
                    with contextlib.suppress(OSError):
                        controls.settle()
                        # Two lines fewer than the terminal has: the shell's prompt then does not scroll the top away.
                        size = max(WIDTH_MIN, console.width), max(HEIGHT_MIN, console.height - 2)
                        console.print(render(controls.screen_state(monitor.state(controls.only)), *size, footer=False))
                if output is not None:
                    output.finish()
        else:
            await _run(_in_lines(monitor, options, count), None, until)
        _export(monitor, options, glyphs)
        return monitor.last


async def watch_once(
    host: str,
    port: int,
    options: DisplayOptions | None = None,
    *,
    token: str = "",
    more: Sequence[tuple[str, int]] = (),
) -> Sample:
    """Print one summary of two samples that are an interval apart; with `more` ports, of all of these servers as one.

    Raises ServerUnreachable if there is no server, and OSError as `watch` does.
    """
    options = options or DisplayOptions()
    glyphs = options.glyphs()
    with contextlib.closing(_monitor([(host, port), *more], options, glyphs, token)) as monitor:
        sample = await monitor.ask()
        while sample.rates is None:
            await asyncio.sleep(options.interval)
            sample = await monitor.ask()
        if options.json:
            print(lines.json_line(sample, monitor.rows()), flush=True)
        else:
            console = options.console()
            console.print(summary(ScreenState(monitor.state(), glyphs=glyphs), console.width))
        _export(monitor, options, glyphs)
        return sample


def _monitor(ports: Sequence[tuple[str, int]], options: DisplayOptions, glyphs: Glyphs, token: str) -> Monitor | Group:
    complete, interval = options.export is not None, options.interval
    monitors = [Monitor(*port, interval, ascii=not glyphs.dots, complete=complete, token=token) for port in ports]
    return Group(monitors, interval) if len(monitors) > 1 else monitors[0]


def _orders(
    monitor: Monitor | Group, hosts: Sequence[str], tell: Callable[[str], None], glyphs: Glyphs
) -> Orders | GroupOrders:
    def of(one: Monitor, host: str) -> Orders:
        return Orders(host, lambda: one.last.stats if one.last else None, tell, ascii=not glyphs.dots)

    if isinstance(monitor, Monitor):
        return of(monitor, hosts[0])
    return GroupOrders([of(*each) for each in zip(monitor.monitors, hosts, strict=True)], monitor.who_may_kick)


def _export(monitor: Monitor | Group, options: DisplayOptions, glyphs: Glyphs) -> None:
    """Write the picture if one is asked for and the server has answered at least once."""
    if options.export is not None and monitor.last is not None:
        options.export.write(ScreenState(monitor.state(), glyphs=glyphs))


async def _run(showing: Coroutine[Any, Any, None], seconds: float | None, until: asyncio.Event | None) -> None:
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(showing)]
    if until is not None:
        tasks.append(asyncio.create_task(until.wait()))
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        # The terminal is restored only once `showing` has ended.
        await asyncio.gather(*tasks, return_exceptions=True)
    if not tasks[0].cancelled():
        tasks[0].result()


async def _on_screen(monitor: Monitor | Group, console: Console, controls: Controls) -> None:
    with Screen(console, controls.press) as screen:
        asking = asyncio.create_task(_keep_asking(monitor, controls))
        try:
            server, shown = monitor.state(), controls.only
            while not controls.over and not asking.done():
                controls.changed.clear()
                # A paused screen keeps showing one state, while the monitor goes on asking.
                if not controls.paused or controls.only != shown:
                    server, shown = monitor.state(controls.only), controls.only
                screen.draw(render(controls.screen_state(server), *console.size))
                await controls.changed.wait()
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        if not asking.cancelled():
            asking.result()


async def _keep_asking(monitor: Monitor | Group, controls: Controls) -> None:
    period = min(monitor.interval, _PERIOD_SECONDS)
    try:
        due = time.monotonic()
        while True:
            with contextlib.suppress(ServerUnreachable):
                await monitor.ask(with_map=True, sort=controls.sort if controls.lists else None)
            controls.changed.set()
            due = max(due + period, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
    finally:
        # After an exception here, the drawing loop must wake up and end too.
        controls.changed.set()


async def _in_lines(monitor: Monitor | Group, options: DisplayOptions, count: int | None) -> None:
    printed, before = 0, dict[str, str]()
    due = time.monotonic()
    while count is None or printed < count:
        sample = None
        with contextlib.suppress(ServerUnreachable):
            sample = await monitor.ask()
        before = _tell_outages(before, monitor.outages(), isinstance(monitor, Group))
        if sample is not None and sample.rates is not None:
            if not options.json and printed % lines.HEADER_EVERY == 0:
                print(lines.header())
            print(lines.json_line(sample, monitor.rows()) if options.json else lines.line(sample), flush=True)
            printed += 1
        if printed != count:
            due = max(due + monitor.interval, time.monotonic())
            await asyncio.sleep(due - time.monotonic())


def _tell_outages(before: dict[str, str], now: dict[str, str], is_group: bool) -> dict[str, str]:
    """Says which servers have stopped to answer, or answer again. Returns `now`."""
    for address in [*now, *before]:
        who = address if is_group else "the server"
        if address not in before:
            print(f"zone-dash: {who} does not answer: {now[address]}; trying again", file=sys.stderr, flush=True)
        elif address not in now:
            print(f"zone-dash: {who} answers again", file=sys.stderr, flush=True)
    return now
