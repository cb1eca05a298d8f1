// @ts-check
// Pictures: sparklines and the map on canvases, the durations of ticks as columns.

import { element, whole, write } from "/admin-words.js";

/** The colours of the style sheet, which follow the light. @param {string} name */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/**
 * The canvas' context, with one unit per pixel of the style sheet; the size of the canvas; all of it cleared.
 * @param {HTMLCanvasElement} canvas
 * @returns {[CanvasRenderingContext2D, number, number]}
 */
function cleared(canvas) {
  const ratio = globalThis.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== across || canvas.height !== down) [canvas.width, canvas.height] = [across, down];
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return [context, width, height];
}

/** A chart of one figure over time, with its present value and its peak. */
export class Spark {
  /**
   * @param {Element} parent
   * @param {string} title
   * @param {(value: number) => string} form
   */
  constructor(parent, title, form) {
    this.title = title;
    this.form = form;
    const figure = element("figure", "spark");
    const caption = element("figcaption");
    this.now = element("b");
    caption.append(element("span", "", title), this.now);
    this.canvas = /** @type {HTMLCanvasElement} */ (element("canvas"));
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", title);
    this.peak = element("small");
    figure.append(caption, this.canvas, this.peak);
    parent.append(figure);
  }

  /**
   * Draws (time, value) pairs in rising order of time, as far back as `window` seconds before `end`. A null is a gap.
   * @param {[number, number | null][]} points
   * @param {number} end
   * @param {number} window
   */
  draw(points, end, window) {
    const shown = points.filter(([at]) => at >= end - window);
    const values = shown.map(([, value]) => value).filter((value) => value !== null);
    const last = shown.at(-1)?.[1] ?? null;
    const top = Math.max(0, ...values);
    write(this.now, last === null ? "–" : this.form(last));
    write(this.peak, values.length ? `peak ${this.form(top)}` : "");
    this.canvas.setAttribute("aria-label", `${this.title}: now ${this.now.textContent}, ${this.peak.textContent}`);
    const [context, width, height] = cleared(this.canvas);
    const foot = height - 1.5;
    /** @type {(at: number) => number} */
    const across = (at) => width - 3 - ((end - at) / window) * (width - 3);
    /** @type {(value: number) => number} */
    const down = (value) => foot - (top ? value / top : 0) * (height - 6);
    context.strokeStyle = colour("line");
    context.beginPath();
    context.moveTo(0, foot + 0.5);
    context.lineTo(width, foot + 0.5);
    context.stroke();
    context.strokeStyle = colour("accent");
    context.fillStyle = colour("soft");
    context.lineWidth = 1.6;
    context.lineJoin = "round";
    for (const part of parts(shown)) {
      const line = new Path2D();
      for (const [at, value] of part) line.lineTo(across(at), down(value));
      context.stroke(line);
      line.lineTo(across(part[part.length - 1][0]), foot);
      line.lineTo(across(part[0][0]), foot);
      context.fill(line);
    }
    if (last !== null) {
      context.fillStyle = colour("accent");
      context.beginPath();
      context.arc(across(shown[shown.length - 1][0]), down(last), 2.4, 0, 7);
      context.fill();
    }
  }
}

/**
 * The parts of a line between its gaps.
 * @param {[number, number | null][]} points
 */
function parts(points) {
  /** @type {[number, number][][]} */
  const found = [[]];
  for (const [at, value] of points) {
    if (value === null) found.push([]);
    else found[found.length - 1].push([at, value]);
  }
  return found.filter((part) => part.length);
}

// --- The map --------------------------------------------------------------------------------------

// Players within a cell of this many pixels are counted together; the fewest of each colour.
const CELL = 5;
const DENSITY = [[8, "crowd-8"], [4, "crowd-4"], [2, "crowd-2"], [1, "crowd-1"]];

/**
 * Draws where players and things are, in the true proportions of the zone.
 * @param {HTMLCanvasElement} canvas
 * @param {any} zone the answer to GET /map
 */
