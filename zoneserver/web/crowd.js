// The places of everybody in the picture: players by colour, those near enough for a figure, and those with a name.

import { COLOURS, colourOf } from "/sprites.js";

const NEAR_MAX = 200;
const LABELS_MAX = 90;
const GATHER_EVERY_MS = 50;
const NEAR_EVERY_MS = 200;
const AHEAD_TICKS_MAX = 3;
const GOLDEN_ANGLE = 2.399963;

export class Crowd {
  constructor() {
    this.x = this.y = new Float64Array(0);
    // The slots of players by colour, and of things by kind.
    this.people = Array.from({ length: COLOURS }, () => []);
    this.things = [];
    // Those who get a figure, and the names of those who get one, by slot.
    this.near = [];
    this.large = new Uint8Array(0);
    this.labels = new Map();
    this.isStale = true;
    this.isSpread = false;
    this.gatheredAt = this.nearAt = -Infinity;
  }

  /** Takes the positions of this moment; now and then also the slots in use, and those near the middle of the picture. */
  take(zone, game, camera, { now, hasPicture, target }) {
    const size = zone.columns.x.length;
    if (this.x.length !== size)
      [this.x, this.y, this.large] = [new Float64Array(size), new Float64Array(size), new Uint8Array(size)];
    // In a zone that stands still, as a replay may, nobody walks on for long.
    const at = Math.min(zone.now(), zone.tick + AHEAD_TICKS_MAX);
    zone.positions(at, this.x, this.y);
    // The own player is drawn a tick ahead of the others, so that they turn sooner after a key.
    if (zone.me) [this.x[zone.me.slot], this.y[zone.me.slot]] = zone.position(zone.me.slot, at + 1);
    if (this.isStale && now - this.gatheredAt > GATHER_EVERY_MS) {
      this.gatheredAt = now;
      this.gather(zone, game, hasPicture);
    }
    if (this.isSpread) this.spread(zone);
    if (now - this.nearAt > NEAR_EVERY_MS) {
      this.nearAt = now;
      this.findNear(zone, game, camera, hasPicture);
      this.pickLabels(zone, camera, target);
    }
  }

  /** Forgets a zone that is shown no longer. */
  forget() {
    this.near = [];
    this.large.fill(0);
    this.labels.clear();
    this.isStale = true;
    this.gatheredAt = this.nearAt = -Infinity;
  }

  /** Sorts everybody by colour, and things by kind. */
  gather(zone, game, hasPicture) {
    this.isStale = false;
    for (const slots of this.people) slots.length = 0;
    let isTogether = !game.walk && !hasPicture;
    for (const { slot, name } of zone.players) {
      this.people[colourOf(name)].push(slot);
      isTogether &&= !zone.columns.x[slot] && !zone.columns.y[slot];
    }
    const kinds = Object.keys(game.schema.kinds ?? {});
    this.things = kinds.map(() => []);
    for (const { slot, kind } of zone.things) this.things[kinds.indexOf(kind)]?.push(slot);
    this.isSpread = isTogether;
  }

  /** In a game without places everybody stands at 0, 0: the picture spreads them around its middle. */
  spread({ width, height }) {
    const slots = this.people.flat().sort((one, other) => one - other);
    const unit = (Math.min(width, height) * 0.42) / Math.sqrt(Math.max(12, slots.length));
    slots.forEach((slot, index) => {
      const [length, angle] = [unit * Math.sqrt(index + 0.5), index * GOLDEN_ANGLE];
      this.x[slot] = width / 2 + Math.cos(angle) * length;
      this.y[slot] = height / 2 + Math.sin(angle) * length;
    });
  }

  /** Finds those in view who are nearest to the middle: they get a figure. */
  findNear(zone, game, camera, hasPicture) {
    const [left, top] = camera.toZone(-20, -20);
    const [right, bottom] = camera.toZone(camera.width + 20, camera.height + 40);
    let found = [];
    const look = (slots, colour, kind) => {
      for (const slot of slots) {
        const [x, y] = [this.x[slot], this.y[slot]];
        if (x >= left && x <= right && y >= top && y <= bottom)
          found.push({ slot, colour, kind, share: 1, distance: (x - camera.x) ** 2 + (y - camera.y) ** 2 });
      }
    };
    if (!hasPicture) this.people.forEach((slots, colour) => look(slots, colour, -1));
    this.things.forEach((slots, kind) => look(slots, 0, kind));
    if (found.length > NEAR_MAX) {
      const distances = Float64Array.from(found, (each) => each.distance).sort();
      const limit = distances[NEAR_MAX - 1];
      // Of those who stand equally far away at the limit, the first ones: a crowd on one spot keeps its figures.
      let rest = NEAR_MAX - distances.indexOf(limit);
      found = found.filter(
        ({ slot, distance }) => distance < limit || (distance === limit && rest-- > 0) || slot === zone.me?.slot,
      );
    }
    this.near = found;
    this.large.fill(0);
    for (const each of found) {
      this.large[each.slot] = 1;
      if (game.bar && each.kind < 0)
        each.share = (zone.player(each.slot)?.stats[game.bar.name] ?? game.bar.first) / game.bar.first;
    }
  }

  /** Gives names to those near the middle, as long as no two overlap. Who has a name keeps it. */
  pickLabels(zone, camera, target) {
    const before = this.labels;
    const taken = new Set();
    this.labels = new Map();
    const rank = ({ slot }) => (slot === zone.me?.slot ? 0 : slot === target ? 1 : before.has(slot) ? 2 : 3);
    const order = this.near
      .filter((each) => each.kind < 0)
      .sort((one, other) => rank(one) - rank(other) || one.distance - other.distance);
    for (const each of order) {
      const { slot } = each;
      const name = zone.player(slot)?.name;
      if (!name || this.labels.size >= LABELS_MAX) continue;
      const [x, y] = camera.toScreen(this.x[slot], this.y[slot]);
      const half = name.length * 3.4 + 8;
      const row = Math.round(y / 18);
      const cells = [];
      for (let cell = Math.floor((x - half) / 12); cell <= Math.floor((x + half) / 12); cell++)
        cells.push(`${cell} ${row}`, `${cell} ${row + 1}`);
      if (rank(each) > 1 && cells.some((cell) => taken.has(cell))) continue;
      cells.forEach((cell) => taken.add(cell));
      this.labels.set(slot, name);
    }
  }

  /** The player or thing under a place on the screen, among those with a figure, or null. */
  at(px, py, camera, own) {
    let [best, found] = [16, null];
    for (const { slot } of this.near) {
      const [x, y] = camera.toScreen(this.x[slot], this.y[slot]);
      const distance = Math.hypot(x - px, y - 10 - py);
      if (distance < best && slot !== own) [best, found] = [distance, slot];
    }
    return found;
  }
}
