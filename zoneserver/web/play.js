// The page on which anybody can play: it joins or watches a zone, and ties picture, panels, keys and talk together.

import { connect } from "/zone.js";
import { Bots } from "/bots.js";
import { Game, Walker, grouped } from "/game.js";
import { Figures } from "/figures.js";
import { listenToKeys } from "/keys.js";
import { Panels, byId, click, write } from "/panels.js";
import { Stage } from "/stage.js";
import { Talk, announce, toast } from "/talk.js";
import { ended } from "/words.js";

const NAME_KEY = "zone.name";
/** The memory of the browser for this tab and for this person; null where it is forbidden. */
const [ofTab, ofPerson] = ["sessionStorage", "localStorage"].map((kind) => {
  try {
    return window[kind];
  } catch {
    return null;
  }
});

/** The part of the page that the other modules need. `zone` is also there for the console: `page.zone.act("say", "hello")`. */
const page = {
  zone: null,
  game: null,
  stage: null,
  panels: null,
  walker: null,
  bots: null,
  act,
  choose,
  layOut,
  walkTo,
};
globalThis.page = page;

const { body } = document;
const asked = new URLSearchParams(location.search);
const bots = (page.bots = new Bots());
let attempts = 0;
let isCounted = false;
// How many state hashes had been compared when the last one was wrong.
let wrongAt = 0;

page.stage = new Stage(byId("stage"), byId("map"), { onTap: tapped });
page.panels = new Panels(page);
const talk = new Talk(page);
const figures = new Figures(page);

// --- Joining, watching, leaving ---

/** Shows one of the states connecting, playing, away and closed. */
function show(state) {
  body.dataset.state = state;
  if (state !== "playing")
    write("step-text", { connecting: "connecting", away: "coming back …", closed: "not connected" }[state]);
}

/** Opens a connection. A preview is the picture behind the dialog, before the visitor has a name. */
async function enter({ name = "", ticket = "", watch = false, isPreview = false }) {
  const attempt = ++attempts;
  if (!isPreview) show("connecting");
  byId("join").classList.toggle("busy", !isPreview);
  let next;
  try {
    next = await connect(location.origin, { name, watch, ticket, session: watch ? null : ofTab });
  } catch (error) {
    if (attempt === attempts) refused(error, { name, isPreview });
    return;
  } finally {
    if (attempt === attempts) byId("join").classList.remove("busy");
  }
  if (attempt !== attempts) {
    next.close();
    return;
  }
  const last = page.zone;
  adopt(next, { isPreview });
  last?.close();
  // Since the page was loaded, the server may have been started anew, with another game.
  if (attempt > 1) learn();
  if (isPreview) return;
  if (!watch) {
    ofPerson?.setItem(NAME_KEY, name);
    ofTab?.setItem(NAME_KEY, name);
  }
  announce(
    watch
      ? `You are watching ${page.game.name}.`
      : `You are in ${page.game.name} as ${name}. Press question mark for help.`,
  );
}

/** Makes a connection the one that the page shows. */
function adopt(zone, { isPreview }) {
  page.zone = zone;
  body.dataset.role = isPreview ? "" : zone.me ? "player" : "watcher";
  body.dataset.hash = "";
  isCounted = false;
  wrongAt = 0;
  figures.begin();
  byId("door").hidden = !isPreview;
  suit();
  if (!isPreview) show("playing");
  listen(zone, isPreview);
  ticked({});
  page.panels.update();
  if (!isPreview) document.activeElement?.blur();
}

/** Suits the page to its game, and to what the visitor is in it. */
function suit() {
  const { zone, game, stage } = page;
  const isPlayer = body.dataset.role === "player";
  page.walker?.stop();
  page.walker = isPlayer && game.walk ? new Walker(zone, game, { onStop: stopped }) : null;
  byId("say").hidden = !isPlayer || !game.talk;
  byId("watching").hidden = body.dataset.role !== "watcher";
  byId("take-part").hidden = game.isReplay;
  write("watching-text", game.isReplay ? "You are watching a replay." : "You are watching.");
  layOut();
  stage.picture = game.picture(zone.board);
  stage.show(zone, game, isPlayer);
  choose(null);
}

