"""The pure parts of zone.js in Node: messages, the state, DEFLATE, the clock."""

from __future__ import annotations

import itertools
import json
import random
import zlib

from helpers.node import Node
from helpers.paths import ROOT

VECTORS = (ROOT / "tests/web/vectors.js").as_uri()


def test_all_vectors_hold_in_node(node: Node) -> None:
    path = json.dumps(str(ROOT / "tests/vectors.json"))
    assert (
        node.evaluate(f"""
        const {{ complaints }} = await import("{VECTORS}");
        const {{ readFileSync }} = await import("node:fs");
        return complaints(zonejs, JSON.parse(readFileSync({path})));
    """)
        == []
    )


def test_text_keeps_its_byte_order_mark(node: Node) -> None:
    assert node.evaluate(r"return zonejs.decode(zonejs.encode([23, 1, '\ufeffa', ['\ufeff']]))") == {
        "op": "TOLD", "tick": 1, "kind": "\ufeffa", "values": ["\ufeff"]
    }  # fmt: skip


def test_message_of_any_length_is_written_whole(node: Node) -> None:
    assert (
        node.evaluate("""
        const wrong = [];
        for (let size = 200; size < 1100; size++) {
            const values = ["x".repeat(size), 1, true, null, [2], "y"], payload = zonejs.encode([23, 1, "k", values]);
            try {
                if (JSON.stringify(zonejs.decode(payload).values) === JSON.stringify(values)) continue;
            } catch {
            }
            wrong.push(size);
        }
        return wrong;
    """)
        == []
    )


