"""zone.js in Node, against whole servers."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
from pathlib import Path
from typing import Annotated, Any, ClassVar

import zoneclient
from helpers.loops import one_loop
from helpers.node import Node
from helpers.relay import Cut, Relay
from helpers.servers import OpenServer

from zoneserver import Player, Refused, Rules, Speed, Text, action

# The client is a process of its own: the loop of the server has its own tests.
pytestmark = one_loop


class Fair(Rules):
    """Uses what a client may meet: things, the board, private answers, messages to one player, kicks."""

    width, height = 1_000, 1_000
    stats: ClassVar = {"gold": 3}
    kinds: ClassVar = {"coin": {"worth": 2}}
    board: ClassVar = {"sold": 0, "motto": "é"}

    def on_join(self, player: Player) -> None:
        player.place(500, 400)

    @action
    def walk(self, player: Player, vx: Speed, vy: Speed) -> None:
        player.move(vx, vy)

    @action
    def say(self, player: Player, text: Annotated[str, Text(200)]) -> None: ...

    @action
    def drop(self, player: Player, worth: int) -> None:
        """Its kind is the name of an event of the client."""
        if player["gold"] < worth:
            raise Refused("TOO_POOR", f"you have {player['gold']}")
        player["gold"] -= worth
        self.board["sold"] += worth
        self.board["motto"] = player.name
        self.spawn("coin", 10, 20, worth=worth)

    @action(private=True)
    def double(self, player: Player, number: int) -> tuple[int, str]:
        return number * 2, "twice"

    @action
    def whisper(self, player: Player, other: Player, text: Annotated[str, Text(40)]) -> None:
        other.tell("whisper", player.slot, text)

    @action
    def steal(self, player: Player) -> None:
        player.kick("THIEF", "the guards saw it")


BEGIN = """
    const told = (globalThis.told = []), short = (value) => value?.code ?? value?.name ?? value;
    const join = async (port, name, options = {}) => {
        const zone = (globalThis.zone = await zonejs.connect(`http://127.0.0.1:${port}`, { name, ...options }));
        for (const event of ["join", "leave", "told", "refused", "drop", "back", "closed", "diverged"])
            zone.on(event, (...values) => told.push([event, ...values.map(short)]));
        return zone;
    };
    const until = (zone, look) => new Promise((resolve) => {
        const off = zone.on("tick", () => look() && (off(), resolve()));
    });