function listen(zone, isPreview) {
  const on = (event, callback) =>
    zone.on(event, (...values) => {
      if (zone === page.zone) callback(...values);
    });
  on("tick", ticked);
  on("join", () => {
    isCounted = false;
  });
  on("leave", () => {
    isCounted = false;
  });
  on("*", (kind, player, ...values) => talk.happened(kind, player, values));
  on("told", (kind, values) => talk.told(kind, values));
  on("refused", (refusal) => talk.refused(refusal));
  on("frame", (frame) => talk.frame(frame));
  on("diverged", ({ tick }) => {
    body.dataset.hash = "wrong";
    wrongAt = zone.hashesChecked;
    page.panels.note("out of step", `this copy of the zone is wrong in tick ${tick}: it is fetched anew`, {
      mood: "bad",
    });
  });
  on("back", learn);
  if (isPreview) return;
  let slot = zone.me?.slot;
  on("drop", () => {
    show("away");
    toast("The connection is cut. You are coming back …");
    page.panels.note("drop", "the connection is cut", { mood: "bad" });
  });
  on("back", ({ resumed, missed = 0 } = {}) => {
    show("playing");
    page.walker?.resume();
    isCounted = false;
    page.stage.crowd.isStale = true;
    const place = !zone.me
      ? "You see the zone again"
      : resumed && zone.me.slot === slot
        ? "You are back in the same place"
        : "You have joined anew";
    slot = zone.me?.slot;
    toast(`${place}${missed ? `; ${grouped(missed)} ticks made up for` : ""}.`, "good");
    page.panels.note("back", `${place.toLowerCase()}, ${missed} ticks missed`, { mood: "good" });
  });
  on("closed", (reason) => closed(reason));
}

/** A connection was refused: the dialog says why. */
function refused(error, { name, isPreview }) {
  ofTab?.removeItem(NAME_KEY);
  if (error.code === "BAD_TICKET") byId("ticket-field").hidden = false;
  if (isPreview) {
    // Where watchers find no room, a player may.
    openDoor({
      text: error.code === "BAD_TICKET" ? "Join to see who is here." : invitation(),
      error: error.code === "CONNECTION_LOST" ? ended(error) : "",
    });
    return;
  }
  show("closed");
  // Anything else was not even sent: a ticket with other characters than tickets have.
  openDoor({ error: error.name === "ZoneClosed" ? ended(error) : `This is no ticket. ${error.message}`, name });
}

/** The session has ended, by whatever side. */
function closed(reason) {
  ofTab?.removeItem(NAME_KEY);
  bots.close();
  showMore();
  show("closed");
  page.panels.note("closed", `${reason.code}: ${reason.text}`, { mood: "bad" });
  const isOwn = reason.code === "CLIENT_LEFT";
  openDoor({ title: isOwn ? "Join" : "You are out", error: isOwn ? "" : ended(reason), name: page.zone?.name });
}

/** The first words to a newcomer. */
function invitation() {
  if (page.game?.isReplay) return "This is a recording: everybody may watch it, and nobody can join.";
  const ways = [
    page.game?.walk && `${click()} the ground to walk`,
    page.game?.point && `${click()} a place`,
    page.game?.talk && "say a line",
  ].filter(Boolean);
  return `Everybody here sees everybody.${ways.length ? ` Once you are in, ${ways.join(", ")}.` : ""}`;
}

function openDoor({ title = "Join", text = invitation(), error = "", name = "" } = {}) {
  const isReplay = Boolean(page.game?.isReplay);
  body.dataset.role = "";
  byId("name-field").hidden = byId("watch").hidden = isReplay;
  byId("name").required = !isReplay;
  write("enter", isReplay ? "Watch again" : "Join");
  byId("say").hidden = byId("watching").hidden = true;
  byId("door").hidden = false;
  write("door-title", title === "Join" && page.game ? `${isReplay ? "Replay of" : "Join"} ${page.game.name}` : title);
  write("door-text", error ? "" : text);
  write("door-error", error);
  const field = byId("name");
  field.value = name || field.value || ofPerson?.getItem(NAME_KEY) || "";
  field.focus({ preventScroll: true });
  field.select();
  if (isReplay) byId("enter").focus();
  layOut();
}

byId("join").addEventListener("submit", (event) => {
  event.preventDefault();
  write("door-error", "");
  const name = byId("name").value;
  if (page.game.isReplay) watch();
  else if (name) enter({ name, ticket: byId("ticket").value.trim() });
});
const watch = () => enter({ watch: true, ticket: byId("ticket").value.trim() });
byId("watch").addEventListener("click", watch);
byId("take-part").addEventListener("click", () => openDoor());
byId("drop").addEventListener("click", () => page.zone.drop());
byId("leave").addEventListener("click", async () => {
  const { zone } = page;
  const attempt = attempts;
  bots.close();
  await zone.close();
  if (body.dataset.state === "playing") closed({ code: "CLIENT_LEFT", text: "" });
  // A visitor who joins again at once needs no preview.
  if (attempt === attempts) enter({ watch: true, isPreview: true });
});
byId("more").addEventListener("click", async () => {
  const button = byId("more");
  if (bots.isFull) bots.close();
  else {
    button.disabled = true;
    await bots
      .more(10, page.zone.name, page.game)
      .catch((error) => toast(`No more of you got in. ${ended(error)}`, "bad"));
    button.disabled = false;
    announce(`${bots.all.size} more of you are here.`);
  }
  showMore();
});

