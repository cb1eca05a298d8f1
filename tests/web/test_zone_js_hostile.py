"""How zone.js bears a server that lies, and a program that errs."""

from __future__ import annotations

import json

import pytest
from helpers.node import Node
from helpers.paths import ROOT
from helpers.zone_js import run


def test_throwing_callback_disturbs_nobody(node: Node) -> None:
    assert run(
        node,
        """
        const [zone, first] = await join();
        const heard = [], failures = [], note = (error) => failures.push(error.message);
        const { queueMicrotask } = globalThis;
        globalThis.queueMicrotask = (callback) => { try { callback(); } catch (error) { note(error); } };
        zone.on("tick", () => { throw new Error("mine"); });
        const off = zone.on("tick", ({ tick }) => heard.push(tick));
        first.frame(zonejs, 101);
        off();
        first.frame(zonejs, 102);
        globalThis.queueMicrotask = queueMicrotask;
        await zone.close();
        return [heard, failures, zone.tick];
        """,
    ) == [[101], ["mine", "mine"], 102]


def test_callback_that_is_added_in_a_callback_waits_for_the_next_event(node: Node) -> None:
    assert run(
        node,
        """
        const [zone, first] = await join();
        const heard = [];
        const once = () => {
            const off = zone.on("tick", ({ tick }) => {
                off();
                heard.push(tick);
                if (heard.length < 100) once();
            });
        };
        once();
        // A callback that another one takes off is not called any more.
        zone.on("tick", () => last());
        const last = zone.on("tick", () => heard.push("last"));
        first.frame(zonejs, 101);
        first.frame(zonejs, 102);
        await zone.close();
        return heard;
        """,
    ) == [101, 102]


def test_actions_beyond_255_without_an_outcome_are_refused_and_none_is_taken_for_another(node: Node) -> None:
    sent, outcomes, refused, again = run(
        node,
        """
        const [zone, first] = await join();
        const outcomes = Array.from({ length: 300 }, (_, i) =>
            zone.done(zone.act("say", String(i))).then(String, ({ code }) => code));
        await until(() => first.sent.length === 2 + 16);
        const sent = first.sent.slice(2).map((payload) => read(payload)[2].length).reduce((one, other) => one + other);
        first.tell(zonejs, 20, 101, 101, "MUTED", "too fast");
        first.frame(zonejs, 101, { events: Array.from({ length: 100 }, (_, i) => [0, i + 1, "say", ""]) });
        first.tell(zonejs, 20, 102, 255, "UNMUTED", "");
        first.frame(zonejs, 102);
        // The low byte of the next one is that of an action that was refused.
        const next = zone.act("say", "again"), done = zone.done(next);
        await until(() => first.sent.length === 2 + 17);
        first.frame(zonejs, 103, { events: [[0, next & 255, "say", "again"]] });
        const again = [next, String(await done)], counts = {};
        for (const [index, outcome] of (await Promise.all(outcomes)).entries()) (counts[outcome] ??= []).push(index);
        const ends = Object.entries(counts).map(([code, found]) => [code, found[0], found.at(-1), found.length]);
        const refused = told.filter(([event, code]) => code === "TOO_MANY_ACTIONS").length;
        await zone.close();
        return [sent, ends, refused, again];
        """,
    )
    assert (sent, refused, again) == (255, 45, [301, "undefined"])
    assert sorted(outcomes) == [["MUTED", 100, 254, 155], ["TOO_MANY_ACTIONS", 255, 299, 45], ["undefined", 0, 99, 100]]


def test_limits_that_let_nothing_through_are_refused(node: Node) -> None:
    assert (
        run(
            node,
            """
        const outcomes = [];
        for (const limits of [[1024, 0], [0, 16], [-1, 16], [1024, -1]]) {
            FakeSocket.all = [];
            outcomes.push((await join({}, { limits }).catch((error) => error)).code);
        }
        return outcomes;
        """,
        )
        == ["PROTOCOL_ERROR"] * 4
    )


