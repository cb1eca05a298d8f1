"""The page of the players' port, in a real browser: joining, walking, talking, acting, dropping and coming back."""

from __future__ import annotations

import asyncio
import importlib
import itertools
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from helpers.chromium import Chromium, Page
from helpers.recordings import RecordedYard
from helpers.run_command import until

from zoneserver.authoring.scaffold import make_game
from zoneserver.cli.secret import new_ticket
from zoneserver.games.coinrush import Coinrush
from zoneserver.games.pixels import Pixels
from zoneserver.games.plaza import Plaza
from zoneserver.journal.recording import Place, Recording
from zoneserver.journal.replay_zone import ReplayZone
from zoneserver.protocol.tickets import ticket_to_text
from zoneserver.server import ZoneServer
from zoneserver.testing import StartClient, StartServer
from zoneserver.zone.entities import Thing
from zoneserver.zone.rules import AtMost, Between, Player, Rules, Speed, Text, action

SECRET = b"0123456789abcdef0123456789abcdef"


HUGE = 9_007_199_254_740_993
"""No number of JavaScript has this value: 2^53 + 1."""


class Weapon(StrEnum):
    SWORD = "sword"
    BOW = "bow"


class Workshop(Rules):
    """A game whose one action takes every kind of argument, and tells what the rules saw."""

    name = "workshop"
    kinds: ClassVar = {"anvil": {"heat": 0}}

    def on_start(self) -> None:
        self.anvil = self.spawn("anvil", 10, 10)

    @action(private=True)
    def forge(
        self,
        player: Player,
        whole: Annotated[int, Between(-9, 9)],
        huge: int,
        real: float,
        line: Annotated[str, Text(8)],
        flag: bool,
        data: Annotated[bytes, AtMost(4)],
        pick: Literal["red", "green", 3],
        weapon: Weapon,
        other: Player,
        anvil: Annotated[Thing, "anvil"],
        dice: Annotated[list[Annotated[int, Between(1, 6)]], AtMost(5)],
        nobody: Player | None = None,
        name: str = "steel",
    ) -> tuple[Any, ...]:
        """Takes everything."""
        return (
            *(whole, huge, real, line, flag, data.hex(), pick, weapon.value),
            *(other.name, anvil.kind, dice, nobody is None, name),
        )

    @action(private=True)
    def weigh(
        self,
        player: Player,
        pick: Literal[" lead", "lead", "1", 1, ""],
        huge: int = HUGE,
        far: Literal[9007199254740993, 1] = HUGE,
        picks: Annotated[list[Literal["1", 1]], AtMost(3)] = ["1", 1],  # noqa: B006
        real: float = float("inf"),
    ) -> tuple[Any, ...]:
        """Takes what is easily taken for something else."""
        return pick, huge == HUGE, far == HUGE, picks, str(real)


class Heap(Rules):
    """A game where everybody and everything stands on one spot."""

    name = "heap"
    kinds: ClassVar = {"straw": {"age": 1}}

    def on_start(self) -> None:
        for _ in range(230):
            self.spawn("straw", 500, 500)

    def on_join(self, player: Player) -> None:
        player.place(500, 500)


class Inn(Rules):
    """A game that is changed while somebody plays it."""

    name = "inn"
    width, height = 1000, 1000
    stats: ClassVar = {"hp": 100}
    kinds: ClassVar = {"cup": {"full": 1}}

    @action
    def jump(self, player: Player, high: int) -> None:
        """Jumps."""


class NewInn(Rules):
    """The changed game."""

    name = "inn"
    width, height = 2000, 500
    stats: ClassVar = {"gold": 0, "energy": 50}
    kinds: ClassVar = {"jug": {"full": 1}}

    @action
    def fly(self, player: Player, far: Annotated[str, Text(8)]) -> None:
        """Flies."""

    @action
    def move(self, player: Player, vx: Speed, vy: Speed) -> None:
        """Walks."""
        player.move(vx, vy)


