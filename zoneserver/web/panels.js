// The panels beside the picture: the own player and all actions, the players near, the zone, and the log.

import { ActionForm, make } from "/forms.js";
import { grouped } from "/game.js";
import { Sprites, colourOf } from "/sprites.js";
import { cut } from "/words.js";

const NEAR_MAX = 14;
const LOG_MAX = 300;
const BOARD_MAX = 24;

export const byId = (id) => document.getElementById(id);

/** Writes a text only if it differs, so that nothing is laid out in vain. */
export function write(id, text) {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
}

/** The word for a click with this pointer. */
export const click = () => (matchMedia("(pointer: coarse)").matches ? "tap" : "click");

/** Rows of a table of names and values; it is made anew only when the names differ. */
function table(list, entries) {
  const names = entries.map(([name]) => name).join("\n");
  if (list.dataset.names !== names || !entries.length) {
    list.dataset.names = names;
    list.replaceChildren(...entries.flatMap(([name]) => [make("dt", {}, name), make("dd")]));
    if (!entries.length) list.append(make("dt", { class: "muted" }, "none"));
  }
  const values = list.querySelectorAll("dd");
  entries.forEach(([, value], index) => {
    if (values[index].textContent !== String(value)) values[index].textContent = String(value);
  });
}

/** The content of the panels. Of `page`, which play.js makes, they need zone, game, stage, choose and act. */
export class Panels {
  constructor(page) {
    this.page = page;
    this.forms = [];
    this.lines = [];
    this.isLogStale = false;
    this.tabs = [...document.querySelectorAll("[role=tab]")];
    this.tabs.forEach((tab) => {
      tab.addEventListener("click", () => this.open(tab, tab.getAttribute("aria-selected") === "true" && this.isOpen));
      tab.addEventListener("keydown", (event) => this.walkTabs(event, tab));
    });
    this.isWide = matchMedia("(min-width: 900px)");
    this.isWide.addEventListener("change", () => this.show(this.isWide.matches));
    byId("find").addEventListener("input", () => this.people());
    for (const id of ["log-frames", "log-filter", "log-pause"])
      byId(id).addEventListener("input", () => this.log(true));
    this.show(this.isWide.matches);
  }

  // --- Tabs ---

  get isOpen() {
    return document.body.classList.contains("open");
  }

  /** The name of the tab that is open, or "". */
  get tab() {
    return this.isOpen ? this.tabs.find((tab) => tab.getAttribute("aria-selected") === "true").id.slice(4) : "";
  }

  /** Shows or hides all panels. */
  show(isOpen = !this.isOpen) {
    document.body.classList.toggle("open", isOpen);
    this.page.layOut?.();
    this.update();
  }

  open(tab, isToggled = false) {
    for (const each of this.tabs) {
      const isThis = each === tab;
      each.setAttribute("aria-selected", isThis);
      each.tabIndex = isThis ? 0 : -1;
      byId(each.getAttribute("aria-controls")).hidden = !isThis;
    }
    this.show(!isToggled);
  }

