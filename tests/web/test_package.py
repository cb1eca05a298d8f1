"""The npm package, and the types that stand beside zone.js."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.node import WEB, node_program
from helpers.typescript import FLAGS, compile_types, find_tsc

from zoneserver import __version__
from zoneserver.authoring.typescript import typescript_text
from zoneserver.games.coinrush import Coinrush
from zoneserver.zone.schema import schema_of

PROGRAM = """\
import { connect, Player, Refused, Zone, ZoneClosed } from "./zone.js";
import type { Update, Value } from "./zone.js";

const zone: Zone = await connect(location.origin, { name: "ann", session: sessionStorage });
const off: () => void = zone.on("tick", ({ tick, joined }) => console.log(tick.toFixed(), joined[0]?.name));
zone.on("say", (player, text) => console.log(player?.name, text));
zone.on("*", (kind, player) => console.log(kind.length, player?.slot));
zone.on("closed", ({ code, retry }) => console.log(code.length, !retry));
zone.on("tick", (update: Update) => update.told.map(({ values }) => values.length));
const answer: Value[] | null | undefined = await zone.done(zone.act("buy", "boots", 3n, null, new Uint8Array(2), [1]));
const [x, y]: [number, number] = zone.position(zone.me?.slot ?? 0, zone.now());
const out: [Float64Array, Float64Array] = [new Float64Array(9), new Float64Array(9)];
const count: number = zone.positions(zone.now(), ...out), used: number = zone.columns.present[0];
const named: string = zone.players[0].name, worth: number = zone.things[0].stats.worth;
const found: Player | undefined = zone.find("x");
try {
  zone.act("move");
} catch (error) {
  if (error instanceof ZoneClosed || error instanceof Refused) console.log(error.code, error.text);
}
// @ts-expect-error: a function is nothing that an action can have
zone.act("move", () => 1);
// @ts-expect-error: a player has no such field
zone.on("join", (player) => player.nose);
off(), console.log(answer, x, y, count, used, named, worth, found);
"""
# With the types that `zoneserver schema zoneserver.games.coinrush:Coinrush --lang ts` prints.
TYPED_PROGRAM = """\
import { connect } from "./zone.js";
import type { CoinrushZone } from "./coinrush.js";

const zone = (await connect("wss://play.example", { name: "ann" })) as unknown as CoinrushZone;
const bag: string[] | null = await zone.done(zone.act("buy", "boots"));
const off: () => void = zone.on("say", (player, text) => console.log(player?.stats.gold, text.length));
zone.on("tick", ({ tick }) => console.log(tick, zone.board.leader, zone.now()));
// @ts-expect-error: an argument is a number
zone.act("run", "fast", 1);
// @ts-expect-error: the game has no such action
zone.act("fly");
off(), console.log(bag);
"""


def test_types_are_those_of_the_module(tmp_path: Path) -> None:
    program, folder = find_tsc(), tmp_path / "web"
    shutil.copytree(WEB, folder)
    script = json.loads((WEB / "package.json").read_text())["scripts"]["types"]
    assert script == f"tsc zone.js --allowJs --checkJs {' '.join(FLAGS)} --declaration --emitDeclarationOnly"
    (folder / "zone.d.ts").unlink()
    assert compile_types(program, folder / "zone.js", *script.split()[2:]) == ""
    assert (folder / "zone.d.ts").read_text() == (WEB / "zone.d.ts").read_text(), (
        f"zone.d.ts is not up to date: (cd {WEB} && npm run types)"
    )
    (folder / "coinrush.d.ts").write_text(typescript_text(schema_of(Coinrush), ""))
    (folder / "program.ts").write_text(PROGRAM)
    (folder / "typed.ts").write_text(TYPED_PROGRAM)
    assert compile_types(program, "--noEmit", folder / "program.ts", folder / "typed.ts") == ""


def test_npm_packs_the_module_and_its_types(tmp_path: Path) -> None:
    node = node_program()
    if (npm := shutil.which("npm")) is None:
        pytest.skip("npm is not installed: apt-get install npm")
    package = json.loads((WEB / "package.json").read_text())
    assert package["version"] == __version__
    command = [npm, "pack", "--json", "--offline", "--pack-destination", str(tmp_path)]
    environment = {"PATH": str(Path(node).parent) + ":/usr/bin:/bin", "HOME": str(tmp_path)}
    packed = subprocess.run(command, cwd=WEB, env=environment, capture_output=True, text=True, timeout=50, check=True)
    [description] = json.loads(packed.stdout)
    assert {file["path"] for file in description["files"]} == {"README.md", "package.json", "zone.d.ts", "zone.js"}
    home = tmp_path / "node_modules" / package["name"]
    home.mkdir(parents=True)
    shutil.unpack_archive(tmp_path / description["filename"], tmp_path)
    for file in (tmp_path / "package").iterdir():
        file.rename(home / file.name)
    (tmp_path / "program.mjs").write_text(
        f'import {{ connect }} from "{package["name"]}"; console.log(typeof connect);'
    )
    ran = subprocess.run([node, "program.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=50, check=True)
    assert ran.stdout == "function\n"
