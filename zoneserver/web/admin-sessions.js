// @ts-check
// The lists of sessions and of recent closes, and everything about the selected session.

import { Spark } from "/admin-charts.js";
import { drawCodes, isOrdinary } from "/admin-panels.js";
import { Table } from "/admin-tables.js";
import { at, count, duration, element, milliseconds, size, whole, write } from "/admin-words.js";

// How many sessions are asked for, and for how many seconds the figures of one are kept.
export const ROWS = 100;
const KEPT_S = 120;

/** @param {any} session */
const stateOf = (session) => (session.standing === "FINE" ? session.state : session.standing.toLowerCase());

/** @type {Record<string, string>} */
const STATES = { playing: "good", watching: "good", joining: "", muted: "bad" };

/** @param {any} session */
const styleOf = (session) => STATES[stateOf(session)] ?? "warn";

/** @type {import("/admin-tables.js").Column[]} */
const SESSIONS = [
  ["name", "", (row) => row.name, () => "name"],
  ["state", "", stateOf, styleOf],
  ["queued", "queued", (row) => size(row.queued_bytes), () => "number"],
  ["behind", "behind", (row) => count(row.behind_ticks), () => "number"],
  ["rtt ms", "rtt", (row) => (row.rtt_ms === null ? "–" : milliseconds(row.rtt_ms)), () => "number"],
  ["out", "out", (row) => size(row.bytes_out_total), () => "number"],
  ["actions", "actions", (row) => count(row.actions_in_total), () => "number"],
  ["refused", "refused", (row) => count(row.refusals_total), () => "number"],
  ["age", "age", (row) => duration(row.connected_s), () => "number"],
  ["address", "", (row) => row.address],
];

/** @type {import("/admin-tables.js").Column[]} */
const CLOSES = [
  ["ago", "", (row) => duration(row.ago_s), () => "number"],
  ["name", "", (row) => row.name || "–", () => "name"],
  ["reason", "", (row) => row.code, (row) => (isOrdinary(row.code) ? "" : "warn")],
  ["lived", "", (row) => duration(row.lived_s), () => "number"],
  ["address", "", (row) => row.address],
  ["what the client was told", "", (row) => row.text, () => "text"],
];

export const SORTS = SESSIONS.map(([, sort]) => sort).filter(Boolean);

/** The sessions, the recent closes and the details of one session. */
export class Sessions {
  /** @param {() => void} changed is called when the server has to be asked for another list */
  constructor(changed) {
    this.changed = changed;
    this.sort = "queued";
    this.filter = "";
    /** @type {string | null} The name of the selected player. */
    this.selected = null;
    this.isOpen = false;
    /** Whether players are at gateways in other processes. */
    this.isElsewhere = false;
    /** @type {any} */
    this.listed = null;
    /** The row that was selected last. */
    this.index = 0;
    /** When the newest list was taken. */
    this.takenAt = 0;
    /** The figures of each session of late, by name. @type {Map<string, any[]>} */
    this.histories = new Map();
    this.table = new Table(at("sessions"), SESSIONS, "");
    this.closes = new Table(at("closes"), CLOSES, "No session has ended, or none fits.");
    this.sparks = [
      new Spark(at("one-sparks"), "round trip", (value) => `${milliseconds(value)} ms`),
      new Spark(at("one-sparks"), "queued", size),
      new Spark(at("one-sparks"), "bytes out per s", size),
      new Spark(at("one-sparks"), "actions per s", count),
    ];
    this.table.head.addEventListener("click", (event) => {
      const sort = /** @type {HTMLElement} */ (event.target).dataset?.sort;
      if (sort) this.sortBy(sort);
    });
    this.table.body.addEventListener("click", (event) => {
      const row = /** @type {HTMLElement} */ (event.target).closest("tr");
      if (row?.dataset.name) this.open(row.dataset.name);
    });
    this.table.body.addEventListener("focusin", (event) => {
      const name = /** @type {HTMLElement} */ (event.target).dataset?.name;
      if (name && name !== this.selected) this.select(name);
    });
    at("one-close").addEventListener("click", () => this.close());
  }

  /** The query of the request for the list. */
  get query() {
    const asked = new URLSearchParams({ sort: this.sort, limit: String(ROWS) });
    if (this.filter) asked.set("filter", this.filter);
    return asked;
  }

  /** @param {string} sort */
  sortBy(sort) {
    this.sort = sort;
    this.changed();
  }

  /** Sorts by the column beside the present one. @param {number} step */
  sortNext(step) {
    this.sortBy(SORTS[(SORTS.indexOf(this.sort) + step + SORTS.length) % SORTS.length]);
  }

  /** @param {string} text */
  search(text) {
    this.filter = text;
    this.changed();
  }

  /** @param {string | null} name */
  select(name) {
    this.selected = name;
    this.draw();
  }

  /** Selects the session above or below. @param {number} step */
  move(step) {
    const names = (this.listed?.sessions ?? []).map((/** @type {any} */ each) => each.name);
    if (!names.length) return;
    const index = names.indexOf(this.selected);
    const next = index < 0 ? Math.min(names.length - 1, this.index) : Math.min(names.length - 1, Math.max(0, index + step));
    this.select(names[next]);
    const row = /** @type {HTMLElement} */ (this.table.body.children[next]);
    row.focus();
    row.scrollIntoView({ block: "nearest" });
  }