class Orchard(Rules):
    """A game of three apples."""

    name = "orchard"
    kinds: ClassVar = {"apple": {"ripe": 1}}
    events: ClassVar = {"hit": (Player | None, Player, int)}

    def on_start(self) -> None:
        for place in range(3):
            self.spawn("apple", 10 * place, 10)

    @action
    def eat(self, player: Player, apple: Annotated[Thing, "apple"]) -> None:
        """Eats an apple."""
        apple.remove()


class Browsing:
    """A tab, and what the tests do in it again and again."""

    def __init__(self, tab: Page) -> None:
        self.tab = tab

    def open(self, server: ZoneServer, query: str = "") -> None:
        self.tab.goto(f"http://127.0.0.1:{server.port}/{query}")

    def play(self, server: ZoneServer, name: str = "ann") -> None:
        self.open(server, f"?name={name}")
        self.state("playing")

    def state(self, state: str) -> None:
        self.tab.wait_for(f"document.body.dataset.state == '{state}'")

    def text(self, selector: str) -> str:
        return str(self.tab.evaluate(f"document.querySelector({selector!r}).textContent"))

    def reads(self, selector: str, part: str) -> None:
        self.tab.wait_for(f"document.querySelector({selector!r}).textContent.includes({part!r})")

    def hold(self, code: str, *, is_down: bool) -> None:
        self.tab.call("Input.dispatchKeyEvent", type="rawKeyDown" if is_down else "keyUp", key=code, code=code)

    def fill(self, selector: str, text: str) -> None:
        self.tab.evaluate(
            f"(() => {{ const field = document.querySelector({selector!r}); field.value = {text!r};"
            " field.dispatchEvent(new Event('input', { bubbles: true })); })()"
        )

    def place_of(self, x: float, y: float) -> list[float]:
        """Where on the screen a place of the zone is, once the camera stands still."""
        still = "Math.hypot(x - aim.x, y - aim.y) * scale < 0.5 && Math.abs(scale / aim.scale - 1) < 0.01"
        self.tab.wait_for(f"(({{ x, y, scale, aim }}) => {still})(page.stage.camera)")
        found: list[float] = self.tab.evaluate(f"page.stage.camera.toScreen({x}, {y})")
        return found


@pytest.fixture(scope="module")
def tab(chromium: Chromium) -> Page:
    """One tab for all tests: each server has an origin of its own, and with it an empty storage."""
    tab = chromium.page(900, 420)
    # Sixty pictures a second, drawn by the processor, are most of what these tests would cost.
    slower = "const draw = requestAnimationFrame; requestAnimationFrame = (next) => setTimeout(() => draw(next), 150)"
    tab.call("Page.addScriptToEvaluateOnNewDocument", source=slower)
    # The camera is where it belongs at once.
    tab.media(prefers_reduced_motion="reduce")
    return tab


@pytest.fixture
def browsing(tab: Page) -> Iterator[Browsing]:
    tab.viewport(900, 420)
    yield Browsing(tab)
    tab.call("Page.navigate", url="about:blank")
    # An exception, a file that is not there, and what the Content-Security-Policy forbids are all errors.
    errors, tab.errors = tab.errors, []
    assert errors == []


def test_stranger_sees_the_crowd_and_joins_by_the_form(
    zone_server: StartServer, zone_client: StartClient, browsing: Browsing
) -> None:
    server = zone_server(Plaza)
    bob = zone_client("bob")
    browsing.open(server)
    browsing.tab.wait_for("document.body.dataset.players == '1' && document.body.dataset.tick > 0")
    assert browsing.tab.evaluate("document.body.dataset.state + document.activeElement.id") == "connectingname"
    assert "plaza" in browsing.text("#door-title")
    browsing.tab.type("ann")
    browsing.tab.key("Enter")
    browsing.state("playing")
    browsing.tab.wait_for("document.body.dataset.players == '2'")
    assert browsing.text("#my-name") == "ann"
    assert "ann" in bob.players.values()
    browsing.tab.click_on("#leave")
    browsing.state("closed")
    browsing.tab.wait_for("document.body.dataset.players == '1' && !document.querySelector('#door').hidden")