"""


async def test_player_acts_and_sees_what_all_see(node: Node, open_server: OpenServer) -> None:
    server = await open_server(Fair, hz=100)
    found = await node.run(
        BEGIN
        + f"""
        const ann = await join({server.port}, "ann"), address = "ws://127.0.0.1:{server.port}";
        const bob = await zonejs.connect(address, {{ name: "bob" }}), {{ slot, hz, width, stats, kinds, board }} = ann;
        const facts = [slot, ann.game.name, hz, width, stats, kinds, board, ann.isDeflated, ann.state];
        const all = [], heard = [];
        ann.on("*", (kind, player, ...values) => all.push([kind, player?.name, ...values]));
        ann.on("say", (player, text) => heard.push([player === ann.find("bob"), text]));
        const done = (zone, ...words) => zone.done(zone.act(...words)).catch(({{ code, text }}) => [code, text]);
        const walks = [ann.act("walk", 3, 0), ann.act("walk", 4, -4)];
        const results = [
            ...await Promise.all(walks.map((seq) => ann.done(seq))), ann.me.vx, ann.me.vy,
            await done(ann, "drop", 2), await done(ann, "drop", 2), await done(ann, "double", 21),
            await done(bob, "whisper", ann.slot, "psst"), await done(bob, "say", "hallo 🌍"),
            await done(ann, "whisper", 99, ""), JSON.parse((await done(ann, "/game.json"))[0]).name,
        ];
        const late = await ann.done(walks[1]), never = await ann.done(999).catch((error) => error.name);
        await bob.close();
        await until(ann, () => !ann.find("bob"));
        const [coin] = ann.things;
        const state = [ann.board, ann.me.stats, coin.kind, coin.x, coin.y, coin.stats, ann.players.length];
        await until(ann, () => ann.hashesChecked);
        await ann.ping();
        const rtt = ann.rtt > 0 && ann.rtt < 30_000, at = ann.now();
        const {{ x, y }} = ann.me, drawn = ann.position(ann.slot, ann.tick);
        const place = [Math.abs(drawn[0] - x) < 1, Math.abs(drawn[1] - y) < 1];
        await ann.close();
        return {{ facts, results, late: late ?? "happened", never, all, heard, told, state, rtt,
            is_near: Math.abs(at - ann.tick) < 100, place, closed: [ann.state, bob.state] }};
        """
    )
    kinds = {"coin": ["worth"]}
    assert found["facts"] == [
        0, "fair", 100, 1000, ["gold"], kinds, {"sold": 0, "motto": "é"}, True, "playing"
    ]  # fmt: skip
    walked, steps = found["results"][:2], found["results"][2:]
    assert walked == [None, None]
    assert steps == [
        4, -4, None, ["TOO_POOR", "you have 1"], [42, "twice"], None, None, ["NO_TARGET", steps[-2][1]], "fair"
    ]  # fmt: skip
    assert (found["late"], found["never"]) == ("happened", "RangeError")
    assert found["all"] == [["drop", "ann", 2], ["whisper", "bob", 0, "psst"], ["say", "bob", "hallo 🌍"]]
    assert found["heard"] == [[True, "hallo 🌍"]]
    assert found["told"] == [
        *[["join", "bob"]] * (["join", "bob"] in found["told"]),
        ["refused", "TOO_POOR"],
        ["told", "whisper", [1, "psst"]],
        ["refused", "NO_TARGET"],
        ["leave", "bob"],
        ["closed", "CLIENT_LEFT"],
    ]
    assert found["state"] == [{"sold": 2, "motto": "ann"}, {"gold": 1}, "coin", 10, 20, {"worth": 2}, 1]
    assert (found["rtt"], found["is_near"], found["place"]) == (True, True, [True, True])
    assert found["closed"] == ["closed", "closed"]


async def test_nothing_is_lost_or_doubled_over_cut_connections(
    node: Node, open_server: OpenServer, cleanup: contextlib.AsyncExitStack
) -> None:
    server = await open_server(Fair, hz=100)
    chance = random.Random(15)
    cuts = [Cut(bool(number % 2), chance.randrange(250, 2_000)) for number in range(12)]
    relay = await Relay(server.port, cuts).open(cleanup)
    bob = await cleanup.enter_async_context(zoneclient.connect("127.0.0.1", server.port, name="bob"))
    asked = node.ask(
        BEGIN
        + f"""
        const chance = Math.random;
        Math.random = () => 0.02; // It comes back soon.
        const zone = await join({relay.port}, "ann", {{ whole: true }}), heard = [], fates = [], slot = zone.slot;
        zone.on("say", (player, text) => heard.push(text));
        for (let i = 0; i < 150; i++) {{
            fates.push(zone.done(zone.act("say", String(i))).then((fate) => fate ?? String(i), (error) => error.code));
            if (i % 10 === 0) zone.act("walk", (i % 20) - 10, 3);
            await new Promise((resolve) => setTimeout(resolve, 5));
        }}
        const known = await Promise.all(fates);
        await zone.done(zone.act("say", "end"));
        await until(zone, () => zone.hashesChecked > 1);
        await zone.close();
        Math.random = chance;
        return {{ heard, known, slot: slot === zone.slot, told }};
        """
    )
    said: list[Any] = []
    async for update in bob:
        said += [event.values[0] for event in update.events if event.kind == "say"]
        if "end" in said:
            break
    found = await asyncio.wrap_future(asked)
    assert [each for each in found["known"] if each != "AWAY"] == said[:-1]
    assert sorted(said[:-1], key=int) == said[:-1]
    assert len(said) > 100
    assert found["slot"]
    assert found["heard"] == said
    returns = [each for each in found["told"] if each[0] in {"drop", "back"}]
    assert len(returns) >= 12
    assert returns == [["drop", "CONNECTION_LOST"], ["back", {"resumed": True, "missed": 0}]] * (len(returns) // 2)


async def test_player_comes_back_to_a_server_that_was_killed_and_to_one_that_knows_nothing(
    node: Node, open_server: OpenServer, cleanup: contextlib.AsyncExitStack, tmp_path: Path
) -> None:
    first = await open_server(Fair, hz=100, journal=str(tmp_path / "journal"))
    relay = await Relay(first.port).open(cleanup)
    await node.run(
        BEGIN
        + f"""
        const zone = await join({relay.port}, "ann");
        await zone.done(zone.act("drop", 1));
        globalThis.back = () => new Promise((resolve) => {{
            const off = zone.on("back", (how) => (off(), resolve(how)));
        }});
        """
    )
    relay.is_closed = True
    relay.reset()
    journal = shutil.copytree(tmp_path / "journal", tmp_path / "of the killed")
    second = await open_server(Fair, hz=100, journal=str(journal))
    relay.server_port = second.port
    asked = node.ask(
        "zone.act('drop', 1); const how = await back();"
        "await zone.done(zone.act('double', 1)); return [how.resumed, zone.slot, zone.me.stats, zone.board.sold];"
    )
    relay.is_closed = False
    # What was done while the connection was lost is not lost.
    assert await asyncio.wrap_future(asked) == [True, 0, {"gold": 1}, 2]
    third = await open_server(Fair, hz=100)
    asked = node.ask(
        "const how = await back(); return [how.resumed, zone.slot, zone.me.stats, zone.board.sold, zone.state];"
    )
    relay.server_port = third.port
    relay.reset()
    assert await asyncio.wrap_future(asked) == [False, 0, {"gold": 3}, 0, "playing"]
    await node.run("await zone.close();")


async def test_player_who_was_replaced_or_kicked_stays_away(node: Node, open_server: OpenServer) -> None:
    server = await open_server(Fair, hz=100)
    kicked = await node.run(
        BEGIN
        + f"""
        const zone = await join({server.port}, "ann");
        const closed = new Promise((resolve) => zone.on("closed", resolve));
        zone.act("steal");
        const {{ code, text, retry }} = await closed;
        return [code, text, retry, zone.state];
        """
    )
    assert kicked == ["THIEF", "the guards saw it", False, "closed"]
    replaced = await node.run(
        BEGIN
        + f"""
        const zone = await join({server.port}, "ann");
        const closed = new Promise((resolve) => zone.on("closed", resolve));
        const newer = await join({server.port}, "ann");
        const {{ code, retry }} = await closed;
        const same = newer.slot === zone.slot;
        await newer.close();
        return [code, retry, zone.state, same];
        """
    )
    assert replaced == ["REPLACED", False, "closed", True]


async def test_watcher_sees_and_cannot_act(node: Node, open_server: OpenServer) -> None:
    server = await open_server(Fair, hz=100)
    async with zoneclient.connect("127.0.0.1", server.port, name="bob") as bob:
        assert await node.run(
            BEGIN
            + f"""
            const zone = await join({server.port}, "", {{ watch: true }});
            let refused;
            try {{ zone.act("say", "hi"); }} catch (error) {{ refused = error.message; }}
            zone.drop();
            await new Promise((resolve) => zone.on("back", resolve));
            const facts = [zone.slot, zone.me ?? null, zone.players.map((player) => player.name), refused];
            await zone.close();
            return facts;
            """
        ) == [None, None, ["bob"], "a watcher has no player, and cannot act"]
        assert bob.slot == 0
