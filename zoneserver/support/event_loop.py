"""The event loop that a program runs on, and the signals that end the program."""

from __future__ import annotations

import asyncio
import importlib.util
import signal
from collections.abc import Callable
from typing import Any

from zoneserver.support.errors import MissingExtraError

__all__ = ["LOOPS", "loop_factory", "on_stop_signals", "stop_signals"]

LOOPS = ("auto", "asyncio", "uvloop")


def loop_factory(kind: str) -> tuple[str, Callable[[], asyncio.AbstractEventLoop] | None]:
    """The event loop to run on, as (name, factory for asyncio.Runner).

    `auto` is uvloop where it is installed. Raises MissingExtraError for `uvloop` where it is not.
    """
    has_uvloop = importlib.util.find_spec("uvloop") is not None
    if kind == "uvloop" and not has_uvloop:
        raise MissingExtraError("uvloop", "speed")
    if kind == "asyncio" or not has_uvloop:
        return "asyncio", None
    uvloop: Any = importlib.import_module("uvloop")
    return "uvloop", uvloop.new_event_loop


def stop_signals() -> list[signal.Signals]:
    """The signals that ask a program to end: Ctrl-C, a supervisor's SIGTERM, and the SIGHUP of a closed terminal.

    SIGHUP is left out if it was ignored when the program started, as `nohup` arranges it.
    """
    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers


def on_stop_signals(callback: Callable[[], object]) -> None:
    """Makes the stop signals call `callback` on the running loop, in place of what they did before."""
    loop = asyncio.get_running_loop()
    for number in stop_signals():
        try:
            loop.add_signal_handler(number, callback)
        except NotImplementedError:  # Windows: the loop cannot handle signals.
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(callback))
