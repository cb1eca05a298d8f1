// The picture: the ground, everybody on it, who they are, what they say and do, and the map of the whole zone.

import { Camera, listenToGestures } from "/camera.js";
import { COLOURS, Sprites, colourOf } from "/sprites.js";

const NEAR_MAX = 200;
const LABELS_MAX = 90;
const BUBBLES_MAX = 14;
const BUBBLE_MS = 4500;
const DEEDS_MAX = 60;
const DEED_MS = 450;
const NEAR_EVERY_MS = 200;
const MAP_EVERY_MS = 120;

const less = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");

export class Stage {
  constructor(canvas, map, { onTap }) {
    Object.assign(this, { canvas, map, context: canvas.getContext("2d"), camera: new Camera() });
    this.zone = this.game = null;
    this.crowd = Array.from({ length: COLOURS }, () => []);
    this.things = [];
    this.x = this.y = new Float64Array(0);
    this.near = [];
    this.labels = new Set();
    this.bubbles = new Map();
    this.deeds = [];
    this.goal = null;
    this.target = null;
    this.picture = null;
    this.covers = {};
    // Own work per picture in milliseconds, and pictures in the last second.
    this.ms = 0;
    this.fps = 0;
    this.count = 0;
    this.countedAt = this.drawnAt = this.nearAt = this.mapAt = performance.now();
    this.isStale = true;
    listenToGestures(canvas, this.camera, (x, y, event) => this.zone && onTap(...this.camera.toZone(x, y), event));
    map.addEventListener("pointerdown", (event) => {
      if (!this.zone) return;
      this.camera.isFree = true;
      this.camera.aim.x = (event.offsetX / map.clientWidth) * this.zone.width;
      this.camera.aim.y = (event.offsetY / map.clientHeight) * this.zone.height;
    });
    new ResizeObserver(() => this.resize()).observe(canvas);
    dark.addEventListener("change", () => this.resize());
    this.resize();
    requestAnimationFrame((time) => this.loop(time));
  }

  /** Shows another zone, or the same one over another connection. */
  show(zone, game, isPlayer) {
    const isNew = !this.zone || this.wasPlayer !== isPlayer || this.zone.width !== zone.width;
    Object.assign(this, { zone, game, isStale: true, wasPlayer: isPlayer, near: [], goal: null, target: null });
    if (!isNew) return;
    const wasEmpty = this.camera.zone.width === 1;
    this.camera.show(zone, [...zone.players].length, isPlayer);
    if (isPlayer && zone.me) [this.camera.aim.x, this.camera.aim.y] = zone.position(zone.me.slot);
    if (wasEmpty || less.matches) this.camera.jump();
    this.map.style.aspectRatio = `${zone.width || 1} / ${zone.height || 1}`;
  }

  resize(covers = this.covers) {
    const { canvas } = this;
    this.covers = covers;
    this.density = Math.min(2, devicePixelRatio || 1);
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = Math.round(width * this.density);
    canvas.height = Math.round(height * this.density);
    this.camera.resize(width, height, covers);
    this.sprites = new Sprites(this.density);
    if (this.zone && !this.wasPlayer) this.camera.show(this.zone, 0, false);
  }

  /** A player says a line. */
  say(slot, text) {
    this.bubbles.delete(slot);
    this.bubbles.set(slot, { text, until: performance.now() + BUBBLE_MS });
    if (this.bubbles.size > 400) this.bubbles.delete(this.bubbles.keys().next().value);
  }

  /** A player does something, perhaps to another one. */
  deed(slot, target) {
    if (!less.matches && this.deeds.length < DEEDS_MAX && this.isSeen(slot)) this.deeds.push({ slot, target, from: performance.now() });
  }

  isSeen(slot) {
    const [x, y] = this.camera.toScreen(this.x[slot], this.y[slot]);
    return x > 0 && y > 0 && x < this.camera.width && y < this.camera.height;
  }