def test_action_too_large_for_new_limits_is_refused_and_the_others_are_sent_again(node: Node) -> None:
    assert run(
        node,
        """
        const [zone, first] = await join();
        const large = zone.act("say", "x".repeat(900)), small = zone.act("say", "y");
        const why = zone.done(large).catch((error) => error.code);
        first.lose();
        const second = await FakeSocket.next(2);
        second.welcome(zonejs, { tick: 101, limits: [512, 1] });
        second.frame(zonejs, 101);
        await until(() => second.sent.length === 3);
        second.frame(zonejs, 102, { events: [[0, small, "say", "y"]] });
        await zone.close();
        return [await why, read(second.sent[2])];
        """,
    ) == ["AWAY", [2, 2, [["say", "y"]]]]


def test_private_messages_ahead_of_their_frames_are_bounded_and_hold_up_no_outcome(node: Node) -> None:
    assert run(
        node,
        """
        const [zone, first] = await join(), seq = zone.act("say", "x");
        first.tell(zonejs, 23, 200, "whisper", ["soon"]);
        first.frame(zonejs, 101, { events: [[0, seq, "say", "x"]] });
        const ends = [(await zone.done(seq)) ?? "happened", zone.state];
        const large = "x".repeat(60_000);
        let ticks = 101;
        while (zone.state === "playing" && ++ticks < 150) {
            first.tell(zonejs, 23, 1000, "whisper", [large]);
            first.tell(zonejs, 23, 1001, "whisper", [large]);
            first.frame(zonejs, ticks);
        }
        ends.push(ticks, told.at(-1));
        FakeSocket.all = [];
        const [other, second] = await join();
        second.tell(zonejs, 23, 2 ** 40, "whisper", ["far"]);
        return [...ends, other.state];
        """,
    ) == ["happened", "playing", 136, ["closed", "PROTOCOL_ERROR"], "closed"]


@pytest.mark.parametrize(("seconds", "longest"), [(1, [250, 500, 1000, 2000]), (6, [250, 250, 250, 250])])
def test_attempts_grow_rarer_unless_a_connection_holds_for_some_seconds(
    node: Node, seconds: int, longest: list[int]
) -> None:
    assert (
        run(
            node,
            f"""
        const {{ setTimeout, performance }} = globalThis, waits = [];
        Math.random = () => 1;
        let ahead = 0;
        globalThis.performance = {{ now: () => performance.now() + ahead }};
        globalThis.setTimeout = (callback, ms) => {{
            if (ms >= 250 && ms <= 8000) waits.push(ms);
            return setTimeout(callback, ms === 10_000 ? ms : 0);
        }};
        try {{
            const [zone] = await join();
            for (let count = 1; count <= 4; count++) {{
                ahead += {seconds * 1000};
                FakeSocket.last.tell(zonejs, 19, 1, 101, 0);
                FakeSocket.last.lose();
                const next = await FakeSocket.next(count + 1);
                next.welcome(zonejs);
                next.snapshot(zonejs);
            }}
            const found = [...waits];
            await zone.close();
            return found;
        }} finally {{
            Object.assign(globalThis, {{ setTimeout, performance }});
        }}
        """,
        )
        == longest
    )


def test_copy_that_is_wrong_twice_in_a_row_ends_the_connection(node: Node) -> None:
    assert run(
        node,
        """
        const [zone, first] = await join();
        first.frame(zonejs, 101, { hash: 1 });
        const second = await FakeSocket.next(2), right = told[0][1].found;
        second.welcome(zonejs, { tick: 102 });
        second.snapshot(zonejs, 102);
        second.frame(zonejs, 103, { hash: right });
        second.frame(zonejs, 104, { hash: 1 });
        const third = await FakeSocket.next(3), states = [zone.state];
        third.welcome(zonejs, { tick: 105 });
        third.snapshot(zonejs, 105);
        third.frame(zonejs, 106, { hash: 1 });
        return [...states, zone.state, told.filter(([event]) => event === "diverged").length, told.at(-1)];
        """,
    ) == ["away", "closed", 3, ["closed", "DIVERGED"]]