export function drawMap(canvas, zone) {
  const [context, width, height] = cleared(canvas);
  const scale = Math.min(width / zone.width, height / zone.height);
  const [left, top] = [(width - zone.width * scale) / 2, (height - zone.height * scale) / 2];
  context.fillStyle = colour("map");
  context.beginPath();
  context.roundRect(left, top, zone.width * scale, zone.height * scale, 6);
  context.fill();
  context.fillStyle = colour("thing");
  const things = zone.thing_positions;
  for (let i = 0; i < things.length; i += 2) context.fillRect(left + things[i] * scale - 1, top + things[i + 1] * scale - 1, 2, 2);
  // The map of a large crowd holds only some players: each of them then counts for several.
  const weight = zone.players / (zone.positions.length / 2 || 1);
  /** @type {Map<number, number>} */
  const crowd = new Map();
  for (let i = 0; i < zone.positions.length; i += 2) {
    const cell = Math.floor((zone.positions[i] * scale) / CELL) + Math.floor((zone.positions[i + 1] * scale) / CELL) * 4096;
    crowd.set(cell, (crowd.get(cell) ?? 0) + weight);
  }
  for (const [fewest, name] of DENSITY) {
    context.fillStyle = colour(String(name));
    context.beginPath();
    for (const [cell, players] of crowd) {
      if (players < Number(fewest)) continue;
      const [x, y] = [left + ((cell % 4096) + 0.5) * CELL, top + (Math.floor(cell / 4096) + 0.5) * CELL];
      context.moveTo(x + 2.2, y);
      context.arc(x, y, 2.2, 0, 7);
      crowd.delete(cell);
    }
    context.fill();
  }
  const more = zone.things ? `, ${whole(zone.things)} things` : "";
  canvas.setAttribute("aria-label", `The map: ${whole(zone.players)} players${more}`);
}

// --- Ticks by duration ----------------------------------------------------------------------------

/**
 * How many ticks took how long, from the cumulative counts of the statistics.
 * @param {Record<string, number>} table
 * @returns {[string, number, number][]} the title of each column, its upper bound in milliseconds, its ticks
 */
export function columns(table) {
  const bounds = Object.keys(table).filter((key) => key !== "sum" && key !== "+Inf");
  bounds.sort((one, other) => Number(one) - Number(other));
  let before = 0;
  /** @type {[string, number, number][]} */
  const found = [...bounds, "+Inf"].map((bound) => {
    const ticks = table[bound] - before;
    before = table[bound];
    return [bound === "+Inf" ? `>${bounds[bounds.length - 1]}` : bound, bound === "+Inf" ? Infinity : Number(bound), ticks];
  });
  return found;
}

/**
 * Draws the columns. Their colours tell how much of a tick's period they take.
 * @param {HTMLElement} parent
 * @param {[string, number, number][]} shown
 * @param {number} budget the period of a tick in milliseconds
 */
export function drawHistogram(parent, shown, budget) {
  const total = shown.reduce((sum, [, , ticks]) => sum + ticks, 0);
  const most = Math.max(1, ...shown.map(([, , ticks]) => ticks));
  while (parent.children.length < shown.length) {
    const place = element("div");
    const column = element("div", "column");
    column.append(element("i"));
    place.append(element("b"), column, element("span"));
    parent.append(place);
  }
  shown.forEach(([title, bound, ticks], index) => {
    const place = /** @type {HTMLElement} */ (parent.children[index]);
    const above = index ? shown[index - 1][1] : 0;
    place.className = above >= budget ? "over" : bound > budget / 2 ? "busy" : "fine";
    place.title = `${whole(ticks)} of ${whole(total)} ticks took ${title.startsWith(">") ? title : `at most ${title}`} ms`;
    write(place.children[0], ticks ? percent(ticks / total) : "");
    write(place.children[2], title);
    const column = /** @type {HTMLElement} */ (place.children[1].firstElementChild);
    column.style.height = ticks ? `max(3px, ${(100 * ticks) / most}%)` : "0";
  });
  const said = shown.filter(([, , ticks]) => ticks).map(([title, , ticks]) => `${title} ms ${percent(ticks / total)}`);
  parent.setAttribute("aria-label", `Ticks by duration: ${said.join(", ") || "none"}`);
}

/** @param {number} share */
function percent(share) {
  return share > 0.995 && share < 1 ? ">99%" : share < 0.01 ? "<1%" : `${Math.round(100 * share)}%`;
}