  walkTabs(event, tab) {
    const to = {
      ArrowRight: 1,
      ArrowLeft: -1,
      Home: -this.tabs.indexOf(tab),
      End: this.tabs.length - 1 - this.tabs.indexOf(tab),
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const next = this.tabs[(this.tabs.indexOf(tab) + to + this.tabs.length) % this.tabs.length];
    this.open(next);
    next.focus();
  }

  // --- Actions ---

  /** Makes the forms of a game. */
  makeForms() {
    const { game } = this.page;
    this.forms.forEach((form) => form.remove());
    this.forms = game.actions.map(
      (action) => new ActionForm(action, this, (each, values) => this.page.act(each, values)),
    );
    // The first click on a place shows a change: the other arguments begin with any value.
    const rest = this.forms.find(({ action }) => action === game.point)?.fields.slice(2) ?? [];
    for (const field of rest) field.pick();
    byId("line").maxLength = game.talk?.parameters[0].bytes_max ?? 65_535;
    byId("actions").replaceChildren(...this.forms.map((form) => form.element));
    if (!this.forms.length) byId("actions").append(make("p", { class: "muted" }, "This game has no actions."));
  }

  /** Everybody who fits a parameter, the nearest first: `{ slot, name, kind, distance }`. */
  near(type, max) {
    const { zone, stage } = this.page;
    const [x, y] = zone.me ? zone.position(zone.me.slot) : [stage.camera.x, stage.camera.y];
    const found = [];
    for (const each of type.type === "player" ? zone.players : zone.things) {
      if (each.slot !== zone.me?.slot && (!type.kind || each.kind === type.kind))
        found.push({
          slot: each.slot,
          name: each.name,
          kind: each.kind,
          distance: (stage.crowd.x[each.slot] - x) ** 2 + (stage.crowd.y[each.slot] - y) ** 2,
        });
    }
    found.sort((one, other) => one.distance - other.distance);
    return found.slice(0, max).map((each) => ({ ...each, distance: Math.sqrt(each.distance) }));
  }

  /** The slot that a text names: a name, `me`, a number, or the nearest one for an empty text; else null. */
  slot(type, text) {
    const { zone } = this.page;
    if (!text) return this.near(type, 1)[0]?.slot ?? null;
    if (type.type === "player") {
      const found = zone.find(text) ?? (text === "me" ? zone.me : null);
      if (found) return found.slot;
    }
    return /^\d+$/.test(text) ? Number(text) : null;
  }

  /** The player or the thing that the value of an input names; null if there is none. */
  entity({ type }, text) {
    const { zone } = this.page;
    const found = type === "player" ? zone.find(text) : text && zone.thing(Number(text));
    return found || null;
  }

  /** Shows the choice made in the picture, and the actions that take it. */
  choose(choice) {
    byId("target").hidden = !choice;
    if (!choice) return;
    write("target-name", choice.name ?? `${choice.kind} ${choice.slot}`);
    this.forms.forEach((form) => form.fields.forEach((field) => field.choose(choice)));
    const fits = ({ type, kind }) =>
      choice.name ? type === "player" : type === "thing" && (!kind || kind === choice.kind);
    const direct = this.forms.filter(
      ({ action }) => fits(action.parameters[0] ?? {}) && action.parameters.slice(1).every((each) => "default" in each),
    );
    byId("target-actions").replaceChildren(
      ...direct.map((form) => make("button", { type: "button", click: () => form.submit() }, form.action.name)),
    );
  }

  /** The place that was clicked goes into the form of the action that names one, which is sent. */
  point(x, y) {
    const form = this.forms.find(({ action }) => action === this.page.game.point);
    form.fields[0].set(x);
    form.fields[1].set(y);
    return form.submit();
  }

  // --- Facts ---

  /** Brings everything that is open up to date; the page calls this a few times a second. */
  update() {
    const { zone, game } = this.page;
    if (!zone || !game) return;
    for (const { fields } of this.forms) for (const field of fields) field.forget();
    if (this.tab === "play") this.me();
    if (this.tab === "people") this.people();
    if (this.tab === "zone") this.facts();
    if (this.tab === "log") this.log();
  }

  me() {
    const { zone, game, stage } = this.page;
    const me = zone.me;
    write("about", me ? "" : this.about());
    this.target();
    if (!me) return;
    const [x, y] = zone.position(me.slot);
    write("my-name", me.name);
    write("my-place", `slot ${me.slot} · ${grouped(Math.round(x))}, ${grouped(Math.round(y))}`);
    const stats = Object.entries(game.schema.stats ?? {});
    const list = byId("my-stats");
    if (list.dataset.stats !== JSON.stringify(stats)) {
      list.dataset.stats = JSON.stringify(stats);
      list.replaceChildren(
        ...stats.map(([name, first]) =>
          make(
            "div",
            {},
            make("dt", {}, name),
            make("dd"),
            first > 1
              ? make("meter", { min: 0, max: first, low: first * 0.35, optimum: first, "aria-label": name })
              : null,
          ),
        ),
      );
    }
    stats.forEach(([name], index) => {
      const [value, row] = [me.stats[name], list.children[index]];
      if (row.children[1].textContent !== grouped(value)) row.children[1].textContent = grouped(value);
      if (row.children[2]) row.children[2].value = value ?? 0;
    });
    const portrait = byId("portrait");
    if (this.portrayed !== `${me.name} ${stage.sprites.crowd[0]}`) {
      this.portrayed = `${me.name} ${stage.sprites.crowd[0]}`;
      const sprite = new Sprites(2).people[colourOf(me.name)];
      const context = portrait.getContext("2d");
      context.clearRect(0, 0, portrait.width, portrait.height);
      context.drawImage(sprite.canvas, 0, 0, portrait.width, portrait.height);
    }
  }

  /** What a watcher can do. */
  about() {
    const { game } = this.page;
    const where = game.isReplay
      ? "This is a recording, and nobody can join it. Who runs it leads it for all who watch: " +
        "zoneserver ctl pause, play, seek +30s, speed 4."
      : "You see everybody, and nobody sees you. “Take part” makes you a player.";
    return `${where} To see the figures of a player or a thing, ${click()} it; drag and zoom to look around.`;
  }

  /** The figures of the chosen player or thing. */
  target() {
    const { zone, game, stage } = this.page;
    const choice = stage.target === null ? null : (zone.player(stage.target) ?? zone.thing(stage.target));
    if (!choice) return;
    const [x, y] = zone.position(choice.slot);
    const mine = zone.me && zone.position(zone.me.slot);
    const place = mine
      ? `${grouped(Math.round(Math.hypot(x - mine[0], y - mine[1])))} away`
      : `at ${grouped(Math.round(x))}, ${grouped(Math.round(y))}`;
    const facts = Object.keys((choice.name ? game.schema.stats : game.schema.kinds?.[choice.kind]) ?? {}).map(
      (name) => `${name} ${grouped(choice.stats[name])}`,
    );
    write("target-facts", [place, ...facts].join(" · "));
  }

  people() {
    const { zone, game, choose } = this.page;
    const text = byId("find").value.trim().toLowerCase();
    const near = this.near({ type: "player" }, text ? Infinity : NEAR_MAX)
      .filter(({ name }) => name.toLowerCase().includes(text))
      .slice(0, NEAR_MAX);
    write("people-title", text ? "Found" : zone.me ? "Near you" : "In the middle of the picture");
    const list = byId("people");
    while (list.children.length > near.length) list.lastChild.remove();
    while (list.children.length < near.length) {
      const button = make(
        "button",
        { type: "button", click: () => choose(Number(button.dataset.slot)) },
        make("i", { "aria-hidden": "true" }),
        make("b"),
        make("span"),
      );
      list.append(make("li", {}, button));
    }
    near.forEach(({ slot, name, distance }, index) => {
      const button = list.children[index].firstChild;
      const player = zone.player(slot);
      const stats = Object.keys(game.schema.stats ?? {}).map((stat) => `${stat} ${grouped(player?.stats[stat])}`);
      button.dataset.slot = slot;
      button.firstChild.className = `dot c${colourOf(name)}`;
      button.children[1].textContent = name;
      button.children[2].textContent = [`${grouped(Math.round(distance))} away`, ...stats].join(" · ");
    });
  }

  facts() {
    const { zone, game, stage } = this.page;
    const board = Object.entries(zone.board);
    table(byId("board"), board.slice(0, BOARD_MAX));
    if (board.length > BOARD_MAX) byId("board").title = `${BOARD_MAX} of ${board.length} entries`;
    const counts = new Map(Object.keys(game.schema.kinds ?? {}).map((kind) => [kind, 0]));
    for (const { kind } of zone.things) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    const list = byId("kinds");
    const look = [stage.sprites.crowd[0], ...counts.keys()].join("\n");
    if (list.dataset.look !== look) {
      list.dataset.look = look;
      list.replaceChildren(
        ...[...counts.keys()].map((kind, index) => {
          const { canvas } = new Sprites(2).thing(index);
          canvas.setAttribute("aria-hidden", "true");
          return make("li", {}, canvas, make("b", {}, kind), make("span"));
        }),
      );
      if (!counts.size) list.append(make("li", { class: "muted" }, "none"));
    }
    [...counts.values()].forEach((count, index) => {
      list.children[index].lastChild.textContent = grouped(count);
    });
    table(
      byId("settings"),
      Object.entries(game.schema.settings ?? {}).map(([name, each]) => [name, each.default]),
    );
    table(byId("facts"), this.page.facts());
  }

  // --- The log ---

  /** Keeps a line of the log: `tag` is its kind, `text` the event, `details` the content of a frame. */
  note(tag, text, { details = null, isFrame = false, mood = "" } = {}) {
    if (byId("log-pause").checked) return;
    this.lines.push({ tick: this.page.zone?.tick ?? 0, tag, text: cut(text), details, isFrame, mood });
    if (this.lines.length > LOG_MAX * 2) this.lines.splice(0, LOG_MAX);
    this.isLogStale = true;
  }

  get wantsFrames() {
    return byId("log-frames").checked && this.tab === "log";
  }

  log(isForced = false) {
    // A pause keeps what is opened open.
    if (!isForced && (!this.isLogStale || byId("log-pause").checked)) return;
    this.isLogStale = false;
    const wanted = byId("log-filter").value.toLowerCase();
    const frames = byId("log-frames").checked;
    const lines = this.lines.filter(
      ({ tag, text, isFrame }) => (frames || !isFrame) && `${tag} ${text}`.toLowerCase().includes(wanted),
    );
    byId("log").replaceChildren(
      ...lines
        .slice(-80)
        .reverse()
        .map(({ tick, tag, text, details, mood }) =>
          make(
            "li",
            { class: mood },
            make("small", {}, grouped(tick)),
            make("b", {}, tag),
            details
              ? make(
                  "details",
                  {
                    toggle: () => {
                      byId("log-pause").checked = true;
                    },
                  },
                  make("summary", {}, text),
                  make("pre", {}, details),
                )
              : make("span", {}, text),
          ),
        ),
    );
  }
}