function showMore() {
  write("more", bots.isFull ? `Send ${bots.all.size} of me home` : "Ten more of me");
}

// --- Walking, choosing, acting ---

/** Sends an action; resolves with the text of a private answer. */
async function act(action, values) {
  const answer = await page.zone.done(page.zone.act(action.name, ...values));
  return answer === undefined
    ? ""
    : JSON.stringify(answer, (_, value) => (typeof value === "bigint" ? String(value) : value));
}

function tapped(x, y) {
  const { zone, game, stage, panels } = page;
  if (panels.tab && !panels.isWide.matches) panels.show(false);
  if (byId("door").hidden === false) return;
  choose(stage.at(x, y));
  if (page.walker) walkTo(x, y);
  else if (zone.me && game.point) {
    const [px, py] = [Math.round(x), Math.round(y)];
    if (px >= 0 && py >= 0 && px <= zone.width && py <= zone.height) panels.point(px, py);
  }
}

function walkTo(x, y) {
  page.stage.camera.isFree = false;
  page.walker.to(x, y);
  page.stage.goal = page.walker.goal;
}

function stopped(why) {
  page.stage.goal = null;
  if (/^[A-Z_]+$/.test(why)) toast(`You cannot walk now: ${why}`, "bad");
}

/** Chooses a player or a thing by its slot, or nobody. */
function choose(slot) {
  page.stage.target = slot;
  const { zone } = page;
  page.panels.choose(slot === null ? null : (zone.player(slot) ?? zone.thing(slot)));
}

// --- Each tick, and the layout ---

function ticked(update) {
  const { zone, stage, game } = page;
  figures.dilation = update.dilation ?? 1;
  figures.tickedAt = performance.now();
  page.walker?.tick();
  if (page.walker) stage.goal = page.walker.goal;
  if (update.joined?.length || update.left?.length || update.missed) {
    isCounted = false;
    stage.crowd.isStale = true;
  }
  if (!isCounted) {
    isCounted = true;
    let count = 0;
    for (const _ of zone.players) count++;
    body.dataset.players = count;
    write("count", grouped(count));
    write("count-what", count === 1 ? "player here" : "players here");
  }
  body.dataset.tick = zone.tick;
  if (zone.hashesChecked > wrongAt && body.dataset.hash !== "ok") body.dataset.hash = "ok";
  if (stage.picture) stage.picture = game.picture(zone.board);
  if (stage.target !== null && !zone.columns.present[stage.target]) choose(null);
}

/** Tells the picture which part of the screen no panel covers. */
function layOut() {
  if (!page.stage || !page.panels) return;
  const isWide = page.panels.isWide.matches;
  const edge = (id) => byId(id).getBoundingClientRect();
  const form = [byId("say"), byId("watching")].find((each) => !each.hidden);
  const isHidden = body.dataset.role === "";
  const low = Math.min(
    form ? form.getBoundingClientRect().top : innerHeight,
    isWide || isHidden ? innerHeight : edge("panel").top,
  );
  const hasPanel = isWide && page.panels.isOpen && !isHidden;
  page.stage.resize({
    top: edge(isWide || isHidden ? "top" : "map").bottom,
    left: isWide && !isHidden ? edge("map").right : 0,
    bottom: Math.max(0, innerHeight - low),
    right: hasPanel ? innerWidth - edge("panel").left : 0,
  });
}

listenToKeys(page, { talk, choose });
byId("follow").addEventListener("click", () => {
  page.stage.camera.isFree = false;
});
byId("help-open").addEventListener("click", () => byId("help").showModal());
byId("help-close").addEventListener("click", () => byId("help").close());
addEventListener("resize", layOut);
// A page that is loaded anew finds its player, but not the others.
addEventListener("pagehide", () => bots.close());

// --- The beginning ---

/** Fetches the schema of the game. If it is another game than before, or the first, the page is made to suit it. */
async function learn() {
  const game = await Game.fetched(page.game);
  if (!game) return;
  page.game = game;
  write("game", game.name || "zone");
  document.title = game.name || "Zone";
  page.panels.makeForms();
  bots.play(game);
  if (page.zone) suit();
}

async function begin() {
  await learn();
  const before = ofTab?.getItem(NAME_KEY);
  const wanted = asked.get("name") ?? before;
  if (page.game.isReplay || (asked.has("watch") && !before)) await enter({ watch: true });
  else if (wanted) await enter({ name: wanted });
  else {
    openDoor();
    await enter({ watch: true, isPreview: true });
  }
}

begin();
