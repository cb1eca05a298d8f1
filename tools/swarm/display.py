"""What a swarm shows while it runs: a bar on a terminal, lines elsewhere, all of it on stderr."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from tools.swarm.conductor import Progress as SwarmProgress
from tools.swarm.plan import Plan

__all__ = ["Display"]

_LINE_SECONDS = 5.0


class Display:
    """Shows a run until the end of the block; `show` is what a conductor calls."""

    def __init__(self, plan: Plan, enabled: bool) -> None:
        self._bots = plan.honest.bots
        self._enabled = enabled
        console = Console(stderr=True)
        self._is_live = enabled and console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not self._is_live,
        )
        self._ramp = self._bars.add_task("joining ", total=self._bots, figures="")
        self._run = self._bars.add_task("measuring", total=plan.seconds or None, figures="", visible=False)
        self._next_line = 0.0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def show(self, progress: SwarmProgress) -> None:
        """Draws how far it is."""
        joined = f"{progress.joined:,} of {self._bots:,} joined, {progress.failed:,} failed"
        actions = f"{progress.sent:,} actions sent, {progress.delivered:,} delivered, {progress.frames:,} frames"
        seconds = progress.measuring_for
        self._bars.update(self._ramp, completed=progress.joined + progress.failed, figures=joined)
        if seconds is not None:
            self._bars.update(self._run, completed=seconds, figures=actions, visible=True)
        if self._enabled and not self._is_live:
            self._line(joined if seconds is None else f"{seconds:5.0f} s  {actions}", seconds)

    def _line(self, text: str, seconds: float | None) -> None:
        if seconds is None:
            return
        if seconds >= self._next_line:
            self._next_line += _LINE_SECONDS
            print(text, file=sys.stderr, flush=True)
