// The keyboard: everything on the page can be done with it.

import { byId } from "/panels.js";

const WAYS = {
  ArrowUp: [0, -1],
  KeyW: [0, -1],
  ArrowDown: [0, 1],
  KeyS: [0, 1],
  ArrowLeft: [-1, 0],
  KeyA: [-1, 0],
  ArrowRight: [1, 0],
  KeyD: [1, 0],
};
const PAN_PX = 60;

export function listenToKeys(page, { choose }) {
  const held = new Set();

  /** Walks in the direction of all keys that are held. */
  function walk() {
    const [x, y] = [...held].map((code) => WAYS[code]).reduce(([sx, sy], [wx, wy]) => [sx + wx, sy + wy], [0, 0]);
    if (page.walker) {
      page.stage.goal = null;
      if (x || y) page.stage.camera.isFree = false;
      page.walker.along(x, y);
    } else page.stage.camera.pan(-x * PAN_PX, -y * PAN_PX);
  }

  /** The next one of those near: players, and things. */
  function next() {
    const { panels, stage } = page;
    const near = [...panels.near({ type: "player" }, 8), ...panels.near({ type: "thing" }, 8)].sort(
      (one, other) => one.distance - other.distance,
    );
    const index = near.findIndex(({ slot }) => slot === stage.target);
    if (near.length) choose(near[(index + 1) % near.length].slot);
  }

  /** The effect of each key, by the character that it types. */
  const keys = {
    "/": () => (byId("say").hidden ? null : byId("line").focus()),
    "?": () => byId("help").showModal(),
    "+": () => page.stage.camera.zoom(1.4),
    "=": () => page.stage.camera.zoom(1.4),
    "-": () => page.stage.camera.zoom(1 / 1.4),
    0: () => page.stage.camera.zoom(page.stage.camera.fit / page.stage.camera.aim.scale),
    c: () => {
      page.stage.camera.isFree = !page.zone?.me;
    },
    t: next,
    p: () => page.panels.show(),
    ...Object.fromEntries(
      [1, 2, 3, 4].map((number) => [
        number,
        () => {
          page.panels.open(page.panels.tabs[number - 1]);
          page.panels.tabs[number - 1].focus();
        },
      ]),
    ),
  };

  function escape() {
    const { activeElement } = document;
    if (byId("help").open) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(activeElement?.tagName)) return void activeElement.blur();
    if (page.stage.target !== null) choose(null);
    else if (!page.panels.isWide.matches && page.panels.isOpen) page.panels.show(false);
    page.walker?.along(0, 0);
    document.activeElement?.blur();
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return void escape();
    const isTyping = event.target.closest("input, select, textarea, dialog, summary");
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey || !page.zone || !byId("door").hidden) return;
    if (event.code in WAYS) {
      event.preventDefault();
      if (held.has(event.code) && page.walker) return;
      held.add(event.code);
      walk();
    } else if (event.key === "Enter") {
      if (event.target.closest("button, a")) return;
      event.preventDefault();
      keys["/"]();
    } else if (keys[event.key.toLowerCase()]) {
      event.preventDefault();
      keys[event.key.toLowerCase()]();
    }
  });
  document.addEventListener("keyup", (event) => {
    if (held.delete(event.code) && page.walker) walk();
  });
  const release = () => {
    if (held.size && page.walker) page.walker.along(0, 0);
    held.clear();
  };
  addEventListener("blur", release);
  document.addEventListener("visibilitychange", release);
}