def test_click_walks_there_and_stops(zone_server: StartServer, browsing: Browsing) -> None:
    server = zone_server(Plaza, hz=20)
    browsing.play(server)
    x, y = browsing.tab.evaluate("[page.zone.me.x, page.zone.me.y]")
    goal = [x + (150 if x < 5000 else -150), y + (100 if y < 5000 else -200)]
    browsing.tab.click(*browsing.place_of(*goal))
    browsing.tab.wait_for("page.walker.goal")
    browsing.tab.wait_for("!page.walker.goal && !page.zone.me.vx && !page.zone.me.vy")
    here = browsing.tab.evaluate("[page.zone.me.x, page.zone.me.y]")
    # A pixel is some units wide.
    assert here == pytest.approx(goal, abs=30)


def test_escape_stops_a_walk_to_a_place(zone_server: StartServer, browsing: Browsing) -> None:
    server = zone_server(Plaza, hz=20)
    browsing.play(server)
    browsing.tab.evaluate("page.walkTo(page.zone.me.x < 5000 ? 10000 : 0, page.zone.me.y)")
    browsing.tab.wait_for("page.zone.me.vx")
    browsing.tab.key("Escape")
    browsing.tab.wait_for("!page.zone.me.vx && !page.walker.goal && !page.stage.goal")


def test_walk_goes_on_after_a_drop(zone_server: StartServer, browsing: Browsing) -> None:
    server = zone_server(Plaza, hz=20)
    browsing.play(server)
    drop = "{ window.isBack = false; page.zone.on('back', () => { isBack = true; }); page.zone.drop(); }"
    key, sign = ("KeyD", 1) if browsing.tab.evaluate("page.zone.me.x < 5000") else ("KeyA", -1)
    browsing.hold(key, is_down=True)
    browsing.tab.wait_for(f"page.zone.me.vx == {25 * sign}")
    browsing.tab.evaluate(drop)
    browsing.tab.wait_for(f"isBack && page.zone.state == 'playing' && page.zone.me.vx == {25 * sign}")
    # The key comes up while nobody hears it.
    browsing.tab.evaluate(drop)
    browsing.hold(key, is_down=False)
    browsing.tab.wait_for("isBack && page.zone.state == 'playing' && page.zone.me.vx == 0")
    goal = browsing.tab.evaluate(f"[page.zone.me.x + {300 * sign}, page.zone.me.y]")
    browsing.tab.evaluate(f"page.walkTo(...{goal})")
    browsing.tab.wait_for("page.zone.me.vx")
    browsing.tab.evaluate(drop)
    browsing.tab.wait_for("isBack && !page.walker.goal && !page.zone.me.vx")
    assert browsing.tab.evaluate("[page.zone.me.x, page.zone.me.y]") == pytest.approx(goal, abs=30)


def test_keys_walk_talk_and_open_panels(zone_server: StartServer, zone_client: StartClient, browsing: Browsing) -> None:
    server = zone_server(Plaza, hz=20)
    bob = zone_client("bob")
    browsing.play(server)
    key, sign = ("KeyS", 1) if browsing.tab.evaluate("page.zone.me.y < 5000") else ("KeyW", -1)
    browsing.hold(key, is_down=True)
    # The page would cross this zone with 42 steps. The game refuses that, and says that it allows 25.
    browsing.tab.wait_for(f"page.zone.me.vy == {25 * sign}")
    browsing.hold(key, is_down=False)
    browsing.tab.wait_for("page.zone.me.vy == 0")
    browsing.tab.key("/")
    browsing.tab.type("hello bob")
    browsing.tab.key("Enter")
    assert bob.hears("say").values == ("hello bob",)
    browsing.reads("#feed", "hello bob")
    # The words of a line are no keys.
    browsing.tab.key("Escape")
    browsing.tab.key("t")
    browsing.reads("#target-name", "bob")
    assert browsing.tab.evaluate("document.querySelector('#line').maxLength") == 200
    for key, panel in zip("1234", ("play", "people", "zone", "log"), strict=True):
        browsing.tab.key(key)
        assert browsing.tab.evaluate(f"!document.querySelector('#panel-{panel}').hidden")
        assert browsing.tab.evaluate("document.activeElement.id") == f"tab-{panel}"
    browsing.tab.key("?", "shift")
    assert browsing.tab.evaluate("document.querySelector('#help').open")
    browsing.tab.key("Escape")
    browsing.tab.wait_for("!document.querySelector('#help').open")


