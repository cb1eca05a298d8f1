"""zone.js in a real browser, served by the server that it connects to."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from helpers.chromium import Page
from helpers.loops import one_loop
from helpers.paths import ROOT
from helpers.relay import Relay
from helpers.servers import OpenServer
from helpers.waiting import until

from zoneserver.games.plaza import Plaza

pytestmark = one_loop

JOIN = """(async () => {
    const { connect } = await import("/zone.js");
    window.zone = await connect(location.origin, { name: "ann", session: sessionStorage });
    window.said = [];
    zone.on("say", (player, text) => said.push(`${player.name}: ${text}`));
    return [zone.slot, zone.state];
})()"""


async def goto(page: Page, port: int, path: str = "/zone.js") -> None:
    # The page of this origin is the module as a text: nothing of it runs.
    await asyncio.to_thread(page.goto, f"http://127.0.0.1:{port}{path}")


async def evaluate(page: Page, expression: str) -> Any:
    return await asyncio.to_thread(page.evaluate, expression)


async def wait_for(page: Page, expression: str) -> None:
    await asyncio.to_thread(page.wait_for, expression)


async def test_all_vectors_hold_in_the_browser(page: Page, open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=20)
    await goto(page, server.port)
    source = (ROOT / "tests/web/vectors.js").read_text().replace("export function", "function")
    vectors = (ROOT / "tests/vectors.json").read_text()
    complaints = f"""(async () => {{
        {source}
        return complaints(await import("/zone.js"), {vectors});
    }})()"""
    assert await evaluate(page, complaints) == []


async def test_player_of_a_browser_keeps_the_slot_over_a_reload(page: Page, open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=50)
    await goto(page, server.port)
    assert await evaluate(page, JOIN) == [0, "playing"]
    assert await evaluate(page, "zone.done(zone.act('say', 'grüße')).then(() => said)") == ["ann: grüße"]
    assert await evaluate(page, "zone.done(zone.act('strike', 0)).catch((error) => error.code)") == "SELF"
    await asyncio.to_thread(page.reload)
    assert await evaluate(page, JOIN) == [0, "playing"]
    assert server.stats().resumes_total == 1
    # The sequences go on, so that the zone does not take the new actions for old ones.
    assert await evaluate(page, "zone.done(zone.act('say', 'again')).then(() => said.at(-1))") == "ann: again"
    await evaluate(page, "zone.close()")
    assert await evaluate(page, "[zone.state, sessionStorage.length]") == ["closed", 0]
    assert page.errors == []


async def test_page_that_is_shown_again_comes_back_at_once(
    page: Page, open_server: OpenServer, cleanup: contextlib.AsyncExitStack
) -> None:
    server = await open_server(Plaza, hz=50)
    relay = await Relay(server.port).open(cleanup)
    await goto(page, relay.port)
    await evaluate(page, JOIN)
    # Otherwise the client would wait for longer than any test does.
    await evaluate(page, "Math.random = () => 1e6")
    for woken_by in ("new Event('visibilitychange')", "new Event('online')", "new Event('pageshow')"):
        relay.is_closed = True
        relay.reset()
        await wait_for(page, "zone.state === 'away'")
        relay.is_closed = False
        connections = relay.connections
        await evaluate(page, f"(event => (event.type[0] === 'v' ? document : window).dispatchEvent(event))({woken_by})")
        await wait_for(page, "zone.state === 'playing'")
        assert relay.connections == connections + 1
    assert await evaluate(page, "zone.slot") == 0


async def test_frozen_page_comes_back_when_it_is_thawed(
    page: Page, open_server: OpenServer, cleanup: contextlib.AsyncExitStack
) -> None:
    server = await open_server(Plaza, hz=50)
    relay = await Relay(server.port).open(cleanup)
    await goto(page, relay.port)
    await evaluate(page, JOIN)
    await asyncio.to_thread(page.freeze)
    relay.reset()
    await until(lambda: server.stats().parked == 1)
    tick = server.zone.world.tick
    await asyncio.to_thread(page.thaw)
    await wait_for(page, f"zone.state === 'playing' && zone.tick > {tick + 50} && zone.hashesChecked > 0")
    assert await evaluate(page, "zone.slot") == 0
    assert server.stats().resumes_total == 1


async def test_silent_connection_is_given_up_when_the_page_is_shown_again(
    page: Page, open_server: OpenServer, cleanup: contextlib.AsyncExitStack
) -> None:
    server = await open_server(Plaza, hz=50)
    relay = await Relay(server.port).open(cleanup)
    await goto(page, relay.port)
    await evaluate(page, JOIN)
    # No byte arrives, and nobody says so: as after a way through a tunnel.
    relay.freeze()
    # Again and again, since the last bytes before the silence may come behind the first.
    await wait_for(page, "window.dispatchEvent(new Event('pageshow')) && zone.state === 'away'")
    await wait_for(page, "zone.state === 'playing'")
    assert await evaluate(page, "zone.slot") == 0
