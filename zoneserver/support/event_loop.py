"""The event loop that a program runs on, and what reaches it from outside: signals and standard input."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

from zoneserver.support.errors import MissingExtraError

__all__ = [
    "LOOPS",
    "disarm_signals",
    "hold_signals",
    "loop_factory",
    "on_signal",
    "on_stop_signals",
    "read_stdin",
    "release_signals",
    "run_in_turns",
    "stop_signals",
    "two_stop_signals",
]

Result = TypeVar("Result")

# The steps of a long work run for so long before the loop has a turn.
_TURN_SECONDS = 0.05

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


async def run_in_turns(steps: Generator[Any, None, Result], is_over: Callable[[], bool]) -> Result | None:
    """Runs a generator whose steps are short, with turns of the loop in between. Returns its result, or None if it was
    over before, as when a signal ends the program."""
    while not is_over():
        turn_ends = time.monotonic() + _TURN_SECONDS
        try:
            next(steps)
            while time.monotonic() < turn_ends:
                next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
        await asyncio.sleep(0)
    return None


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


@contextlib.contextmanager
def two_stop_signals(first: Callable[[], object], second: Callable[[], object]) -> Iterator[None]:
    """Until the end of the block, makes the first stop signal call `first` on the running loop, and every other one
    call `second` at once.

    `second` runs between two instructions of Python, so it also ends what never returns to the loop.
    """
    loop = asyncio.get_running_loop()
    seen = 0

    def on_signal(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen > 1:
            second()
        else:
            loop.call_soon_threadsafe(first)

    before = {number: signal.signal(number, on_signal) for number in stop_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def hold_signals() -> None:
    """Lets the signals wait that a service gets while it runs (SIGHUP, SIGUSR1, SIGUSR2), until `release_signals`.

    Without a handler each of them ends the process. They wait even while the process becomes another program.
    """
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, _service_signals())


def release_signals() -> None:
    """Takes the signals that `hold_signals` lets wait."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _service_signals())


def disarm_signals(*, ignore: bool = False) -> None:
    """Makes the signals that `hold_signals` lets wait do nothing outside of the blocks of `on_signal`, where they would
    end the process. With `ignore` they do nothing even while Python ends, and none waits any more."""
    for number in _service_signals() if hasattr(signal, "pthread_sigmask") else ():
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_IGN if ignore else lambda *_: None)


def _service_signals() -> list[signal.Signals]:
    return [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]


@contextlib.contextmanager
def on_signal(name: str, callback: Callable[[], object]) -> Iterator[None]:
    """Makes a signal call `callback` on the running loop, until the end of the block. It does nothing on a system that
    has no such signal."""
    number = getattr(signal, name, None)
    if number is None:
        yield
        return
    loop = asyncio.get_running_loop()
    before = signal.signal(number, lambda *_: loop.call_soon_threadsafe(callback))
    try:
        yield
    finally:
        signal.signal(number, before)


def read_stdin(on_data: Callable[[bytes], object]) -> None:
    """Calls `on_data` on the running loop with all bytes of standard input as they arrive, and with b"" at their end.

    A thread reads them, because an event loop cannot watch every kind of file. It does not use sys.stdin, which holds a
    lock while it waits: the exit of the program would wait for that lock.
    """
    loop = asyncio.get_running_loop()

    def read() -> None:
        data = None
        with contextlib.suppress(RuntimeError):  # The loop is closed already.
            while data != b"":
                try:
                    data = os.read(0, 65536)
                except OSError:
                    data = b""  # Standard input is closed, which counts as its end.
                loop.call_soon_threadsafe(on_data, data)

    threading.Thread(target=read, name="stdin", daemon=True).start()
