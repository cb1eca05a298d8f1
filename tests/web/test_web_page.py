"""docs/web.md: its example runs, and its tables are whole."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from helpers import markdown
from helpers.chromium import Page
from helpers.loops import one_loop
from helpers.node import Node
from helpers.paths import ROOT
from helpers.servers import OpenServer
from helpers.waiting import until

from zoneserver.games.plaza import Plaza

DOCUMENT = markdown.Page("docs/web.md")


@one_loop
async def test_example_draws_walks_and_tells(page: Page, open_server: OpenServer, tmp_path: Path) -> None:
    for block in DOCUMENT.blocks:
        if block.file:
            (tmp_path / block.file).write_text(block.text)
    server = await open_server(Plaza, hz=20, page=str(tmp_path))
    await asyncio.to_thread(page.goto, f"http://127.0.0.1:{server.port}/?name=ann")
    await asyncio.to_thread(page.wait_for, "document.querySelector('li')?.textContent === 'ann: hello'")
    drawn = "document.querySelector('canvas').getContext('2d').getImageData(0, 0, 600, 600).data.includes(220)"
    await asyncio.to_thread(page.wait_for, drawn)
    await asyncio.to_thread(page.click_on, "canvas")
    await until(lambda: any(server.zone.world.vx) or any(server.zone.world.vy))
    assert page.errors == []


def test_tables_name_all_that_a_program_may_use(node: Node) -> None:
    names = node.evaluate("""
        const { Zone, Player, Thing } = zonejs, entity = Object.getPrototypeOf(Player);
        const zone = new Zone("ws://x", { name: "ann" }), parts = [new Player(null, 0, ""), new Thing(null, 0, "")];
        const own = [...parts, zone].flatMap((each) => Object.keys(each));
        const shared = [Zone, entity].flatMap((each) => Object.getOwnPropertyNames(each.prototype));
        return [...new Set([...own, ...shared])].filter((name) => !["constructor", "end"].includes(name));
    """)
    # `name(...)` and `name` alike.
    told = set(re.findall(r"`(\w+)(?:\([^)`]*\))?`", DOCUMENT.text))
    assert set(names) - told == set()
    source = (ROOT / "zoneserver/web/zone.js").read_text()
    events = re.search(r"const RESERVED = new Set\(\[(.*?)\]\)", source, re.DOTALL)
    assert events is not None
    assert set(re.findall(r'"([\w*]+)"', events[1])) <= set(re.findall(r'`"([\w*]+)"`', DOCUMENT.text))
    options = re.findall(r"@property \{.*?\} \[?(\w+)\]?", source[source.index("@typedef {object} Options") :])
    assert set(options) <= told
