// Lines and deeds of players: bubbles, the feed beside the picture, the log, and the words for a screen reader.

import { make } from "/forms.js";
import { grouped, hashed } from "/game.js";
import { byId } from "/panels.js";
import { cut } from "/words.js";

const FEED_MAX = 7;
const FEED_EVERY_MS = 400;
const FEED_AT_ONCE = 2;
const TOAST_MS = 5000;
const SPOKEN_EVERY_MS = 4000;

/** Tells a screen reader. */
export function announce(text) {
  byId("status").textContent = cut(text);
}

/** Shows a notice for a while, and tells a screen reader. */
export function toast(text, mood = "") {
  const element = make("p", { class: mood }, cut(text));
  byId("toasts").append(element);
  while (byId("toasts").children.length > 3) byId("toasts").firstChild.remove();
  setTimeout(() => element.remove(), TOAST_MS);
  announce(text);
}

/** A value of a frame, as JSON can show it: of a column its first values. */
function plain(_name, value) {
  if (typeof value === "bigint") return String(value);
  return ArrayBuffer.isView(value)
    ? [...value.subarray(0, 64), ...(value.length > 64 ? [`… ${value.length} in all`] : [])]
    : value;
}

export class Talk {
  constructor(page) {
    this.page = page;
    this.waiting = [];
    this.spokenAt = 0;
    setInterval(() => this.feed(), FEED_EVERY_MS);
    byId("say").addEventListener("submit", (event) => this.say(event));
  }

  /** Says the line that was typed. */
  async say(event) {
    event.preventDefault();
    const input = byId("line");
    const text = input.value.trim();
    input.value = "";
    // The keys walk again, where there is a way to walk.
    if (!text || this.page.walker) input.blur();
    if (!text) return;
    try {
      await this.page.act(this.page.game.talk, [text]);
    } catch (refusal) {
      toast(`Nobody heard it. ${refusal.text || refusal.code || refusal.message}`, "bad");
      if (!input.value) input.value = text;
    }
  }

  /** An event of the game. */
  happened(kind, player, values) {
    const { zone, game, stage, panels } = this.page;
    const line = player && game.line(kind, values);
    if (line !== null && line !== undefined) {
      stage.say(player.slot, line);
      this.waiting.push({ name: player.name, slot: player.slot, text: line, isMine: player.slot === zone.me?.slot });
    } else if (player) stage.deed(player.slot, game.target(kind, values));
    panels.note(kind, `${player ? `${player.name} ` : ""}${game.described(kind, values, zone)}`);
  }

  /** The game tells this player alone. */
  told(kind, values) {
    const { zone, game, panels } = this.page;
    const text = game.described(kind, values, zone);
    this.waiting.push({ name: kind, text: text || "–", isTold: true });
    panels.note(`told ${kind}`, text, { mood: "told" });
  }

  refused({ code, text = "" }) {
    this.page.panels.note("refused", `${code} ${text}`, { mood: "bad" });
    if (code === "WARNED" || code === "MUTED") toast(text || "You send too much.", "bad");
    if (code === "UNMUTED") toast("You are heard again.", "good");
  }

  /** One message of the server: the log shows what is in it. */
  frame(frame) {
    if (!this.page.panels.wantsFrames) return;
    const { op, bytes, message } = frame;
    const details = Object.entries(message)
      .map(([name, value]) => `${name}: ${JSON.stringify(value, plain)}`)
      .join("\n");
    const what = op === "TICK" ? ` · ${message.acted.slots.length} acted, ${message.events.length} events` : "";
    this.page.panels.note(op, `${grouped(bytes)} bytes${what}`, { isFrame: true, details });
  }

  /** Shows a few of the newest lines: own ones, then those of players nearest to the middle of the picture. */
  feed() {
    if (!this.waiting.length) return;
    const { stage } = this.page;
    const { camera } = stage;
    const rank = ({ slot, isMine, isTold }) =>
      isMine || isTold ? -1 : (stage.crowd.x[slot] - camera.x) ** 2 + (stage.crowd.y[slot] - camera.y) ** 2;
    const lines = this.waiting.sort((one, other) => rank(one) - rank(other));
    this.waiting = [];
    const shown = lines.filter((line, index) => index < FEED_AT_ONCE || line.isMine || line.isTold);
    const list = byId("feed");
    for (const { name, text, isMine, isTold } of shown.reverse())
      list.append(
        make(
          "li",
          { class: isMine ? "mine" : isTold ? "told" : null },
          make("b", { class: isTold ? null : `c${hashed(name) % 8}` }, name),
          ` ${cut(text)}`,
        ),
      );
    while (list.children.length > FEED_MAX) list.firstChild.remove();
    const now = performance.now();
    const spoken = shown.find(({ isTold }) => isTold) ?? shown.find(({ isMine }) => !isMine);
    if (spoken && now - this.spokenAt > SPOKEN_EVERY_MS) {
      this.spokenAt = now;
      announce(`${spoken.name}: ${spoken.text}`);
    }
  }
}
