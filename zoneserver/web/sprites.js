// Small pictures that are drawn once and then copied: people, things, names and bubbles. Colours come from play.css.

import { hashed } from "/game.js";

export const COLOURS = 8;
const KEPT_MAX = 600;
/** No bubble is smaller. */
export const BUBBLE_LEAST = { width: 26, height: 39 };
const SIZES = { person: 26, thing: 24 };

/** The colour of a player, by name: the same in every browser. */
export const colourOf = (name) => hashed(name) % COLOURS;

/** All sprites of one theme at one density of pixels. */
export class Sprites {
  constructor(density) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    this.density = density;
    this.font = style.getPropertyValue("--sans").trim() || "sans-serif";
    this.theme = Object.fromEntries(
      [
        "ground",
        "beyond",
        "tile",
        "edge",
        "surface",
        "ink",
        "muted",
        "accent",
        "on-accent",
        "shade",
        "good",
        "bad",
      ].map((name) => [name, colour(name)]),
    );
    this.crowd = Array.from({ length: COLOURS }, (_, index) => colour(`crowd-${index}`));
    this.kinds = Array.from({ length: 6 }, (_, index) => colour(`kind-${index}`));
    this.pixels = Array.from({ length: 16 }, (_, index) => colour(`pixel-${index}`));
    this.people = this.crowd.map((each) => this.person(each));
    this.things = new Map();
    this.kept = new Map();
  }

  /** A picture of this size in CSS pixels. Its canvas is made when somebody wants it: a hidden bubble never is. */
  canvas(width, height, draw) {
    const { density } = this;
    let made = null;
    return {
      width,
      height,
      get canvas() {
        if (made) return made;
        made = document.createElement("canvas");
        made.width = Math.ceil(width * density);
        made.height = Math.ceil(height * density);
        const context = made.getContext("2d");
        context.scale(density, density);
        draw(context);
        return made;
      },
    };
  }

  /** A pawn, who stands on the middle of the lower edge. */
  person(colour) {
    const size = SIZES.person;
    return this.canvas(size, size * 1.3, (context) => {
      const [x, foot, unit] = [size / 2, size * 1.3 - 4, size * 0.36];
      context.fillStyle = this.theme.shade;
      context.beginPath();
      context.ellipse(x, foot, unit, unit * 0.36, 0, 0, 7);
      context.fill();
      context.fillStyle = colour;
      context.strokeStyle = this.theme.ground;
      context.lineWidth = 1.5;
      context.beginPath();
      context.moveTo(x - unit * 0.82, foot - 0.5);
      context.bezierCurveTo(x - unit * 0.7, foot - unit, x - unit * 0.55, foot - unit * 1.5, x, foot - unit * 1.55);
      context.bezierCurveTo(
        x + unit * 0.55,
        foot - unit * 1.5,
        x + unit * 0.7,
        foot - unit,
        x + unit * 0.82,
        foot - 0.5,
      );
      context.quadraticCurveTo(x, foot + unit * 0.45, x - unit * 0.82, foot - 0.5);
      context.stroke();
      context.fill();
      context.beginPath();
      context.arc(x, foot - unit * 1.85, unit * 0.56, 0, 7);
      context.stroke();
      context.fill();
      context.fillStyle = "rgb(255 255 255 / 0.28)";
      context.beginPath();
      context.arc(x - unit * 0.17, foot - unit * 2.0, unit * 0.22, 0, 7);
      context.fill();
    });
  }

  /** A thing of the kind with this number, from 0: each kind has a shape and a colour. */
  thing(kind) {
    if (!this.things.has(kind)) {
      const size = SIZES.thing;
      this.things.set(
        kind,
        this.canvas(size, size, (context) => {
          context.translate(size / 2, size / 2);
          context.lineJoin = "round";
          shape(context, kind % 6, size * 0.34);
          context.strokeStyle = this.theme.ground;
          context.lineWidth = 5;
          context.stroke();
          context.fillStyle = this.kinds[kind % 6];
          context.fill();
          context.strokeStyle = this.theme.ink;
          context.lineWidth = 1.25;
          context.stroke();
          context.globalAlpha = 0.5;
          shape(context, kind % 6, size * 0.13);
          context.fillStyle = this.theme.ground;
          context.fill();
        }),
      );
    }
    return this.things.get(kind);
  }

  /** Keeps a picture by its key; the oldest ones are forgotten. */
  keep(key, make) {
    let found = this.kept.get(key);
    if (!found) {
      if (this.kept.size >= KEPT_MAX)
        for (const old of [...this.kept.keys()].slice(0, KEPT_MAX / 3)) this.kept.delete(old);
      this.kept.set(key, (found = make()));
    }
    return found;
  }

  /** A name, with an edge in the colour of the ground around it. */
  label(text, isMine = false) {
    return this.keep(`${isMine}${text}`, () => {
      const font = `${isMine ? 700 : 500} ${isMine ? 13 : 11.5}px ${this.font}`;
      const width = measured(text, font) + 12;
      return this.canvas(width, 18, (context) => {
        context.font = font;
        context.textAlign = "center";
        context.textBaseline = "middle";
        if (isMine) {
          context.fillStyle = this.theme.accent;
          context.beginPath();
          context.roundRect(0, 0, width, 18, 9);
          context.fill();
          context.fillStyle = this.theme["on-accent"];
        } else {
          context.lineJoin = "round";
          context.lineWidth = 3.5;
          context.strokeStyle = this.theme.ground;
          context.strokeText(text, width / 2, 9.5);
          context.fillStyle = this.theme.ink;
        }
        context.fillText(text, width / 2, 9.5);
      });
    });
  }

  /** A speech bubble of at most three lines, whose tip is in the middle of its lower edge. */
  bubble(text) {
    return this.keep(`bubble ${text}`, () => {
      const font = `500 13px ${this.font}`;
      const lines = wrapped(text, font, 190);
      const width = Math.max(...lines.map((line) => measured(line, font))) + 22;
      const height = lines.length * 17 + 13;
      return this.canvas(width + 4, height + 9, (context) => {
        context.translate(2, 1);
        context.beginPath();
        context.roundRect(0, 0, width, height, Math.min(13, height / 2));
        context.moveTo(width / 2 - 6, height - 0.5);
        context.lineTo(width / 2, height + 7);
        context.lineTo(width / 2 + 6, height - 0.5);
        context.strokeStyle = this.theme.edge;
        context.lineWidth = 2;
        context.stroke();
        context.fillStyle = this.theme.surface;
        context.fill();
        context.fillStyle = this.theme.ink;
        context.font = font;
        context.textAlign = "center";
        context.textBaseline = "middle";
        lines.forEach((line, index) => context.fillText(line, width / 2, 15.5 + index * 17));
      });
    });
  }
}

