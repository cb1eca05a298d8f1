// Ten more of me: connections of this page that walk about by themselves.

import { connect } from "/zone.js";
import { Walker } from "/game.js";

const BOTS_MAX = 40;
const APART_MS = 70;
const NAME_CHARACTERS = 24;
const REST = 0.015;

export class Bots {
  constructor() {
    this.all = new Set();
    this.number = 1;
    this.generation = 0;
  }

  get isFull() {
    return this.all.size >= BOTS_MAX;
  }

  /** Lets some more join, one after the other. Rejects with the first refusal. */
  async more(count, name, game) {
    const generation = this.generation;
    for (let index = 0; index < count && !this.isFull; index++) {
      const suffix = ` ${++this.number}`;
      const zone = await connect(location.origin, {
        name: [...name].slice(0, NAME_CHARACTERS - suffix.length).join("") + suffix,
      });
      if (generation !== this.generation) return void zone.close();
      this.start(zone, game);
      await new Promise((resolve) => {
        setTimeout(resolve, APART_MS);
      });
    }
  }

  start(zone, game) {
    const bot = { zone, walker: game.walk && new Walker(zone, game) };
    this.all.add(bot);
    zone.on("closed", () => this.all.delete(bot));
    zone.on("tick", () => {
      if (!bot.walker || !zone.me) return;
      if (bot.walker.goal) bot.walker.tick();
      else if (Math.random() < REST) {
        const [x, y] = zone.position(zone.me.slot);
        const reach = Math.max(zone.width, zone.height) / 5;
        bot.walker.to(x + (Math.random() - 0.5) * reach, y + (Math.random() - 0.5) * reach);
      }
    });
  }

  /** Lets them walk by the rules of this game. */
  play(game) {
    for (const bot of this.all) bot.walker = game.walk && new Walker(bot.zone, game);
  }

  /** Lets all of them leave. */
  close() {
    this.generation++;
    for (const { zone } of this.all) zone.close();
    this.all.clear();
  }
}
