"""The C# client in real zones."""

from __future__ import annotations

from helpers.csharp import Driver
from helpers.servers import OpenServer

from zoneserver.games.plaza import Plaza


async def test_it_joins_acts_and_leaves(driver: Driver, open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=100)
    ann = driver.join(f"127.0.0.1:{server.port}", name="ann")
    assert await ann.until("joined") == ["0", "plaza", "100", "ann"]
    ann.act("move", 5, 0)
    ann.act("say", "hello")
    assert await ann.until("heard") == ["say", "ann", '["hello"]']
    ann.act("strike", 0)
    assert (await ann.until("refused"))[1] == "SELF"
    ann.do("close")
    assert (await ann.until("closed"))[:2] == ["CLIENT_LEFT", "True"]
    print(driver.lines(ann.name))
