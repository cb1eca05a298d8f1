// @ts-check
// The panels about the server as a whole: the bar at the top, the figures, the charts.

import { Spark, columns, drawHistogram, drawMap } from "/admin-charts.js";
import { at, clock, count, duration, element, level, milliseconds, size, whole, write } from "/admin-words.js";

/**
 * One sample: the statistics, and the rates per second since the sample before, by the name of the counter.
 * @typedef {{ stats: any, at: number, rate: (name: string) => number | null, ticks: [string, number, number][] }} Sample
 */

/** @param {Record<string, number>} codes */
const sum = (codes) => Object.values(codes).reduce((total, number) => total + number, 0);

/**
 * A sample of the statistics, after the one before it, if there is one.
 * @param {any} stats
 * @param {any} before
 * @returns {Sample}
 */
export function sampled(stats, before) {
  const seconds = before ? stats.uptime_s - before.uptime_s : 0;
  return {
    stats,
    at: stats.uptime_s,
    rate: (name) => (seconds > 0 ? (stats[name] - before[name]) / seconds : null),
    ticks: columns(stats.tick_durations_ms),
  };
}

/** @param {number | null} rate */
const perSecond = (rate) => `${count(rate)}/s`;

/**
 * The figures in a grid: label, what it means, its text, whether it is worth a look.
 * @typedef {[string, string, (sample: Sample) => string, ((sample: Sample) => boolean)?, ((stats: any) => boolean)?]} Figure
 */

/** @type {Figure[]} */
const FLOW = [
  ["actions in", "what players do", ({ rate }) => count(rate("actions_in_total"))],
  ["deliveries", "what happened, times the players who were told", ({ rate }) => count(rate("deliveries_out_total"))],
  ["bytes in", "what players send", ({ rate }) => size(rate("bytes_in_total"))],
  ["bytes out", "what players are sent", ({ rate }) => size(rate("bytes_out_total"))],
  ["amplified", "deliveries per action", ({ rate }) => ratio(rate("deliveries_out_total"), rate("actions_in_total"), "×")],
  ["frame", "the size of the newest frame, without framing", ({ stats }) => size(stats.frame_bytes)],
  ["sends", "calls of the kernel: players times ticks", ({ rate }) => count(rate("sends_total"))],
  ["encodes/tick", "a tick is encoded once, for everybody", ({ rate }) => ratio(rate("encodes_total"), rate("ticks_total"), "", 2)],
];

/** @type {Figure[]} */
const TROUBLE = [
  ["behind", "slow players, who skip frames now", ({ stats }) => count(stats.behind), ({ stats }) => stats.behind > 0],
  ["queued", "bytes that wait for the kernel", ({ stats }) => size(stats.queued_bytes)],
  ["skipped", "frames that slow players were spared", ({ rate }) => perSecond(rate("frames_skipped_total")), ({ rate }) => (rate("frames_skipped_total") ?? 0) > 0],
  ["catch-ups", "how often a slow player was caught up", ({ rate }) => perSecond(rate("catch_ups_total"))],
  ["overruns", "ticks that took longer than their period, or came late", ({ stats }) => count(stats.overruns_total), ({ rate }) => (rate("overruns_total") ?? 0) > 0],
  ["dilation", "how fast the zone's time runs", ({ stats }) => `${Math.round(100 * stats.dilation)} %`, ({ stats }) => stats.dilation < 1],
  ["ticks skipped", "because an earlier one came too late", ({ stats }) => count(stats.ticks_skipped_total)],
  ["ticks failed", "nobody was told of them: see the log", ({ stats }) => count(stats.ticks_failed_total), ({ stats }) => stats.ticks_failed_total > 0],
  ["rule failures", "rules of the game that raised: see the log", ({ stats }) => count(stats.rule_failures_total), ({ stats }) => stats.rule_failures_total > 0],
  ["handshaking", "connections without a HELLO", ({ stats }) => count(stats.handshaking)],
  ["peak players", "the most players at once", ({ stats }) => count(stats.players_peak)],
  ["watchers", "who see the zone and have no player in it", ({ stats }) => count(stats.watchers), undefined, (stats) => stats.watchers > 0],
  ["warned", "clients that sent too much", ({ stats }) => count(stats.restraints.WARNED ?? 0)],
  ["muted", "clients whose actions were dropped", ({ stats }) => count(stats.restraints.MUTED ?? 0)],
  ["parked", "players whose connection is lost, and who may come back", ({ stats }) => count(stats.parked), ({ stats }) => stats.parked > 0, (stats) => stats.drops_total > 0 || stats.parked > 0],
  ["resumes", "how often one came back", ({ stats }) => count(stats.resumes_total), undefined, (stats) => stats.drops_total > 0],
  ["unsaved", "players who wait to be written to the store", ({ stats }) => count(stats.store_unsaved), ({ stats }) => stats.store_failures_total > 0 && stats.store_unsaved > 0, (stats) => stats.store_writes_total > 0 || stats.store_failures_total > 0],
  ["gateways lost", "how often no batch came from one for two seconds: see the log", ({ stats }) => count(stats.gateways_lost_total), ({ stats }) => stats.gateways_lost_total > 0, (stats) => stats.gateways_attached_total > 0],
  ["sent again", "ticks that a gateway had missed", ({ stats }) => count(stats.link_resent_total), undefined, (stats) => stats.gateways_attached_total > 0],
  ["journal", "bytes written to the journal", ({ rate }) => `${size(rate("journal_bytes_total"))}/s`, undefined, (stats) => stats.journal_bytes_total > 0],
  ["slow writes", "writes of the journal above 5 ms", ({ stats }) => count(stats.journal_slow_writes_total), ({ rate }) => (rate("journal_slow_writes_total") ?? 0) > 0, (stats) => stats.journal_bytes_total > 0],
  ["longest write", "of the journal, of late", ({ stats }) => `${milliseconds(stats.journal_longest_write_ms)} ms`, undefined, (stats) => stats.journal_bytes_total > 0],
];

