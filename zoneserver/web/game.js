// The facts about a game in its schema (/game.json): how its players walk and talk, and how an event reads.

const WALKS = ["move", "walk", "run", "go", "steer", "fly", "swim", "drive"];
const TALKS = ["say", "chat", "talk", "shout", "tell", "speak", "message"];
const BARS = /^(hp|health|life|lives|energy|shield|stamina|mana)$/i;
const TIME_ACROSS_S = 12;
const AGAIN_MS = 50;

/** A number with the thousands set apart. A number that the zone does not have is a dash. */
export const grouped = (value) => (value === undefined ? "–" : Number(value).toLocaleString("en"));

/** A duration in seconds as 1:05 or 1:00:05. */
export function clock(seconds) {
  const [hours, minutes, rest] = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map(Math.floor);
  const two = (value) => String(value).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** A small number that is the same for the same text: the colour of a name. */
export function hashed(text) {
  let hash = 2166136261;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 16777619);
  hash = Math.imul(hash ^ (hash >>> 16), 2246822507);
  return (hash ^ (hash >>> 13)) >>> 0;
}

const isWhole = (parameter) => parameter?.type === "int";
const isSteering = (parameter) => isWhole(parameter) && parameter.min < 0 && parameter.max > 0;
const ranked = (names, action) => (names.indexOf(action.name) + names.length + 1) % (names.length + 1);

/** The first action that fits: one with a well-known name if there is one, else a public one. */
function chosen(actions, names, fits) {
  const fitting = actions.filter(fits);
  return (
    fitting.sort((one, other) => ranked(names, one) - ranked(names, other) || one.private - other.private)[0] ?? null
  );
}

/** A game as its schema describes it. Without a schema it has no actions. */
export class Game {
  /** Fetches the game of this server; resolves with null if it is `last`, or if it cannot be had and `last` is kept. */
  static async fetched(last) {
    const answer = await fetch("/game.json", { cache: "no-cache" }).catch(() => null);
    const text = answer?.ok ? await answer.text().catch(() => null) : null;
    return last && (text === null || text === last.text) ? null : new Game(parsed(text ?? "{}"), text);
  }

  constructor(schema, text = null) {
    Object.assign(this, { schema, text });
    this.name = schema.name ?? "";
    this.isReplay = Boolean(schema.replay);
    this.actions = schema.actions ?? [];
    this.types = new Map(this.actions.map((action) => [action.name, action.parameters]));
    for (const event of schema.events ?? []) this.types.set(event.name, event.values);
    // The stat that figures show as a bar above them.
    const [name, first] =
      Object.entries(schema.stats ?? {}).find(([stat, value]) => value > 1 && BARS.test(stat)) ?? [];
    this.bar = name ? { name, first } : null;
    // The action that sets the velocity: two whole numbers that may be negative, each within the range of a speed.
    this.walk = chosen(this.actions, WALKS, (action) => {
      const [x, y, ...more] = action.parameters;
      const isNamed = WALKS.includes(action.name) || (/^v?x|dx$/i.test(x?.name) && /^v?y|dy$/i.test(y?.name));
      const hasSpeeds = isSteering(x) && isSteering(y) && !more.some((each) => !("default" in each));
      return hasSpeeds && (isNamed || (x.min === -127 && x.max === 127));
    });
    // The action that says a line.
    this.talk = chosen(
      this.actions,
      TALKS,
      (action) =>
        action.parameters.length === 1 &&
        action.parameters[0].type === "str" &&
        (!action.private || TALKS.includes(action.name)),
    );
    // The action that names a place: a click gives its x and y, the form the rest.
    this.point = this.walk
      ? null
      : chosen(this.actions, [], (action) => {
          const [x, y] = action.parameters;
          return isWhole(x) && isWhole(y) && x.name === "x" && y.name === "y" && x.min === 0 && y.min === 0;
        });
  }

  /** The values of an event as text, with names in place of the slots of players. */
  described(kind, values, zone) {
    const types = this.types.get(kind) ?? [];
    return values.map((value, index) => shown(value, types[index] ?? {}, zone)).join(" ");
  }

  /** The slot of the player among the values of an event, such as the target of a blow. */
  target(kind, values) {
    const index = (this.types.get(kind) ?? []).findIndex((type) => type.type === "player");
    return index >= 0 && Number.isInteger(values[index]) ? values[index] : null;
  }

  /** The line in an event by which a player says something, or null. */
  line(kind, values) {
    const isTalk = kind === this.talk?.name || !this.types.has(kind);
    return isTalk && values.length === 1 && typeof values[0] === "string" ? values[0] : null;
  }

  /** The rows of a picture that stands on the board as hexadecimal digits, or null. */
  picture(board) {
    const rows = Object.values(board);
    const isPicture =
      rows.length > 7 &&
      rows.length === this.schema.height + 1 &&
      rows.every((row) => typeof row === "string" && row.length === this.schema.width + 1 && /^[0-9a-f]+$/.test(row));
    return isPicture ? rows : null;
  }
}

/** A schema from its text. A whole number beyond 2^53 is a BigInt, where the browser tells how it is written. */
function parsed(text) {
  const exact = (_name, value, context) =>
    Number.isInteger(value) && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source)
      ? BigInt(context.source)
      : value;
  try {
    return JSON.parse(text, exact);
  } catch {
    return {};
  }
}

