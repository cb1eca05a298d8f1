"""How zone.js comes back, against a server that the test plays by hand."""

from __future__ import annotations

import pytest
from helpers.node import Node
from helpers.zone_js import run


def test_return_asks_for_what_was_missed_and_sends_again_what_the_zone_has_not_taken(node: Node) -> None:
    found = run(
        node,
        """
        const [zone, first] = await join();
        const done = {}, note = (seq) => zone.done(seq).then(
            (value) => (done[seq] = [value === undefined ? "happened" : value, zone.tick]),
            (error) => (done[seq] = [error.code, zone.tick]));
        for (const text of ["a", "b", "c"]) note(zone.act("say", text));
        await until(() => first.sent.length === 3);
        // Ahead of the frame in which all three happen, and which is lost with the connection.
        first.tell(zonejs, 20, 102, 2, "TOO_LOUD", "");
        first.tell(zonejs, 23, 101, "whisper", ["psst"]);
        first.lose();
        const away = zone.state;
        for (const text of ["d", "e"]) note(zone.act("say", text));
        const second = await FakeSocket.next(2);
        second.welcome(zonejs, { tick: 101, token: 8, seq: 2 });
        second.tell(zonejs, 20, 102, 2, "TOO_LOUD", "");
        second.tell(zonejs, 23, 101, "whisper", ["psst"]);
        second.tell(zonejs, 23, 101, "whisper", ["psst"]);
        second.frame(zonejs, 101);
        await until(() => second.sent.length === 3);
        second.frame(zonejs, 102, { events: [[0, 1, "say", "a"], [0, 3, "say", "c"], [0, 4, "say", "d"]] });
        await until(() => Object.keys(done).length === 4);
        const state = [zone.state, zone.tick, zone.slot];
        zone.drop();
        await zone.close();
        await until(() => done[5]);
        return {
            away, state, told, done, hello: read(first.sent[0]), act: read(first.sent[2]),
            resume: read(second.sent[0]), again: read(second.sent[2]),
        };
        """,
    )
    assert (found["away"], found["state"]) == ("away", ["playing", 102, 0])
    assert found["hello"] == [1, 2, "ann", [], ["deflate", "resume"], ""]
    assert found["act"] == [2, 1, [["say", "a"], ["say", "b"], ["say", "c"]]]
    assert found["resume"] == [5, 2, "ann", [7] * 16, 1, 100, ["deflate", "resume"], ""]
    assert found["again"] == [2, 3, [["say", "c"], ["say", "d"], ["say", "e"]]]
    outcomes = {"1": "happened", "2": "TOO_LOUD", "3": "happened", "4": "happened", "5": "CLIENT_LEFT"}
    # The zone has the state at the end of the tick that told it.
    assert found["done"] == {seq: [outcome, 102] for seq, outcome in outcomes.items()}
    say = [["say", "ann", text] for text in ("a", "c", "d")]
    assert found["told"] == [
        ["drop", "CONNECTION_LOST"],
        ["back", {"resumed": True, "missed": 0}],
        # Each once, although the server has told the first two again.
        ["told", "whisper", ["psst"]],
        ["told", "whisper", ["psst"]],
        ["refused", "TOO_LOUD"],
        *say,
        ["drop", "CONNECTION_LOST"],
        ["closed", "CLIENT_LEFT"],
    ]


def test_actions_that_are_kept_too_long_are_refused_with_away(node: Node) -> None:
    told, reasons = run(
        node,
        """
        const [zone, first] = await join();
        const { setTimeout } = globalThis;
        globalThis.setTimeout = (callback, ms) => setTimeout(callback, ms === 2000 ? 5 : ms);
        try {
            first.lose();
            const seqs = Array.from({ length: 18 }, () => zone.act("say", "hi"));
            const reasons = await Promise.all(seqs.map((seq) => zone.done(seq).catch((error) => error.code)));
            await zone.close();
            return [told, reasons];
        } finally {
            globalThis.setTimeout = setTimeout;
        }
        """,
    )
    assert reasons == ["AWAY"] * 18
    assert told == [["drop", "CONNECTION_LOST"], *[["refused", "AWAY"]] * 18, ["closed", "CLIENT_LEFT"]]


