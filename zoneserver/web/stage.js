// The picture: the ground, everybody on it with their names, lines and deeds, and the map of the whole zone.

import { Camera, listenToGestures } from "/camera.js";
import { Crowd } from "/crowd.js";
import { Overview } from "/overview.js";
import { BUBBLE_LEAST, Sprites, colourOf } from "/sprites.js";
import { cut } from "/words.js";

const BUBBLES_MAX = 14;
const BUBBLE_MS = 4500;
/** A bubble has no room for more characters. */
const BUBBLE_CHARACTERS = 160;
const DEEDS_MAX = 60;
const DEED_MS = 450;
const DEED_PX = 420;

const less = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");

export class Stage {
  constructor(canvas, map, { onTap }) {
    Object.assign(this, {
      canvas,
      context: canvas.getContext("2d", { alpha: false }),
      camera: new Camera(),
      crowd: new Crowd(),
    });
    this.overview = new Overview(map, this);
    this.zone = this.game = null;
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
    this.countedAt = this.drawnAt = performance.now();
    listenToGestures(canvas, this.camera, (x, y, event) => this.zone && onTap(...this.camera.toZone(x, y), event));
    new ResizeObserver(() => this.resize()).observe(canvas);
    dark.addEventListener("change", () => this.resize());
    this.resize();
    requestAnimationFrame((time) => this.loop(time));
  }

  /** Shows another zone, or the same one over another connection. */
  show(zone, game, isPlayer) {
    const isNew = !this.zone || this.wasPlayer !== isPlayer || !this.camera.fits(zone);
    Object.assign(this, { zone, game, wasPlayer: isPlayer, goal: null, target: null });
    this.crowd.forget();
    if (!isNew) return;
    const wasEmpty = this.camera.zone.width === 1;
    const players = [...zone.players];
    const middle = (axis) => players.reduce((sum, player) => sum + player[axis], 0) / players.length;
    const place = zone.me
      ? zone.position(zone.me.slot)
      : players.length
        ? [middle("x"), middle("y")]
        : [zone.width / 2, zone.height / 2];
    this.camera.show(zone, players.length, place, !isPlayer);
    if (wasEmpty || less.matches) this.camera.jump();
  }

  resize(covers = this.covers) {
    const { canvas } = this;
    this.covers = covers;
    const density = Math.min(2, devicePixelRatio || 1);
    if (density !== this.density || dark.matches !== this.isDark) {
      this.isDark = dark.matches;
      this.sprites = new Sprites(density);
    }
    this.density = density;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    this.camera.resize(width, height, covers);
    const [wide, high] = [Math.round(width * density), Math.round(height * density)];
    if (canvas.width === wide && canvas.height === high) return;
    // Another size makes the canvas black, until something is drawn.
    Object.assign(canvas, { width: wide, height: high });
    if (this.zone) this.draw(performance.now(), 0);
    else this.drawNothing();
  }

  /** A player says a line. */
  say(slot, text) {
    this.bubbles.delete(slot);
    this.bubbles.set(slot, { text: cut(text, BUBBLE_CHARACTERS), until: performance.now() + BUBBLE_MS });
    if (this.bubbles.size > 400) this.bubbles.delete(this.bubbles.keys().next().value);
  }

  /** A player does something, perhaps to another one. */
  deed(slot, target) {
    if (!less.matches && this.deeds.length < DEEDS_MAX && this.isSeen(slot))
      this.deeds.push({ slot, target, from: performance.now() });
  }

  isSeen(slot) {
    const [x, y] = this.place(slot);
    return x > 0 && y > 0 && x < this.camera.width && y < this.camera.height;
  }

  /** The place of a slot on the screen. */
  place(slot) {
    return this.camera.toScreen(this.crowd.x[slot], this.crowd.y[slot]);
  }

  /** The player or thing under a place of the zone, or null. */
  at(x, y) {
    return this.crowd.at(...this.camera.toScreen(x, y), this.camera, this.zone.me?.slot);
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
    else this.drawNothing();
    this.ms += (performance.now() - begun - this.ms) * 0.05;
  }