# The name of a field, a wrong text, and the complaint of the page.
WRONG = (
    ("whole", "10", "at most 9"),
    ("huge", "", "a whole number"),
    ("line", "ääääää", "at most 8 bytes"),
    ("line", "", "at least one character"),
    ("data", "0", "pairs of hexadecimal"),
    ("other", "zoe", "nobody here is called zoe"),
    ("dice", "1,7", "at most 6"),
)

# Elements for which a screen reader has no name.
NAMELESS = """
    [...document.querySelectorAll("button, input, select, [role=tab], dialog, section, aside")]
      .filter((each) => !each.getAttribute("aria-hidden") && !each.textContent.trim() && !each.labels?.length &&
        !each.getAttribute("aria-label") && !each.getAttribute("aria-labelledby"))
      .map((each) => each.outerHTML)"""


def test_form_is_labelled_says_what_is_wrong_and_sends_every_kind_of_argument(
    zone_server: StartServer, zone_client: StartClient, browsing: Browsing
) -> None:
    server = zone_server(Workshop)
    zone_client("bob")
    browsing.play(server)
    nameless = browsing.tab.evaluate(NAMELESS)
    assert nameless == []
    form = "form[data-action=forge]"
    fields = {
        "whole": "-7", "huge": "9007199254740993", "real": "2.5", "line": "hot", "data": "00ff", "pick": "3",
        "weapon": "bow", "other": "bob", "dice": "1, 6",
    }  # fmt: skip
    for name, text in fields.items():
        browsing.fill(f"{form} [name={name}]", text)
    for name, text, complaint in WRONG:
        browsing.fill(f"{form} [name={name}]", text)
        browsing.tab.evaluate(f"document.querySelector('{form}').requestSubmit()")
        assert browsing.text(f"{form} output").startswith(f"{name}: "), complaint
        assert complaint in browsing.text(f"{form} output")
        browsing.fill(f"{form} [name={name}]", fields[name])
    # Nobody can type more than the game takes.
    assert browsing.tab.evaluate(f"document.querySelector('{form} [name=line]').maxLength") == 8
    browsing.tab.click_on(f"{form} [name=flag]")
    # The thing is left at "the nearest", and the last two at their defaults.
    browsing.tab.click_on(f"{form} button")
    browsing.reads(f"{form} output", "answer")
    assert browsing.text(f"{form} output") == (
        'answer: [-7,"9007199254740993",2.5,"hot",true,"00ff",3,"bow","bob","anvil",[1,6],true,"steel"]'
    )


def test_form_sends_values_that_are_written_alike_and_defaults_that_cannot_be_written(
    zone_server: StartServer, browsing: Browsing
) -> None:
    server = zone_server(Workshop)
    browsing.play(server)
    form = "form[data-action=weigh]"
    labels = browsing.tab.evaluate(
        f"[...document.querySelector('{form} [name=pick]').options].map((each) => each.text)"
    )
    assert labels == ['" lead"', '"lead"', '"1"', "1", '""']
    for index, value in enumerate(('" lead"', '"lead"', '"1"', "1", '""')):
        browsing.tab.evaluate(f"document.querySelector('{form} [name=pick]').selectedIndex = {index}")
        # The second time all values are sent, and not only the first.
        for real in ("inf", "1.5"):
            browsing.fill(f"{form} [name=real]", real.removeprefix("inf"))
            browsing.tab.evaluate(f"document.querySelector('{form}').requestSubmit()")
            browsing.reads(f"{form} output", f'answer: [{value},true,true,["1",1],"{real}"]')


