"""Measures zone.js in Node and in Chromium: `PYTHONPATH=tests python tests/web/measure.py`."""

from __future__ import annotations

import gzip
import json
import random
import shutil
import subprocess

from helpers.chromium import start_chromium
from helpers.node import WEB, Node, node_program

from zoneserver.protocol.compression import deflate, seams_of
from zoneserver.protocol.messages import Tick, Welcome
from zoneserver.protocol.world import World
from zoneserver.protocol.zone_info import ZoneInfo, player_kind

BODY = """
    const bytes = (hex) => Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
    const welcome = bytes(payloads.welcome), snapshot = bytes(payloads.snapshot), tick = bytes(payloads.tick);
    const small = bytes(payloads.smallTick), large = bytes(payloads.smallSnapshot), zone = zonejs;
    const replica = new zone.Replica(zone.decode(welcome)), xs = new Float64Array(65536), ys = new Float64Array(65536);
    replica.restore(zone.decode(snapshot));
    const best = (count, body) => {
        let found = Infinity;
        for (let i = 0; i < 40; i++) {
            const begin = performance.now();
            for (let j = 0; j < count; j++) body();
            found = Math.min(found, (performance.now() - begin) / count);
        }
        return Math.round(found * 1e6) / 1e3;
    };
    return {
        "decode a tick of 1,000 movers": best(50, () => zone.decode(tick)),
        "decode and apply it": best(50, () => {
            const message = zone.decode(tick);
            message.tick = replica.tick + 1;
            replica.apply(message);
        }),
        "decode a snapshot of 9,900": best(4, () => zone.decode(snapshot)),
        "decode and restore it": best(4, () => new zone.Replica(zone.decode(welcome)).restore(zone.decode(snapshot))),
        "inflate a tick": best(20, () => zone.inflate(small)),
        "inflate a snapshot": best(2, () => zone.inflate(large)),
        "positions of 9,900": best(20, () => replica.positions(replica.tick + 0.5, xs, ys)),
        "hash of 9,900": best(4, () => replica.hash()),
    };
"""


def payloads() -> dict[str, str]:
    chance = random.Random(1)
    info = ZoneInfo("plaza", "", 20, 10_000, 10_000, 20, (player_kind(hp=100, kills=0),))
    world = World(info)
    world.tick = 1_000
    for slot in range(9_900):
        world.join(slot, f"player{slot}")
        world.place(
            slot, chance.randrange(10_000), chance.randrange(10_000), chance.randint(-25, 25), chance.randint(-25, 25)
        )
    movers = sorted(chance.sample(range(9_900), 1_000))
    moved = [[chance.randrange(256) for _ in movers], *([chance.randint(-25, 25) for _ in movers] for _ in "xy")]
    tick = Tick(1_001, 100, None, movers=movers, seqs=moved[0], vx=moved[1], vy=moved[2]).encode()
    snapshot = world.snapshot().encode()
    small = [deflate(payload, seams_of(payload)) for payload in (tick, snapshot)]
    print(
        f"tick {len(tick):,} bytes, deflated {len(small[0]):,}; snapshot {len(snapshot):,}, deflated {len(small[1]):,}"
    )
    names = ("welcome", "snapshot", "tick", "smallTick", "smallSnapshot")
    found = (Welcome(2, 0, 1_000, info, 1024, 16).encode(), snapshot, tick, *small)
    return dict(zip(names, (payload.hex() for payload in found), strict=True))


def main() -> None:
    made = json.dumps(payloads())
    source = (WEB / "zone.js").read_bytes()
    print(f"zone.js: {len(source):,} bytes, {len(gzip.compress(source, 9)):,} with gzip")
    if (esbuild := shutil.which("esbuild")) is not None:
        small = subprocess.run([esbuild, "--minify", str(WEB / "zone.js")], capture_output=True, check=True).stdout
        print(f"minified: {len(small):,} bytes, {len(gzip.compress(small, 9)):,} with gzip")
    node = Node(node_program())
    node.evaluate(f"globalThis.zonejs = await import({json.dumps((WEB / 'zone.js').as_uri())})")
    results = {"Node": node.evaluate(f"const payloads = {made};" + BODY)}
    node.close()
    browser = start_chromium()
    module = "data:text/javascript;base64," + __import__("base64").b64encode(source).decode()
    page = browser.page()
    results["Chromium"] = page.evaluate(
        f"(async () => {{ const zonejs = await import({json.dumps(module)}), payloads = {made}; {BODY} }})()"
    )
    browser.close()
    for what in results["Node"]:
        print(f"{what:32}", *(f"{name} {found[what]:8.1f} us" for name, found in results.items()))


if __name__ == "__main__":
    main()
