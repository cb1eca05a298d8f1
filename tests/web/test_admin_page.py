"""The page of the admin port, in a real browser: figures, sessions, keys, and the kick."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from helpers.chromium import Chromium, Page
from helpers.server_stats import gateway_stats
from zoneclient.errors import ZoneClosedError

from zoneserver.cli.ctl import ControlSocket
from zoneserver.control import web_door
from zoneserver.games.plaza import Plaza
from zoneserver.server import ZoneServer
from zoneserver.testing import StartClient, StartServer
from zoneserver.zone.rules import Refused

Open = Callable[..., ZoneServer]
NAMES = "[...document.querySelectorAll('#sessions tbody tr')].map((row) => row.dataset.name).filter(Boolean)"
LIVE = "document.body.dataset.state == 'live'"


@pytest.fixture
def open_page(zone_server: StartServer, page: Page) -> Iterator[Open]:
    """Starts a server that takes commands, and opens its page. The page must not have failed anywhere."""
    opened: list[tuple[ZoneServer, ControlSocket]] = []

    def start(*, until: str = LIVE, stats_token: str = "") -> ZoneServer:
        server = zone_server(Plaza, stats_port=0, stats_token=stats_token)
        control = ControlSocket(server)
        asyncio.run_coroutine_threadsafe(control.open(None), server.loop).result(10)
        opened.append((server, control))
        page.media(prefers_reduced_motion="reduce")
        page.goto(address(server))
        page.wait_for(until)
        return server

    yield start

    async def close(control: ControlSocket) -> None:
        control.close()

    for server, control in opened:
        asyncio.run_coroutine_threadsafe(close(control), server.loop).result(10)
    assert page.errors == []


def address(server: ZoneServer) -> str:
    return f"http://127.0.0.1:{server.stats_port}/"


def text(page: Page, selector: str) -> str:
    return str(page.evaluate(f"document.querySelector({selector!r}).textContent"))


def reads(page: Page, selector: str, part: str) -> None:
    page.wait_for(f"document.querySelector({selector!r}).textContent.includes({part!r})")


def test_page_shows_the_figures_the_map_and_when_the_server_is_gone(
    open_page: Open, zone_server: StartServer, zone_client: StartClient, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: dict[str, Any] = {}
    own = ZoneServer.stats
    monkeypatch.setattr(ZoneServer, "stats", lambda self: dataclasses.replace(own(self), **changes))
    server = open_page()
    ann, _bob = zone_client("ann"), zone_client("bob")
    with pytest.raises(Refused):
        ann.act("strike", 9)
    page.wait_for(f"document.body.dataset.players == '2' && {NAMES}.length == 2")
    assert text(page, "#game") == "plaza"
    assert f"127.0.0.1:{server.stats_port}" in text(page, "#about")
    reads(page, "#refusal-codes", "NO_TARGET")
    reads(page, "#durations-note", " ticks in the last ")
    # The gateways have a panel only where there are any, and what is wrong is said by a word too.
    assert page.evaluate("document.querySelector('#gateways').hidden")
    lost, stopped = gateway_stats("gw2", is_lost=True, behind_ticks=50), gateway_stats("gw3", is_stopped=True)
    changes["gateways"] = [gateway_stats("gw1"), lost, stopped]
    page.wait_for("!document.querySelector('#gateways').hidden")
    assert text(page, "#gateways-count") == "3, 1 lost, 1 stopped"
    states = "[...document.querySelectorAll('#gateways-list tbody tr')].map((row) => row.children[1])"
    assert page.evaluate(f"{states}.map((cell) => cell.textContent + cell.className)") == [
        "finegood",
        "lostbad",
        "stopped",
    ]
    # A gateway whose zone is away is not live.
    changes["zone_silent_s"] = 5.234
    page.wait_for("document.body.dataset.state == 'away'")
    assert (text(page, "#state"), page.evaluate("document.querySelector('#state').className")) == (
        "zone silent 5.2 s",
        "bad",
    )
    # Two kinds of pictures: columns whose heights are shares of the most frequent one, and canvases.
    heights = page.evaluate("[...document.querySelectorAll('#histogram i')].map((bar) => bar.style.height)")
    assert len(heights) == 11
    assert "100%" in "".join(heights)
    drawn = "[...document.querySelectorAll('#map, #sparks canvas')].map((each) => each.getContext('2d')"
    page.wait_for(f"{drawn}.getImageData(0, 0, each.width, each.height).data.some(Boolean)).every(Boolean)")
    assert page.evaluate("document.querySelectorAll('#sparks canvas').length") == 6
    # Everything is there for people who cannot see it, and nothing is wider than a phone, in light and in dark.
    nameless = page.evaluate("""
        [...document.querySelectorAll("button, input, canvas, section, dialog, table")].filter((each) =>
          !each.textContent.trim() && !each.labels?.length && !each.getAttribute("aria-label") &&
          !each.getAttribute("aria-labelledby")).map((each) => each.outerHTML)""")
    assert nameless == []
    page.viewport(390, 844, is_mobile=True)
    grounds = []
    for scheme in ("light", "dark"):
        page.media(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        grounds.append(page.evaluate("getComputedStyle(document.querySelector('section')).backgroundColor"))
    assert grounds[0] != grounds[1]
    zone_server.stop()
    page.wait_for("document.body.dataset.state == 'silent'")
    assert "no answer since" in text(page, "#state")
    # The browser itself tells of requests that were in vain.
    page.errors.clear()


def test_sessions_are_found_sorted_and_opened_by_keyboard(
    open_page: Open, zone_client: StartClient, page: Page
) -> None:
    open_page()
    ann, _bob = zone_client("ann"), zone_client("bob")
    with pytest.raises(Refused):
        ann.act("strike", 9)
    page.wait_for(f"{NAMES}.length == 2")
    page.key("/")
    page.type("AN")
    page.wait_for(f"{NAMES}.join() == 'ann'")
    reads(page, "#found", "1 found, of 2")
    page.key("Enter")
    page.wait_for("document.activeElement.dataset.name == 'ann'")
    page.key("Enter")
    reads(page, "#one-name", "ann")
    reads(page, "#one-codes", "NO_TARGET")
    assert "127.0.0.1:" in text(page, "#one-facts")
    page.key("Escape")
    assert page.evaluate("document.querySelector('#one').hidden")
    page.key("Escape")
    page.wait_for(f"{NAMES}.length == 2")
    page.key(">")
    page.wait_for("document.querySelector('th[aria-sort]').textContent == 'behind'")
    page.click_on("button[data-sort=refused]")
    page.wait_for(f"{NAMES}.join() == 'ann,bob'")
    page.key("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.name") == "bob"
    # The page stands still while it is paused, and then goes on.
    page.key(" ")
    assert page.evaluate("document.body.dataset.state") == "paused"
    tick = page.evaluate("document.body.dataset.tick")
    page.key(" ")
    page.wait_for(f"document.body.dataset.tick != {tick!r}")


def test_kick_asks_first_and_no_other_page_may_kick(
    open_page: Open, zone_client: StartClient, chromium: Chromium, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = open_page()
    name = 'it\'s "bob"'
    bob = zone_client(name)
    page.wait_for(f"{NAMES}.length == 1")
    page.click_on("#sessions tbody tr")
    stranger = chromium.page()
    command = f"{address(server)}ctl?command=kick+{quote_plus(shlex.quote(name))}"
    for how in ("headers: { 'X-Zone': 'ctl' }", "headers: {}"):
        asked = f"fetch({command!r}, {{ method: 'POST', {how} }}).then(() => 'read', () => 'refused')"
        assert stranger.evaluate(asked) == "refused"
    # This request needs nobody's consent, and the server answers it; the stranger may not read the answer.
    assert stranger.evaluate(f"fetch({command!r}, {{ method: 'POST', mode: 'no-cors' }}).then(() => 'sent')") == "sent"
    stranger.close()
    bob.act("emote", 0)
    page.key("k")
    assert page.evaluate("document.querySelector('#kick').open")
    page.key("Escape")
    page.wait_for("!document.querySelector('#kick').open")
    bob.act("emote", 0)
    with monkeypatch.context() as context:
        context.setattr(web_door, "user_of_peer", lambda *_: 12_345)
        page.click_on("#one-kick")
        page.click_on("#kick-yes")
        reads(page, "#told", "uid 12345 may not")
    # The browser itself tells of an answer that is a refusal.
    assert ["403" in error for error in page.errors] == [True]
    page.errors.clear()
    bob.act("emote", 0)
    page.key("k")
    page.type("be nice")
    page.key("Enter")
    reads(page, "#told", f"{name} is kicked")
    with pytest.raises(ZoneClosedError, match="KICKED: be nice"):
        bob.act("emote", 0)
    reads(page, "#one-why", "KICKED: be nice")
    reads(page, "#closes tbody", "KICKED")
    assert page.evaluate("document.querySelector('#one-kick').disabled")


def test_page_asks_for_the_token(open_page: Open, page: Page) -> None:
    open_page(stats_token="sixteen-or-more-characters", until="document.querySelector('#token').open")
    page.errors.clear()
    page.type("sixteen-or-more-characters")
    page.key("Enter")
    page.wait_for(LIVE)
    page.reload()
    page.wait_for(LIVE)
    # The browser may tell late of the answer that asked for the token.
    page.errors[:] = [error for error in page.errors if "401" not in error]


def test_themes_keep_a_contrast_of_four_and_a_half() -> None:
    style = (Path(__file__).parents[2] / "zoneserver/web/admin.css").read_text()
    themes = style.split("@media (prefers-color")[:2]
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6});", theme)) for theme in themes)
    for theme in (light, light | dark):
        for ground in ("surface", "raised"):
            for name in ("ink", "muted", "accent", "good", "warn", "bad"):
                assert _contrast(theme[name], theme[ground]) >= 4.5, (name, ground, theme[name])


def _contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)