/** @param {number | null} above @param {number | null} below @param {string} sign @param {number} [digits] */
function ratio(above, below, sign, digits) {
  if (above === null || !below) return "–";
  return sign + (digits === undefined ? count(above / below) : (above / below).toFixed(digits));
}

/** Figures in a grid. */
class Grid {
  /** @param {Element} parent @param {Figure[]} figures */
  constructor(parent, figures) {
    this.cells = figures.map(([label, meaning, text, isAlarm = () => false, isShown = () => true]) => {
      const cell = element("div");
      cell.title = meaning;
      const value = element("dd");
      cell.append(element("dt", "", label), value);
      parent.append(cell);
      return { cell, value, text, isAlarm, isShown };
    });
  }

  /** @param {Sample} sample */
  draw(sample) {
    for (const { cell, value, text, isAlarm, isShown } of this.cells) {
      const shown = text(sample);
      write(value, shown);
      cell.hidden = !isShown(sample.stats);
      cell.className = isAlarm(sample) ? "alarm" : /^(0|0 B)(\/s)?$/.test(shown) ? "none" : "";
    }
  }
}

/** Bars: label, share of a limit, text beside it. */
class Bars {
  /** @param {Element} parent */
  constructor(parent) {
    this.parent = parent;
    /** @type {Map<string, { row: HTMLElement, fill: HTMLElement, beside: Element, word: Element }>} */
    this.rows = new Map();
  }

  /** @param {[string, string, number, string][]} bars label, meaning, share, text */
  draw(bars) {
    for (const [label, meaning, share, text] of bars) {
      const { row, fill, beside, word } = this.rows.get(label) ?? this.#add(label, meaning);
      row.className = level(share);
      fill.style.width = `${Math.min(100, 100 * share)}%`;
      write(beside, text);
      write(word, `${Math.min(999, Math.round(100 * share))} % ${level(share)}`);
    }
    for (const [label, { row }] of this.rows) row.hidden = !bars.some(([name]) => name === label);
  }

  /** @param {string} label @param {string} meaning */
  #add(label, meaning) {
    const row = element("div");
    row.title = meaning;
    const fill = element("i");
    const [bar, beside, word] = [element("dd", "bar"), element("dd"), element("dd", "level")];
    bar.append(fill);
    row.append(element("dt", "", label), bar, beside, word);
    this.parent.append(row);
    const made = { row, fill, beside, word };
    this.rows.set(label, made);
    return made;
  }
}

/**
 * The bars of the first panel.
 * @param {any} stats
 * @param {number} budget
 * @returns {[string, string, number, string][]}
 */
function loads(stats, budget) {
  /** @type {(label: string, meaning: string, value: number) => [string, string, number, string]} */
  const timed = (label, meaning, value) => [label, meaning, value / budget, `${milliseconds(value)} ms`];
  const phases = stats.phases_ms;
  return [
    ["players", "players in the zone, and how many it admits", stats.players / Math.max(1, stats.players_max), whole(stats.players)],
    timed("tick p99", "99 of 100 ticks of the last ten seconds took no longer", stats.tick_ms.p99),
    timed("rules", "the mean time that the game takes of a tick", phases.rules),
    timed("encode", "making the frame", phases.encode),
    ...(stats.journal_bytes_total ? [timed("journal", "writing the tick down", phases.journal)] : []),
    ...(phases.deflate ? [timed("deflate", "deflating the frame, for clients that asked for it", phases.deflate)] : []),
    timed("fan-out", "sending it to every player", phases.fan_out),
    timed("ingest", "CPU time for receiving and decoding between ticks; it is not part of the tick", phases.ingest),
    ["mem, cpu", "CPU time of the process, as a share of one core; its memory", stats.cpu_percent / 100, size(stats.rss_bytes)],
  ];
}

