// @ts-check
// The operators' page: asks the server once a second, and listens to keys and buttons.

import { GatewayPanel } from "/admin-gateways.js";
import { Panels, sampled } from "/admin-panels.js";
import { ROWS, Sessions } from "/admin-sessions.js";
import { at, quoted, whole, write } from "/admin-words.js";

const EVERY_MS = 1000;
const PATIENCE_MS = 10_000;
const WINDOWS_S = [30, 60, 120, 300, 600];
const TOLD_MS = 6000;

const panels = new Panels();
const gateways = new GatewayPanel();
const sessions = new Sessions(() => void poll());
/** @type {import("/admin-panels.js").Sample[]} */
let samples = [];
let window_s = 60;
let isEver = false;
let isPaused = false;
// Whether requests are on their way; and whether something was asked for meanwhile.
let isAsking = false;
let isStale = false;
let timer = 0;
/** When the server has answered last. */
let answeredAt = new Date();
let token = sessionStorage.getItem("zone-token") ?? "";

// --- Asking ---------------------------------------------------------------------------------------

/** What the server says, or its refusal. @param {string} path @param {RequestInit} [how] */
async function ask(path, how = {}) {
  const headers = { ...(token ? { Authorization: `Bearer ${token}` } : {}), ...how.headers };
  const answer = await fetch(path, { ...how, headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
  if (answer.status === 401) at("token").showModal();
  const document = await answer.json();
  if (!answer.ok) throw new Error(document.error ?? `the server answered ${answer.status}`);
  return document;
}

/** Asks for everything once, and again in a second. */
async function poll() {
  isStale = isAsking;
  if (isAsking || isPaused || document.hidden || at("token").open) return;
  isAsking = true;
  clearTimeout(timer);
  const began = performance.now();
  try {
    take(await ask("/stats"));
    const listed = await ask(`/sessions?${sessions.query}`);
    sessions.take(listed, await selectedOne(listed));
    panels.drawZone(await ask("/map"));
    answeredAt = new Date();
    told(state());
  } catch {
    // What was lost is seen at the top; the last values stay.
    told(["silent", `no answer since ${answeredAt.toLocaleTimeString()}`, "bad"]);
  }
  isAsking = false;
  timer = setTimeout(poll, isStale ? 0 : Math.max(0, EVERY_MS - (performance.now() - began)));
}

/** The selected session, if its details are shown and the list does not have it. @param {any} listed */
async function selectedOne(listed) {
  const name = sessions.isOpen ? sessions.selected : null;
  if (name === null || listed.sessions.some((/** @type {any} */ each) => each.name === name)) return null;
  const found = await ask(`/sessions?${new URLSearchParams({ filter: name, limit: String(ROWS) })}`);
  return found.sessions.find((/** @type {any} */ each) => each.name === name) ?? null;
}

/** @param {any} stats */
function take(stats) {
  const before = samples[samples.length - 1]?.stats;
  // Another process, or another start of it: what was measured before is of no use.
  if (before && (before.pid !== stats.pid || before.uptime_s > stats.uptime_s)) samples = [];
  samples.push(sampled(stats, samples.length ? before : undefined));
  while (samples[0].at < stats.uptime_s - WINDOWS_S[WINDOWS_S.length - 1]) samples.shift();
  panels.draw(samples, window_s, isEver);
  gateways.draw(samples);
  sessions.isElsewhere = stats.gateways.length > 0;
  Object.assign(document.body.dataset, { tick: stats.tick, players: stats.players });
  document.title = `${stats.game} · ${whole(stats.players)} players`;
}

/** The state of the server for the top of the page: a name, a text, a style. @returns {[string, string, string]} */
function state() {
  const { stats } = samples[samples.length - 1];
  if (isPaused) return ["paused", "paused", ""];
  if (stats.zone_silent_s) return ["away", `zone silent ${stats.zone_silent_s.toFixed(1)} s`, "bad"];
  if (stats.dilation < 1) return ["live", `dilated to ${Math.round(100 * stats.dilation)} %`, "warn"];
  return ["live", "length_s" in stats.replay ? "replay" : "live", "good"];
}

/** @param {[string, string, string]} state */
function told([name, text, style]) {
  document.body.dataset.state = name;
  at("state").className = style;
  write(at("state"), text);
}

async function nameGame() {
  const game = await ask("/game.json");
  write(at("game"), game.version ? `${game.name} ${game.version}` : game.name);
}

// --- Kicking --------------------------------------------------------------------------------------

let told_timer = 0;

/** Says something at the foot of the page for a while. @param {string} text @param {boolean} isBad */
function say(text, isBad) {
  clearTimeout(told_timer);
  at("told").className = isBad ? "bad" : "";
  at("told").textContent = text;
  at("told").hidden = false;
  told_timer = setTimeout(() => (at("told").hidden = true), TOLD_MS);
}

/** The player about whom the question is. */
let asked = "";

function askToKick() {
  if (sessions.selected === null) return;
  if (!samples[samples.length - 1]?.stats.ctl) {
    const { gateway } = samples[samples.length - 1]?.stats ?? {};
    say(gateway ? "A gateway takes no commands: kick at the page of its zone." : "This server takes no commands (--ctl).", true);
    return;
  }
  asked = sessions.selected;
  write(at("kick-name"), asked);
  at("kick-text").value = "";
  at("kick").showModal();
}

async function kick() {
  at("kick").close();
  const text = at("kick-text").value.trim();
  const command = `kick ${quoted(asked)}${text ? ` ${quoted(text)}` : ""}`;
  try {
    const answer = await ask(`/ctl?${new URLSearchParams({ command })}`, { method: "POST", headers: { "X-Zone": "ctl" } });
    say(answer.text, answer.code !== 0);
  } catch (error) {
    say(`${asked} was not kicked: ${/** @type {Error} */ (error).message}`, true);
  }
  void poll();
}

// --- Keys and buttons -----------------------------------------------------------------------------

function pause() {
  isPaused = !isPaused;
  at("pause").setAttribute("aria-pressed", String(isPaused));
  write(at("pause"), isPaused ? "Go on" : "Pause");
  if (samples.length) told(state());
  void poll();
}

/** @param {number} step */
function reach(step) {
  const index = Math.min(WINDOWS_S.length - 1, Math.max(0, WINDOWS_S.indexOf(window_s) + step));
  window_s = WINDOWS_S[index];
  write(at("window"), window_s < 60 ? `${window_s} s` : `${window_s / 60} min`);
  redraw();
}

/** @param {boolean} isAll */
function count(isAll) {
  isEver = isAll;
  at("ever").setAttribute("aria-pressed", String(isAll));
  at("recent").setAttribute("aria-pressed", String(!isAll));
  redraw();
}

function redraw() {
  if (samples.length) panels.draw(samples, window_s, isEver);
  sessions.draw();
}

/** @type {Record<string, () => void>} */
const KEYS = {
  "/": () => at("filter").focus(),
  "?": () => at("help").showModal(),
  " ": pause,
  "+": () => reach(1),
  "=": () => reach(1),
  "-": () => reach(-1),
  "<": () => sessions.sortNext(-1),
  ">": () => sessions.sortNext(1),
  ArrowDown: () => sessions.move(1),
  ArrowUp: () => sessions.move(-1),
  Enter: () => sessions.open(sessions.selected),
  d: () => sessions.open(sessions.selected),
  k: askToKick,
  Escape: leave,
};

/** Closes the details, or clears the filter. */
function leave() {
  if (sessions.isOpen) sessions.close();
  else if (sessions.filter) search("");
  else sessions.select(null);
}

/** @param {string} text */
function search(text) {
  at("filter").value = text;
  sessions.search(text);
}

document.addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  if (document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (target.tagName === "INPUT") {
    if (event.key === "Escape") search("");
    if (!["Escape", "Enter", "ArrowDown"].includes(event.key)) return;
    event.preventDefault();
    target.blur();
    if (event.key !== "Escape") sessions.move(0);
    return;
  }
  // A button is pressed by these keys.
  if (target.tagName === "BUTTON" && [" ", "Enter"].includes(event.key)) return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

at("filter").addEventListener("input", () => sessions.search(at("filter").value.trim()));
at("pause").addEventListener("click", pause);
at("longer").addEventListener("click", () => reach(1));
at("shorter").addEventListener("click", () => reach(-1));
at("recent").addEventListener("click", () => count(false));
at("ever").addEventListener("click", () => count(true));
at("help-open").addEventListener("click", () => at("help").showModal());
at("help-close").addEventListener("click", () => at("help").close());
at("one-kick").addEventListener("click", askToKick);
at("kick-no").addEventListener("click", () => at("kick").close());
at("kick-yes").addEventListener("click", kick);
at("kick-text").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => event.key === "Enter" && kick());
at("token-go").addEventListener("click", () => at("token").close());
at("token-text").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => event.key === "Enter" && at("token").close());
at("token").addEventListener("close", () => {
  token = at("token-text").value.trim();
  sessionStorage.setItem("zone-token", token);
  start();
});
document.addEventListener("visibilitychange", () => void poll());
addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

function start() {
  nameGame().catch(() => {});
  void poll();
}
start();
