"""The C# client in real zones: it follows, acts, is refused, is thrown out, and watches."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import socket
import ssl
import time
from pathlib import Path
from typing import Annotated, Any

import pytest
import zoneclient as client
from helpers.csharp import CSharpClient, Driver
from helpers.gateway_fixture import GatewayFixture, OpenGateway
from helpers.servers import OpenServer
from helpers.tls import issue_pki
from helpers.waiting import until

from zoneserver import Player, Rules, action
from zoneserver.games.coinrush import Coinrush
from zoneserver.games.plaza import Plaza
from zoneserver.protocol.messages import Act
from zoneserver.protocol.tickets import issue_ticket, ticket_to_text
from zoneserver.zone.rules import Text

TICKS = 1_000


async def test_it_joins_acts_and_leaves(driver: Driver, open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=100)
    ann = driver.join(f"127.0.0.1:{server.port}", name="ann")
    assert await ann.until("joined") == ["0", "plaza", "100", "ann"]
    ann.act("move", 5, 0)
    ann.act("say", "hello")
    assert await ann.until("heard") == ["say", "ann", '["hello"]']
    ann.act("strike", 0)
    assert (await ann.until("refused"))[:2] == ["3", "SELF"]
    ann.act("/game.json")
    answer = json.loads((await ann.until("answered"))[1])
    assert json.loads(answer[0])["name"] == "plaza"
    await ann.until("known", lambda line: line[0] == "4")
    assert [line[:3] for line in ann.told("done")] == [
        ["1", "Happened", ""],
        ["2", "Happened", ""],
        ["3", "Refused", "SELF"],
        ["4", "Answered", ""],
    ]
    facts = json.loads(ann.ask("facts"))
    assert facts["phase"] == "Playing"
    assert 0 <= facts["rtt"] < 5
    assert facts["now"] <= facts["tick"] + 1
    ann.do("close")
    assert (await ann.until("closed"))[:2] == ["CLIENT_LEFT", "True"]
    await until(lambda: not list(server.zone.world.players()))


def world_of(fixture: GatewayFixture) -> dict[str, Any]:
    world = fixture.zone.world
    columns = {name: list(getattr(world, name)) for name in ("x", "y", "vx", "vy", "since", "seq")}
    positions = [None if holder is None else list(world.position(slot)) for slot, holder in enumerate(world.holders)]
    stats = [list(column) for column in world.stats]
    whole = {"tick": world.tick, "slots": world.holders, **columns, "stats": stats, "board": list(world.board)}
    return {**whole, "positions": positions, "hash": world.hash()}


@pytest.mark.parametrize(
    ("rules", "walk", "others"),
    [(Plaza, "move", [["say", "hi"], ["strike", 3], ["heal", 5]]), (Coinrush, "run", [["say", "hi"]])],
)
async def test_it_follows_a_thousand_ticks_of_a_crowd_with_every_hash(
    driver: Driver, open_gateway: OpenGateway, rules: type[Rules], walk: str, others: list[Any]
) -> None:
    # With one tick per second every frame has a hash.
    fixture = await open_gateway(rules, hz=1)
    chance = random.Random(1)
    reading: list[asyncio.Task[None]] = []
    bots, seqs = [], {}
    ann = driver.join(f"127.0.0.1:{fixture.port}", name="ann", deflate=int(rules is Coinrush))

    async def read(bot: Any) -> None:
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                await bot.read_payload()

    async def a_bot(name: str) -> None:
        bot = await fixture.connect()
        await bot.hello(name)
        joining = asyncio.create_task(bot.welcomed())
        while not joining.done():
            fixture.tick()
            await asyncio.sleep(0.001)
        bots.append(bot)
        seqs[bot] = 0
        reading.append(asyncio.create_task(read(bot)))

    for number in range(10):
        await a_bot(f"bot {number}")
    while not ann.told("joined"):
        fixture.tick()
        await asyncio.sleep(0.002)
    first = fixture.zone.world.tick
    while fixture.zone.world.tick < first + TICKS:
        for bot in chance.sample(bots, 3):
            speed = [walk, chance.randint(-35, 35), chance.randint(-35, 35)]
            seqs[bot] += 1
            await bot.say(Act(seqs[bot], [chance.choice([speed, speed, *others])]))
        if fixture.zone.world.tick % 100 == 50:
            bots.pop(chance.randrange(len(bots))).sock.shutdown(socket.SHUT_RDWR)
            await a_bot(f"bot of tick {fixture.zone.world.tick}")
        fixture.clock.now += 0.05
        fixture.tick()
        await asyncio.sleep(0)
        if fixture.zone.world.tick % 20 == 0:
            await ann.until("ticked", lambda line: int(line[0]) >= fixture.zone.world.tick - 20)
    await ann.until("ticked", lambda line: int(line[0]) == fixture.zone.world.tick)
    facts = json.loads(ann.ask("facts"))
    assert facts["hashes"] >= TICKS
    assert (facts["slot"], facts["deflated"]) == (fixture.zone.world.holders.index("ann"), rules is Coinrush)
    assert json.loads(ann.ask("state")) == world_of(fixture)
    assert [line[1] for line in ann.told("ticked")].count("True") == 1
    gone = {line[2] for line in ann.told("left") if line[1] == "player"}
    assert len(gone) == TICKS // 100
    ann.do("dispose")
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)


async def test_all_actions_of_a_tick_leave_as_one_packet(driver: Driver, open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=5)
    ann = driver.join(f"127.0.0.1:{server.port}", name="ann", deflate=0)
    await ann.until("joined")
    for text in range(20):
        ann.act("say", f"text {text}")
    await until(lambda: len(ann.told("done")) == 20)
    # HELLO, PING, the first action, and the others: an ACT has at most 16.
    counters = server.stats()
    assert counters.actions_in_total == 20
    assert counters.packets_in_total <= 10
    ann.do("dispose")


async def test_it_is_refused_with_the_code_and_the_text(driver: Driver, open_server: OpenServer) -> None:
    secret = b"a secret of the tests"
    server = await open_server(Plaza, hz=100, max_players=1, secret=secret)
    address = f"127.0.0.1:{server.port}"

    def ticket(name: str) -> str:
        return ticket_to_text(issue_ticket(secret, name, "plaza", int(time.time()) + 60, random.randbytes(16)))

    ann = driver.join(address, name="ann", ticket=ticket("ann"))
    await ann.until("joined")
    cases = {
        "BAD_NAME": {"name": " ann", "ticket": ticket(" ann")},
        "BAD_TICKET": {"name": "bob", "ticket": ticket("ann")},
        "GAME_VERSION": {"name": "bob", "version": "another"},
        "SERVER_FULL": {"name": "bob", "ticket": ticket("bob")},
    }
    for code, options in cases.items():
        refused = driver.join(address, **options)
        assert (await refused.until("closed"))[:2] == [code, str(code == "SERVER_FULL")]
        assert not refused.told("joined")
        refused.do("forget")
    ann.do("dispose")


class Harsh(Rules):
    """Throws out whoever asks for it."""

    @action
    def say(self, player: Player, text: Annotated[str, Text(40)]) -> None: ...

    @action
    def steal(self, player: Player) -> None:
        player.kick("THIEF", "the guards saw it")


async def test_it_is_kicked_and_replaced_and_does_not_come_back(driver: Driver, open_server: OpenServer) -> None:
    server = await open_server(Harsh, hz=100)
    ann, bob = (driver.join(f"127.0.0.1:{server.port}", name=name) for name in ("ann", "bob"))
    await ann.until("joined")
    await bob.until("joined")
    ann.act("steal")
    assert await ann.until("closed") == ["THIEF", "False", "the guards saw it"]
    await bob.until("left", lambda line: line[2] == "ann")
    async with client.connect("127.0.0.1", server.port, name="bob"):
        assert (await bob.until("closed"))[:2] == ["REPLACED", "False"]
    assert not ann.told("dropped") + bob.told("dropped")
    # What is done after the end is answered, too.
    bob.act("steal")
    assert (await bob.until("done"))[1:3] == ["Lost", "REPLACED"]


async def test_an_exception_of_a_handler_reaches_the_program_and_nothing_is_lost(
    driver: Driver, open_server: OpenServer
) -> None:
    server = await open_server(Harsh, hz=100)
    ann = driver.join(f"127.0.0.1:{server.port}", name="ann")
    await ann.until("joined")
    for text in ("throw", "again"):
        ann.act("say", text)
    await ann.until("heard", lambda line: line[2] == '["again"]')
    assert ann.told("thrown") == [["a handler of the program"]]
    assert [line[1] for line in ann.told("done")][:1] == ["Happened"]
    ann.do("dispose")


async def test_act_refuses_a_kind_that_is_null(driver: Driver, open_server: OpenServer) -> None:
    server = await open_server(Harsh, hz=100)
    ann = driver.join(f"127.0.0.1:{server.port}", name="ann")
    await ann.until("joined")
    assert driver.ask("?client null", ann.name) == ["failed", "the kind of an action is a string, and not null"]
    ann.do("dispose")


async def test_it_watches_without_a_player(driver: Driver, open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=100)
    eye = driver.join(f"127.0.0.1:{server.port}", watch=1)
    assert (await eye.until("joined"))[0] == "-1"
    async with client.connect("127.0.0.1", server.port, name="bob") as bob:
        await eye.until("entered", lambda line: line[2] == "bob")
        bob.act("say", "hello")
        assert await eye.until("heard") == ["say", "bob", '["hello"]']
        eye.do("drop")
        assert (await eye.until("back"))[0] == "True"
    await eye.until("left", lambda line: line[1:] == ["player", "bob", "False"])
    eye.do("close")
    await eye.until("closed")


async def test_it_joins_by_tls_if_it_trusts_the_certificate(
    driver: Driver, open_server: OpenServer, tmp_path: Path
) -> None:
    pki = issue_pki(tmp_path)
    server = await open_server(Plaza, hz=100, tls_cert=pki.cert, tls_key=pki.key)
    der = ssl.PEM_cert_to_DER_cert(Path(pki.cert).read_text())
    fingerprint = hashlib.sha1(der).hexdigest().upper()
    ann = driver.join(f"tls://127.0.0.1:{server.port}", name="ann", certificate=fingerprint)
    await ann.until("joined")
    ann.act("say", "hello")
    await ann.until("done", lambda line: line[1] == "Happened")
    ann.do("drop")
    assert (await ann.until("back"))[0] == "True"
    ann.do("close")
    await ann.until("closed", lambda line: line[0] == "CLIENT_LEFT")
    web = driver.join(f"wss://127.0.0.1:{server.port}", name="web", certificate=fingerprint)
    await web.until("joined")
    web.do("dispose")
    for scheme in ("tls", "wss"):
        eve = driver.join(f"{scheme}://127.0.0.1:{server.port}", name="eve", certificate="00")
        code, _, text = await eve.until("closed")
        assert code == "CONNECTION_LOST"
        (_, cause) = text.split(f"no TLS with 127.0.0.1:{server.port} (is its certificate trusted?): ")
        assert cause
    plain = driver.join(f"tcp://127.0.0.1:{server.port}", name="dan")
    assert "requires TLS" in (await plain.until("closed"))[2]


async def test_the_sample_scene_walks(driver: Driver, open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=20)
    async with client.connect("127.0.0.1", server.port, name="bob", leave_timeout=0):
        driver.tell("scene", f"127.0.0.1:{server.port}", 2)
        scene = CSharpClient(driver, "scene")
        await scene.until("walked", lambda _: True)
