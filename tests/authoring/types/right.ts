import type { ArsenalZone } from "./arsenal.js";
import type { CoinrushZone } from "./coinrush.js";
import type { PlazaZone } from "./plaza.js";
import { connect } from "./zone.js";

export async function play(): Promise<void> {
  const zone = (await connect("http://127.0.0.1:7777", { name: "ann" })) as unknown as CoinrushZone;
  zone.act("run", 1, 2);
  const bag: string[] | null = await zone.done(zone.act("buy", "boots"));
  const said: undefined | null = await zone.done(zone.act("say", "hello"));
  zone.on("taken", (player, slot, worth) => console.log(player?.name, slot + 1, worth + 1));
  zone.on("say", (player, text) => console.log(player?.stats.gold, text.length));
  zone.on("join", (player) => console.log(player.stats.found));
  zone.on("tick", (update) => console.log(update.tick));
  zone.on("closed", ({ code }) => console.log(code));
  zone.on("*", (kind, player, ...values) => console.log(kind, player, values));
  for (const thing of zone.things) if (thing.kind === "coin") console.log(thing.stats.worth);
  console.log(zone.board.leader.length, zone.board.best + 1, bag, said, zone.tick, zone.position(0));
}

export async function others(plaza: PlazaZone, arsenal: ArsenalZone): Promise<void> {
  // The game declares no events: any may come.
  plaza.on("hit", (player, ...values) => console.log(player, values));
  plaza.on("say", (_player, text) => console.log(text.length));
  plaza.on("strike", (_player, target) => console.log(target + 1));
  arsenal.act("choices", "red");
  arsenal.act("choices", 3, "bow", null);
  arsenal.act("lists", [1, 2], []);
  arsenal.act("raw", new Uint8Array(2));
  arsenal.act("numbers", 1, null);
  const answer = await arsenal.done(arsenal.act("count"));
  if (answer) console.log(answer[0] + 1);
}
