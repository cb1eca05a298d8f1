// The figures of the connection: in the head of the page, and in the panel of the zone.

import { clock, grouped } from "/game.js";
import { byId, write } from "/panels.js";

const SHOWN_EVERY_MS = 250;
const RATE_EVERY_MS = 1000;
const DESCRIBED_EVERY_MS = 3000;
const QUIET_MS = 1500;
// A replay may go at a tenth of the speed.
const QUIET_TICKS = 12;

export class Figures {
  constructor(page) {
    this.page = page;
    this.dilation = 1;
    this.tickedAt = 0;
    this.describedAt = -Infinity;
    page.facts = () => this.facts();
    setInterval(() => this.show(), SHOWN_EVERY_MS);
  }

  /** Another connection: its bytes are counted from now on. */
  begin() {
    this.rate = { at: performance.now(), bytes: this.page.zone.bytesIn, perSecond: null };
  }

  show() {
    const { zone, game, stage, panels } = this.page;
    document.body.classList.toggle("still", Boolean(zone) && zone.state !== "playing");
    byId("follow").hidden = !zone?.me || !stage.camera.isFree;
    if (!zone || document.hidden) return;
    const [now, { at, bytes }] = [performance.now(), this.rate];
    if (now - at >= RATE_EVERY_MS)
      this.rate = { at: now, bytes: zone.bytesIn, perSecond: ((zone.bytesIn - bytes) * 1000) / (now - at) };
    const { perSecond } = this.rate;
    write("tick", grouped(zone.tick));
    write("rtt", zone.rtt === null ? "–" : `${zone.rtt < 10 ? zone.rtt.toFixed(1) : Math.round(zone.rtt)} ms`);
    const isStill = this.isStill(now);
    write("dilation", isStill ? "stands still" : `${Math.round(this.dilation * 100)} %`);
    write("bytes", perSecond === null ? "–" : `${(perSecond / 1000).toFixed(1)} kB/s`);
    write("fps", stage.fps ? `${Math.round(stage.fps)}/s` : "–");
    const step = zone.state === "playing" && !isStill ? document.body.dataset.hash : "";
    byId("step").dataset.step = step;
    if (isStill) write("step-text", game.isReplay ? "paused" : "no tick arrives");
    else if (step) write("step-text", step === "ok" ? "in step with the server" : "out of step");
    if (game.isReplay && zone.state === "playing") write("watching-text", this.place(isStill));
    panels.update();
    if (now - this.describedAt > DESCRIBED_EVERY_MS) {
      this.describedAt = now;
      byId("stage").setAttribute("aria-label", this.described());
    }
  }

  /** Whether ticks have ceased to arrive, on a connection that is there. */
  isStill(now) {
    const { zone } = this.page;
    return zone.state === "playing" && now - this.tickedAt > Math.max(QUIET_MS, (QUIET_TICKS * 1000) / zone.hz);
  }

  /** Where a replay is. */
  place(isStill) {
    const { zone, game } = this.page;
    const { first_tick: first, last_tick: last } = game.schema.replay;
    const [at, length] = [zone.tick - first, Math.max(last, zone.tick) - first].map((ticks) => clock(ticks / zone.hz));
    return `You are watching a replay: ${at} of ${length}${isStill ? ", paused" : ""}.`;
  }

  /** The picture in words. */
  described() {
    const { zone, game, panels } = this.page;
    const [count, me] = [zone.players.length, zone.me];
    const nearest = panels
      .near({ type: "player" }, 3)
      .map(({ name, distance }) => `${name}, ${grouped(Math.round(distance))} away`);
    return [
      `${game.name}: ${grouped(count)} ${count === 1 ? "player" : "players"}.`,
      me && `You are at ${grouped(me.x)}, ${grouped(me.y)}.`,
      nearest.length > 0 && `Nearest: ${nearest.join("; ")}.`,
    ]
      .filter(Boolean)
      .join(" ");
  }

  /** More of them, by name. */
  facts() {
    const { zone, stage, bots } = this.page;
    return [
      ["state hashes compared", grouped(zone.hashesChecked)],
      ["ticks a second", zone.hz],
      ["size", `${grouped(zone.width)} × ${grouped(zone.height)}`],
      ["received", `${(zone.bytesIn / 1e6).toFixed(2)} MB`],
      ["sent", `${(zone.bytesOut / 1e3).toFixed(1)} kB`],
      ["own work per picture", `${stage.ms.toFixed(1)} ms`],
      ["more of me", bots.all.size],
    ];
  }
}