  /** The player or thing under a place of the zone, among those drawn large, or null. */
  at(x, y) {
    const [px, py] = this.camera.toScreen(x, y);
    let [best, found] = [16, null];
    for (const { slot } of this.near) {
      const [sx, sy] = this.camera.toScreen(this.x[slot], this.y[slot]);
      const distance = Math.hypot(sx - px, sy - 10 - py);
      if (distance < best && slot !== this.zone.me?.slot) [best, found] = [distance, slot];
    }
    return found;
  }

  loop(time) {
    requestAnimationFrame((next) => this.loop(next));
    const begun = performance.now();
    this.count++;
    if (begun - this.countedAt >= 1000) {
      this.fps = (this.count * 1000) / (begun - this.countedAt);
      [this.count, this.countedAt] = [0, begun];
    }
    const seconds = Math.min(0.1, Math.max(0, (time - this.drawnAt) / 1000));
    this.drawnAt = time;
    if (this.zone) this.draw(begun, seconds);
    this.ms += (performance.now() - begun - this.ms) * 0.05;
  }

  draw(now, seconds) {
    const { zone, camera, context } = this;
    if (this.x.length !== zone.columns.x.length) {
      this.x = new Float64Array(zone.columns.x.length);
      this.y = new Float64Array(zone.columns.x.length);
    }
    zone.positions(zone.now(), this.x, this.y);
    if (this.isStale && now - this.nearAt > 50) this.gather();
    if (this.isSpread) this.spread();
    const me = zone.me;
    if (me && !camera.isFree) [camera.aim.x, camera.aim.y] = [this.x[me.slot], this.y[me.slot]];
    camera.step(seconds, less.matches);
    if (now - this.nearAt > NEAR_EVERY_MS) this.findNear(now);
    context.setTransform(this.density, 0, 0, this.density, 0, 0);
    this.drawGround();
    this.drawCrowd();
    this.drawDeeds(now);
    this.drawGoal(now);
    this.drawNear(now);
    this.drawNames();
    this.drawBubbles(now);
    if (now - this.mapAt > MAP_EVERY_MS) this.drawMap(now);
  }

  /** Sorts everybody by colour, and things by kind. */
  gather() {
    this.isStale = false;
    this.crowd.forEach((slots) => { slots.length = 0; });
    let isTogether = true;
    let first = -1;
    for (const { slot, name } of this.zone.players) {
      this.crowd[colourOf(name)].push(slot);
      if (first < 0) first = slot;
      else if (this.x[slot] !== this.x[first] || this.y[slot] !== this.y[first]) isTogether = false;
    }
    const kinds = Object.keys(this.game.schema.kinds ?? {});
    this.things = kinds.map(() => []);
    for (const { slot, kind } of this.zone.things) this.things[kinds.indexOf(kind)]?.push(slot);
    // In a game without places everybody stands in one: the picture spreads them.
    this.isSpread = isTogether && first >= 0 && !this.game.walk && !this.picture;
  }

  spread() {
    const { width, height } = this.zone;
    const slots = this.crowd.flat().sort((one, other) => one - other);
    const unit = (Math.min(width, height) * 0.42) / Math.sqrt(Math.max(12, slots.length));
    slots.forEach((slot, index) => {
      const [length, angle] = [unit * Math.sqrt(index + 0.5), index * 2.399963];
      this.x[slot] = width / 2 + Math.cos(angle) * length;
      this.y[slot] = height / 2 + Math.sin(angle) * length;
    });
  }

  /** Finds those in view who are nearest to the middle: they get a figure, and a name where there is room. */
  findNear(now) {
    this.nearAt = now;
    this.isStale = true;
    const { camera } = this;
    const [left, top] = camera.toZone(-20, -20);
    const [right, bottom] = camera.toZone(camera.width + 20, camera.height + 40);
    const found = [];
    const look = (slots, colour, kind) => {
      for (const slot of slots) {
        const [x, y] = [this.x[slot], this.y[slot]];
        if (x >= left && x <= right && y >= top && y <= bottom)
          found.push({ slot, colour, kind, distance: (x - camera.x) ** 2 + (y - camera.y) ** 2 });
      }
    };
    if (!this.picture) this.crowd.forEach((slots, colour) => look(slots, colour, -1));
    this.things.forEach((slots, kind) => look(slots, 0, kind));
    if (found.length > NEAR_MAX) {
      const limit = Float64Array.from(found, (each) => each.distance).sort()[NEAR_MAX];
      this.near = found.filter((each) => each.distance < limit);
    } else this.near = found;
    this.isLarge = new Set(this.near.map((each) => each.slot));
    this.pickLabels();
  }