function shown(value, type, zone) {
  if (type.type === "player" && Number.isInteger(value)) return zone.player(value)?.name ?? `slot ${value}`;
  if (type.type === "thing" && Number.isInteger(value)) return `${zone.thing(value)?.kind ?? "thing"} ${value}`;
  if (Array.isArray(value)) return `[${value.map((item) => shown(item, type.items ?? {}, zone)).join(", ")}]`;
  if (value instanceof Uint8Array)
    return [...value].map((byte) => byte.toString(16).padStart(2, "0")).join("") || "no bytes";
  return value === null ? "none" : String(value);
}

/** How fast the players of a zone walk: the schema tells the range of the numbers, and only the game the limit. */
export class Pace {
  constructor(zone, game) {
    const [x, y] = game.walk.parameters;
    this.max = Math.min(...[-x.min, x.max, -y.min, y.max].map(Number));
    const step = zone.speedStep || zone.hz;
    const across = Math.max(1, Math.max(zone.width, zone.height) / TIME_ACROSS_S / step);
    const speeds = [];
    for (const player of zone.players)
      if (player !== zone.me && (player.vx || player.vy)) speeds.push(Math.hypot(player.vx, player.vy));
    speeds.sort((one, other) => one - other);
    const usual = speeds.length > 2 ? speeds[Math.floor(speeds.length * 0.9)] : Infinity;
    this.speed = Math.max(1, Math.min(this.max, across, usual));
  }

  /** Slows down after a refusal of `tried`, if it was for the speed. Says whether another attempt makes sense. */
  refused(refusal, tried) {
    if (!/FAST|SPEED/i.test(refusal.code)) return false;
    const limit = Number(/\d+(\.\d+)?/.exec(refusal.text ?? "")?.[0]);
    this.speed = limit > 0 && limit < tried ? limit : Math.max(1, tried / 2);
    return this.speed < tried;
  }

  /** The whole numbers nearest to a direction at this speed, never above it. */
  velocity(x, y, share = 1) {
    const length = Math.hypot(x, y);
    if (!length) return [0, 0];
    const speed = this.speed * Math.min(1, share);
    let [vx, vy] = [Math.round((x / length) * speed), Math.round((y / length) * speed)];
    if (Math.hypot(vx, vy) > this.speed)
      [vx, vy] = [Math.trunc((x / length) * speed), Math.trunc((y / length) * speed)];
    return [vx, vy];
  }
}

/** Walks a player to a place: it renews the velocity as they go, and stops them on arrival. */
export class Walker {
  constructor(zone, game, { onStop = () => {} } = {}) {
    Object.assign(this, { zone, game, onStop, pace: new Pace(zone, game) });
    this.goal = null;
    this.asked = [0, 0];
    this.askedAt = 0;
    this.held = false;
  }

  get step() {
    return (this.zone.speedStep || this.zone.hz) / this.zone.hz;
  }

  /** Walks to a place. */
  to(x, y) {
    const { width, height } = this.zone;
    this.goal = [Math.max(0, Math.min(width, x)), Math.max(0, Math.min(height, y))];
    this.held = false;
    this.tick(true);
  }

  /** Walks in a direction until it is told another; (0, 0) stands still. */
  along(x, y) {
    this.goal = null;
    this.held = Boolean(x || y);
    this.direction = [x, y];
    this.ask(this.pace.velocity(x, y));
  }

  stop(why = "stopped") {
    const was = this.goal;
    this.goal = null;
    this.held = false;
    if (was) this.onStop(why);
  }

  /** Goes on after the connection was lost: the server may have stopped the player in the meantime. */
  resume() {
    this.askedAt = -Infinity;
    if (this.goal || this.held) this.tick(true);
    else if (this.asked.some(Boolean)) this.ask([0, 0]);
  }

  /** Goes on: the page calls this once a tick. */
  tick(isNew = false) {
    const { zone, goal } = this;
    // A push of the game does not last while a key is held.
    if (this.held && zone.me && !zone.isAway) this.ask(this.pace.velocity(...this.direction));
    if (!goal || !zone.me || zone.isAway || (!isNew && performance.now() - this.askedAt < AGAIN_MS)) return;
    // What is asked now happens after the way to the server, in its next tick.
    const ahead = 1 + ((zone.rtt || 0) / 2000) * zone.hz;
    const [x, y] = zone.position(zone.me.slot, zone.tick + ahead);
    const [dx, dy] = [goal[0] - x, goal[1] - y];
    const distance = Math.hypot(dx, dy);
    const velocity = this.pace.velocity(dx, dy, distance / this.step / (2 + ahead) / this.pace.speed);
    if (!velocity[0] && !velocity[1]) {
      this.ask(velocity);
      this.stop("arrived");
    } else this.ask(velocity);
  }

  ask(velocity) {
    const { zone, game } = this;
    if (zone.state !== "playing") return;
    const me = zone.me;
    const isSame = velocity[0] === this.asked[0] && velocity[1] === this.asked[1];
    const isMoving = me && me.vx === velocity[0] && me.vy === velocity[1];
    const isWaiting = performance.now() - this.askedAt < 250 + (zone.rtt || 0);
    if (isSame && (isMoving || isWaiting)) return;
    this.asked = velocity;
    this.askedAt = performance.now();
    zone.done(zone.act(game.walk.name, ...velocity)).catch((refusal) => this.refused(refusal, velocity));
  }

  refused(refusal, velocity) {
    if (this.asked[0] !== velocity[0] || this.asked[1] !== velocity[1]) return;
    this.asked = [NaN, NaN];
    if (this.pace.refused(refusal, Math.hypot(...velocity))) {
      if (this.goal) this.tick(true);
      else if (this.held) this.along(...this.direction);
    } else if (refusal.code !== "AWAY") this.stop(refusal.code);
  }
}