/** @type {[string, (value: number) => string, (sample: Sample) => number | null][]} */
const CHARTS = [
  ["tick p99", (value) => `${milliseconds(value)} ms`, ({ stats }) => stats.tick_ms.p99],
  ["deliveries per s", count, ({ rate }) => rate("deliveries_out_total")],
  ["actions per s", count, ({ rate }) => rate("actions_in_total")],
  ["bytes out per s", size, ({ rate }) => rate("bytes_out_total")],
  ["cpu", (value) => `${Math.round(value)} %`, ({ stats }) => stats.cpu_percent],
  ["players", whole, ({ stats }) => stats.players],
];

const ORDINARY = ["CLIENT_LEFT", "CONNECTION_LOST", "SERVER_STOPPING", "SERVER_RESTARTING"];

/** Whether a close code is no sign of trouble. @param {string} code */
export const isOrdinary = (code) => ORDINARY.includes(code);

/**
 * Numbers by code, the most frequent first.
 * @param {Element} parent
 * @param {Record<string, number>} codes
 * @param {(code: string) => boolean} [isAlarm]
 */
export function drawCodes(parent, codes, isAlarm = () => false) {
  const rows = Object.entries(codes).sort(([one, more], [other, fewer]) => fewer - more || (one < other ? -1 : 1));
  parent.replaceChildren(
    ...(rows.length ? rows : [["none", null]]).map(([code, number]) => {
      const row = element("div", number !== null && isAlarm(String(code)) ? "warn" : "");
      const name = element("dt", "", String(code));
      name.title = String(code);
      row.append(name, element("dd", "", number === null ? "" : count(Number(number))));
      return row;
    }),
  );
}

/** All panels about the server. */
export class Panels {
  constructor() {
    this.bars = new Bars(at("bars"));
    this.flow = new Grid(/** @type {Element} */ (document.querySelector("#flow dl")), FLOW);
    this.trouble = new Grid(/** @type {Element} */ (document.querySelector("#trouble dl")), TROUBLE);
    this.sparks = CHARTS.map(([title, form]) => new Spark(at("sparks"), title, form));
  }

  /**
   * @param {Sample[]} samples of which the last is the newest
   * @param {number} window how many seconds the charts show
   * @param {boolean} isEver whether the columns show all ticks of the server
   */
  draw(samples, window, isEver) {
    const sample = samples[samples.length - 1];
    const { stats } = sample;
    const budget = 1000 / stats.hz / (stats.replay.speed ?? 1);
    write(at("budget"), `a tick has ${milliseconds(budget)} ms`);
    this.bars.draw(loads(stats, budget));
    this.flow.draw(sample);
    this.trouble.draw(sample);
    CHARTS.forEach(([, , value], index) => {
      this.sparks[index].draw(samples.map((each) => [each.at, value(each)]), sample.at, window);
    });
    const oldest = samples.find((each) => each.at >= sample.at - window) ?? sample;
    const isLate = !isEver && oldest !== sample;
    const shown = sample.ticks.map(([title, bound, ticks], index) => [title, bound, ticks - (isLate ? oldest.ticks[index][2] : 0)]);
    drawHistogram(at("histogram"), /** @type {[string, number, number][]} */ (shown), budget);
    const total = shown.reduce((all, [, , ticks]) => all + Number(ticks), 0);
    const since = isLate ? `in the last ${duration(sample.at - oldest.at)}` : "since the start";
    write(at("durations-note"), `Each column: at most so many milliseconds. ${whole(total)} ticks ${since}.`);
    write(at("closes-total"), count(sum(stats.closes)));
    write(at("refusals-total"), count(sum(stats.refusals)));
    drawCodes(at("close-codes"), stats.closes, (code) => !isOrdinary(code));
    drawCodes(at("refusal-codes"), stats.refusals);
    this.#drawTop(stats);
  }

  /** @param {any} stats */
  #drawTop(stats) {
    const words = [location.host, `up ${duration(stats.uptime_s)}`, `tick ${whole(stats.tick)}`, `${stats.hz} Hz`, stats.loop, `pid ${stats.pid}`];
    if (stats.gateway) words.unshift(`gateway ${stats.gateway} at ${stats.link}`);
    if (stats.epoch > 1) words.push(`start ${stats.epoch}`);
    write(at("about"), words.join("  ·  "));
    const { replay } = stats;
    at("replay").hidden = !("length_s" in replay);
    if ("length_s" in replay) {
      const paused = replay.paused ? ", paused" : "";
      write(at("replay"), `Replay: ${clock(replay.position_s)} of ${clock(replay.length_s)} at ×${replay.speed}${paused}`);
    }
  }

  /** @param {any} zone the answer to GET /map */
  drawZone(zone) {
    write(at("size"), `${whole(zone.width)} × ${whole(zone.height)}`);
    drawMap(at("map"), zone);
    const legend = at("legend");
    if (!legend.childElementCount) {
      for (const [name, text] of [["c1", "1"], ["c2", "2"], ["c4", "4"], ["c8", "8 players and more"]]) {
        legend.appendChild(element("span")).append(element("i", name), text);
      }
    }
    const things = legend.querySelector(".things") ?? legend.appendChild(element("span", "things"));
    if (zone.things && !things.childElementCount) things.append(element("i", "thing"), "things");
    things.hidden = !zone.things;
  }
}