  /** Shows everything about a session. @param {string | null} name */
  open(name) {
    if (!name) return;
    this.isOpen = true;
    this.select(name);
    at("one").scrollIntoView({ block: "nearest" });
  }

  close() {
    this.isOpen = false;
    this.draw();
  }

  /**
   * Takes a new list. `one` is the selected session, if the list does not have it.
   * @param {any} listed the answer to GET /sessions
   * @param {any} one
   */
  take(listed, one) {
    this.listed = listed;
    const now = performance.now() / 1000;
    this.takenAt = now;
    for (const session of one ? [...listed.sessions, one] : listed.sessions) {
      const history = this.histories.get(session.name) ?? [];
      // Another session of the same name begins anew.
      if (history.length && history[history.length - 1].session.connected_s > session.connected_s) history.length = 0;
      history.push({ at: now, session });
      while (history[0].at < now - KEPT_S) history.shift();
      this.histories.set(session.name, history);
    }
    for (const [name, history] of this.histories) {
      if (history[history.length - 1].at < now - KEPT_S) this.histories.delete(name);
    }
    this.draw();
  }

  draw() {
    const { listed } = this;
    if (!listed) return;
    const hadFocus = this.table.body.contains(document.activeElement);
    const nobody = this.isElsewhere ? "Nobody is here: the sessions of a gateway are at its own admin port." : "Nobody is in.";
    this.table.nothing = this.filter ? "Nobody fits." : nobody;
    this.table.draw(listed.sessions);
    const names = listed.sessions.map((/** @type {any} */ each) => each.name);
    const marked = names.indexOf(this.selected);
    if (marked >= 0) this.index = marked;
    // The row that had the focus is now that of another player.
    else if (hadFocus) /** @type {HTMLElement} */ (document.activeElement).blur();
    [...this.table.body.children].forEach((row, index) => {
      const line = /** @type {HTMLElement} */ (row);
      line.dataset.name = names[index] ?? "";
      line.tabIndex = names.length && index === Math.max(0, marked) ? 0 : -1;
      line.setAttribute("aria-selected", String(index === marked));
      if (hadFocus && index === marked && document.activeElement !== line) line.focus({ preventScroll: true });
    });
    for (const cell of this.table.head.children) {
      const sort = /** @type {HTMLElement} */ (cell.firstElementChild).dataset.sort;
      if (sort === this.sort) cell.setAttribute("aria-sort", "descending");
      else cell.removeAttribute("aria-sort");
    }
    const shown = names.length < listed.found ? `${count(names.length)} of ${whole(listed.found)}` : whole(listed.found);
    write(at("found"), `${shown}${this.filter ? ` found, of ${whole(listed.players)}` : ""}, by ${this.sort}`);
    const wanted = this.filter.toLowerCase();
    const text = (/** @type {any} */ each) => `${each.name}\n${each.address}\n${each.code}`.toLowerCase();
    this.closes.draw(listed.closed.filter((/** @type {any} */ each) => text(each).includes(wanted)));
    this.#drawOne();
  }

  #drawOne() {
    const history = this.selected === null ? undefined : this.histories.get(this.selected);
    const isShown = this.isOpen && history !== undefined;
    at("one").hidden = !isShown;
    if (!isShown) return;
    const { session, at: end } = history[history.length - 1];
    const isHere = end === this.takenAt;
    const closed = isHere ? null : this.listed.closed.find((/** @type {any} */ each) => each.name === session.name);
    write(at("one-name"), session.name);
    write(at("one-state"), isHere ? stateOf(session) : "gone");
    write(at("one-why"), isHere ? session.why : closed ? `${closed.code}: ${closed.text}` : "The session has ended.");
    at("one-kick").disabled = !isHere;
    const facts = {
      address: session.address,
      slot: session.slot === null ? "none" : String(session.slot),
      standing: session.standing.toLowerCase(),
      "in for": duration(session.connected_s),
      behind: `${whole(session.behind_ticks)} ticks`,
      queued: size(session.queued_bytes),
      out: size(session.bytes_out_total),
      actions: whole(session.actions_in_total),
      refused: whole(session.refusals_total),
    };
    at("one-facts").replaceChildren(
      ...Object.entries(facts).map(([name, value]) => {
        const row = element("div");
        row.append(element("dt", "", name), element("dd", "", value));
        return row;
      }),
    );
    drawCodes(at("one-codes"), session.refusals);
    const rates = (/** @type {string} */ name) =>
      history.map((/** @type {any} */ each, /** @type {number} */ index) => {
        const before = history[index - 1];
        return [each.at, before ? (each.session[name] - before.session[name]) / (each.at - before.at) : null];
      });
    const values = (/** @type {string} */ name) => history.map((/** @type {any} */ each) => [each.at, each.session[name]]);
    const drawn = [values("rtt_ms"), values("queued_bytes"), rates("bytes_out_total"), rates("actions_in_total")];
    drawn.forEach((points, index) => this.sparks[index].draw(/** @type {any} */ (points), end, KEPT_S));
  }
}