  /** Gives names to those near the middle, as long as no two would overlap; who has one keeps it. */
  pickLabels() {
    const taken = new Set();
    const before = this.labels;
    this.labels = new Map();
    const order = this.near.filter((each) => each.kind < 0)
      .sort((one, other) => before.has(other.slot) - before.has(one.slot) || one.distance - other.distance);
    for (const { slot } of order) {
      const name = this.zone.player(slot)?.name;
      const [x, y] = this.camera.toScreen(this.x[slot], this.y[slot]);
      const half = (name?.length ?? 0) * 3.4 + 8;
      const cells = [];
      for (let cell = Math.floor((x - half) / 12); cell <= Math.floor((x + half) / 12); cell++) cells.push(`${cell} ${Math.round(y / 18)}`);
      const isForced = slot === this.zone.me?.slot || slot === this.target;
      if (!name || (!isForced && (this.labels.size >= LABELS_MAX || cells.some((cell) => taken.has(cell))))) continue;
      cells.forEach((cell) => taken.add(cell));
      this.labels.set(slot, name);
    }
  }

  drawGround() {
    const { context, camera, zone, sprites: { theme, pixels } } = this;
    context.fillStyle = theme.beyond;
    context.fillRect(0, 0, camera.width, camera.height);
    const [left, top] = camera.toScreen(0, 0);
    const [right, bottom] = camera.toScreen(zone.width, zone.height);
    context.fillStyle = theme.ground;
    context.fillRect(left - 8, top - 8, right - left + 16, bottom - top + 16);
    // Paving stones of 1, 2 or 5 times a power of ten, at least 34 pixels wide.
    const wanted = 34 / camera.scale;
    const power = 10 ** Math.floor(Math.log10(wanted));
    const stone = [1, 2, 5, 10].find((step) => step * power >= wanted) * power * camera.scale;
    const [from, to] = [Math.max(0, left), Math.min(camera.width, right)];
    const [above, below] = [Math.max(0, top), Math.min(camera.height, bottom)];
    context.strokeStyle = theme.tile;
    context.lineWidth = 1;
    context.beginPath();
    for (let x = left + Math.ceil((from - left) / stone) * stone; x <= to; x += stone) {
      context.moveTo(Math.round(x) + 0.5, above);
      context.lineTo(Math.round(x) + 0.5, below);
    }
    for (let y = top + Math.ceil((above - top) / stone) * stone; y <= below; y += stone) {
      context.moveTo(from, Math.round(y) + 0.5);
      context.lineTo(to, Math.round(y) + 0.5);
    }
    context.stroke();
    context.strokeStyle = theme.edge;
    context.lineWidth = 2;
    context.strokeRect(left - 8, top - 8, right - left + 16, bottom - top + 16);
    this.picture?.forEach((row, y) => {
      for (let x = 0; x < row.length; x++) {
        context.fillStyle = pixels[parseInt(row[x], 16)];
        context.fillRect(left + (x - 0.5) * camera.scale, top + (y - 0.5) * camera.scale, camera.scale + 0.5, camera.scale + 0.5);
      }
    });
  }