def test_form_goes_back_to_the_nearest_when_the_chosen_one_has_left(
    zone_server: StartServer, browsing: Browsing
) -> None:
    server = zone_server(Orchard)
    browsing.play(server)
    apple = "document.querySelector('[name=apple]')"
    # One is chosen in the picture, and one in the form.
    choices = (
        "page.choose(page.zone.things[2].slot)",
        f"{apple}.focus(), {apple}.selectedIndex = 2, {apple}.dispatchEvent(new Event('change'))",
    )
    for left, choice in zip((2, 1), choices, strict=True):
        browsing.tab.evaluate(choice)
        assert browsing.tab.evaluate(f"{apple}.value != ''")
        browsing.tab.click_on("[data-action=eat] button")
        browsing.tab.wait_for(f"page.zone.things.length == {left} && {apple}.value == ''")
        browsing.reads("[data-action=eat] output", "It happened.")
    # The log names the players of an event.
    told = "page.game.described('hit', [page.zone.slot, null, 15], page.zone)"
    assert browsing.tab.evaluate(told).startswith("ann ")


def test_player_is_in_the_same_place_after_a_drop_a_wrong_copy_and_a_reload(
    zone_server: StartServer, zone_client: StartClient, browsing: Browsing
) -> None:
    server = zone_server(Plaza, hz=20)
    bob = zone_client("bob")
    browsing.play(server)
    before = browsing.tab.evaluate("[page.zone.slot, page.zone.me.x, page.zone.me.y]")
    states = "window.states = []; new MutationObserver(() => states.push(document.body.dataset.state))"
    browsing.tab.evaluate(f"{states}.observe(document.body, {{ attributeFilter: ['data-state'] }})")
    browsing.tab.wait_for("document.body.dataset.hash == 'ok'")
    browsing.reads("#step-text", "in step")
    browsing.tab.click_on("#drop")
    browsing.reads("#toasts", "back in the same place")
    assert browsing.tab.evaluate("states.join()") == "away,playing"
    assert browsing.tab.evaluate("[page.zone.slot, page.zone.me.x, page.zone.me.y]") == before
    observer = "new MutationObserver(() => hashes.push([document.body.dataset.hash, page.zone.hashesChecked]))"
    browsing.tab.evaluate(
        f"window.hashes = []; {observer}.observe(document.body, {{ attributeFilter: ['data-hash'] }});"
        " page.zone.columns.x[page.zone.slot] += 1"
    )
    # It is "ok" again when the next hash is right, and not before.
    browsing.tab.wait_for("hashes.map(([hash]) => hash).join() == 'wrong,ok' && hashes[1][1] > hashes[0][1]")
    assert browsing.tab.evaluate("Object.keys(sessionStorage).length") == 2
    browsing.tab.reload()
    browsing.state("playing")
    assert browsing.tab.evaluate("[page.zone.slot, page.zone.me.x, page.zone.me.y]") == before
    assert sorted(bob.players.values()) == ["ann", "bob"]


def test_page_suits_another_game_after_a_restart(zone_server: StartServer, browsing: Browsing) -> None:
    server = zone_server(Inn)
    browsing.play(server)
    browsing.tab.evaluate("page.before = page.game; page.panels.open(page.panels.tabs[2])")
    browsing.reads("#kinds", "cup")
    zone_server.stop()
    zone_server(NewInn, port=server.port)
    browsing.reads("#kinds", "jug")
    # Until the page knows the game, it shows a number that is not there as a dash.
    meanwhile = "page.game = page.before; page.panels.open(page.panels.tabs[0]); page.panels.update()"
    browsing.tab.evaluate(f"{{ const {{ game }} = page; {meanwhile}; page.game = game; }}")
    assert browsing.text("#my-stats") == "hp\u2013"
    browsing.reads("#my-stats", "gold0energy50")
    assert browsing.tab.evaluate("page.panels.forms.map(({ action }) => action.name)") == ["fly", "move"]
    assert browsing.tab.evaluate("page.stage.camera.zone") == {"width": 2000, "height": 500}
    assert browsing.tab.evaluate("page.walker !== null && page.stage.game.bar.name") == "energy"
    browsing.fill("[data-action=fly] [name=far]", "away")
    browsing.tab.click_on("[data-action=fly] button")
    browsing.reads("[data-action=fly] output", "It happened")
    # The browser tells its console of each attempt to come back.
    browsing.tab.errors = [each for each in browsing.tab.errors if "ERR_CONNECTION_REFUSED" not in each]


