"""The signals that a service gets while it runs: SIGHUP, SIGUSR1 and SIGUSR2.

Without a handler each of them ends the process, so they wait while it starts and while it ends. This module imports
nothing large: the waiting begins before a command imports its work.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

__all__ = ["harmless_signals", "hold_signals", "release_signals"]


def hold_signals() -> None:
    """Lets the signals wait until `release_signals`. They wait even while the process becomes another program."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, _signals())


def release_signals() -> None:
    """Takes the signals that `hold_signals` lets wait."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _signals())


@contextlib.contextmanager
def harmless_signals() -> Iterator[None]:
    """Lets the signals wait until the command takes them. One that comes between the command's own handlers and the end
    of the process does nothing: the process must not be used for anything else after the block."""
    hold_signals()
    if hasattr(signal, "pthread_sigmask"):
        for number in _signals():
            if signal.getsignal(number) is not signal.SIG_IGN:  # As nohup arranges it: a new program inherits that.
                signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        if hasattr(signal, "pthread_sigmask"):
            for number in _signals():
                # The interpreter leaves this in place until its very end, and takes back any other handler before.
                signal.signal(number, signal.SIG_IGN)


def _signals() -> list[signal.Signals]:
    return [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]