  /** Everybody who gets no figure: one small square, all of one colour together. */
  drawCrowd() {
    const { context, camera, sprites, x, y, isLarge } = this;
    const { present } = this.zone.columns;
    const [kx, ky] = [camera.middleX - camera.x * camera.scale, camera.middleY - camera.y * camera.scale];
    const size = Math.max(2.5, Math.min(5, 3 + camera.scale * 4));
    const paint = (slots, colour, side) => {
      context.fillStyle = colour;
      for (const slot of slots) {
        const [sx, sy] = [x[slot] * camera.scale + kx, y[slot] * camera.scale + ky];
        if (sx > -8 && sy > -8 && sx < camera.width && sy < camera.height && present[slot] && !isLarge?.has(slot))
          context.fillRect(sx - side / 2, sy - side / 2, side, side);
      }
    };
    if (!this.picture) this.crowd.forEach((slots, colour) => paint(slots, sprites.crowd[colour], size));
    this.things.forEach((slots, kind) => paint(slots, sprites.kinds[kind % 6], size + 1));
  }

  drawDeeds(now) {
    const { context, camera, sprites } = this;
    this.deeds = this.deeds.filter((deed) => now - deed.from < DEED_MS);
    context.lineWidth = 2;
    for (const { slot, target, from } of this.deeds) {
      const share = (now - from) / DEED_MS;
      const [x, y] = camera.toScreen(this.x[slot], this.y[slot]);
      context.globalAlpha = 1 - share;
      context.strokeStyle = sprites.crowd[colourOf(this.zone.player(slot)?.name ?? "")];
      context.beginPath();
      if (target !== null && target !== slot && this.zone.columns.present[target]) {
        const [tx, ty] = camera.toScreen(this.x[target], this.y[target]);
        context.moveTo(x, y - 10);
        context.quadraticCurveTo((x + tx) / 2, (y + ty) / 2 - 24, tx, ty - 10);
      } else context.arc(x, y - 8, 6 + share * 18, 0, 7);
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  /** The place to which the own player walks, and the circle around them. */
  drawGoal(now) {
    const { context, camera, zone, sprites: { theme } } = this;
    const circle = (slot, size, colour, width, dash = []) => {
      const [x, y] = camera.toScreen(this.x[slot], this.y[slot]);
      context.setLineDash(dash);
      context.beginPath();
      context.ellipse(x, y, size, size * 0.62, 0, 0, 7);
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.stroke();
      context.setLineDash([]);
      return [x, y];
    };
    if (this.target !== null && zone.columns.present[this.target]) circle(this.target, 15, theme.ink, 1.5, [4, 3]);
    if (!zone.me) return;
    const [x, y] = circle(zone.me.slot, 18, theme.ink, 5.5);
    circle(zone.me.slot, 18, theme.accent, 3);
    if (!this.goal) return;
    const [gx, gy] = camera.toScreen(...this.goal);
    const beat = less.matches ? 0 : Math.sin(now / 160) * 2;
    context.strokeStyle = theme.ink;
    context.lineWidth = 1.5;
    context.setLineDash([2, 6]);
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(gx, gy);
    context.stroke();
    context.setLineDash([]);
    context.beginPath();
    context.ellipse(gx, gy, 9 + beat, 6 + beat * 0.6, 0, 0, 7);
    context.stroke();
    context.fillStyle = theme.ink;
    context.fillRect(gx - 1.5, gy - 1.5, 3, 3);
  }

  /** The figures, from the back to the front. Those who walk bob. */
  drawNear(now) {
    const { context, camera, sprites, zone } = this;
    const { present, vx, vy } = zone.columns;
    const bar = this.game.bar;
    const figures = this.near.filter(({ slot }) => present[slot]).sort((one, other) => this.y[one.slot] - this.y[other.slot]);
    for (const { slot, colour, kind } of figures) {
      const sprite = kind < 0 ? sprites.people[colour] : sprites.thing(kind);
      const [x, y] = camera.toScreen(this.x[slot], this.y[slot]);
      const isWalking = kind < 0 && (vx[slot] || vy[slot]) && !less.matches;
      const lift = isWalking ? Math.abs(Math.sin(now / 95 + slot)) * 2.5 : 0;
      const foot = kind < 0 ? sprite.height - 4 : sprite.height / 2;
      context.drawImage(sprite.canvas, x - sprite.width / 2, y - foot - lift, sprite.width, sprite.height);
      if (bar && kind < 0) this.drawBar(zone.player(slot)?.[bar.name] ?? bar.first, bar.first, x, y - foot - 4);
    }
  }

  drawBar(value, first, x, y) {
    if (value >= first) return;
    const { context, sprites: { theme } } = this;
    const share = Math.max(0, value / first);
    context.fillStyle = theme.ink;
    context.fillRect(x - 12, y, 24, 4);
    context.fillStyle = share > 0.35 ? theme.good : theme.bad;
    context.fillRect(x - 11, y + 1, 22 * share, 2);
  }

  drawNames() {
    const { context, camera, sprites, zone } = this;
    for (const [slot, name] of this.labels) {
      if (!zone.columns.present[slot]) continue;
      const isMine = slot === zone.me?.slot;
      const label = sprites.label(name, isMine);
      const [x, y] = camera.toScreen(this.x[slot], this.y[slot]);
      context.drawImage(label.canvas, Math.round(x - label.width / 2), Math.round(y + (isMine ? 13 : 4)), label.width, label.height);
    }
  }

  drawBubbles(now) {
    const { context, camera, sprites, zone } = this;
    const drawn = [];
    const newest = [...this.bubbles].reverse();
    const mine = newest.filter(([slot]) => slot === zone.me?.slot);
    for (const [slot, { text, until }] of [...mine, ...newest.filter(([slot]) => slot !== zone.me?.slot)]) {
      if (now > until || !zone.columns.present[slot]) this.bubbles.delete(slot);
      else if (drawn.length < BUBBLES_MAX && this.isSeen(slot) && !this.picture) {
        const bubble = sprites.bubble(text);
        const [x, y] = camera.toScreen(this.x[slot], this.y[slot]);
        const [left, top] = [x - bubble.width / 2, y - 34 - bubble.height];
        const isHidden = drawn.some((other) => left < other.left + other.width && other.left < left + bubble.width &&
          top < other.top + other.height && other.top < top + bubble.height);
        if (isHidden) continue;
        drawn.push({ left, top, ...bubble });
        context.globalAlpha = Math.min(1, (until - now) / 300);
        context.drawImage(bubble.canvas, left, top, bubble.width, bubble.height);
      }
    }
    context.globalAlpha = 1;
  }

  /** The map of the whole zone: everybody, the part in view, and the own player. */
  drawMap(now) {
    this.mapAt = now;
    const { map, zone, camera, sprites, density } = this;
    const [width, height] = [Math.round(map.clientWidth * density), Math.round(map.clientHeight * density)];
    if (!width || !height) return;
    if (map.width !== width || map.height !== height) Object.assign(map, { width, height });
    const context = map.getContext("2d");
    const [kx, ky] = [width / (zone.width || 1), height / (zone.height || 1)];
    context.clearRect(0, 0, width, height);
    const paint = (slots, colour, side) => {
      context.fillStyle = colour;
      for (const slot of slots) context.fillRect(this.x[slot] * kx - side / 2, this.y[slot] * ky - side / 2, side, side);
    };
    this.crowd.forEach((slots, colour) => paint(slots, sprites.crowd[colour], 1.6 * density));
    this.things.forEach((slots, kind) => paint(slots, sprites.kinds[kind % 6], 2.6 * density));
    context.strokeStyle = sprites.theme.ink;
    context.lineWidth = density;
    const [left, top] = camera.toZone(0, 0);
    context.strokeRect(left * kx, top * ky, (camera.width / camera.scale) * kx, (camera.height / camera.scale) * ky);
    if (!zone.me) return;
    context.fillStyle = sprites.theme.accent;
    context.beginPath();
    context.arc(this.x[zone.me.slot] * kx, this.y[zone.me.slot] * ky, 4 * density, 0, 7);
    context.fill();
    context.lineWidth = 1.5 * density;
    context.stroke();
  }
}
