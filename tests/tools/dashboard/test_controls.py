"""What the keys set."""

from __future__ import annotations

from helpers.dashboards import screen_state, stats
from helpers.server_stats import gateway_stats
from zonetools.dashboard.controls import Controls
from zonetools.dashboard.data.history import Sample
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


class Orders:
    """Notes who is kicked, and how a replay is steered; objects to bot-2."""

    def __init__(self) -> None:
        self.kicked: list[str] = []
        self.steered: list[object] = []

    def objection(self, name: str) -> str:
        return "it is protected" if name == "bot-2" else ""

    def kick(self, name: str) -> str:
        self.kicked.append(name)
        return f"kicking {name} ..."

    def play_or_pause(self) -> str:
        self.steered.append("p")
        return ""

    def change_speed(self, factor: float) -> str:
        self.steered.append(factor)
        return ""

    def seek(self, seconds: int) -> str:
        self.steered.append(seconds)
        return f"{seconds} s ..."


def test_arrows_select_a_session_and_enter_shows_its_details() -> None:
    keys, server = Keys(120, 36), screen_state().server
    assert server.sessions is not None
    names = [session.name for session in server.sessions.sessions]

    def selected(*pressed: str) -> str | None:
        for key in pressed:
            keys.controls.press(key)
        return keys.controls.screen_state(server).selected

    assert selected() is None
    assert selected("up") is None
    assert selected("down") == names[0]
    assert selected("down", "down") == names[2]
    assert selected(*["down"] * 60) == names[-1]
    assert selected(*["up"] * 39) == names[0]
    assert not keys.controls.screen_state(server).details
    assert selected("\n") == names[0]
    assert keys.controls.screen_state(server).details
    keys.press("d")
    assert not keys.controls.screen_state(server).details
    assert selected("up") is None
    keys.press("\n")
    assert not keys.controls.screen_state(server).details
    assert Keys(80, 24).press("").lists == ()


def test_down_shows_the_sessions_where_they_are_hidden() -> None:
    keys = Keys(80, 24)
    keys.controls.press("up")
    assert keys.controls.lists == ()
    keys.controls.press("down")
    assert keys.controls.lists == ("sessions",)


def test_kick_asks_before_and_only_yes_kicks() -> None:
    kicks = Orders()
    controls, server = Controls(lambda: (120, 36), bool, UNICODE, kicks), screen_state().server

    def notice(*pressed: str) -> str:
        for key in pressed:
            controls.press(key)
        return controls.screen_state(server).notice

    assert notice("k") == "select a session with the arrow keys first"
    controls.screen_state(server)
    assert notice("down", "down", "k") == "kick bot-1? y/n"
    assert notice("q") == "bot-1 stays"
    assert not controls.over
    assert notice(" ") == ""
    assert kicks.kicked == []
    assert notice("k", "y") == "kicking bot-1 ..."
    assert notice("y") == ""
    assert kicks.kicked == ["bot-1"]
    assert notice("down", "k") == "cannot kick: it is protected"
    assert notice("y") == ""
    assert kicks.kicked == ["bot-1"]


def test_keys_of_a_replay_steer_it_and_mean_nothing_elsewhere() -> None:
    orders = Orders()
    controls = Controls(lambda: (80, 24), bool, UNICODE, orders)
    replayed = Sample(59.0, stats(replay={"speed": 1.0}), None)
    for samples, steered in ((None, []), ((replayed,), ["p", -10, 10, 0.5, 2.0])):
        state = screen_state(samples=samples) if samples else screen_state()
        controls.screen_state(state.server)
        for key in ("p", "left", "right", "[", "]"):
            controls.press(key)
            assert controls.notice == {"left": "-10 s ...", "right": "10 s ..."}.get(key, "") * bool(steered)
        assert orders.steered == steered


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


def test_digits_show_one_of_several_ports_alone_and_zero_all() -> None:
    controls = Controls(lambda: (80, 24), bool, UNICODE, ports=3)
    shown = []
    for key in "23404":
        controls.press(key)
        shown.append((controls.only, controls.notice))
    assert shown == [(1, ""), (2, ""), (2, "there are 3 ports"), (None, ""), (None, "there are 3 ports")]
    alone = Controls(lambda: (80, 24), bool, UNICODE)
    for key in "129":
        alone.press(key)
        assert (alone.only, alone.notice) == (None, "")


def test_tab_comes_to_the_gateways_where_there_are_any() -> None:
    for gateways, seen in (([], {"sessions", "closes"}), ([gateway_stats()], {"sessions", "closes", "gateways"})):
        controls = Controls(lambda: (80, 24), bool, UNICODE)
        lists = set()
        for _ in range(5):
            controls.screen_state(screen_state(samples=(Sample(59.0, stats(gateways=gateways), None),)).server)
            controls.press("\t")
            lists.update(controls.lists)
        assert lists == seen