def test_watcher_sees_and_may_take_part(zone_server: StartServer, zone_client: StartClient, browsing: Browsing) -> None:
    server = zone_server(Coinrush)
    bob = zone_client("bob")
    browsing.open(server, "?watch")
    browsing.state("playing")
    assert browsing.tab.evaluate("document.body.dataset.role + document.body.dataset.players") == "watcher1"
    browsing.tab.key("3")
    browsing.reads("#board", "leader")
    browsing.tab.wait_for("+document.querySelector('#kinds li span').textContent > 0")
    browsing.tab.click_on("#take-part")
    browsing.tab.type("ann")
    browsing.tab.key("Enter")
    browsing.tab.wait_for("document.body.dataset.role == 'player'")
    assert "ann" in bob.players.values()


def test_kicked_player_is_told_why_and_may_join_again(zone_server: StartServer, browsing: Browsing) -> None:
    server = zone_server(Plaza, ban_seconds=0.0)
    browsing.play(server)
    zone_server.command("kick", "ann", "no", "running")
    browsing.state("closed")
    assert browsing.text("#door-title") == "You are out"
    assert "kicked" in browsing.text("#door-error")
    assert browsing.tab.evaluate("document.querySelector('#name').value") == "ann"
    browsing.tab.key("Enter")
    browsing.state("playing")


def test_refusals_are_said_plainly_and_a_ticket_goes_into_the_form(
    zone_server: StartServer, browsing: Browsing
) -> None:
    server = zone_server(Plaza, secret=SECRET, page="on")
    browsing.open(server)
    browsing.tab.wait_for("!document.querySelector('#ticket-field').hidden")
    browsing.tab.type("ann")
    browsing.tab.key("Enter")
    browsing.state("closed")
    browsing.reads("#door-error", "asks for a ticket")
    browsing.fill("#name", "x" * 25)
    browsing.tab.evaluate("document.querySelector('#join').requestSubmit()")
    browsing.reads("#door-error", "1 to 24")
    for ticket, outcome in (
        ("no ticket!", "This is no ticket"),
        (ticket_to_text(new_ticket(SECRET, "ann", "plaza")), ""),
    ):
        browsing.fill("#name", "ann")
        browsing.fill("#ticket", ticket)
        browsing.tab.evaluate("document.querySelector('#join').requestSubmit()")
        browsing.reads("#door-error", outcome)
    browsing.state("playing")
    assert "ticket" not in browsing.tab.evaluate("location.href")


def test_end_with_a_strange_code_or_a_long_text_leaves_the_form_in_sight(
    zone_server: StartServer, browsing: Browsing
) -> None:
    server = zone_server(Plaza)
    browsing.open(server)
    browsing.tab.wait_for("!document.querySelector('#door').hidden")
    ended = "(await import('/words.js')).ended({{ code: 'constructor', text: '{}' }})".format
    assert browsing.tab.evaluate(f"await (async () => {ended('')})()") == "The game ended the session: constructor."
    fill = f"document.querySelector('#door-error').textContent = {ended('W' * 60_000)}"
    browsing.tab.evaluate(f"await (async () => {fill})()")
    inside = "({ left, right, bottom }) => left > 0 && right < innerWidth && bottom < innerHeight"
    button = "document.querySelector('#join .main').getBoundingClientRect()"
    assert browsing.tab.evaluate(f"({inside})({button})")
    assert browsing.tab.evaluate("document.querySelector('#door').scrollWidth") <= 400