def test_snapshot_after_a_return_tells_who_came_and_went(node: Node) -> None:
    assert run(
        node,
        """
        const [zone, first] = await join();
        first.frame(zonejs, 101, { joins: [1, "bob"] });
        const bob = zone.find("bob");
        first.lose();
        const second = await FakeSocket.next(2);
        second.welcome(zonejs, { tick: 160 });
        second.snapshot(zonejs, 160);
        const facts = [zone.tick, zone.players.map((player) => player.name), bob.isPresent, zone.now() > 100];
        // The server was restarted, and begins at an earlier tick.
        second.lose();
        const third = await FakeSocket.next(3);
        third.welcome(zonejs, { tick: 90, epoch: 2 });
        third.snapshot(zonejs, 90);
        facts.push(zone.tick, zone.now() < 91, read(third.sent[0])[5]);
        await zone.close();
        return [told, facts];
        """,
    ) == [
        [
            ["join", "bob"],
            ["drop", "CONNECTION_LOST"],
            ["back", {"resumed": True, "missed": 59}],
            ["leave", "bob"],
            ["drop", "CONNECTION_LOST"],
            ["back", {"resumed": True, "missed": 0}],
            ["closed", "CLIENT_LEFT"],
        ],
        [160, ["ann"], False, True, 90, True, 160],
    ]


def test_failed_resume_is_followed_by_a_hello(node: Node) -> None:
    assert run(
        node,
        """
        const [zone, first] = await join();
        const seq = zone.act("say", "lost");
        first.lose();
        const second = await FakeSocket.next(2);
        second.tell(zonejs, 21, "RESUME_FAILED", "gone", true);
        const third = await FakeSocket.next(3);
        third.welcome(zonejs, { slot: 0, tick: 200 });
        third.snapshot(zonejs, 200);
        const why = await zone.done(seq).catch((error) => error.code);
        const act = zone.act("say", "again");
        await until(() => third.sent.length === 3);
        const sent = [read(second.sent[0])[0], read(third.sent[0]).slice(0, 3), read(third.sent[2])];
        third.frame(zonejs, 201, { events: [[0, act, "say", "again"]] });
        await zone.close();
        return [why, sent, told];
        """,
    ) == [
        "AWAY",
        [5, [1, 2, "ann"], [2, 2, [["say", "again"]]]],
        [
            ["drop", "CONNECTION_LOST"],
            ["refused", "AWAY"],
            ["back", {"resumed": False, "missed": 100}],
            ["say", "ann", "again"],
            ["closed", "CLIENT_LEFT"],
        ],
    ]


def test_wrong_hash_asks_for_the_whole_zone_and_keeps_the_slot(node: Node) -> None:
    assert run(
        node,
        """
        const [zone, first] = await join();
        first.tell(zonejs, 23, 101, "whisper", ["once"]);
        first.frame(zonejs, 101);
        first.frame(zonejs, 102, { hash: 1 });
        const second = await FakeSocket.next(2);
        second.welcome(zonejs, { tick: 103 });
        second.tell(zonejs, 23, 101, "whisper", ["once"]);
        second.tell(zonejs, 23, 103, "whisper", ["later"]);
        second.snapshot(zonejs, 103);
        const facts = [read(second.sent[0])[5], zone.state, zone.tick, zone.hashesChecked];
        await zone.close();
        return [told.map((each) => each.slice(0, 1).concat(each[0] === "told" ? each.slice(1) : [])), facts];
        """,
    ) == [
        [["told", "whisper", ["once"]], ["diverged"], ["drop"], ["back"], ["leave"], ["join"],
         ["told", "whisper", ["later"]], ["closed"]],
        [0, "playing", 103, 0],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sends", "code"),
    [
        ('first.tell(zonejs, 21, "REPLACED", "", false)', "REPLACED"),
        ('first.tell(zonejs, 21, "THIEF", "the guards saw it", false)', "THIEF"),
        ('first.onmessage({ data: "text" })', "PROTOCOL_ERROR"),
        ("first.welcome(zonejs)", "PROTOCOL_ERROR"),
        ("first.frame(zonejs, 102)", "PROTOCOL_ERROR"),
        ("first.tell(zonejs, 19, 1)", "PROTOCOL_ERROR"),
        ("first.tell(zonejs, 22, new Uint8Array(3))", "PROTOCOL_ERROR"),
        # It comes back to another slot.
        ("first.lose(); (await FakeSocket.next(2)).welcome(zonejs, { slot: 1 })", "PROTOCOL_ERROR"),
        ('first.lose(); (await FakeSocket.next(2)).tell(zonejs, 21, "BAD_TICKET", "", false)', "BAD_TICKET"),
    ],
)
def test_client_stays_away_for_good(node: Node, sends: str, code: str) -> None:
    found = run(
        node,
        f"""
        const [zone, first] = await join();
        const waits = [zone.done(zone.act("say", "x")), zone.ping()];
        {sends};
        const reasons = await Promise.all(waits.map((each) => each.catch((error) => [error.name, error.code])));
        const count = FakeSocket.all.length;
        await new Promise((resolve) => setTimeout(resolve, 5));
        try {{ zone.act("say", "y"); }} catch (error) {{ reasons.push(error.code); }}
        return [reasons, told.at(-1), zone.state, FakeSocket.all.length === count];
        """,
    )
    assert found == [[["ZoneClosed", code], ["ZoneClosed", code], code], ["closed", code], "closed", True]


