"""Watching a server: ask, remember, show, until somebody has seen enough."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Coroutine
from typing import Any

from rich.console import Console

from zonetools.common.admin_client import ServerUnreachable
from zonetools.dashboard.controls import Controls
from zonetools.dashboard.data.history import Sample
from zonetools.dashboard.data.monitor import DisplayOptions, Monitor
from zonetools.dashboard.screen import lines
from zonetools.dashboard.screen.terminal import Screen
from zonetools.dashboard.screen.view import HEIGHT_MIN, WIDTH_MIN, render, summary

__all__ = ["look_once", "watch"]

# The screen asks more often than once an interval: the crowd then walks rather than jumps.
_PERIOD_SECONDS = 0.25


async def watch(
    host: str,
    port: int,
    *,
    interval: float = 1.0,
    seconds: float | None = None,
    count: int | None = None,
    until: asyncio.Event | None = None,
    look: DisplayOptions | None = None,
) -> Sample | None:
    """Watches the server whose admin port this is; returns the last sample, None if it never answered.

    On a terminal it takes the whole screen; else it prints one line per `interval` (in seconds). It
    ends when `until` is set, after `seconds` or `count` intervals, and on the key q. A server that is
    away is waited for. The last screen stays on the terminal.

    Signals belong to the caller, whose clean-up it is: set `until` from a SIGINT and SIGTERM handler
    of the loop, and watch returns normally; or cancel the task, as asyncio.run does upon Ctrl-C.
    Either way, and upon any exception, the terminal is restored before watch is left. Only Ctrl-Z
    (SIGTSTP) is watch's own: it gives the terminal back until the process goes on. While the
    screen is up, only it should write to the terminal: the output of child processes goes elsewhere.
    Raises OSError when standard output, or the file of `look.export`, cannot be written to.
    """
    look = look or DisplayOptions()
    with contextlib.closing(Monitor(host, port, interval, look)) as watcher:
        if _has_screen() and not look.json:
            if count is not None:
                seconds = min(seconds or count * interval, count * interval)
            console = look.console()
            controls = Controls(lambda: console.size, watcher.reset)
            try:
                await _run(_on_screen(watcher, console, controls), seconds, until)
            finally:
                if watcher.last is not None:
                    # A terminal that was closed takes no last words.
                    with contextlib.suppress(OSError):
                        _leave_last_screen(watcher, console, controls)
        else:
            await _run(_in_lines(watcher, look, count), seconds, until)
        watcher.export()
        return watcher.last


async def look_once(host: str, port: int, *, interval: float = 1.0, look: DisplayOptions | None = None) -> Sample:
    """Prints one summary, of two samples an interval apart. Raises AwayError when there is no server, and
    OSError as `watch` does."""
    look = look or DisplayOptions()
    with contextlib.closing(Monitor(host, port, interval, look)) as watcher:
        sample = await watcher.ask()
        while sample.rates is None:
            await asyncio.sleep(interval)
            sample = await watcher.ask()
        if look.json:
            print(lines.json_line(sample), flush=True)
        else:
            console = look.console()
            console.print(summary(watcher.picture(), console.width))
        watcher.export()
        return sample


def _has_screen() -> bool:
    # FORCE_COLOR makes rich take a pipe for a terminal: a pipe still has no screen.
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")


async def _run(showing: Coroutine[Any, Any, None], seconds: float | None, until: asyncio.Event | None) -> None:
    """Shows until it is over by itself, or one of the two says so."""
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(showing)]
    if until is not None:
        tasks.append(asyncio.create_task(until.wait()))
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        # Only when the showing has been left is the terminal restored.
        await asyncio.gather(*tasks, return_exceptions=True)
    if not tasks[0].cancelled():
        tasks[0].result()


async def _on_screen(watcher: Monitor, console: Console, controls: Controls) -> None:
    with Screen(console, controls.press) as screen:
        asking = asyncio.create_task(_keep_asking(watcher, controls))
        try:
            picture = watcher.picture()
            while not controls.over and not asking.done():
                controls.changed.clear()
                # While it is paused, what was there when the key was pressed; asking goes on behind it.
                if not controls.paused:
                    picture = watcher.picture()
                screen.draw(render(controls.applied(picture), *console.size))
                await controls.changed.wait()
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        if not asking.cancelled():
            asking.result()


async def _keep_asking(watcher: Monitor, controls: Controls) -> None:
    period = min(watcher.interval, _PERIOD_SECONDS)
    try:
        due = time.monotonic()
        while True:
            with contextlib.suppress(ServerUnreachable):
                await watcher.ask(with_map=True, sort=controls.sort if controls.lists else None)
            controls.changed.set()
            due = max(due + period, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
    finally:
        # A fault ends the showing too, and is not waited for in vain.
        controls.changed.set()


async def _in_lines(watcher: Monitor, look: DisplayOptions, count: int | None) -> None:
    printed, is_away = 0, False
    due = time.monotonic()
    while count is None or printed < count:
        try:
            sample = await watcher.ask()
        except ServerUnreachable as error:
            if not is_away:
                print(f"zone-dash: no server: {error}; trying again", file=sys.stderr, flush=True)
            is_away = True
        else:
            if is_away:
                print("zone-dash: the server answers", file=sys.stderr, flush=True)
            is_away = False
            if sample.rates is not None:
                if not look.json and printed % lines.HEADER_EVERY == 0:
                    print(lines.header())
                print(lines.json_line(sample) if look.json else lines.line(sample), flush=True)
                printed += 1
        if printed != count:
            due = max(due + watcher.interval, time.monotonic())
            await asyncio.sleep(due - time.monotonic())


def _leave_last_screen(watcher: Monitor, console: Console, controls: Controls) -> None:
    controls.settle()
    # Two lines less than the screen: the prompt then does not push its top away.
    width, height = max(WIDTH_MIN, console.width), max(HEIGHT_MIN, console.height - 2)
    console.print(render(controls.applied(watcher.picture()), width, height, footer=False))
