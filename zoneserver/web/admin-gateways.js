// @ts-check
// The gateways of a zone that are processes of their own.

import { Table } from "/admin-tables.js";
import { at, count, duration, milliseconds, size, whole, write } from "/admin-words.js";

// A gateway tells its zone once a second what it sent: a rate over less time would jump.
const RATE_S = 3;

/** @typedef {import("/admin-panels.js").Sample} Sample */

/** @param {any} row */
function stateOf({ gateway, hz }) {
  if (gateway.is_lost) return "lost";
  if (gateway.is_stopped) return "stopped";
  return gateway.behind_ticks > hz ? "late" : "fine";
}

/** @type {Record<string, string>} */
const STYLES = { fine: "good", late: "warn", lost: "bad", stopped: "" };

/** @param {any} gateway */
const isHere = (gateway) => !(gateway.is_lost || gateway.is_stopped);

/** The text of a figure that a gateway does not have any more. @param {(gateway: any) => string} form */
const present = (form) => (/** @type {any} */ { gateway }) => (isHere(gateway) ? form(gateway) : "–");

/** @type {import("/admin-tables.js").Column[]} */
const GATEWAYS = [
  ["name", "", ({ gateway }) => gateway.name, () => "name"],
  ["state", "", stateOf, (row) => (row.gateway ? STYLES[stateOf(row)] : "")],
  ["players", "", ({ gateway }) => whole(gateway.players), () => "number"],
  ["cpu", "", present((gateway) => `${Math.round(gateway.cpu_percent)} %`), () => "number"],
  ["behind", "", present((gateway) => count(gateway.behind)), () => "number"],
  ["out per s", "", ({ gateway, rate }) => (isHere(gateway) ? size(rate) : "–"), () => "number"],
  ["lead ms", "", present((gateway) => milliseconds(gateway.lead_ms)), () => "number"],
  ["wait ms", "", present((gateway) => milliseconds(gateway.waited_ms)), () => "number"],
  ["lacks", "", ({ gateway }) => count(gateway.behind_ticks), () => "number"],
  ["memory", "", present((gateway) => size(gateway.rss_bytes)), () => "number"],
  ["here for", "", ({ gateway }) => duration(gateway.attached_s), () => "number"],
  ["players' address", "", ({ gateway }) => gateway.address],
  ["admin port", "", ({ gateway }) => gateway.stats],
];

/**
 * Bytes out per second, between the moments of which a gateway told.
 * @param {any} gateway
 * @param {Sample[]} samples
 */
function rateOf(gateway, samples) {
  const { at: end } = samples[samples.length - 1];
  const { stats, at: begin } = samples.find((each) => each.at >= end - RATE_S - 0.5) ?? samples[samples.length - 1];
  const before = stats.gateways.find((/** @type {any} */ each) => each.name === gateway.name && each.pid === gateway.pid);
  const seconds = before ? end - gateway.age_s - (begin - before.age_s) : 0;
  const more = before ? gateway.bytes_out_total - before.bytes_out_total : 0;
  return seconds > 0.1 && more >= 0 ? more / seconds : null;
}

/** The panel of the gateways, which an ordinary server does not have. */
export class GatewayPanel {
  constructor() {
    this.table = new Table(at("gateways-list"), GATEWAYS, "");
  }

  /** @param {Sample[]} samples of which the last is the newest */
  draw(samples) {
    const { gateways, hz } = samples[samples.length - 1].stats;
    at("gateways").hidden = !gateways.length;
    if (!gateways.length) return;
    const rows = gateways.map((/** @type {any} */ gateway) => ({ gateway, hz, rate: rateOf(gateway, samples) }));
    const gone = ["lost", "stopped"].map((state) => [rows.filter((/** @type {any} */ row) => stateOf(row) === state).length, state]);
    const told = gone.filter(([number]) => number).map(([number, state]) => `, ${whole(number)} ${state}`);
    write(at("gateways-count"), `${whole(gateways.length)}${told.join("")}`);
    this.table.draw(rows);
  }
}