  /** A canvas without transparency would be black. */
  drawNothing() {
    this.context.fillStyle = this.sprites.theme.beyond;
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  draw(now, seconds) {
    const { zone, camera, context } = this;
    this.crowd.take(zone, this.game, camera, { now, hasPicture: Boolean(this.picture), target: this.target });
    const me = zone.me;
    if (me && !camera.isFree) camera.look(this.crowd.x[me.slot], this.crowd.y[me.slot]);
    camera.step(seconds, less.matches);
    context.setTransform(this.density, 0, 0, this.density, 0, 0);
    this.drawGround();
    this.drawCrowd();
    this.drawDeeds(now);
    this.drawGoal(now);
    this.drawNear(now);
    this.drawNames();
    this.drawBubbles(now);
    this.overview.draw(now);
  }

  drawGround() {
    const {
      context,
      camera,
      zone,
      sprites: { theme, pixels },
    } = this;
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
        context.fillRect(
          left + (x - 0.5) * camera.scale,
          top + (y - 0.5) * camera.scale,
          camera.scale + 0.5,
          camera.scale + 0.5,
        );
      }
    });
  }

  /** Everybody who gets no figure: one small square, all of one colour together. */
  drawCrowd() {
    const {
      context,
      camera,
      sprites,
      crowd: { x, y, large, people, things },
    } = this;
    const { present } = this.zone.columns;
    const [kx, ky] = [camera.middleX - camera.x * camera.scale, camera.middleY - camera.y * camera.scale];
    const size = Math.round(Math.max(2.5, Math.min(5, 3 + camera.scale * 4)));
    const paint = (slots, colour, side) => {
      context.fillStyle = colour;
      for (const slot of slots) {
        const [sx, sy] = [x[slot] * camera.scale + kx, y[slot] * camera.scale + ky];
        if (sx > -8 && sy > -8 && sx < camera.width && sy < camera.height && present[slot] && !large[slot])
          // Whole pixels need no smoothing of edges, which costs more than all the rest.
          context.fillRect((sx - side / 2 + 0.5) | 0, (sy - side / 2 + 0.5) | 0, side, side);
      }
    };
    if (!this.picture) people.forEach((slots, colour) => paint(slots, sprites.crowd[colour], size));
    things.forEach((slots, kind) => paint(slots, sprites.kinds[kind % 6], size + 1));
  }

  drawDeeds(now) {
    const { context, camera, sprites } = this;
    this.deeds = this.deeds.filter((deed) => now - deed.from < DEED_MS);
    context.lineWidth = 2;
    for (const { slot, target, from } of this.deeds) {
      const share = (now - from) / DEED_MS;
      const [x, y] = this.place(slot);
      context.globalAlpha = (1 - share) * 0.7;
      context.strokeStyle = sprites.crowd[colourOf(this.zone.player(slot)?.name ?? "")];
      context.beginPath();
      const [tx, ty] = target === null ? [x, y] : this.place(target);
      const isNear = Math.hypot(tx - x, ty - y) < DEED_PX;
      if (target !== null && target !== slot && isNear && this.zone.columns.present[target]) {
        context.moveTo(x, y - 10);
        context.quadraticCurveTo((x + tx) / 2, (y + ty) / 2 - 24, tx, ty - 10);
      } else context.arc(x, y - 8, 6 + share * 18, 0, 7);
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  /** The place to which the own player walks, and the circle around them. */
  drawGoal(now) {
    const {
      context,
      camera,
      zone,
      sprites: { theme },
    } = this;
    const circle = (slot, size, colour, width, dash = []) => {
      const [x, y] = this.place(slot);
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
    if (!zone.me || this.picture) return;
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
    const { near, y: height } = this.crowd;
    const figures = near
      .filter(({ slot }) => present[slot])
      .sort((one, other) => height[one.slot] - height[other.slot]);
    for (const { slot, colour, kind, share } of figures) {
      const sprite = kind < 0 ? sprites.people[colour] : sprites.thing(kind);
      const [x, y] = this.place(slot);
      const isWalking = kind < 0 && (vx[slot] || vy[slot]) && !less.matches;
      const lift = isWalking ? Math.abs(Math.sin(now / 95 + slot)) * 2.5 : 0;
      const foot = kind < 0 ? sprite.height - 4 : sprite.height / 2;
      context.drawImage(sprite.canvas, x - sprite.width / 2, y - foot - lift, sprite.width, sprite.height);
      if (share < 1) this.drawBar(share, x, y - foot - 4);
    }
  }

  drawBar(part, x, y) {
    const {
      context,
      sprites: { theme },
    } = this;
    const share = Math.max(0, part);
    context.fillStyle = theme.edge;
    context.fillRect(x - 12, y, 24, 4);
    context.fillStyle = share > 0.35 ? theme.good : theme.bad;
    context.fillRect(x - 11, y + 1, 22 * share, 2);
  }

  drawNames() {
    const { context, camera, sprites, zone } = this;
    for (const [slot, name] of this.crowd.labels) {
      if (!zone.columns.present[slot]) continue;
      const isMine = slot === zone.me?.slot;
      const label = sprites.label(name, isMine);
      const [x, y] = this.place(slot);
      context.drawImage(
        label.canvas,
        Math.round(x - label.width / 2),
        Math.round(y + (isMine ? 13 : 4)),
        label.width,
        label.height,
      );
    }
  }

  drawBubbles(now) {
    const { context, camera, sprites, zone } = this;
    const drawn = [];
    if (zone.me) {
      // No bubble of another player covers the own figure.
      const [x, y] = this.place(zone.me.slot);
      drawn.push({ left: x - 20, top: y - 32, width: 40, height: 62 });
    }
    const newest = [...this.bubbles].reverse();
    const mine = newest.filter(([slot]) => slot === zone.me?.slot);
    for (const [slot, { text, until }] of [...mine, ...newest.filter(([slot]) => slot !== zone.me?.slot)]) {
      if (now > until || !zone.columns.present[slot]) this.bubbles.delete(slot);
      else if (drawn.length < BUBBLES_MAX && this.isSeen(slot) && !this.picture) {
        const [x, y] = this.place(slot);
        const box = ({ width, height }) => ({
          left: Math.max(6, Math.min(camera.width - width - 6, x - width / 2)),
          top: y - 34 - height,
          width,
          height,
        });
        const isHidden = (one) => slot !== zone.me?.slot && drawn.some((other) => overlap(one, other));
        // In a crowd most bubbles are hidden, and need not be measured.
        if (isHidden(box(BUBBLE_LEAST))) continue;
        const bubble = sprites.bubble(text);
        const place = box(bubble);
        if (isHidden(place)) continue;
        drawn.push(place);
        context.globalAlpha = Math.min(1, (until - now) / 300);
        context.drawImage(bubble.canvas, place.left, place.top, place.width, place.height);
      }
    }
    context.globalAlpha = 1;
  }
}

const overlap = (one, other) =>
  one.left < other.left + other.width &&
  other.left < one.left + one.width &&
  one.top < other.top + other.height &&
  other.top < one.top + one.height;