def test_things_that_leave_keep_their_stats_and_make_them_once_somebody_asks(node: Node) -> None:
    assert run(
        node,
        """
        const [zone, first] = await join(), { fromEntries } = Object;
        let made = 0;
        first.frame(zonejs, 101, { joins: Array.from({ length: 500 }, (_, i) => [i + 1, i % 2 ? 1 : `p${i}`]).flat() });
        const coin = zone.thing(2), player = zone.player(1), entities = [...zone.things, ...zone.players].length;
        Object.fromEntries = (pairs) => (made++, fromEntries(pairs));
        try {
            first.frame(zonejs, 102, { leaves: Array.from({ length: 500 }, (_, i) => i + 1) });
        } finally {
            Object.fromEntries = fromEntries;
        }
        const left = told.filter(([event]) => event === "leave").length;
        await zone.close();
        return [entities, made, left, coin.isPresent, coin.stats, player.stats, player.name];
        """,
    ) == [501, 0, 250, False, {"worth": 1}, {"hp": 100}, "p0"]


def test_server_that_welcomes_and_never_sends_the_zone_is_given_up(node: Node) -> None:
    found = run(
        node,
        """
        const { setTimeout } = globalThis;
        globalThis.setTimeout = (callback, ms) => setTimeout(callback, ms === 10_000 ? 20 : ms);
        try {
            const joined = connect("ws://x", { name: "ann", WebSocket: FakeSocket }).catch((error) => error);
            const socket = await FakeSocket.next(1);
            socket.welcome(zonejs);
            socket.tell(zonejs, 19, 1, 100, 0);
            const { code, text } = await joined;
            // A zone that is there is not given up, although no frame comes.
            FakeSocket.all = [];
            const [zone] = await join();
            await new Promise((resolve) => setTimeout(resolve, 30));
            const { state } = zone;
            await zone.close();
            return [code, text, state];
        } finally {
            globalThis.setTimeout = setTimeout;
        }
        """,
    )
    text = "no state of the zone from ws://x/ within 10 s"
    assert found == ["CONNECTION_LOST", text, "playing"]


def test_bytes_of_a_hostile_server_end_the_connection_and_nothing_else(node: Node) -> None:
    path = json.dumps(str(ROOT / "tests/vectors.json"))
    refused, taken, raised = run(
        node,
        f"""
        const {{ readFileSync }} = await import("node:fs"), vectors = JSON.parse(readFileSync({path}));
        const steps = vectors.chains.flatMap((chain) => chain.steps);
        const messages = [...vectors.messages.filter(({{ from }}) => from === "server"), ...steps];
        const payloads = messages.map(({{ hex }}) => new Uint8Array(Buffer.from(hex, "hex")));
        const counts = {{ refused: 0, taken: 0 }}, raised = [];
        let seed = 15;
        const random = (below) => (seed = (seed * 48271) % 0x7fffffff) % below;
        for (let i = 0; i < 1500; i++) {{
            const joined = connect("ws://x", {{ name: "ann", WebSocket: FakeSocket }}).catch((error) => error);
            const socket = FakeSocket.last;
            if (i % 4) {{
                socket.welcome(zonejs, {{ options: ["resume", "deflate"], tick: 60 }});
                socket.snapshot(zonejs, 60);
            }}
            const payload = payloads[random(payloads.length)].slice();
            for (let flips = random(4); flips > 0; flips--) payload[random(Math.min(payload.length, 80))] = random(256);
            try {{
                socket.onmessage({{ data: payload.buffer }});
                counts[socket.readyState === 3 ? "refused" : "taken"]++;
                if (socket.readyState !== 3) socket.tell(zonejs, 21, "OVER", "", false);
                const zone = await joined;
                if (zone instanceof zonejs.Zone) {{
                    zone.positions(zone.now(), [], []);
                    raised.push(...zone.players.map((player) => player.stats.hp).filter((hp) => !Number.isInteger(hp)));
                    await zone.close();
                }}
            }} catch (error) {{
                raised.push([error.stack, payload]);
            }}
        }}
        return [counts.refused, counts.taken, raised.slice(0, 3)];
        """,
    )
    assert raised == []
    assert min(refused, taken) > 100