def test_more_of_me_walk_about_and_leave_with_me(zone_server: StartServer, browsing: Browsing) -> None:
    server = zone_server(Plaza, hz=20)
    browsing.play(server)
    browsing.tab.click_on("#more")
    browsing.tab.wait_for("document.body.dataset.players == '11'")
    browsing.tab.wait_for("page.zone.players.some((player) => player.name != 'ann' && player.vx)")
    browsing.tab.click_on("#leave")
    browsing.tab.wait_for("document.body.dataset.players == '0'")


def test_new_game_can_be_played(zone_server: StartServer, browsing: Browsing, tmp_path: Path) -> None:
    make_game(tmp_path / "fresh_game")
    with pytest.MonkeyPatch.context() as context:
        context.syspath_prepend(str(tmp_path / "fresh_game"))
        server = zone_server(importlib.import_module("fresh_game").FreshGame, hz=20)
    browsing.play(server)
    # With a coin chosen, the button of `grab` is beside it; the game says that it is too far away, or it is taken.
    browsing.tab.evaluate("page.choose(page.zone.things[0].slot)")
    browsing.reads("#target-name", "coin")
    browsing.tab.click_on("#target-actions button")
    browsing.tab.wait_for("/[A-Z]/.test(document.querySelector('[data-action=grab] output').textContent)")
    browsing.tab.key("0")
    coin = browsing.tab.evaluate("[page.zone.things[1].x, page.zone.things[1].y]")
    browsing.tab.click(*browsing.place_of(*coin))
    browsing.tab.wait_for("page.zone.me.vx || page.zone.me.vy")


def test_replay_plays_in_the_same_page_and_jumps(browsing: Browsing, tmp_path: Path) -> None:
    async def replay(yard: RecordedYard) -> None:
        zone = ReplayZone(Recording(yard.directory, Place(0)), speed=20, loops=True)
        async with ZoneServer(zone, port=0, stats_port=None) as server:
            await asyncio.to_thread(look, zone, server)

    def look(zone: ReplayZone, server: ZoneServer) -> None:
        browsing.open(server)
        browsing.state("playing")
        note = "({ tick }) => { if (tick > high) high = tick; else low = tick; }"
        browsing.tab.evaluate(f"window.low = window.high = 0; page.zone.on('tick', {note}); 0")
        # At its end it begins again, at an earlier tick, and the picture goes back with it.
        browsing.tab.wait_for("low && low < high")
        browsing.tab.wait_for("Math.abs(page.zone.now() - page.zone.tick) < 30")
        browsing.tab.wait_for("page.stage.crowd.near.length > 0")
        browsing.reads("#watching-text", "You are watching a replay: 0:0")
        # It stands still: no tick arrives.
        zone.is_paused = True
        browsing.reads("#step-text", "paused")
        browsing.reads("#watching-text", ", paused.")
        zone.is_paused = False
        browsing.reads("#step-text", "in step")
        assert "nobody can join" in browsing.text("#about")
        browsing.tab.evaluate("page.choose(page.zone.players[0].slot)")
        browsing.reads("#target-facts", "at ")
        browsing.tab.click_on("#leave")
        browsing.reads("#door-title", "Replay of")
        assert browsing.tab.evaluate("document.querySelector('#name').checkVisibility()") is False
        assert browsing.text("#enter") == "Watch again"
        browsing.tab.key("Enter")
        browsing.tab.wait_for("document.body.dataset.state + document.body.dataset.role == 'playingwatcher'")
        # Otherwise the page asks a server that is gone, and the browser tells its console.
        browsing.tab.call("Page.navigate", url="about:blank")

    with RecordedYard(tmp_path / "journal") as yard:
        yard.run(60)
        asyncio.run(replay(yard))


def test_click_paints_in_a_game_of_places(zone_server: StartServer, browsing: Browsing) -> None:
    server = zone_server(Pixels)
    browsing.play(server)
    browsing.tab.click(*browsing.place_of(20, 30))
    browsing.tab.wait_for("page.zone.me.stats.painted == 1 && page.zone.board['row 30'][20] != '0'")
    assert browsing.tab.evaluate("page.stage.picture.length") == 64


