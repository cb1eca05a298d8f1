"""What the keys set."""

from __future__ import annotations

from helpers.dashboards import (
    screen_state,
)
from zonetools.dashboard.controls import Controls
from zonetools.dashboard.screen.glyphs import UNICODE

from zoneserver.admin.stats import SESSION_SORTS


class Keys:
    """Controls of a screen of this size; counts the resets."""

    def __init__(self, *size: int) -> None:
        self.resets = 0
        self.controls = Controls(lambda: (size[0], size[1]), self._reset, UNICODE)

    def _reset(self) -> None:
        self.resets += 1

    def press(self, keys: str) -> Controls:
        for key in keys:
            self.controls.press(key)
        return self.controls


def test_sort_keys_show_the_sessions_first_and_then_change_the_column() -> None:
    small = Keys(80, 24)
    assert small.controls.lists == ()
    assert small.press(">").lists == ("sessions",)
    assert small.controls.sort == "queued"
    assert [small.press(">").sort for _ in SESSION_SORTS] == [*SESSION_SORTS[1:], "queued"]
    assert small.press("<").sort == SESSION_SORTS[-1]
    assert small.press("\t<").lists == ("sessions",)
    assert Keys(120, 36).press(">").sort == SESSION_SORTS[1]


def test_pause_key_does_not_stop_the_other_keys() -> None:
    keys = Keys(80, 24)
    shown = keys.press(" \t?+").screen_state(screen_state().server)
    assert (shown.paused, shown.panel, shown.help, shown.window) == (True, "sessions", True, 120.0)
    keys.controls.settle()
    shown = keys.controls.screen_state(screen_state().server)
    assert (shown.paused, shown.panel, shown.help, shown.window) == (False, "sessions", False, 120.0)


def test_reset_key_ends_a_pause() -> None:
    keys = Keys(80, 24)
    assert not keys.press(" r").paused
    assert keys.resets == 1
    assert not keys.controls.over
    assert keys.press("q").over
