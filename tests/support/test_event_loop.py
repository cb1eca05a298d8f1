"""The choice of an event loop, and the signals that stop a program."""

from __future__ import annotations

import signal
import sys

import pytest

from zoneserver.support.errors import MissingExtraError
from zoneserver.support.event_loop import loop_factory, stop_signals


def test_loop_factory_of_asyncio_needs_no_package() -> None:
    assert loop_factory("asyncio") == ("asyncio", None)


def test_loop_factory_of_uvloop_without_the_package_names_the_pip_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert loop_factory("auto") == ("asyncio", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'zoneserver\[speed\]'"):
        loop_factory("uvloop")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")
def test_stop_signals_leave_out_an_ignored_sighup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "getsignal", lambda _number: signal.SIG_DFL)
    assert stop_signals() == [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    monkeypatch.setattr(signal, "getsignal", lambda _number: signal.SIG_IGN)
    assert stop_signals() == [signal.SIGINT, signal.SIGTERM]