# Many say a long line on one spot. The bubbles that are measured, the canvases made for them, the length of a text.
CROWDED_LINES = """(() => {
    const { bubble } = page.stage.sprites, { createElement } = document, texts = [];
    let made = 0;
    page.stage.sprites.bubble = function (text) { texts.push(text); return bubble.call(this, text); };
    document.createElement = (tag) => { made += tag == "canvas"; return createElement.call(document, tag); };
    for (const { slot } of page.zone.things.slice(0, 55)) page.stage.say(slot, `${slot} ${"e\\u0301".repeat(300)}`);
    page.stage.draw(performance.now(), 0);
    return [texts.length, made, texts[0].length];
})()"""


def test_crowd_on_one_spot_has_figures_and_names(
    zone_server: StartServer, zone_client: StartClient, browsing: Browsing
) -> None:
    server = zone_server(Heap)
    wide = zone_client("W" * 24)
    browsing.play(server)
    browsing.tab.wait_for("page.stage.crowd.near.length == 200")
    figures = browsing.tab.evaluate("page.stage.crowd.near.map(({ slot }) => slot)")
    assert {wide.slot, browsing.tab.evaluate("page.zone.slot")} <= set(figures)
    assert browsing.tab.evaluate("page.stage.crowd.labels.has(page.zone.slot)")
    # The longest name scrolls no list sideways.
    browsing.tab.key("2")
    browsing.reads("#people", "W" * 24)
    assert (
        browsing.tab.evaluate(
            "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector('#sheet'))"
        )
        == 0
    )
    # Of all that is said on one spot one bubble is to be seen: no other one is measured or drawn.
    measured, made, length = browsing.tab.evaluate(CROWDED_LINES)
    assert (measured, made) == (1, 1)
    assert length < 170


def test_phone_walks_by_tap_and_opens_a_sheet(zone_server: StartServer, browsing: Browsing) -> None:
    server = zone_server(Plaza, hz=20)
    browsing.tab.viewport(390, 844, is_mobile=True)
    browsing.play(server)
    assert browsing.tab.evaluate("document.querySelector('#sheet').getBoundingClientRect().height") == 0
    browsing.tab.click_on("#tab-play")
    assert browsing.tab.evaluate("document.querySelector('#sheet').getBoundingClientRect().height") > 300
    browsing.tab.key("Escape")
    browsing.tab.click(195, 300, touch=True)
    browsing.tab.wait_for("page.zone.me.vx || page.zone.me.vy")
    # Nothing is wider than the screen.
    assert browsing.tab.evaluate("document.documentElement.scrollWidth") == 390


# The last one: the browser may not show the tab again.
def test_frozen_tab_catches_up(zone_server: StartServer, tab: Page) -> None:
    server = zone_server(Plaza)
    browsing = Browsing(tab)
    browsing.play(server)
    tick = browsing.tab.evaluate("page.zone.tick")
    browsing.tab.freeze()
    until(lambda: server.ticked.world.tick > tick + 20)
    browsing.tab.thaw()
    browsing.tab.wait_for(f"document.body.dataset.tick > {tick + 20} && document.body.dataset.state == 'playing'")


def test_themes_keep_a_contrast_of_four_and_a_half() -> None:
    style = (Path(__file__).parents[2] / "zoneserver/web/play.css").read_text()
    light, dark = (dict(_colours(part)) for part in style.split("@media (prefers-color-scheme: dark)")[:2])
    dark = light | dark
    assert light["surface"] != dark["surface"]
    for theme, ground in itertools.product((light, dark), ("surface", "raised")):
        for name in ("ink", "muted", "good", "bad"):
            assert _contrast(theme[name], theme[ground]) >= 4.5, (name, ground)
        assert _contrast(theme["on-accent"], theme["accent"]) >= 4.5


def _colours(text: str) -> Iterator[tuple[str, str]]:
    for part in text.split("--")[1:]:
        name, _, value = part.partition(":")
        if value.strip().startswith("#"):
            yield name, value.strip()[1:7]


def _contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[index : index + 2], 16) / 255 for index in (0, 2, 4)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