def deflated_inputs(chance: random.Random) -> list[tuple[bytes, bytes | None]]:
    """Deflated data and what zlib makes of it: None where it is broken, cut short or followed by something."""
    found: list[tuple[bytes, bytes | None]] = []
    for number in range(150):
        size = chance.choice((0, 1, 5, 300, 3_000, 40_000))
        letters = chance.choice((1, 2, 20, 256))
        data = bytes(chance.randrange(letters) for _ in range(size // 2)) * 2
        strategy = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY, zlib.Z_FIXED, zlib.Z_RLE)[number % 4]
        deflater = zlib.compressobj(chance.randrange(10), zlib.DEFLATED, -15, 8, strategy)
        deflated = (
            deflater.compress(data[: size // 3]) + deflater.flush(zlib.Z_BLOCK) + deflater.compress(data[size // 3 :])
        )
        broken = bytearray(deflated := deflated + deflater.flush())
        for _ in range(chance.randrange(1, 3)):
            # Near the begin stand the codes, further on what they are used for.
            broken[chance.randrange(min(len(broken), chance.choice((60, len(broken)))))] ^= 1 << chance.randrange(8)
        found += [(each, inflated(each)) for each in (deflated, bytes(broken), deflated[:-1], deflated + b"\0")]
    return found


def inflated(data: bytes) -> bytes | None:
    inflater = zlib.decompressobj(-15)
    try:
        found = inflater.decompress(data, 100_001)
    except zlib.error:
        return None
    return found if inflater.eof and not inflater.unused_data and len(found) <= 100_000 else None


def test_inflate_agrees_with_zlib(node: Node) -> None:
    inputs = deflated_inputs(random.Random(7))
    assert sum(expected is None for _, expected in inputs) > 200
    answers = node.evaluate(f"""
        return {json.dumps([data.hex() for data, _ in inputs])}.map((hex) => {{
            try {{
                return Buffer.from(zonejs.inflate(new Uint8Array(Buffer.from(hex, "hex")), 100_000)).toString("hex");
            }} catch (error) {{
                return error instanceof zonejs.MessageError ? null : String(error);
            }}
        }})
    """)
    for (data, expected), answer in zip(inputs, answers, strict=True):
        assert answer == (None if expected is None else expected.hex()), data.hex()


def test_clock_draws_behind_the_newest_frame_and_never_backwards(node: Node) -> None:
    drawn = node.evaluate("""
        const run = (frames, until, hz = 20) => {
            const clock = new zonejs.Clock(hz, 0, 0), shown = [];
            let next = 0;
            for (let at = 0; at < until; at += 1 / 144) {
                while (next < frames.length && frames[next][0] <= at) {
                    const [when, tick, dilation = 1] = frames[next++];
                    clock.arrived(tick, dilation, when);
                }
                shown.push([at, clock.now(at)]);
            }
            return shown;
        };
        const even = (from, to, late = () => 0, rate = 20) =>
            Array.from({ length: to - from }, (_, i) => [(from + i) / rate + late(i), from + i]);
        return {
            steady: run(even(1, 200), 9.9),
            jitter: run(even(1, 200, (i) => (i % 7 === 3 ? 0.12 : 0)), 9.9),
            stall: run([...even(1, 40), ...even(120, 200).map(([at, tick]) => [at, tick - 80])], 9.9),
            paused: run(even(1, 801, () => 0, 160), 9.9, 160),
            dilated: run(even(1, 100, () => 0, 10).map(([at, tick]) => [at, tick, 0.5]), 9.9),
        };
    """)
    for name, shown in drawn.items():
        assert all(later[1] >= before[1] for before, later in itertools.pairwise(shown)), name
    late = [at * 20 - tick for at, tick in drawn["steady"] if at > 1]
    assert 0.9 < min(late) <= max(late) < 1.4
    # Where some frames are 2.4 ticks late, it is further behind.
    late = [at * 20 - tick for at, tick in drawn["jitter"] if at > 5]
    assert 2.0 < min(late) <= max(late) < 3.6
    # While nothing arrives it runs on for a while, and then stands.
    assert 40 < {round(at, 2): tick for at, tick in drawn["stall"]}[5.0] <= 39 + 3
    # A replay of eight times the speed is paused.
    assert max(tick for _, tick in drawn["paused"]) <= 800 + 3
    at, tick = drawn["stall"][-1]
    assert 0.9 < at * 20 - 80 - tick < 1.4
    late = [at * 10 - tick for at, tick in drawn["dilated"] if at > 5]
    assert 0.8 < min(late) <= max(late) < 1.5


def test_position_before_the_last_motion_is_that_of_the_one_before(node: Node) -> None:
    assert node.evaluate(f"""
        const {{ FakeSocket }} = await import("{(ROOT / "tests/web/fake_socket.js").as_uri()}");
        const joined = zonejs.connect("ws://x", {{ name: "ann", WebSocket: FakeSocket }});
        const socket = await FakeSocket.next(1);
        socket.welcome(zonejs);
        socket.snapshot(zonejs);
        const zone = await joined;
        socket.frame(zonejs, 101, {{ acted: [1, 4, 0] }});
        socket.frame(zonejs, 102);
        // Two changes in one tick: the last one holds.
        socket.frame(zonejs, 103, {{ acted: [2, 9, 9], placed: [0, 18, 20, 0, 4] }});
        socket.frame(zonejs, 104, {{ joins: [1, 1], placed: [1, 500, 500, 2, 0] }});
        const all = [[], []];
        zone.positions(103.5, ...all);
        const own = [100.5, 101.5, 102.75, 103, 103.5, 105].map((at) => zone.position(0, at));
        const coin = [103, 104.5].map((at) => zone.position(1, at));
        const facts = [zone.columns.count, [zone.me.x, zone.me.y], zone.thing(1).stats.worth, zone.position(7)];
        return [own, coin, all, ...facts];
    """) == [
        [[10, 20], [12, 20], [17, 20], [18, 20], [18, 22], [18, 28]],
        # Who is new stands where they appeared, until then.
        [[500, 500], [501, 500]],
        [[18, 500], [22, 500]],
        2,
        [18, 24],
        1,
        [0, 0],
    ]  # fmt: skip
