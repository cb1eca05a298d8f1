/**
 * Holds zone.js against tests/vectors.json. Node and browsers run this.
 *
 * `streams` and `tickets` are not for this client: a WebSocket keeps messages apart, and a login service makes tickets.
 * @param {any} zone the module zone.js
 * @param {any} vectors
 * @returns {string[]} what it gets wrong
 */
export function complaints(zone, vectors) {
  const found = [];
  for (const [section, check] of Object.entries(CHECKS)) {
    for (const entry of vectors[section]) {
      let problem;
      try {
        problem = check(zone, entry);
      } catch (error) {
        problem = String(error);
      }
      if (problem) found.push(`${section}: ${entry.name}: ${problem}`);
    }
  }
  return found;
}

const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const hex = (data) => Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** A value as vectors.json has it. */
function plain(value) {
  if (typeof value === "bigint") return { int: String(value) };
  if (value instanceof Uint8Array) return { bin: hex(value) };
  if (Array.isArray(value)) return value.map(plain);
  return value;
}

/** A value that vectors.json has. */
function real(value) {
  if (Array.isArray(value)) return value.map(real);
  if (value === null || typeof value !== "object") return value;
  return "bin" in value ? bytes(value.bin) : "int" in value ? BigInt(value.int) : value;
}

/** A message as vectors.json has it. Columns are typed arrays, and the values of a column are whole numbers. */
function meaning(message) {
  return Object.fromEntries(
    Object.entries(message).map(([name, value]) => {
      if (["op", "data", "values", "events", "token", "resume"].includes(name)) return [name, plain(value)];
      return [name, columns(value)];
    }),
  );
}

function columns(value) {
  if (ArrayBuffer.isView(value)) return Array.from(value);
  if (Array.isArray(value)) return value.map(columns);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, columns(each)]));
}

/** Empty if both are the same in JSON, with their keys in any order. */
function difference(found, expected) {
  const sorted = (_key, value) =>
    value && typeof value === "object" && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value;
  const [one, other] = [JSON.stringify(found, sorted), JSON.stringify(expected, sorted)];
  return one === other ? "" : `${one.slice(0, 300)} is not ${other.slice(0, 300)}`;
}

const OPS = { HELLO: 1, ACT: 2, PING: 3, GOODBYE: 4, RESUME: 5 };

/** The payload of a client's message. */
function written(zone, message) {
  if (message.op === "ACT") {
    const actions = message.actions.map(([kind, ...values]) => zone.encodeAction(kind, values.map(real)));
    return zone.encodeAct(message.seq, actions);
  }
  return zone.encode([OPS[message.op], ...Object.values(message).slice(1).map(real)]);
}

/** The values in a payload of a client, by the decoder for values. */
function read(zone, payload) {
  // An ANSWERED with the message as its values.
  const head = zone.encode([24, 0, 0]);
  head[0] = 0x94;
  const message = zone.decode(Uint8Array.of(...head, ...payload));
  return plain(message.values);
}

function messages(zone, { hex, message, from }) {
  if (from === "client") return difference(read(zone, written(zone, message)), read(zone, bytes(hex)));
  const decoded = zone.decode(bytes(hex));
  return decoded ? difference(meaning(decoded), message) : "it was ignored";
}

function ignored(zone, { hex }) {
  return zone.decode(bytes(hex)) === null ? "" : "it was not ignored";
}

/** A client without a connection. */
class Client {
  constructor(zone) {
    this.zone = zone;
    this.outcomes = new zone.Outcomes();
    this.known = {};
    this.outcomes.onFate = (seq, fate) => {
      this.known[seq] = fate.outcome === "refused" ? fate.refused.code : fate.outcome;
    };
  }

  receive(payload) {
    const { zone } = this;
    let message = zone.decode(payload);
    if (message?.op === "DEFLATED") {
      message = zone.decode(zone.inflate(message.data));
      if (!["TICK", "SNAPSHOT"].includes(message?.op)) throw new Error("neither SNAPSHOT nor TICK");
    }
    const own = this.replica?.welcome.slot ?? null;
    if (message?.op === "WELCOME") {
      if (this.replica) this.replica.welcome = message;
      else this.replica = new zone.Replica(message);
    } else if (message?.op === "SNAPSHOT" && this.replica) {
      this.replica.restore(message);
      if (own !== null) this.outcomes.inSnapshot(message, own);
    } else if (message?.op === "TICK" && this.replica) {
      this.replica.apply(message);
      if (own !== null) this.outcomes.inFrame(message, own);
    } else if (message?.op === "REFUSED") this.outcomes.refused(message);
    else if (message?.op === "ANSWERED") this.outcomes.answered(message);
    return message;
  }

  state() {
    const { replica } = this, { columns, holders } = replica;
    const column = (values) => Array.from(values.subarray(0, columns.count));
    const whole = { tick: replica.tick, slots: holders, seq: column(replica.seq), board: replica.board, hash: replica.hash() };
    for (const name of ["x", "y", "vx", "vy", "since"]) whole[name] = column(columns[name]);
    whole.stats = replica.stats.map(column);
    whole.positions = holders.map((holder, slot) => (holder === null ? null : replica.position(slot)));
    return whole;
  }
}

function refused(zone, { hex, after = [] }) {
  const client = new Client(zone);
  for (const before of after) client.receive(bytes(before));
  try {
    client.receive(bytes(hex));
  } catch (error) {
    return error instanceof zone.MessageError || error.message.startsWith("neither") ? "" : String(error);
  }
  return "it was accepted";
}

function chains(zone, { welcome, steps }) {
  const client = new Client(zone);
  client.receive(bytes(welcome));
  for (const { hex, state } of steps) {
    const message = client.receive(bytes(hex));
    const problem = difference(client.state(), state);
    if (problem) return problem;
    if (message.hash != null && message.hash !== client.replica.hash()) return `hash of tick ${message.tick}`;
    const { columns, tick } = client.replica, x = [], y = [];
    client.replica.positions(tick, x, y);
    for (let slot = 0; slot < columns.count; slot++) {
      const drawn = [x[slot], y[slot]], [left, top] = client.replica.position(slot);
      if (Math.abs(drawn[0] - left) >= 1 || Math.abs(drawn[1] - top) >= 1) return `slot ${slot} is drawn at ${drawn}`;
    }
  }
  return "";
}

function sessions(zone, { steps, waiting }) {
  const client = new Client(zone), known = {};
  for (const { from, message, hex, outcomes = {} } of steps) {
    if (from === "server") client.receive(bytes(hex));
    else if (message.op === "ACT") {
      message.actions.forEach(([kind, ...values], index) => {
        const action = zone.encodeAction(kind, values.map(real));
        if (!client.outcomes.waiting.has(message.seq + index)) client.outcomes.sent(message.seq + index, action);
      });
    }
    Object.assign(known, outcomes);
    const problem = difference(client.known, known);
    if (problem) return problem;
  }
  return difference([...client.outcomes.waiting.keys()], waiting);
}

const CHECKS = { messages, reads: messages, ignored, client_refuses: refused, chains, sessions };
