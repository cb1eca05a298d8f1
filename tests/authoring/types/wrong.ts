// Each line with a comment behind it is wrong, and no other one.
import type { ArsenalZone } from "./arsenal.js";
import type { CoinrushZone } from "./coinrush.js";
import type { PlazaZone } from "./plaza.js";

export async function play(zone: CoinrushZone, plaza: PlazaZone, arsenal: ArsenalZone): Promise<void> {
  zone.act("run", 1, 2);
  zone.act("run", 1); // an argument is missing
  zone.act("run", 1, "2"); // another type
  zone.act("walk", 1, 2); // another action
  zone.act("buy", "sword"); // another choice
  arsenal.act("choices", null); // no null
  arsenal.act("lists", ["x"], []); // other items
  arsenal.act("raw", "x"); // another type
  zone.on("nothing", () => {}); // another event
  zone.on("taken", (_player, _slot, _worth, more) => console.log(more)); // a value too many
  zone.on("say", (_player, text: number) => console.log(text)); // another type
  plaza.on("say", (_player, text: number) => console.log(text)); // another type
  plaza.on("tick", (tick: number) => console.log(tick)); // another type
  const bag: number[] | null = await zone.done(zone.act("buy", "boots")); // another type
  console.log(zone.me?.stats.hp, bag); // another stat
  console.log(zone.board.lead); // another name
  for (const thing of zone.things) console.log(thing.stats.worth); // not every thing has it
}