def test_connect_rejects_what_the_server_refuses(node: Node) -> None:
    assert run(
        node,
        """
        const joined = connect("https://server.example/game", { name: "ann", WebSocket: FakeSocket, resume: false });
        const socket = await FakeSocket.next(1);
        socket.tell(zonejs, 21, "SERVER_FULL", "no room", true);
        const { name, code, text, retry } = await joined.catch((error) => error);
        const nameless = await connect("ws://x", {}).catch((error) => error.name);
        const tickets = [];
        for (const ticket of ["\N{SNOWMAN}", "%%%", "abcde"]) {
            const { name, message } = await connect("ws://x", { name: "ann", ticket }).catch((error) => error);
            tickets.push([name, message]);
        }
        const { url, protocols, sent } = socket, count = FakeSocket.all.length;
        const foreign = tickets.filter(([name, message]) => name === "TypeError" && message.startsWith("the ticket"));
        return [name, code, text, retry, url, protocols, count, nameless, read(sent[0])[4], foreign.length];
        """,
    ) == [
        "ZoneClosed",
        "SERVER_FULL",
        "no room",
        True,
        "wss://server.example/game",
        "zone.2",
        1,
        "TypeError",
        ["deflate"],
        3,
    ]


def test_actions_of_one_turn_leave_as_few_packets_and_ahead_of_a_goodbye(node: Node) -> None:
    packets, state = run(
        node,
        """
        const [zone, first] = await join();
        for (let i = 0; i < 20; i++) zone.act("say", "a");
        for (let i = 0; i < 3; i++) zone.act("say", "b".repeat(500));
        const closed = zone.close();
        await until(() => first.sent.length > 3);
        const { length } = first.sent;
        first.frame(zonejs, 101, { events: [[0, 23, "say", "b"]] });
        await closed;
        const packets = first.sent.slice(2).map((payload) => [payload.length, read(payload)]);
        return [packets.map(([size, [op, seq, actions = []]]) => [size <= 1024, op, seq ?? null, actions.length]),
            [length - 2, zone.state]];
        """,
    )
    assert packets == [
        [True, 2, 1, 16], [True, 2, 17, 5], [True, 2, 22, 1], [True, 2, 23, 1], [True, 4, None, 0]
    ]  # fmt: skip
    # The goodbye waits for the fates.
    assert state == [4, "closed"]


def test_session_survives_a_reload(node: Node) -> None:
    assert run(
        node,
        """
        const kept = new Map(), session = {
            getItem: (key) => kept.get(key) ?? null,
            setItem: (key, value) => kept.set(key, value),
            removeItem: (key) => kept.delete(key),
        };
        await join({ session }, { token: 9, epoch: 3, seq: 40 });
        const size = kept.size;
        // The page is loaded anew: nothing is left of it but the storage.
        const again = connect("http://server.example/", { name: "ann", WebSocket: FakeSocket, session });
        const second = await FakeSocket.next(2);
        second.welcome(zonejs, { seq: 41, tick: 500 });
        second.snapshot(zonejs, 500);
        const zone = await again;
        const resume = read(second.sent[0]), seq = zone.act("say", "x");
        const other = connect("http://server.example/", { name: "bob", WebSocket: FakeSocket, session });
        const third = await FakeSocket.next(3);
        third.tell(zonejs, 21, "BAD_NAME", "", false);
        await other.catch(() => {});
        zone.drop();
        await zone.close();
        return [size, resume, seq, read(third.sent[0]).slice(0, 3), kept.size];
        """,
    ) == [1, [5, 2, "ann", [9] * 16, 3, 0, ["deflate", "resume"], ""], 42, [1, 2, "bob"], 0]
