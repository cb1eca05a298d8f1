"""What one client alone is sent: told and answered ahead of the frame, and watchers, who have no player."""

from __future__ import annotations

from typing import ClassVar

import pytest
from helpers.gateway_fixture import GatewayFixture, OpenGateway
from helpers.raw_client import Client
from helpers.waiting import until

from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.messages import (
    PROTOCOL_VERSION,
    WATCH,
    Act,
    Answered,
    Goodbye,
    Hello,
    Ping,
    Pong,
    Refusal,
    Tick,
    Told,
)
from zoneserver.zone.rules import Player, Rules, action


class Court(Rules):
    version = "3"
    board: ClassVar = {"match": 1}

    def on_join(self, player: Player) -> None:
        player.tell("welcome", player.name)

    @action(private=True)
    def whisper(self, player: Player, other: Player, text: str) -> str:
        other.tell("whisper", player.slot, text)
        return "told"


async def entered(node: GatewayFixture, hello: Hello) -> Client:
    """Connects a client whose request the zone has answered. The client has read nothing yet."""
    client = await node.connect()
    before = node.gateway.counters.packets_in_total
    await client.say(hello)
    await until(lambda: node.gateway.counters.packets_in_total > before)
    node.tick()
    return client


def hello(name: str, *options: str, version: str = "") -> Hello:
    return Hello(PROTOCOL_VERSION, name, b"", options, version)


async def test_a_word_of_on_join_comes_behind_the_snapshot(open_gateway: OpenGateway) -> None:
    client = await entered(await open_gateway(Court), hello("ann"))
    welcome, snapshot = await client.welcomed()
    node_told = await client.read()
    assert node_told == Told(snapshot.tick, "welcome", ("ann",))
    assert (welcome.zone.version, welcome.zone.board) == ("3", (("match", 1),))


async def test_told_and_answered_come_ahead_of_the_frame_and_to_one_alone(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Court)
    clients = [await node.join(name) for name in ("ann", "bob", "cid")]
    ann, bob, cid = clients
    for client in clients:
        await client.read_a(Told)
    before = node.gateway.counters.packets_in_total
    await ann.say(Act(1, [("whisper", 1, "psst"), ("whisper", 9, "psst")]))
    await until(lambda: node.gateway.counters.packets_in_total > before)
    node.tick()
    tick = node.gateway.broadcaster.tick
    for client, expected in (
        (
            ann,
            [
                Refusal(tick, 2, "NO_TARGET", "whisper(other): there is no player in slot 9"),
                Answered(tick, 1, ("told",)),
            ],
        ),
        (bob, [Told(tick, "whisper", (0, "psst"))]),
        (cid, []),
    ):
        heard: list[object] = []
        while not (isinstance(message := await client.read(), Tick) and message.tick == tick):
            heard += [message] if not isinstance(message, Tick) else []
        assert heard == expected
        assert message.events == ()


async def test_a_watcher_gets_every_frame_and_no_slot(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Court)
    player = await node.join("ann")
    watcher = await entered(node, hello("ann", WATCH))
    welcome, snapshot = await watcher.welcomed()
    assert (welcome.slot, welcome.options, snapshot.holders) == (None, (WATCH,), ["ann"])
    assert (node.gateway.players_count, node.gateway.watchers_count) == (1, 1)
    node.tick()
    assert (await watcher.read_a(Tick)).tick == snapshot.tick + 1
    await watcher.say(Ping(5))
    pong = await watcher.read_a(Pong)
    assert (pong.token, pong.tick) == (5, snapshot.tick + 1)
    await watcher.say(Goodbye())
    assert (await watcher.ended()).code == CloseReason.CLIENT_LEFT
    node.tick()
    assert (node.gateway.players_count, node.gateway.watchers_count) == (1, 0)
    assert list(node.zone.rules.players) == [0]
    await player.say(Ping(1))


async def test_a_watcher_who_acts_breaks_the_protocol(open_gateway: OpenGateway) -> None:
    watcher = await entered(await open_gateway(Court), hello("eve", WATCH))
    await watcher.welcomed()
    await watcher.say(Act(1, [("whisper", 0, "boo")]))
    bye = await watcher.ended()
    assert (bye.code, bye.text) == (CloseReason.PROTOCOL_ERROR, "ACT while in watching")


async def test_watchers_are_bounded(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Court)
    node.zone.attendance.registry._watchers_max = 1
    first = await entered(node, hello("eve", WATCH))
    await first.welcomed()
    bye = await (await entered(node, hello("eve", WATCH))).ended()
    assert (bye.code, bye.text) == (CloseReason.SERVER_FULL, "the zone has no room for another watcher")
    await first.say(Goodbye())
    await first.ended()
    await (await entered(node, hello("eve", WATCH))).welcomed()


@pytest.mark.parametrize(("asked", "code"), [("", None), ("3", None), ("4", "GAME_VERSION"), ("3 ", "GAME_VERSION")])
async def test_a_client_may_insist_on_a_version_of_the_game(
    open_gateway: OpenGateway, asked: str, code: str | None
) -> None:
    client = await entered(await open_gateway(Court), hello("ann", version=asked))
    if code is None:
        await client.welcomed()
    else:
        bye = await client.ended()
        assert (bye.code, bye.retry) == (code, False)
        assert bye.text == f"this server runs version '3' of the game, the client asks for {asked!r}"