/** The outline of a thing: a disc, a triangle, a diamond, a square, a star or a hexagon. */
export function shape(context, number, size) {
  const corners = [0, 3, 4, 4, 10, 6][number];
  context.beginPath();
  if (!corners) context.arc(0, 0, size, 0, 7);
  for (let corner = 0; corner < corners; corner++) {
    const angle = (corner / corners) * 2 * Math.PI - Math.PI / 2 + (number === 3 ? Math.PI / 4 : 0);
    const length = size * (number === 4 && corner % 2 ? 0.55 : 1.15);
    context.lineTo(Math.cos(angle) * length, Math.sin(angle) * length);
  }
  context.closePath();
}

const ruler = document.createElement("canvas").getContext("2d");

function measured(text, font) {
  ruler.font = font;
  return ruler.measureText(text).width;
}

function wrapped(text, font, width) {
  const lines = [""];
  for (const word of text.split(/\s+/).flatMap((each) => each.match(/.{1,22}/gu) ?? [])) {
    const longer = lines.at(-1) ? `${lines.at(-1)} ${word}` : word;
    if (measured(longer, font) <= width || !lines.at(-1)) lines[lines.length - 1] = longer;
    else if (lines.length < 3) lines.push(word);
    else {
      lines[2] += " …";
      break;
    }
  }
  return lines;
}
