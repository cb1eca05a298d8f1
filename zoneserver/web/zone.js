// @ts-check
/**
 * The client of a zone server for browsers and Node: one module, no dependency, no build.
 *
 *     import { connect } from "/zone.js";
 *     const zone = await connect(location.origin, { name: "ann" });
 *     zone.on("say", (player, text) => console.log(player.name, text));
 *     zone.act("move", 10, 0);
 *     for (const player of zone.players) console.log(player.name, ...zone.position(player.slot));
 *
 * Everything that arrives is checked as PROTOCOL.md says; nothing of it is run or put into a page.
 */

const VERSION = 2;
const SUBPROTOCOL = "zone.2";

// What no honest server exceeds.
const PAYLOAD_BYTES_MAX = 16 * 1024 * 1024;
const SMALL_BYTES_MAX = 256 * 1024;
const ARRAY_MAX = 524_288;
const ELEMENTS_MAX = 1_048_576;
const TEXT_BYTES_MAX = 65_536;
const DEPTH_MAX = 32;
const SLOTS_MAX = 65_536;
const NAMES_MAX = 256;
const BOARD_TEXT_BYTES_MAX = 256;
// Messages to one player alone, until the frame of their tick; and how far ahead of it they may come: a client that reads
// too little gets them, and no frame.
const PRIVATE_BYTES_MAX = 4 * 1024 * 1024;
const PRIVATE_SECONDS_MAX = 60;

// --- Errors ---------------------------------------------------------------------------------------

/** The connection has ended. `code` is a close code of PROTOCOL.md, `text` is for people. */
export class ZoneClosed extends Error {
  /**
   * @param {string} code
   * @param {string} text
   * @param {boolean} retry
   */
  constructor(code, text, retry) {
    super(`${code}: ${text}`);
    this.name = "ZoneClosed";
    this.code = code;
    this.text = text;
    /** Whether a new connection may succeed. */
    this.retry = retry;
  }
}

/** The zone refused an action, for the reason in `code`; `text` is for people. The session goes on. */
export class Refused extends Error {
  /**
   * @param {number} seq
   * @param {string} code
   * @param {string} text
   */
  constructor(seq, code, text) {
    super(text ? `${code}: ${text}` : code);
    this.name = "Refused";
    this.seq = seq;
    this.code = code;
    this.text = text;
  }
}

/** Bytes that are no message of a server, or a message that does not fit. */
export class MessageError extends Error {}

/**
 * @param {string} text
 * @returns {never}
 */
function wrong(text) {
  throw new MessageError(text);
}

// --- Values of MessagePack ------------------------------------------------------------------------

/** What an action has as arguments, and an event as values.
 * @typedef {null | boolean | number | bigint | string | Uint8Array | Value[]} Value */

const utf8 = new TextEncoder();
// Text may begin with a byte order mark, which belongs to it.
const utf8Decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

class Writer {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #size = 0;

  /** @param {number} count */
  #room(count) {
    const at = this.#size;
    this.#size += count;
    if (this.#size > this.#bytes.length) {
      const larger = new Uint8Array(this.#size * 2);
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }

  /** @param {number} byte */
  #byte(byte) {
    // The buffer may become another one.
    const at = this.#room(1);
    this.#bytes[at] = byte;
  }

  /** @param {Uint8Array} bytes */
  raw(bytes) {
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  /**
   * The head of an array, a text or bytes: the first of the forms that holds the count.
   * @param {number} count
   * @param {number} fixed
   * @param {number} fixedMax
   * @param {number} long the form with 8 bits of length, or 0 where there is none
   * @param {number} longer the form with 16 bits
   */
  #head(count, fixed, fixedMax, long, longer) {
    if (count <= fixedMax) this.#byte(fixed | count);
    else if (long && count < 0x100) this.raw(Uint8Array.of(long, count));
    else if (count < 0x10000) this.raw(Uint8Array.of(longer, count >> 8, count & 255));
    else throw new RangeError(`${count} elements or bytes fit into no message`);
  }

  /** @param {number} count */
  array(count) {
    this.#head(count, 0x90, 15, 0, 0xdc);
    return this;
  }

  /** @param {string} text */
  text(text) {
    const bytes = utf8.encode(text);
    this.#head(bytes.length, 0xa0, 31, 0xd9, 0xda);
    return this.raw(bytes);
  }

  /** @param {Uint8Array} bytes */
  bin(bytes) {
    this.#head(bytes.length, 0, -1, 0xc4, 0xc5);
    return this.raw(bytes);
  }

  /** @param {number | bigint} value a whole number from -2^63 to 2^64 - 1 */
  integer(value) {
    if (value >= -32 && value <= 127) this.#byte(Number(value) & 255);
    else if (value >= 0 && value <= 0xffff_ffff) {
      const at = this.#room(5);
      this.#bytes[at] = 0xce;
      this.#view.setUint32(at + 1, Number(value));
    } else {
      const big = BigInt(value);
      if (big < -(2n ** 63n) || big >= 2n ** 64n) throw new RangeError(`${value} is beyond 64 bits`);
      const at = this.#room(9);
      this.#bytes[at] = big < 0n ? 0xd3 : 0xcf;
      this.#view.setBigUint64(at + 1, BigInt.asUintN(64, big));
    }
    return this;
  }

  /** @param {unknown} value */
  value(value) {
    if (value === null) this.#byte(0xc0);
    else if (typeof value === "boolean") this.#byte(value ? 0xc3 : 0xc2);
    else if (typeof value === "bigint" || Number.isSafeInteger(value)) this.integer(/** @type {number} */ (value));
    else if (typeof value === "number") {
      const at = this.#room(9);
      this.#bytes[at] = 0xcb;
      this.#view.setFloat64(at + 1, value);
    } else if (typeof value === "string") this.text(value);
    else if (value instanceof Uint8Array) this.bin(value);
    else if (Array.isArray(value)) {
      this.array(value.length);
      for (const each of value) this.value(each);
    } else throw new TypeError(`an action cannot have ${String(value)} as an argument`);
    return this;
  }

  bytes() {
    return this.#bytes.slice(0, this.#size);
  }
}

/** Reads one payload from its begin to its end. Every method throws for any other bytes. */
class Reader {
  #bytes;
  #view;
  #at = 0;
  #elements = 0;

  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Makes way for so many bytes, and returns where they begin.
   * @param {number} count */
  #take(count) {
    const at = this.#at;
    if (at + count > this.#bytes.length) wrong("the message is cut short");
    this.#at = at + count;
    return at;
  }

  #next() {
    return this.#bytes[this.#take(1)];
  }

  #peek() {
    return this.#bytes[this.#at] ?? wrong("the message is cut short");
  }

  /** The length that stands behind a head. @param {number} bits */
  #length(bits) {
    const at = this.#take(bits >> 3);
    return bits === 8 ? this.#bytes[at] : bits === 16 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  isNil() {
    const is = this.#peek() === 0xc0;
    if (is) this.#at++;
    return is;
  }

  isText() {
    const head = this.#peek();
    return (head >= 0xa0 && head <= 0xbf) || (head >= 0xd9 && head <= 0xdb);
  }

  /** @returns {number | bigint} */
  anyInteger() {
    const head = this.#next();
    if (head < 0x80) return head;
    if (head >= 0xe0) return head - 256;
    switch (head) {
      case 0xcc:
        return this.#bytes[this.#take(1)];
      case 0xcd:
        return this.#view.getUint16(this.#take(2));
      case 0xce:
        return this.#view.getUint32(this.#take(4));
      case 0xcf:
        return exact(this.#view.getBigUint64(this.#take(8)));
      case 0xd0:
        return this.#view.getInt8(this.#take(1));
      case 0xd1:
        return this.#view.getInt16(this.#take(2));
      case 0xd2:
        return this.#view.getInt32(this.#take(4));
      case 0xd3:
        return exact(this.#view.getBigInt64(this.#take(8)));
      default:
        return wrong("a whole number was expected");
    }
  }

  integer() {
    const value = this.anyInteger();
    return typeof value === "number" ? value : wrong(`${value} is too large here`);
  }

  integers() {
    const values = new Array(this.array());
    for (let i = 0; i < values.length; i++) values[i] = this.integer();
    return /** @type {number[]} */ (values);
  }

  flag() {
    const head = this.#next();
    return head === 0xc3 || (head === 0xc2 ? false : wrong("true or false was expected"));
  }

  text(bytesMax = TEXT_BYTES_MAX) {
    const head = this.#next();
    let length = head & 31;
    if (head >= 0xd9 && head <= 0xdb) length = this.#length(8 << (head - 0xd9));
    else if (head < 0xa0 || head > 0xbf) wrong("a text was expected");
    if (length > bytesMax) wrong(`a text of ${length} bytes`);
    const at = this.#take(length),
      end = at + length;
    if (length <= 32) {
      let text = "",
        i = at;
      for (; i < end && this.#bytes[i] < 0x80; i++) text += String.fromCharCode(this.#bytes[i]);
      if (i === end) return text;
    }
    return utf8Decoder.decode(this.#bytes.subarray(at, end));
  }

  texts() {
    const values = [];
    for (let count = this.array(); count > 0; count--) values.push(this.text());
    return values;
  }

  /** The bytes lie in the payload: they are no copy. */
  bin() {
    const head = this.#next();
    if (head < 0xc4 || head > 0xc6) wrong("bytes were expected");
    const length = this.#length(8 << (head - 0xc4));
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** The number of elements in the array that begins here. @param {number} [count] how many there must be */
  array(count) {
    const head = this.#next();
    let length = head & 15;
    if (head === 0xdc || head === 0xdd) length = this.#length(head === 0xdc ? 16 : 32);
    else if (head < 0x90 || head > 0x9f) wrong("an array was expected");
    this.#elements += 1 + length;
    if (length > ARRAY_MAX || this.#elements > ELEMENTS_MAX) wrong("the message has too many elements");
    if (length > this.#bytes.length - this.#at) wrong("the message is cut short");
    if (count !== undefined && length !== count) wrong(`an array of ${length} elements, expected ${count}`);
    return length;
  }

  /** The number of records in a flat array. @param {number} size how many elements a record has */
  records(size) {
    const length = this.array();
    return length % size ? wrong("the last record is cut short") : length / size;
  }

  /** @returns {Value} */
  value(depth = 0) {
    const head = this.#peek();
    if (head < 0x80 || head >= 0xe0 || (head >= 0xcc && head <= 0xd3)) return this.anyInteger();
    if (this.isText()) return this.text();
    if (head === 0xc0) return this.isNil() && null;
    if (head === 0xc2 || head === 0xc3) return this.flag();
    if (head >= 0xc4 && head <= 0xc6) return this.bin().slice();
    if (head === 0xca) return this.#view.getFloat32(this.#take(5) + 1);
    if (head === 0xcb) return this.#view.getFloat64(this.#take(9) + 1);
    if ((head >= 0x90 && head <= 0x9f) || head === 0xdc || head === 0xdd) return this.values(depth + 1);
    return wrong("a message must not contain a map or an extension");
  }

  values(depth = 0) {
    if (depth > DEPTH_MAX) wrong("the values are nested too deep");
    const values = new Array(this.array());
    for (let i = 0; i < values.length; i++) values[i] = this.value(depth);
    return /** @type {Value[]} */ (values);
  }

  /** Skips what a later version has put behind the elements that we know. @param {number} count */
  rest(count) {
    for (; count > 0; count--) this.value();
    if (this.#at !== this.#bytes.length) wrong("bytes follow the message");
  }

  /** A column of values with four bytes each. @param {number} count */
  signed(count) {
    return new Int32Array(this.#column(count, 4));
  }

  /** @param {number} count */
  unsigned(count) {
    return new Uint32Array(this.#column(count, 4));
  }

  /** A column of values with one byte each. @param {number} count */
  signedBytes(count) {
    return new Int8Array(this.#column(count, 1));
  }

  /** @param {number} count */
  bytes(count) {
    return new Uint8Array(this.#column(count, 1));
  }

  /** A copy, because a column of four bytes lies anywhere. All browsers are little-endian, as columns are.
   * @param {number} count
   * @param {number} size */
  #column(count, size) {
    const bytes = this.bin();
    if (bytes.length !== count * size) wrong("a column must have one value for each slot");
    return /** @type {ArrayBuffer} */ (bytes.slice().buffer);
  }

  /** A set of slots, in rising order. */
  slots() {
    const bytes = this.bin(),
      slots = [],
      end = bytes.length;
    if (bytes[0] === 0 && end <= 8193) {
      for (let i = 1; i < end; i++) {
        for (let bits = bytes[i], slot = (i - 1) * 8; bits; bits >>= 1, slot++) if (bits & 1) slots.push(slot);
      }
    } else if (bytes[0] === 1 && end % 2 === 1) {
      for (let i = 1, before = -1; i < end; i += 2) {
        const slot = bytes[i] | (bytes[i + 1] << 8);
        if (slot <= before) wrong("a list of slots must be in rising order");
        slots.push((before = slot));
      }
    } else wrong("a set of slots must be a bitmap or a list");
    return slots;
  }
}

/** @param {bigint} value */
function exact(value) {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

// --- Messages -------------------------------------------------------------------------------------

/** The name of a player, or the number of a thing's kind, or null for a free slot.
 * @typedef {string | number | null} Holder */
/** @typedef {{ op: "WELCOME", version: number, slot: number | null, tick: number, game: string, game_version: string,
 *   hz: number, width: number, height: number, speed_step: number, kinds: [string, [string, number][]][],
 *   board: [string, number | string][], payload_max: number, actions_max: number, options: string[],
 *   resume: [Uint8Array, number, number, number] | null }} Welcome */
/** @typedef {{ op: "SNAPSHOT", tick: number, slots: Holder[], x: Int32Array, y: Int32Array, vx: Int8Array,
 *   vy: Int8Array, since: Uint32Array, seq: Uint8Array, stats: Int32Array[], board: (number | string)[] }} Snapshot */
/** @typedef {{ op: "TICK", tick: number, dilation: number, hash: number | null, leaves: number[],
 *   joins: (number | string)[], acted: { slots: number[], seq: Uint8Array, vx: Int8Array, vy: Int8Array },
 *   steered: { slots: number[], vx: Int8Array, vy: Int8Array }, placed: number[], stats: number[],
 *   board: (number | string)[], events: [number | null, number | null, string, ...Value[]][] }} Tick */
/** @typedef {{ op: "PONG", token: number | bigint, tick: number, microseconds: number }} Pong */
/** @typedef {{ op: "REFUSED", tick: number, seq: number, code: string, text: string }} Refusal */
/** @typedef {{ op: "BYE", code: string, text: string, retry: boolean }} Bye */
/** @typedef {{ op: "DEFLATED", data: Uint8Array }} Deflated */
/** @typedef {{ op: "TOLD", tick: number, kind: string, values: Value[] }} Told */
/** @typedef {{ op: "ANSWERED", tick: number, seq: number, values: Value[] }} Answered */
/** @typedef {Welcome | Snapshot | Tick | Pong | Refusal | Bye | Deflated | Told | Answered} ServerMessage */

const TICK = 18,
  SNAPSHOT = 17,
  DEFLATED = 22,
  NEWEST_OP = 24;

/**
 * The message of a server in a payload, with the names of PROTOCOL.md; null for one of a later version.
 * Throws MessageError for anything else.
 * @param {Uint8Array} payload
 * @returns {ServerMessage | null}
 */
export function decode(payload) {
  if (payload.length > PAYLOAD_BYTES_MAX) wrong(`a message of ${payload.length} bytes`);
  try {
    const reader = new Reader(payload),
      count = reader.array(),
      op = reader.integer();
    if (op > NEWEST_OP) return null;
    if (payload.length > SMALL_BYTES_MAX && op !== SNAPSHOT && op !== TICK && op !== DEFLATED) wrong("it is too long");
    const entry = MESSAGES[op - 16] ?? wrong("its op is not one of a server");
    const [elements, read] = entry;
    if (count <= elements) wrong(`it has ${count} elements`);
    const message = read(reader);
    reader.rest(count - 1 - elements);
    return message;
  } catch (error) {
    // Text that is no UTF-8 is a TypeError.
    throw error instanceof MessageError ? error : new MessageError(`not a message of a server: ${error}`);
  }
}

/** By op, from 16: how many elements are read, and how. @type {[number, (reader: Reader) => ServerMessage][]} */
const MESSAGES = [
  [10, readWelcome],
  [5, readSnapshot],
  [11, readTick],
  [3, (r) => ({ op: "PONG", token: r.anyInteger(), tick: r.integer(), microseconds: r.integer() })],
  [4, (r) => ({ op: "REFUSED", tick: r.integer(), seq: r.integer(), code: r.text(), text: r.text() })],
  [3, (r) => ({ op: "BYE", code: r.text(), text: r.text(), retry: r.flag() })],
  [1, (r) => ({ op: "DEFLATED", data: r.bin() })],
  [3, (r) => ({ op: "TOLD", tick: r.integer(), kind: r.text(), values: r.values() })],
  [3, (r) => ({ op: "ANSWERED", tick: r.integer(), seq: r.integer(), values: r.values() })],
];

/** @param {Reader} r @returns {Welcome} */
function readWelcome(r) {
  const version = r.integer(),
    slot = r.isNil() ? null : r.integer(),
    tick = r.integer();
  r.array(2);
  const game = r.text(),
    game_version = r.text();
  r.array(4);
  const hz = r.integer(),
    width = r.integer(),
    height = r.integer(),
    speed_step = r.integer();
  if (hz < 1 || speed_step < 1) wrong("a tick rate or a step of speed that is not above zero");
  /** @type {Welcome["kinds"]} */
  const kinds = [];
  for (let count = r.array(); count > 0; count--) {
    r.array(2);
    const name = r.text();
    kinds.push([name, pairs(r, () => r.integer())]);
  }
  if (!kinds.length || kinds.length > NAMES_MAX) wrong(`a zone of ${kinds.length} kinds`);
  const board = pairs(r, () => readEntry(r));
  r.array(2);
  const payload_max = r.integer(),
    actions_max = r.integer(),
    options = r.texts();
  if (payload_max < 1 || actions_max < 1) wrong("limits that let us send nothing");
  const head = { op: /** @type {const} */ ("WELCOME"), version, slot, tick, game, game_version };
  const rest = { hz, width, height, speed_step, kinds, board, payload_max, actions_max, options };
  return { ...head, ...rest, resume: r.isNil() ? null : readResume(r) };
}

/** @param {Reader} r @returns {[Uint8Array, number, number, number]} */
function readResume(r) {
  const count = r.array(),
    token = r.bin().slice();
  if (token.length !== 16) wrong(`a token of ${token.length} bytes`);
  const numbers = [];
  for (let i = 1; i < count; i++) numbers.push(r.integer());
  return numbers.length < 3 ? wrong("too few elements to come back") : [token, numbers[0], numbers[1], numbers[2]];
}

/**
 * @template T
 * @param {Reader} r
 * @param {() => T} read
 * @returns {[string, T][]}
 */
function pairs(r, read) {
  /** @type {[string, T][]} */
  const found = [];
  for (let count = r.array(); count > 0; count--) {
    r.array(2);
    found.push([r.text(), read()]);
  }
  return found.length > NAMES_MAX ? wrong("too many stats, or entries of the board") : found;
}

/** A value of the board. @param {Reader} r */
function readEntry(r) {
  return r.isText() ? r.text(BOARD_TEXT_BYTES_MAX) : r.integer();
}

/** A name, or the kind of a thing. @param {Reader} r */
function readHolder(r) {
  if (r.isText()) return r.text();
  const kind = r.integer();
  return kind > 0 ? kind : wrong(`a thing of the kind ${kind}`);
}

/** @param {Reader} r @returns {Snapshot} */
function readSnapshot(r) {
  const tick = r.integer(),
    count = r.array();
  if (count > SLOTS_MAX) wrong(`a zone of ${count} slots`);
  /** @type {Holder[]} */
  const slots = new Array(count);
  for (let i = 0; i < count; i++) slots[i] = r.isNil() ? null : readHolder(r);
  r.array(6);
  const x = r.signed(count),
    y = r.signed(count),
    vx = r.signedBytes(count),
    vy = r.signedBytes(count);
  const since = r.unsigned(count),
    seq = r.bytes(count);
  const stats = [],
    board = [];
  for (let left = r.array(); left > 0; left--) stats.push(r.signed(count));
  for (let left = r.array(); left > 0; left--) board.push(readEntry(r));
  return { op: "SNAPSHOT", tick, slots, x, y, vx, vy, since, seq, stats, board };
}

/** @param {Reader} r @returns {Tick} */
function readTick(r) {
  const tick = r.integer(),
    dilation = r.integer(),
    hash = r.isNil() ? null : r.integer(),
    leaves = r.integers();
  if (dilation < 1 || dilation > 100) wrong(`a dilation of ${dilation}`);
  const joins = [];
  for (let count = r.records(2); count > 0; count--) {
    const slot = r.integer();
    // A slot beyond the last one would make us store all free slots below it.
    if (slot < 0 || slot >= SLOTS_MAX) wrong(`a join to the slot ${slot}`);
    joins.push(slot, readHolder(r));
  }
  r.array(4);
  let slots = r.slots(),
    count = slots.length;
  const acted = { slots, seq: r.bytes(count), vx: r.signedBytes(count), vy: r.signedBytes(count) };
  r.array(3);
  slots = r.slots();
  count = slots.length;
  const steered = { slots, vx: r.signedBytes(count), vy: r.signedBytes(count) };
  const placed = r.integers(),
    stats = r.integers();
  if (placed.length % 5 || stats.length % 3) wrong("the last record is cut short");
  const board = [];
  for (let left = r.records(2); left > 0; left--) board.push(r.integer(), readEntry(r));
  /** @type {Tick["events"]} */
  const events = [];
  for (let left = r.array(); left > 0; left--) {
    const size = r.array();
    if (size < 3) wrong(`an event of ${size} elements`);
    const slot = r.isNil() ? null : r.integer(),
      seq = r.isNil() ? null : r.integer();
    if ((slot === null) !== (seq === null)) wrong("an event with a slot and no sequence, or the other way round");
    /** @type {Tick["events"][0]} */
    const event = [slot, seq, r.text()];
    for (let i = 3; i < size; i++) event.push(r.value());
    events.push(event);
  }
  return { op: "TICK", tick, dilation, hash, leaves, joins, acted, steered, placed, stats, board, events };
}

/**
 * The payload of a message of a client.
 * @param {[1, number, string, Uint8Array, string[], string] | [3, number] | [4]
 *   | [5, number, string, Uint8Array, number, number, string[], string]} message
 */
export function encode(message) {
  return new Writer().value(message).bytes();
}

/**
 * One action, for `encodeAct`. Throws TypeError or RangeError for values that cannot be sent.
 * @param {string} kind
 * @param {Value[]} values
 */
export function encodeAction(kind, values) {
  if (typeof kind !== "string") throw new TypeError("the kind of an action is a text");
  if (values.length > 15) throw new RangeError("an action has at most 15 arguments");
  const writer = new Writer().array(1 + values.length).text(kind);
  for (const value of values) {
    if (Array.isArray(value) && (value.length > 16 || value.some(Array.isArray))) {
      throw new RangeError("an array in an action has at most 16 elements, and no array among them");
    }
    writer.value(value);
  }
  return writer.bytes();
}

/**
 * @param {number} seq the sequence of the first action
 * @param {Uint8Array[]} actions
 */
export function encodeAct(seq, actions) {
  const writer = new Writer().array(3).integer(2).integer(seq).array(actions.length);
  for (const action of actions) writer.raw(action);
  return writer.bytes();
}

// --- Inflate, RFC 1951 ----------------------------------------------------------------------------

const LENGTHS = Uint16Array.of(
  3,
  4,
  5,
  6,
  7,
  8,
  9,
  10,
  11,
  13,
  15,
  17,
  19,
  23,
  27,
  31,
  35,
  43,
  51,
  59,
  67,
  83,
  99,
  115,
  131,
  163,
  195,
  227,
  258,
);
const LENGTH_BITS = Uint8Array.of(
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  1,
  1,
  1,
  1,
  2,
  2,
  2,
  2,
  3,
  3,
  3,
  3,
  4,
  4,
  4,
  4,
  5,
  5,
  5,
  5,
  0,
);
const DISTANCES = Uint16Array.of(
  1,
  2,
  3,
  4,
  5,
  7,
  9,
  13,
  17,
  25,
  33,
  49,
  65,
  97,
  129,
  193,
  257,
  385,
  513,
  769,
  1025,
  1537,
  2049,
  3073,
  4097,
  6145,
  8193,
  12289,
  16385,
  24577,
);
const DISTANCE_BITS = Uint8Array.of(
  0,
  0,
  0,
  0,
  1,
  1,
  2,
  2,
  3,
  3,
  4,
  4,
  5,
  5,
  6,
  6,
  7,
  7,
  8,
  8,
  9,
  9,
  10,
  10,
  11,
  11,
  12,
  12,
  13,
  13,
);
const ORDER = Uint8Array.of(16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15);

/** A table of Huffman codes. The next `bits` bits lead to 16 times the symbol + the length of its code, or to 0.
 * @typedef {{ table: Uint16Array, bits: number }} Codes */

/**
 * @param {Uint8Array} lengths of the code of each symbol
 * @param {boolean} mayMiss whether a single code of one bit is enough
 * @param {Uint16Array} [table] 32,768 entries that may be used
 * @returns {Codes}
 */
function codesOf(lengths, mayMiss, table) {
  const counts = new Uint16Array(16),
    codes = new Uint16Array(16);
  for (const length of lengths) counts[length]++;
  let bits = 15,
    left = 1;
  while (bits && !counts[bits]) bits--;
  for (let length = 1; length <= 15; length++) {
    left = left * 2 - counts[length];
    if (left < 0) wrong("there are too many codes");
    if (length < 15) codes[length + 1] = (codes[length] + counts[length]) << 1;
  }
  if (bits && left && !(mayMiss && bits === 1)) wrong("there are too few codes");
  const size = 1 << bits,
    used = table ? table.subarray(0, size) : new Uint16Array(size);
  if (left || !bits) used.fill(0);
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const length = lengths[symbol];
    if (!length) continue;
    let code = codes[length]++,
      reversed = 0;
    for (let i = 0; i < length; i++, code >>= 1) reversed = (reversed << 1) | (code & 1);
    for (const entry = (symbol << 4) | length; reversed < size; reversed += 1 << length) used[reversed] = entry;
  }
  return { table: used, bits };
}

const LITERAL_TABLE = new Uint16Array(32768),
  DISTANCE_TABLE = new Uint16Array(32768);
/** @type {[Codes, Codes] | undefined} */
let fixedCodes;

function fixed() {
  const lengths = new Uint8Array(288).fill(8).fill(9, 144, 256).fill(7, 256, 280);
  return (fixedCodes ??= [codesOf(lengths, false), codesOf(new Uint8Array(32).fill(5), false)]);
}

/**
 * What raw DEFLATE data stands for. Throws MessageError for anything else, and for more than `bytesMax` bytes.
 * @param {Uint8Array} data
 * @param {number} bytesMax
 */
export function inflate(data, bytesMax = PAYLOAD_BYTES_MAX) {
  let out = new Uint8Array(Math.min(bytesMax, Math.max(1024, data.length * 6)));
  let size = 0,
    at = 0,
    hold = 0,
    held = 0;

  /** Makes room for more bytes. @param {number} count */
  function room(count) {
    if (size + count <= out.length) return;
    if (size + count > bytesMax) wrong(`more than ${bytesMax} bytes once it is inflated`);
    const larger = new Uint8Array(Math.min(bytesMax, Math.max(out.length * 2, size + count)));
    larger.set(out);
    out = larger;
  }
  /** The next bits, at most 16. @param {number} count */
  function take(count) {
    while (held < count) {
      if (at >= data.length) wrong("the deflated data is cut short");
      hold |= data[at++] << held;
      held += 8;
    }
    const value = hold & ((1 << count) - 1);
    hold >>>= count;
    held -= count;
    return value;
  }
  /** The next symbol. @param {Codes} codes */
  function symbol({ table, bits }) {
    while (held < bits && at < data.length) {
      hold |= data[at++] << held;
      held += 8;
    }
    const entry = table[hold & ((1 << bits) - 1)],
      length = entry & 15;
    if (!length || length > held) wrong("the data is not deflated, or is cut short");
    hold >>>= length;
    held -= length;
    return entry >> 4;
  }
  /** @param {Codes} literals @param {Codes} distances */
  function compressed(literals, distances) {
    for (;;) {
      const code = symbol(literals);
      if (code < 256) {
        if (size === out.length) room(1);
        out[size++] = code;
      } else if (code === 256) return;
      else {
        if (code > 285) wrong("the data is not deflated");
        const length = LENGTHS[code - 257] + take(LENGTH_BITS[code - 257]);
        const far = symbol(distances);
        if (far > 29) wrong("the data is not deflated");
        const distance = DISTANCES[far] + take(DISTANCE_BITS[far]);
        if (distance > size) wrong("the deflated data reaches back too far");
        room(length);
        // A copy may overlap itself.
        for (const end = size + length; size < end; size++) out[size] = out[size - distance];
      }
    }
  }
  function stored() {
    at -= held >> 3; // Whole bytes that were taken in advance go back.
    hold = held = 0;
    const length = take(16);
    if ((take(16) ^ length) !== 0xffff) wrong("the data is not deflated");
    if (at + length > data.length) wrong("the deflated data is cut short");
    room(length);
    out.set(data.subarray(at, at + length), size);
    at += length;
    size += length;
  }
  function dynamic() {
    const literals = take(5) + 257,
      distances = take(5) + 1,
      lengths = new Uint8Array(320),
      some = new Uint8Array(19);
    if (literals > 286 || distances > 30) wrong("the data is not deflated");
    for (let i = 0, count = take(4) + 4; i < count; i++) some[ORDER[i]] = take(3);
    const codes = codesOf(some, false);
    for (let i = 0, end = literals + distances; i < end;) {
      const code = symbol(codes);
      if (code < 16) {
        lengths[i++] = code;
        continue;
      }
      if (code === 16 && !i) wrong("the data is not deflated");
      const repeated = code === 16 ? lengths[i - 1] : 0;
      const count = code === 16 ? 3 + take(2) : code === 17 ? 3 + take(3) : 11 + take(7);
      if (i + count > end) wrong("the data is not deflated");
      lengths.fill(repeated, i, (i += count));
    }
    if (!lengths[256]) wrong("the deflated data has no code for its end");
    compressed(
      codesOf(lengths.subarray(0, literals), true, LITERAL_TABLE),
      codesOf(lengths.subarray(literals, literals + distances), true, DISTANCE_TABLE),
    );
  }

  for (let isLast = 0; !isLast;) {
    isLast = take(1);
    const kind = take(2);
    if (kind === 0) stored();
    else if (kind === 1) compressed(...fixed());
    else if (kind === 2) dynamic();
    else wrong("the data is not deflated");
  }
  if (at - (held >> 3) !== data.length) wrong("bytes follow the deflated data");
  return out.subarray(0, size);
}

// --- The state ------------------------------------------------------------------------------------

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let i = 0; i < 8; i++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte;
});

/** Goes on with a CRC-32 by these bytes. @param {Uint8Array} bytes @param {number} crc */
function crc32(bytes, crc) {
  crc = ~crc;
  for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ bytes[i]) & 255];
  return ~crc >>> 0;
}

/**
 * Motion by slot, for programs that draw thousands. `present` is 1 where a slot is in use, `count` is the highest slot
 * in use + 1. The columns from `fromX` on are the motion before the last one: it holds for ticks before `since`. Where
 * it is unknown, `fromSince` equals `since`. The arrays become other, longer ones when the zone grows: take them anew
 * for every picture.
 * @typedef {object} Columns
 * @property {number} count
 * @property {Uint8Array} present
 * @property {Float64Array} x
 * @property {Float64Array} y
 * @property {Float64Array} vx
 * @property {Float64Array} vy
 * @property {Float64Array} since
 * @property {Float64Array} fromX
 * @property {Float64Array} fromY
 * @property {Float64Array} fromVx
 * @property {Float64Array} fromVy
 * @property {Float64Array} fromSince
 */
const COLUMN_NAMES = /** @type {const} */ ([
  "x",
  "y",
  "vx",
  "vy",
  "since",
  "fromX",
  "fromY",
  "fromVx",
  "fromVy",
  "fromSince",
]);

/**
 * A player, or a thing. It stays the same object as long as it is in the zone, and keeps what it was when it has left.
 */
class Entity {
  #replica;
  /** What it was at the end.
   * @type {{ x: number, y: number, vx: number, vy: number, stats: () => Record<string, number> } | null} */
  #last = null;

  /**
   * @param {Replica} replica
   * @param {number} slot
   */
  constructor(replica, slot) {
    this.#replica = replica;
    /** The number by which frames and values of events name it. */
    this.slot = slot;
  }

  /** Whether it is in the zone. */
  get isPresent() {
    return this.#last === null;
  }

  /** The position at the end of the last tick: a whole number. */
  get x() {
    return this.#last ? this.#last.x : this.#replica.position(this.slot)[0];
  }

  get y() {
    return this.#last ? this.#last.y : this.#replica.position(this.slot)[1];
  }

  /** The velocity in steps, from -127 to 127. */
  get vx() {
    return this.#last ? this.#last.vx : this.#replica.columns.vx[this.slot];
  }

  get vy() {
    return this.#last ? this.#last.vy : this.#replica.columns.vy[this.slot];
  }

  /** The stats by name, as they are now. */
  get stats() {
    return this.#last ? this.#last.stats() : this.#replica.statsOf(this.slot)();
  }

  /** It has left the zone: it keeps what it was. */
  end() {
    const { x, y, vx, vy } = this;
    this.#last = { x, y, vx, vy, stats: this.#replica.statsOf(this.slot) };
  }
}

/** A player in the zone. */
export class Player extends Entity {
  /**
   * @param {Replica} replica
   * @param {number} slot
   * @param {string} name
   */
  constructor(replica, slot, name) {
    super(replica, slot);
    this.name = name;
  }
}

/** Anything in the zone that is no player: a coin, a wolf. */
export class Thing extends Entity {
  /**
   * @param {Replica} replica
   * @param {number} slot
   * @param {string} kind
   */
  constructor(replica, slot, kind) {
    super(replica, slot);
    this.kind = kind;
  }
}

/** What a frame or a snapshot has changed in who is there. @typedef {{ joined: Player[], left: Player[] }} Change */

/** The copy of the zone's state. Throws MessageError for a message that does not fit it. */
export class Replica {
  /** @param {Welcome} welcome */
  constructor(welcome) {
    this.welcome = welcome;
    /** The tick at whose end the zone had this state. */
    this.tick = 0;
    /** What holds each slot. @type {Holder[]} */
    this.holders = [];
    this.seq = new Uint8Array(0);
    const count = Math.max(...welcome.kinds.map(([, stats]) => stats.length));
    /** Column i is stat i of whatever holds the slot. @type {Float64Array[]} */
    this.stats = Array.from({ length: count }, () => new Float64Array(0));
    /** @type {(number | string)[]} */
    this.board = welcome.board.map(([, first]) => first);
    const none = () => new Float64Array(0);
    /** @type {Columns} */
    this.columns = {
      count: 0,
      present: new Uint8Array(0),
      x: none(),
      y: none(),
      vx: none(),
      vy: none(),
      since: none(),
      fromX: none(),
      fromY: none(),
      fromVx: none(),
      fromVy: none(),
      fromSince: none(),
    };
    let a = welcome.speed_step,
      b = welcome.hz;
    while (b) [a, b] = [b, a % b];
    // One step of velocity moves by `step` units in `stepTicks` ticks.
    this.#step = welcome.speed_step / a;
    this.#stepTicks = welcome.hz / a;
    this.#grow(64);
  }

  #step;
  #stepTicks;
  /** By slot, once somebody has asked for it. @type {(Player | Thing | undefined)[]} */
  #entities = [];
  /** @type {Player[] | null} */
  #players = null;
  /** @type {Thing[] | null} */
  #things = null;

  /** @param {number} count */
  #grow(count) {
    if (count <= this.seq.length) return;
    const size = Math.min(SLOTS_MAX, Math.max(count, this.seq.length * 2));
    /** @template {Float64Array | Uint8Array} A @param {A} column @returns {A} */
    const larger = (column) => {
      const grown = column instanceof Uint8Array ? new Uint8Array(size) : new Float64Array(size);
      grown.set(column);
      return /** @type {A} */ (grown);
    };
    this.seq = larger(this.seq);
    this.columns.present = larger(this.columns.present);
    for (const name of COLUMN_NAMES) this.columns[name] = larger(this.columns[name]);
    this.stats = this.stats.map(larger);
  }

  // --- Reading ---

  /** @param {number} slot */
  entity(slot) {
    const known = this.#entities[slot],
      holder = this.holders[slot];
    if (known) return known;
    if (holder === null || holder === undefined) return undefined;
    return (this.#entities[slot] =
      typeof holder === "string"
        ? new Player(this, slot, holder)
        : new Thing(this, slot, this.welcome.kinds[holder][0]));
  }

  /** @param {number | null} slot */
  player(slot) {
    const found = slot === null ? undefined : this.entity(slot);
    return found instanceof Player ? found : undefined;
  }

  /** @param {number} slot */
  thing(slot) {
    const found = this.entity(slot);
    return found instanceof Thing ? found : undefined;
  }

  get players() {
    return (this.#players ??= this.holders.flatMap((_, slot) => this.player(slot) ?? []));
  }

  get things() {
    return (this.#things ??= this.holders.flatMap((_, slot) => this.thing(slot) ?? []));
  }

  /** Makes the stats by name of whatever holds the slot now, as they are now: many leave, and few are asked for it.
   * @param {number} slot
   * @returns {() => Record<string, number>} */
  statsOf(slot) {
    const holder = this.holders[slot],
      names = this.welcome.kinds[typeof holder === "number" ? holder : 0][1],
      values = names.map((_, index) => this.stats[index][slot]);
    return () => Object.fromEntries(names.map(([name], index) => [name, values[index]]));
  }

  /** The position at the end of the current tick, in whole numbers. @param {number} slot @returns {[number, number]} */
  position(slot) {
    const { x, y, vx, vy, since } = this.columns,
      { width, height } = this.welcome;
    const steps = (this.tick - since[slot]) * this.#step,
      ticks = this.#stepTicks;
    return [
      Math.max(0, Math.min(width, x[slot] + Math.trunc((vx[slot] * steps) / ticks))),
      Math.max(0, Math.min(height, y[slot] + Math.trunc((vy[slot] * steps) / ticks))),
    ];
  }

  /**
   * The positions of all slots at a fraction of a tick, to draw them.
   * @param {number} at
   * @param {Float64Array | Float32Array | number[]} outX
   * @param {Float64Array | Float32Array | number[]} outY
   * @param {number} [first]
   * @param {number} [end]
   */
  positions(at, outX, outY, first = 0, end = this.columns.count) {
    const { x, y, vx, vy, since, fromX, fromY, fromVx, fromVy, fromSince } = this.columns;
    const { width, height } = this.welcome,
      speed = this.#step / this.#stepTicks;
    for (let slot = first, i = 0; slot < end; slot++, i++) {
      let left, top;
      if (at < since[slot] && fromSince[slot] < since[slot]) {
        const steps = Math.max(0, at - fromSince[slot]) * speed;
        left = fromX[slot] + fromVx[slot] * steps;
        top = fromY[slot] + fromVy[slot] * steps;
      } else {
        const steps = Math.max(0, at - since[slot]) * speed;
        left = x[slot] + vx[slot] * steps;
        top = y[slot] + vy[slot] * steps;
      }
      outX[i] = left < 0 ? 0 : left > width ? width : left;
      outY[i] = top < 0 ? 0 : top > height ? height : top;
    }
    return end - first;
  }

  /** The state hash. */
  hash() {
    const { kinds } = this.welcome,
      { count, x, y, vx, vy, since } = this.columns;
    const hashed = kinds.map(([name]) => `\u0001${name}`);
    const names = this.holders.map((holder) => (typeof holder === "number" ? hashed[holder] : (holder ?? "")));
    let crc = crc32(utf8.encode(names.join("\0")), 0);
    // Whole numbers that become 32 or 8 bits lose nothing but their sign.
    const words = new Int32Array(count),
      wordBytes = new Uint8Array(words.buffer),
      bytes = new Uint8Array(count);
    /** @param {Float64Array} column @param {Int32Array | Uint8Array} packed */
    const add = (column, packed) => {
      for (let slot = 0; slot < count; slot++) packed[slot] = column[slot];
      crc = crc32(packed === words ? wordBytes : bytes, crc);
    };
    add(x, words);
    add(y, words);
    add(vx, bytes);
    add(vy, bytes);
    add(since, words);
    for (const column of this.stats) add(column, words);
    return crc32(utf8.encode(this.board.map((value) => `\0${value}`).join("")), crc);
  }

  // --- Changing ---

  /** @param {Snapshot} snapshot @returns {Change} */
  restore(snapshot) {
    const { slots } = snapshot,
      count = slots.length,
      columns = this.columns;
    const end = Math.max(count, this.holders.length);
    if (snapshot.stats.length !== this.stats.length || snapshot.board.length !== this.board.length) {
      wrong("a snapshot with other stats, or another board, than WELCOME named");
    }
    for (const holder of slots) this.#check(holder);
    /** @type {Change} */
    const change = { joined: [], left: [] };
    const joined = [];
    this.#grow(count);
    for (let slot = 0; slot < end; slot++) {
      const before = this.holders[slot] ?? null,
        holder = slots[slot] ?? null;
      if (before !== holder) {
        if (before !== null) this.#forget(slot, change.left);
        if (holder !== null) joined.push(slot);
      }
      if (holder === null) {
        if (slot < columns.count) this.#clear(slot);
        continue;
      }
      const since = snapshot.since[slot];
      // The motion before, where it is known: the last one that we have.
      if (before === holder && columns.since[slot] < since) this.#keepMotion(slot);
      else if (before !== holder || columns.since[slot] > since) columns.fromSince[slot] = since;
      columns.present[slot] = 1;
      columns.x[slot] = snapshot.x[slot];
      columns.y[slot] = snapshot.y[slot];
      columns.vx[slot] = snapshot.vx[slot];
      columns.vy[slot] = snapshot.vy[slot];
      columns.since[slot] = since;
      this.seq[slot] = snapshot.seq[slot];
      this.stats.forEach((column, index) => (column[slot] = snapshot.stats[index][slot]));
    }
    this.tick = snapshot.tick;
    this.holders = slots.slice();
    this.board = snapshot.board;
    columns.count = count;
    this.#players = this.#things = null;
    for (const slot of joined) this.#note(slot, change.joined);
    return change;
  }

  /** @param {Tick} frame @returns {Change} */
  apply(frame) {
    if (frame.tick !== this.tick + 1) wrong(`the frame of tick ${frame.tick} does not follow tick ${this.tick}`);
    this.tick = frame.tick;
    /** @type {Change} */
    const change = { joined: [], left: [] };
    for (const slot of frame.leaves) this.#leave(slot, change);
    for (let i = 0; i < frame.joins.length; i += 2) {
      this.#join(/** @type {number} */ (frame.joins[i]), frame.joins[i + 1], change);
    }
    const { acted, steered, placed, stats, board, events } = frame;
    /** @type {Set<number> | undefined} */
    let told;
    for (const [slot, seq] of events) {
      if (slot === null || seq === null) continue;
      this.#inUse(slot);
      this.seq[slot] = seq;
      (told ??= new Set()).add(slot);
    }
    for (let i = 0; i < acted.slots.length; i++) {
      const slot = acted.slots[i];
      this.#move(slot, acted.vx[i], acted.vy[i]);
      // A motion and an event may come from two actions: the newer one counts.
      if (!told?.has(slot) || ((acted.seq[i] - this.seq[slot]) & 255) < 128) this.seq[slot] = acted.seq[i];
    }
    for (let i = 0; i < steered.slots.length; i++) this.#move(steered.slots[i], steered.vx[i], steered.vy[i]);
    for (let i = 0; i < placed.length; i += 5) {
      const slot = placed[i];
      this.#inUse(slot);
      this.#set(slot, placed[i + 1], placed[i + 2], placed[i + 3], placed[i + 4]);
    }
    for (let i = 0; i < stats.length; i += 3) {
      this.#inUse(stats[i]);
      const column = this.stats[stats[i + 1]] ?? wrong(`there is no stat ${stats[i + 1]}`);
      column[stats[i]] = stats[i + 2];
    }
    for (let i = 0; i < board.length; i += 2) {
      const index = /** @type {number} */ (board[i]);
      if (!(index in this.board)) wrong(`there is no entry ${index} on the board`);
      this.board[index] = board[i + 1];
    }
    return change;
  }

  /** @param {number} slot */
  #inUse(slot) {
    if (this.holders[slot] === null || this.holders[slot] === undefined) wrong(`slot ${slot} is free`);
  }

  /** @param {Holder} holder */
  #check(holder) {
    if (typeof holder === "number" && holder >= this.welcome.kinds.length) wrong(`there is no kind ${holder}`);
  }

  /** Notes who is there now. @param {number} slot @param {Player[]} joined */
  #note(slot, joined) {
    const player = typeof this.holders[slot] === "string" && this.player(slot);
    if (player) joined.push(player);
  }

  /** The holder is there no longer. A thing that nobody has asked for needs no farewell.
   * @param {number} slot @param {Player[]} left */
  #forget(slot, left) {
    const entity = typeof this.holders[slot] === "string" ? this.entity(slot) : this.#entities[slot];
    if (!entity) return;
    entity.end();
    if (entity instanceof Player) left.push(entity);
    this.#entities[slot] = undefined;
  }

  /** Another replica takes the place of this one; returns the players of this one. */
  end() {
    /** @type {Player[]} */
    const left = [];
    for (let slot = 0; slot < this.holders.length; slot++) this.#forget(slot, left);
    return left;
  }

  /** @param {number} slot */
  #clear(slot) {
    this.columns.present[slot] = this.seq[slot] = 0;
    for (const name of COLUMN_NAMES) this.columns[name][slot] = 0;
    for (const column of this.stats) column[slot] = 0;
  }

  /** @param {number} slot @param {Change} change */
  #leave(slot, change) {
    this.#inUse(slot);
    this.#forget(slot, change.left);
    this.#clear(slot);
    this.holders[slot] = null;
    while (this.holders.length && this.holders[this.holders.length - 1] === null) this.holders.pop();
    this.columns.count = this.holders.length;
    this.#players = this.#things = null;
  }

  /** @param {number} slot @param {Holder} holder @param {Change} change */
  #join(slot, holder, change) {
    if (this.holders[slot] !== null && this.holders[slot] !== undefined) wrong(`slot ${slot} is taken`);
    this.#check(holder);
    this.#grow(slot + 1);
    while (this.holders.length <= slot) this.holders.push(null);
    this.#clear(slot);
    this.holders[slot] = holder;
    this.columns.count = this.holders.length;
    this.columns.present[slot] = 1;
    this.columns.since[slot] = this.columns.fromSince[slot] = this.tick;
    const firsts = this.welcome.kinds[typeof holder === "number" ? holder : 0][1];
    firsts.forEach(([, first], index) => (this.stats[index][slot] = first));
    this.#players = this.#things = null;
    this.#note(slot, change.joined);
  }

  /** @param {number} slot @param {number} vx @param {number} vy */
  #move(slot, vx, vy) {
    this.#inUse(slot);
    const [x, y] = this.position(slot);
    this.#set(slot, x, y, vx, vy);
  }

  /** A motion from the current tick on. @param {number} slot @param {number} x @param {number} y @param {number} vx
   * @param {number} vy */
  #set(slot, x, y, vx, vy) {
    const columns = this.columns;
    if (columns.since[slot] < this.tick) this.#keepMotion(slot);
    columns.x[slot] = x;
    columns.y[slot] = y;
    columns.vx[slot] = vx;
    columns.vy[slot] = vy;
    columns.since[slot] = this.tick;
  }

  /** The motion becomes the one before. @param {number} slot */
  #keepMotion(slot) {
    const columns = this.columns;
    columns.fromX[slot] = columns.x[slot];
    columns.fromY[slot] = columns.y[slot];
    columns.fromVx[slot] = columns.vx[slot];
    columns.fromVy[slot] = columns.vy[slot];
    columns.fromSince[slot] = columns.since[slot];
  }
}

// --- One's own actions ----------------------------------------------------------------------------

// How many actions without an outcome the low byte of a sequence tells apart.
const UNANSWERED_MAX = 255;
const FATES_MAX = 1024;

/** What became of an action.
 * @typedef {{ outcome: "happened" | "superseded" | "past" } | { outcome: "answered", values: Value[] }
 *   | { outcome: "dropped" | "refused" | "unsent", refused: Refused }} Fate */

/** What becomes of one's own actions: the procedure that PROTOCOL.md prints. */
export class Outcomes {
  /** The encoded actions without an outcome by sequence, in rising order. @type {Map<number, Uint8Array>} */
  waiting = new Map();
  /** The fates of the last actions by sequence. @type {Map<number, Fate>} */
  fates = new Map();
  /** Called for each action that has a fate. @type {(seq: number, fate: Fate) => void} */
  onFate = () => {};
  #known = 0;
  /** The refusal that began the present mute. @type {Refusal | null} */
  #mute = null;
  // The newest action that the zone had taken when the client came back, and the tick by which its outcome comes.
  #taken = 0;
  #until = 0;

  /** @param {number} seq @param {Uint8Array} action */
  sent(seq, action) {
    this.waiting.set(seq, action);
  }

  /** @param {Refusal} refusal */
  refused({ seq, code, text }) {
    if (code === "MUTED") this.#mute = { op: "REFUSED", tick: 0, seq, code, text };
    else if (code === "UNMUTED") {
      const from = this.#mute?.seq ?? 0,
        why = this.#mute?.text ?? text;
      this.#mute = null;
      for (const each of [...this.waiting.keys()]) {
        if (each >= from && each <= seq)
          this.#settle(each, { outcome: "dropped", refused: new Refused(each, "MUTED", why) });
      }
    } else if (code !== "WARNED") this.#settle(seq, { outcome: "refused", refused: new Refused(seq, code, text) });
  }

  /** @param {Answered} answered */
  answered({ seq, values }) {
    this.#settle(seq, { outcome: "answered", values });
  }

  /** @param {Tick} frame @param {number} own */
  inFrame(frame, own) {
    const found = new Set(),
      lows = [];
    const at = this.waiting.size ? frame.acted.slots.indexOf(own) : -1;
    if (at >= 0) lows.push(frame.acted.seq[at]);
    for (const [slot, low] of frame.events) if (slot === own && low !== null) lows.push(low);
    for (const low of lows) {
      for (const seq of this.waiting.keys()) {
        if ((seq & 255) === (low & 255)) {
          found.add(seq);
          break;
        }
      }
    }
    if (!found.size) return;
    for (const seq of found) this.#settle(seq, { outcome: "happened" });
    this.#known = Math.max(...found);
    this.#pass(this.#known, "superseded");
  }

  /** @param {Snapshot} snapshot @param {number} own */
  inSnapshot(snapshot, own) {
    const low = snapshot.seq[own];
    if (low === (this.#known & 255)) return;
    const newest = [...this.waiting.keys()].reverse().find((seq) => (seq & 255) === low);
    if (newest === undefined) return;
    this.#known = newest;
    this.#pass(newest + 1, "past");
  }

  /** The client has come back, and the zone had taken the actions up to `seq`: their outcomes come by the tick `until`.
   * @param {number} seq @param {number} until */
  resumed(seq, until) {
    this.#taken = seq;
    this.#until = until;
  }

  /** Gives up what has no outcome by this tick. @param {number} tick */
  expire(tick) {
    if (!this.#taken || tick < this.#until) return;
    this.#pass(this.#taken + 1, "past");
    this.#taken = 0;
  }

  /** The player is another one: nothing is told of the actions any more. @param {string} text */
  restart(text) {
    for (const seq of [...this.waiting.keys()]) this.unsent(seq, "AWAY", text);
    this.#known = this.#taken = 0;
    this.#mute = null;
  }

  /** The client itself refuses an action. @param {number} seq @param {string} code @param {string} text */
  unsent(seq, code, text) {
    this.#settle(seq, { outcome: "unsent", refused: new Refused(seq, code, text) });
  }

  /** @param {number} end @param {"superseded" | "past"} outcome */
  #pass(end, outcome) {
    for (const seq of [...this.waiting.keys()]) if (seq < end) this.#settle(seq, { outcome });
  }

  /** @param {number} seq @param {Fate} fate */
  #settle(seq, fate) {
    if (!this.waiting.delete(seq)) return;
    this.fates.set(seq, fate);
    if (this.fates.size > FATES_MAX) this.fates.delete(oldest(this.fates));
    this.onFate(seq, fate);
  }
}

/** The first key. @param {Map<number, unknown>} map @returns {number} */
function oldest(map) {
  return map.keys().next().value ?? 0;
}

// --- Time -----------------------------------------------------------------------------------------

// The bound drifts by this part of the full rate, since clocks differ and dilation is told in whole percent.
const DRIFT = 0.005;
// How long the clock runs on without a frame, and by how much it may be wrong before it jumps.
const OVERDUE_SECONDS = 0.5;
// In a zone that stands still, as a replay may, nobody walks on for long.
const AHEAD_TICKS_MAX = 3;

/**
 * Which tick to draw, as a fraction: behind the newest frame by one tick and by what frames were late of late. It never
 * runs backwards, unless the zone begins again at an earlier tick. Times are arguments, in seconds.
 */
export class Clock {
  #hz;
  #rate;
  // The zone had reached this tick at the moment `#at`, or a later one.
  #low;
  #at;
  #newest;
  // By how many ticks frames were late of late: it rises fast, and falls slowly.
  #late = 0;
  #shown;
  #shownAt;

  /** @param {number} hz @param {number} tick @param {number} now */
  constructor(hz, tick, now) {
    this.#hz = this.#rate = hz;
    this.#low = this.#newest = tick;
    this.#shown = tick - 1;
    this.#at = this.#shownAt = now;
  }

  /** A frame or a snapshot has arrived.
   * @param {number} tick
   * @param {number} dilation from 0 to 1
   * @param {number} now */
  arrived(tick, dilation, now) {
    this.#advance(now);
    this.#newest = tick;
    this.#rate = this.#hz * dilation;
    const late = this.#low - tick;
    if (late > this.#rate * OVERDUE_SECONDS)
      this.#low = tick; // The zone stood still, or more frames follow at once.
    else if (late > 0) this.#late += (late - this.#late) * (late > this.#late ? 0.5 : 0.02);
    else this.#low = tick;
  }

  /** The zone goes on from another tick. @param {number} tick @param {number} now */
  restart(tick, now) {
    this.#low = this.#newest = tick;
    this.#shown = tick - 1;
    this.#late = 0;
    this.#at = this.#shownAt = now;
  }

  /** The tick to draw at this moment. @param {number} now */
  now(now) {
    this.#advance(now);
    const step = Math.max(0, now - this.#shownAt) * this.#rate,
      behind = 1 + this.#late;
    // Without a frame the clock runs on for a while, and then stands.
    const overdue = this.#rate * OVERDUE_SECONDS,
      latest = this.#newest + Math.min(AHEAD_TICKS_MAX, 1 + overdue - behind);
    const wanted = Math.min(this.#low - behind, latest),
      error = wanted - (this.#shown + step);
    const next = this.#shown + step * (1 + Math.max(-0.1, Math.min(0.1, error * 0.05)));
    this.#shownAt = now;
    this.#shown = Math.max(this.#shown, error > overdue ? wanted : Math.min(next, latest));
    return this.#shown;
  }

  /** @param {number} now */
  #advance(now) {
    if (now <= this.#at) return;
    this.#low += (now - this.#at) * (this.#rate - DRIFT * this.#hz);
    this.#at = now;
  }
}

const seconds = () => performance.now() / 1000;

// --- One connection -------------------------------------------------------------------------------

const ANSWER_MS = 10_000;
const PING_MS = 2_000;
// A connection that ends sooner is one more attempt.
const SERVED_MS = 5_000;
// A server that sends nothing for so many intervals, not even a PONG, is gone.
const SILENT_PINGS = 15;
const SILENT_PINGS_IF_RESUMED = 5;

/** @typedef {{ code: string, text: string, retry: boolean }} End */
/** @param {string} text @returns {End} */
const lost = (text) => ({ code: "CONNECTION_LOST", text, retry: true });

/** @typedef {{ received(link: Link, payload: Uint8Array): void, sent(bytes: number): void,
 *   ended(link: Link, end: End): void }} Owner */

/** One WebSocket. It tells its owner of each message, and of its end, exactly once. */
class Link {
  /** @type {Welcome | null} */
  welcome = null;
  isOver = false;
  /** Whether the server has answered a PING after some seconds of play. */
  isServed = false;
  #acceptedAt = Infinity;
  /** When each PING without a PONG was sent, by token. @type {Map<number, number>} */
  pings = new Map();
  #owner;
  #socket;
  #silent = 0;
  #pinged = 0;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #interval;
  #timeout;

  /**
   * @param {string} url
   * @param {typeof WebSocket} WebSocketClass
   * @param {Uint8Array} hello
   * @param {boolean} isReturn whether the hello is a RESUME
   * @param {Owner} owner
   */
  constructor(url, WebSocketClass, hello, isReturn, owner) {
    this.isReturn = isReturn;
    this.#owner = owner;
    const socket = (this.#socket = new WebSocketClass(url, SUBPROTOCOL));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.send(hello);
    socket.onmessage = ({ data }) => {
      this.#silent = 0;
      if (data instanceof ArrayBuffer) owner.received(this, new Uint8Array(data));
      else this.fail("it sent text");
    };
    // No event of a WebSocket says why. Node sends no close event where it cannot connect.
    socket.onclose = socket.onerror = () => {
      this.end(lost(this.welcome ? "the connection ended without a goodbye" : `no answer from ${url}`));
    };
    this.#timeout = this.#expect("no answer");
  }

  /** Ends in a while without it. @param {string} what */
  #expect(what) {
    const text = `${what} from ${this.#socket.url} within ${ANSWER_MS / 1000} s`;
    return setTimeout(() => this.end(lost(text)), ANSWER_MS);
  }

  /** @param {Welcome} welcome */
  accept(welcome) {
    this.welcome = welcome;
    this.#acceptedAt = performance.now();
    clearTimeout(this.#timeout);
    this.#timeout = this.#expect("no state of the zone");
    this.#watch(welcome.resume ? SILENT_PINGS_IF_RESUMED : SILENT_PINGS);
  }

  /** The state of the zone is there. */
  updated() {
    clearTimeout(this.#timeout);
  }

  /** @param {number} patience how many intervals without a message end the connection */
  #watch(patience) {
    clearInterval(this.#interval);
    this.#interval = setInterval(() => {
      if (this.#silent >= patience) this.end(lost("the server has sent nothing for too long"));
      else if (this.#silent++ || !this.pings.size) this.ping();
    }, PING_MS);
  }

  /** Asks whether the server is still there: it has a whole interval to show it. */
  probe() {
    if (!this.welcome || this.#silent >= SILENT_PINGS) return;
    this.#watch(SILENT_PINGS_IF_RESUMED);
    this.#silent = SILENT_PINGS;
    this.ping();
  }

  ping() {
    this.pings.set(++this.#pinged, performance.now());
    this.send(encode([3, this.#pinged]));
    return this.#pinged;
  }

  /** A PONG has arrived: the milliseconds since its PING, if it is one of ours. @param {number} token */
  ponged(token) {
    const sent = this.pings.get(token),
      now = performance.now();
    if (sent === undefined) return undefined;
    this.pings.delete(token);
    if (now - this.#acceptedAt >= SERVED_MS) this.isServed = true;
    return now - sent;
  }

  /** @param {Uint8Array} payload */
  send(payload) {
    if (this.#socket.readyState !== 1) return;
    this.#socket.send(/** @type {Uint8Array<ArrayBuffer>} */ (payload));
    this.#owner.sent(payload.length);
  }

  /** Nothing more can be trusted of what comes. @param {string} text */
  fail(text) {
    this.end({ code: "PROTOCOL_ERROR", text: `from the server: ${text}`, retry: false });
  }

  /** The first reason wins. @param {End} end */
  end(end) {
    if (this.isOver) return;
    this.isOver = true;
    clearTimeout(this.#timeout);
    clearInterval(this.#interval);
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null;
    // Node throws an error that nobody takes.
    socket.onerror = () => {};
    socket.close();
    this.#owner.ended(this, end);
  }
}

// --- The zone -------------------------------------------------------------------------------------

const FIRST_DELAY_MS = 250;
const LAST_DELAY_MS = 8_000;
const BANNED_MS = 60_000;
const KEPT_MAX = 16;
const KEPT_MS = 2_000;
const LEAVE_MS = 2_000;
// The head of an ACT takes up to 16 bytes.
const ACT_HEAD_BYTES = 16;

/**
 * @typedef {object} Options
 * @property {string} [name] the name of your player: needed, unless you watch
 * @property {string | Uint8Array} [ticket] for a zone that asks for tickets: the text that `zoneserver ticket` prints
 * @property {boolean} [watch] see the zone without a player in it
 * @property {boolean} [resume] keep the player in the zone while the connection is lost
 * @property {boolean} [deflate] ask for compressed messages
 * @property {boolean} [whole] after a return, get every frame that was missed, with its events
 * @property {string} [gameVersion] the version of the game that the program was written for
 * @property {Pick<Storage, "getItem" | "setItem" | "removeItem"> | null} [session] where the way back is kept, so that
 *   it survives a reload of the page: `sessionStorage`
 * @property {typeof WebSocket} [WebSocket]
 */
/** What happened, as a program sees it: a player's action, or an event of the zone itself.
 * @typedef {{ player: Player | null, kind: string, values: Value[] }} GameEvent */
/**
 * One tick. `missed` is how many ticks the client has only the outcome of; `resumed` is true in the first update after
 * a return; `dilation` is 1 when the zone runs at full speed.
 * @typedef {{ tick: number, dilation: number, joined: Player[], left: Player[], events: GameEvent[],
 *   refused: Refused[], told: Told[], answered: Answered[], resynced: boolean, missed: number,
 *   resumed: boolean }} Update
 */
/**
 * The events of a zone. An event of the game comes by its kind, with the player (or null) and its values, unless its
 * kind is one of these names; all of them come by "*", with the kind ahead.
 * @typedef {{
 *   tick: (update: Update) => void,
 *   join: (player: Player) => void,
 *   leave: (player: Player) => void,
 *   told: (kind: string, values: Value[]) => void,
 *   refused: (refused: Refused) => void,
 *   drop: (why: End) => void,
 *   back: (how: { resumed: boolean, missed: number }) => void,
 *   closed: (why: End) => void,
 *   diverged: (how: { tick: number, expected: number, found: number }) => void,
 *   frame: (frame: { op: string, tick: number, bytes: number, message: Tick | Snapshot }) => void,
 * } & Record<"*", (kind: string, player: Player | null, ...values: any[]) => void>} ZoneEvents
 */
/** @typedef {{ key: string, bytes: number, message: Refusal | Told | Answered }} Private */
/** @type {ReadonlySet<string>} */
const RESERVED = new Set([
  "tick",
  "join",
  "leave",
  "told",
  "refused",
  "drop",
  "back",
  "closed",
  "diverged",
  "frame",
  "*",
]);

/** @type {(zone: Zone) => Promise<void>} */
let open;

/** A player in a zone, or a watcher: `connect` returns it. */
export class Zone {
  static {
    open = (zone) => zone.#join();
  }

  /** "playing", "away" while the connection is lost and the client tries to come back, or "closed".
   * @type {"playing" | "away" | "closed"} */
  state = "away";
  /** The milliseconds of the last round trip, measured every two seconds. @type {number | null} */
  rtt = null;
  bytesIn = 0;
  bytesOut = 0;
  /** How many state hashes of the server were compared, and found to be equal. */
  hashesChecked = 0;

  #url;
  #options;
  #ticket;
  #wants;
  /** @type {Link | null} */
  #link = null;
  /** @type {Welcome | null} */
  #welcome = null;
  /** @type {Replica | null} */
  #replica = null;
  #clock = new Clock(1, 0, 0);
  /** The way back. @type {{ token: Uint8Array, epoch: number } | null} */
  #back = null;
  /** Whether the replica is wrong, and needs a snapshot. */
  #isWrong = false;
  /** Whether the last state hash was another one than that of the replica. */
  #hasDiverged = false;
  /** How the client came back, until the first update after it. @type {{ resumed: boolean } | null} */
  #return = null;
  #attempts = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #attempt;
  #isLeaving = false;
  /** Why it is closed. @type {End | null} */
  #end = null;
  /** @type {{ resolve: () => void, reject: (why: Error) => void } | null} */
  #joining = null;
  /** @type {Map<string, Set<(...values: any[]) => void>>} */
  #listeners = new Map();

  #outcomes = new Outcomes();
  #nextSeq = 1;
  /** Actions of this turn. @type {[number, Uint8Array][]} */
  #outbox = [];
  /** The ends of the time for actions that are kept while the client is away.
   * @type {Map<number, ReturnType<typeof setTimeout>>} */
  #kept = new Map();
  /** Who waits for the fate of an action.
   * @type {Map<number, { promise: Promise<Value[] | null | undefined>, settle: (fate: Fate | ZoneClosed) => void }>} */
  #waiters = new Map();
  /** Fates whose frame has yet to come. @type {Map<number, Fate>} */
  #fated = new Map();
  /** Who waits for a PONG, by token; those of 0 for the next connection.
   * @type {Map<number, ((ms: number | ZoneClosed) => void)[]>} */
  #pingers = new Map();

  /** Messages to this player alone since the last update. @type {Private[]} */
  #inbox = [];
  /** Those that an update handed out ahead of the frame of their tick. @type {Private[]} */
  #ahead = [];
  /** How many bytes both of them take. */
  #privateBytes = 0;
  /** Those that may come again. @type {string[]} */
  #again = [];
  /** Up to this tick they were told already. */
  #floor = -1;
  #toldTick = 0;

  /**
   * Use `connect`.
   * @param {string} url
   * @param {Options} options
   */
  constructor(url, options) {
    const { name = "", watch = false, ticket = "", deflate = true, resume = true, whole = false } = options;
    if (!name && !watch) throw new TypeError("connect() needs the name of your player, or watch: true");
    const WebSocketClass = options.WebSocket ?? globalThis.WebSocket;
    if (!WebSocketClass) throw new TypeError("there is no WebSocket: Node before 22 needs --experimental-websocket");
    const address = new URL(url, globalThis.location?.href);
    address.protocol = address.protocol.replace(/^http/, "ws");
    address.hash = "";
    this.#url = address.href;
    this.#ticket = typeof ticket === "string" ? ticketBytes(ticket) : ticket;
    this.#options = { gameVersion: "", session: null, ...options, WebSocket: WebSocketClass };
    const wishes = Object.entries({ deflate, watch, resume: resume && !watch, whole });
    this.#wants = wishes.filter(([, is]) => is).map(([key]) => key);
    /** The name of your player; empty for a watcher. */
    this.name = name;
    this.#outcomes.onFate = (seq, fate) => void this.#fated.set(seq, fate);
  }

  // --- Facts ---

  /** The slot of your player; null for a watcher. */
  get slot() {
    return this.#facts.slot;
  }

  get game() {
    return { name: this.#facts.game, version: this.#facts.game_version };
  }

  get hz() {
    return this.#facts.hz;
  }

  get width() {
    return this.#facts.width;
  }

  get height() {
    return this.#facts.height;
  }

  /** Units per second of one step of velocity. */
  get speedStep() {
    return this.#facts.speed_step;
  }

  /** The names of the players' stats. */
  get stats() {
    return this.#facts.kinds[0][1].map(([name]) => name);
  }

  /** The kinds of things, with the names of their stats. */
  get kinds() {
    return Object.fromEntries(this.#facts.kinds.slice(1).map(([name, stats]) => [name, stats.map(([stat]) => stat)]));
  }

  /** Whether the server deflates its messages. */
  get isDeflated() {
    return this.#facts.options.includes("deflate");
  }

  get isAway() {
    return this.state === "away";
  }

  get #facts() {
    return this.#welcome ?? never();
  }

  get #world() {
    return this.#replica ?? never();
  }

  // --- The state ---

  /** The tick of the last update. */
  get tick() {
    return this.#world.tick;
  }

  /** What the whole zone shows, by name. */
  get board() {
    const { board, welcome } = this.#world;
    return Object.fromEntries(welcome.board.map(([name], index) => [name, board[index]]));
  }

  /** All players, by slot. */
  get players() {
    return this.#world.players;
  }

  get things() {
    return this.#world.things;
  }

  /** @param {number} slot @returns {Player | undefined} */
  player(slot) {
    return this.#world.player(slot);
  }

  /** @param {number} slot @returns {Thing | undefined} */
  thing(slot) {
    return this.#world.thing(slot);
  }

  /** The player with this name. @param {string} name @returns {Player | undefined} */
  find(name) {
    return this.players.find((player) => player.name === name);
  }

  /** Your own player; undefined for a watcher. */
  get me() {
    return this.#world.player(this.slot);
  }

  get columns() {
    return this.#world.columns;
  }

  /** The stats of the slots by index: `zone.statColumns[zone.stats.indexOf("hp")][slot]`. */
  get statColumns() {
    return this.#world.stats;
  }

  /** The tick to draw at this moment, as a fraction: behind the newest one by one tick and by what frames are late. */
  now() {
    return this.#clock.now(seconds());
  }

  /** Where to draw a player or a thing. @param {number} slot @param {number} [at] a tick @returns {[number, number]} */
  position(slot, at = this.now()) {
    /** @type {[number, number]} */
    const position = [0, 0],
      x = [0],
      y = [0];
    if (slot >= 0 && slot < this.columns.count) this.#world.positions(at, x, y, slot, slot + 1);
    position[0] = x[0];
    position[1] = y[0];
    return position;
  }

  /**
   * Where to draw all slots, free ones included; returns how many there are.
   * @param {number} at
   * @param {Float64Array | Float32Array | number[]} outX
   * @param {Float64Array | Float32Array | number[]} outY
   */
  positions(at, outX, outY) {
    return this.#world.positions(at, outX, outY);
  }

  // --- Acting ---

  /**
   * Do an action; returns its sequence, for `done`. All actions of one turn leave as one packet. While the client is
   * away up to 16 actions are kept for two seconds each; then they are refused with the code AWAY. While 255 actions
   * have no outcome yet, further ones are refused with the code TOO_MANY_ACTIONS.
   * @param {string} kind
   * @param {...Value} values
   * @returns {number}
   */
  act(kind, ...values) {
    if (this.#end) throw closedError(this.#end);
    if (this.slot === null) throw new Error("a watcher has no player, and cannot act");
    const action = encodeAction(kind, values),
      bytesMax = this.#facts.payload_max - ACT_HEAD_BYTES;
    if (action.length > bytesMax) {
      throw new RangeError(`the action ${kind} takes ${action.length} bytes; a packet holds ${bytesMax}`);
    }
    const seq = this.#nextSeq++,
      isOneTooMany = this.#outcomes.waiting.size >= UNANSWERED_MAX;
    this.#outcomes.sent(seq, action);
    if (isOneTooMany) {
      const text = `${UNANSWERED_MAX} actions have no outcome yet, and this was not sent`;
      this.#outcomes.unsent(seq, "TOO_MANY_ACTIONS", text);
      queueMicrotask(() => this.#tell());
    } else if (this.#link?.welcome) this.#post(seq, action);
    else this.#keep(seq);
    return seq;
  }

  /**
   * Waits until the zone has told what became of an action. Resolves with the answer to a private action (an array),
   * with undefined for one that happened, and with null for one that is past without a sign of its own: a newer action
   * superseded it, or its frame was skipped. Rejects with Refused, and with ZoneClosed at the end of the connection.
   * @param {number} seq
   * @returns {Promise<Value[] | null | undefined>}
   */
  done(seq) {
    const known = this.#waiters.get(seq);
    if (known) return known.promise;
    const fate = this.#fated.has(seq) ? undefined : this.#outcomes.fates.get(seq);
    if (!fate && this.#end) return Promise.reject(closedError(this.#end));
    if (!fate && !this.#fated.has(seq) && !this.#outcomes.waiting.has(seq)) {
      return Promise.reject(new RangeError(`there was no action ${seq} of late`));
    }
    /** @type {(fate: Fate | ZoneClosed) => void} */
    let settle = () => {};
    const promise = new Promise((resolve, reject) => {
      settle = (found) => {
        if (found instanceof ZoneClosed) reject(found);
        else if ("refused" in found) reject(found.refused);
        else resolve("values" in found ? found.values : found.outcome === "happened" ? undefined : null);
      };
    });
    if (fate) settle(fate);
    else this.#waiters.set(seq, { promise, settle });
    return promise;
  }

  /** The milliseconds of a round trip, after the return if the client is away. @returns {Promise<number>} */
  ping() {
    if (this.#end) return Promise.reject(closedError(this.#end));
    const token = this.#link?.welcome ? this.#link.ping() : 0;
    return new Promise((resolve, reject) => {
      const pingers = this.#pingers.get(token) ?? [];
      this.#pingers.set(token, pingers);
      pingers.push((ms) => (typeof ms === "number" ? resolve(ms) : reject(ms)));
    });
  }

  /**
   * Calls back at each event of this name; returns a function that takes the callback off.
   * @template {string} K
   * @param {K} event
   * @param {K extends keyof ZoneEvents ? ZoneEvents[K] : (player: Player | null, ...values: any[]) => void} callback
   * @returns {() => void}
   */
  on(event, callback) {
    const callbacks = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, callbacks);
    callbacks.add(callback);
    return () => void callbacks.delete(callback);
  }

  /** Cuts the connection as a bad network would. The client comes back by itself. */
  drop() {
    this.#link?.end(lost("the program has cut the connection"));
  }

  /** Leaves the zone, once it has told what became of every action, and after two seconds at the latest. */
  async close() {
    if (this.#end) return;
    const bye = { code: "CLIENT_LEFT", text: "the player said goodbye", retry: true };
    const closed = new Promise((resolve) => this.on("closed", resolve));
    const leave = () => {
      off();
      this.#isLeaving = true;
      if (this.#link) this.#link.welcome ? this.#link.send(encode([4])) : this.#link.end(bye);
      else this.#close(bye);
    };
    // A player who leaves takes the actions back that wait for their tick.
    const isSettled = () => !this.#outcomes.waiting.size || this.isAway;
    const off = this.on("tick", () => isSettled() && leave());
    const timeouts = [setTimeout(leave, LEAVE_MS), setTimeout(() => this.#link?.end(bye), 2 * LEAVE_MS)];
    if (isSettled()) leave();
    await closed;
    timeouts.forEach(clearTimeout);
  }

  // --- Connecting ---

  /** @returns {Promise<void>} */
  #join() {
    return new Promise((resolve, reject) => {
      this.#joining = { resolve, reject };
      this.#back = this.#stored();
      this.#connect();
    });
  }

  #connect() {
    clearTimeout(this.#attempt);
    this.#attempt = undefined;
    const { WebSocket: WebSocketClass, gameVersion } = this.#options;
    const tick = this.#isWrong ? 0 : (this.#replica?.tick ?? 0);
    const hello = this.#back
      ? encode([5, VERSION, this.name, this.#back.token, this.#back.epoch, tick, this.#wants, gameVersion])
      : encode([1, VERSION, this.name, this.#ticket, this.#wants, gameVersion]);
    this.#link = new Link(this.#url, WebSocketClass, hello, this.#back !== null, {
      received: (link, payload) => this.#received(link, payload),
      sent: (bytes) => void (this.bytesOut += bytes),
      ended: (link, end) => this.#ended(link, end),
    });
  }

  /** @param {Link} link @param {End} end */
  #ended(link, end) {
    if (link.isServed) this.#attempts = 0;
    this.#link = null;
    this.#outbox = [];
    for (const [token, pingers] of this.#pingers) {
      if (!token) continue;
      this.#pingers.delete(token);
      this.#pingers.set(0, [...(this.#pingers.get(0) ?? []), ...pingers]);
    }
    const isFirst = this.#joining !== null;
    if (link.isReturn && !link.welcome && end.code === "RESUME_FAILED") {
      this.#forget();
      if (!this.#isLeaving) return this.#connect();
    }
    if (this.#isLeaving || !end.retry || isFirst) return this.#close(end);
    if (this.state === "playing") {
      this.state = "away";
      this.#emit("drop", end);
    }
    // A callback may have closed it.
    if (this.#end) return;
    const longest = Math.min(LAST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#attempts++);
    this.#attempt = setTimeout(() => this.#connect(), end.code === "BANNED" ? BANNED_MS : Math.random() * longest);
  }

  /** A page that is shown again, or has its network again, does not wait. */
  #wake = () => {
    if (globalThis.document?.visibilityState === "hidden") return;
    if (this.#attempt !== undefined) this.#connect();
    else this.#link?.probe();
  };

  /** @param {"addEventListener" | "removeEventListener"} change */
  #listen(change) {
    if (typeof globalThis[change] !== "function" || !globalThis.document) return;
    globalThis[change]("online", this.#wake);
    globalThis[change]("pageshow", this.#wake);
    globalThis.document[change]("visibilitychange", this.#wake);
  }

  /** @param {End} end */
  #close(end) {
    if (this.#end) return;
    this.#end = end;
    this.state = "closed";
    clearTimeout(this.#attempt);
    this.#listen("removeEventListener");
    // After the end of a server a page that is loaded anew may still find its player.
    if (this.#isLeaving || !end.retry) this.#forget();
    for (const timeout of this.#kept.values()) clearTimeout(timeout);
    this.#tell();
    const error = closedError(end);
    for (const { settle } of this.#waiters.values()) settle(error);
    this.#waiters.clear();
    for (const pingers of this.#pingers.values()) for (const settle of pingers) settle(error);
    this.#joining?.reject(error);
    this.#joining = null;
    this.#emit("closed", end);
  }

  // --- What arrives ---

  /** @param {Link} link @param {Uint8Array} payload */
  #received(link, payload) {
    this.bytesIn += payload.length;
    try {
      this.#process(link, payload);
    } catch (error) {
      if (!(error instanceof MessageError)) throw error;
      link.fail(error.message);
    }
  }

  /** @param {Link} link @param {Uint8Array} payload */
  #process(link, payload) {
    let message = decode(payload);
    if (message?.op === "DEFLATED") {
      if (!link.welcome?.options.includes("deflate")) wrong("it sent a deflated message without being asked to");
      message = decode(inflate(message.data));
      if (message?.op !== "TICK" && message?.op !== "SNAPSHOT") wrong("a DEFLATED that holds no SNAPSHOT and no TICK");
    }
    if (!message) return;
    if (message.op === "BYE") return link.end({ code: message.code, text: message.text, retry: message.retry });
    if (message.op === "WELCOME") return this.#welcomed(link, message);
    if (!link.welcome) wrong(`a ${message.op} ahead of WELCOME`);
    if (message.op === "PONG") this.#ponged(link, message);
    else if (message.op === "TICK" || message.op === "SNAPSHOT") this.#update(link, message, payload.length);
    else this.#toldAlone(message, payload);
  }

  /** @param {Link} link @param {Welcome} welcome */
  #welcomed(link, welcome) {
    if (link.welcome) wrong("a second WELCOME");
    if (welcome.version !== VERSION) wrong(`version ${welcome.version} of the protocol`);
    if ((welcome.slot === null) !== this.#wants.includes("watch")) wrong("it gave a watcher a slot, or a player none");
    const isSame = link.isReturn && this.#welcome !== null;
    if (isSame && welcome.slot !== this.#welcome?.slot) wrong("it let us come back to another slot");
    link.accept(welcome);
    if (this.#welcome) this.#return = { resumed: isSame };
    this.#welcome = welcome;
    for (const timeout of this.#kept.values()) clearTimeout(timeout);
    this.#kept.clear();
    if (welcome.resume) {
      const [token, , epoch, seq] = welcome.resume;
      this.#back = { token, epoch };
      this.#store();
      this.#nextSeq = Math.max(this.#nextSeq, seq + 1);
      if (isSame) {
        this.#again = [...this.#ahead, ...this.#inbox].map(({ key }) => key);
        this.#outcomes.resumed(seq, welcome.tick + welcome.hz);
        for (const [each, action] of this.#outcomes.waiting) {
          if (each <= seq) continue;
          if (action.length <= welcome.payload_max - ACT_HEAD_BYTES) this.#post(each, action);
          else this.#outcomes.unsent(each, "AWAY", "the server has other limits now, and this is too large for them");
        }
      }
    }
    if (!isSame) {
      this.#outcomes.restart("the connection was lost, and you have joined anew");
    }
    this.#toldTick = 0;
    // The server forgets the former token only when it has read something behind WELCOME.
    const token = link.ping(),
      waiting = this.#pingers.get(0);
    this.#pingers.delete(0);
    if (waiting) this.#pingers.set(token, waiting);
  }

  /** @param {Link} link @param {Pong} pong */
  #ponged(link, { token }) {
    const ms = link.ponged(Number(token));
    if (ms === undefined) return;
    this.rtt = ms;
    for (const settle of this.#pingers.get(Number(token)) ?? []) settle(ms);
    this.#pingers.delete(Number(token));
  }

  /** @param {Refusal | Told | Answered} message @param {Uint8Array} payload */
  #toldAlone(message, payload) {
    if (message.tick <= this.#floor) return;
    const newest = Math.max(this.#replica?.tick ?? 0, this.#facts.tick);
    if (message.tick > newest + PRIVATE_SECONDS_MAX * this.hz) {
      wrong(`a private message of tick ${message.tick}, far ahead of tick ${newest}`);
    }
    // The fate of an action is told with the frame of its tick.
    if (message.op !== "TOLD") this.#toldTick = Math.max(this.#toldTick, message.tick);
    const key = bytesKey(payload),
      bytes = payload.length + 256,
      at = this.#again.indexOf(key);
    if (at >= 0) return void this.#again.splice(at, 1);
    this.#inbox.push({ key, bytes, message });
    this.#privateBytes += bytes;
    if (this.#privateBytes > PRIVATE_BYTES_MAX) wrong("too many private messages ahead of their frames");
    if (message.op === "REFUSED") this.#outcomes.refused(message);
    else if (message.op === "ANSWERED") this.#outcomes.answered(message);
  }

  /** @param {Link} link @param {Tick | Snapshot} message @param {number} bytes */
  #update(link, message, bytes) {
    const welcome = this.#facts,
      before = this.#replica?.tick ?? 0;
    /** @type {Change} */
    let change;
    const isSnapshot = message.op === "SNAPSHOT";
    // After a restart with another game the zone is another one.
    const isUsable = this.#replica && !this.#isWrong && (!isSnapshot || isSameZone(this.#replica.welcome, welcome));
    const replica = isUsable && this.#replica ? this.#replica : new Replica(welcome);
    link.updated();
    if (isSnapshot) change = replica.restore(message);
    else change = replica.apply(message);
    if (replica !== this.#replica) {
      change.left = [...change.left, ...(this.#replica?.end() ?? [])];
      this.#replica = replica;
      this.#isWrong = false;
    }
    if (isSnapshot && this.slot !== null) this.#outcomes.inSnapshot(message, this.slot);
    if (!isSnapshot && this.slot !== null) this.#outcomes.inFrame(message, this.slot);
    this.#outcomes.expire(message.tick);
    this.#keepTime(message, before);
    if (!isSnapshot && message.hash !== null) {
      const found = replica.hash();
      if (found !== message.hash) return this.#diverged(link, message.tick, message.hash, found);
      this.#hasDiverged = false;
      this.hashesChecked++;
    }
    this.#publish(message, change, isSnapshot ? Math.max(0, message.tick - before) : 0, bytes);
  }

  /** @param {Tick | Snapshot} message @param {number} before */
  #keepTime(message, before) {
    const now = seconds();
    if (this.#joining) this.#clock = new Clock(this.hz, message.tick, now);
    else if (message.tick < before) this.#clock.restart(message.tick, now);
    this.#clock.arrived(message.tick, message.op === "TICK" ? message.dilation / 100 : 1, now);
  }

  /** @param {Link} link @param {number} tick @param {number} expected @param {number} found */
  #diverged(link, tick, expected, found) {
    // Where a new state did not help, another one does not either.
    const retry = !this.#hasDiverged;
    this.#isWrong = this.#hasDiverged = true;
    this.#floor = tick - 1;
    this.#emit("diverged", { tick, expected, found });
    const text = `tick ${tick}: the server's state hash is ${expected.toString(16)}, ours is ${found.toString(16)}`;
    link.end({ code: "DIVERGED", text, retry });
  }

  /** Tells the program of an update. @param {Tick | Snapshot} message @param {Change} change @param {number} missed
   * @param {number} bytes */
  #publish(message, change, missed, bytes) {
    const { tick } = message,
      inbox = this.#inbox.map((each) => each.message);
    const back = this.#return,
      isFirst = this.#joining !== null;
    this.#ahead = [...this.#ahead, ...this.#inbox].filter((each) => each.message.tick > tick);
    this.#inbox = [];
    this.#again = [];
    this.#privateBytes = this.#ahead.reduce((sum, { bytes }) => sum + bytes, 0);
    this.#floor = -1;
    this.#return = null;
    this.state = "playing";
    /** @type {Update} */
    const update = {
      tick,
      dilation: message.op === "TICK" ? message.dilation / 100 : 1,
      joined: change.joined,
      left: change.left,
      events: [],
      refused: inbox.flatMap((each) => (each.op === "REFUSED" ? new Refused(each.seq, each.code, each.text) : [])),
      told: inbox.flatMap((each) => (each.op === "TOLD" ? each : [])),
      answered: inbox.flatMap((each) => (each.op === "ANSWERED" ? each : [])),
      resynced: message.op === "SNAPSHOT",
      missed: isFirst ? 0 : missed,
      resumed: back?.resumed ?? false,
    };
    if (message.op === "TICK") {
      for (const [slot, , kind, ...values] of message.events) {
        update.events.push({ player: this.#world.player(slot) ?? null, kind, values });
      }
    }
    if (this.#toldTick <= tick) this.#tell();
    if (isFirst) {
      this.#listen("addEventListener");
      this.#joining?.resolve();
      this.#joining = null;
    }
    if (this.#listeners.get("frame")?.size) this.#emit("frame", { op: message.op, tick, bytes, message });
    if (back) this.#emit("back", { resumed: back.resumed, missed });
    for (const player of update.left) this.#emit("leave", player);
    for (const player of update.joined) this.#emit("join", player);
    for (const { player, kind, values } of update.events) {
      if (!RESERVED.has(kind)) this.#emit(kind, player, ...values);
      this.#emit("*", kind, player, ...values);
    }
    for (const { kind, values } of update.told) this.#emit("told", kind, values);
    for (const refused of update.refused) this.#emit("refused", refused);
    this.#emit("tick", update);
  }

  /** Settles the promises of actions whose fate is known. */
  #tell() {
    const fated = [...this.#fated];
    this.#fated.clear();
    for (const [seq, fate] of fated) {
      this.#waiters.get(seq)?.settle(fate);
      this.#waiters.delete(seq);
      // No message of the server tells of this one.
      if (fate.outcome === "unsent") this.#emit("refused", fate.refused);
    }
  }

  /** A callback that throws disturbs neither the others nor the connection. One that is added meanwhile waits for the
   * next event.
   * @param {string} event
   * @param {...unknown} values */
  #emit(event, ...values) {
    const callbacks = this.#listeners.get(event);
    for (const callback of callbacks?.size ? [...callbacks] : []) {
      if (!callbacks?.has(callback)) continue;
      try {
        callback(...values);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  // --- What leaves ---

  /** The action leaves at the end of this turn. @param {number} seq @param {Uint8Array} action */
  #post(seq, action) {
    if (!this.#outbox.length) queueMicrotask(() => this.#flush());
    this.#outbox.push([seq, action]);
  }

  #flush() {
    const { payload_max: payloadMax, actions_max: actionsMax } = this.#facts,
      outbox = this.#outbox;
    this.#outbox = [];
    for (let i = 0; i < outbox.length;) {
      const first = outbox[i][0],
        actions = [];
      // The actions of one packet have sequences without a gap.
      for (let bytes = ACT_HEAD_BYTES; i < outbox.length && actions.length < actionsMax; i++) {
        const [seq, action] = outbox[i];
        bytes += action.length;
        // One at least, or this never ends.
        if (actions.length && (seq !== first + actions.length || bytes > payloadMax)) break;
        actions.push(action);
      }
      this.#link?.send(encodeAct(first, actions));
    }
  }

  /** The action is kept for a while: the client is away. @param {number} seq */
  #keep(seq) {
    const text = "the connection was lost for too long, and this was not sent";
    const expire = () => {
      this.#kept.delete(seq);
      this.#outcomes.unsent(seq, "AWAY", text);
      this.#tell();
    };
    if (this.#kept.size < KEPT_MAX) this.#kept.set(seq, setTimeout(expire, KEPT_MS));
    else queueMicrotask(expire);
  }

  // --- The way back over a reload ---

  get #key() {
    return `zone ${this.#url}`;
  }

  /** @returns {{ token: Uint8Array, epoch: number } | null} */
  #stored() {
    try {
      const { name, token, epoch } = JSON.parse(this.#options.session?.getItem(this.#key) ?? "null");
      const bytes = fromBase64(token);
      const isOurs = name === this.name && this.#wants.includes("resume") && bytes.length === 16 && epoch >= 0;
      return isOurs ? { token: bytes, epoch } : null;
    } catch {
      return null; // Nothing is stored, or it is not ours.
    }
  }

  #store() {
    if (!this.#back) return;
    const token = btoa(String.fromCharCode(...this.#back.token));
    try {
      this.#options.session?.setItem(this.#key, JSON.stringify({ name: this.name, token, epoch: this.#back.epoch }));
    } catch {
      // The storage is full or forbidden: a reload joins anew.
    }
  }

  #forget() {
    if (!this.#back) return;
    this.#back = null;
    try {
      this.#options.session?.removeItem(this.#key);
    } catch {
      // It is forbidden.
    }
  }
}

/**
 * Joins a zone. Resolves when the whole zone is there; rejects with ZoneClosed when the server refuses the player or is
 * not to be reached, and with TypeError or RangeError for what cannot be sent.
 * @param {string | URL} url the address of the server: `location.origin`, or "wss://play.example"
 * @param {Options} options
 * @returns {Promise<Zone>}
 */
export async function connect(url, options) {
  const zone = new Zone(String(url), options);
  await open(zone);
  return zone;
}

/** @param {End} end */
function closedError({ code, text, retry }) {
  return new ZoneClosed(code, text, retry);
}

/** @returns {never} */
function never() {
  throw new Error("the zone is not there yet");
}

/** Whether one replica can show both. @param {Welcome} one @param {Welcome} other */
function isSameZone(one, other) {
  /** @param {Welcome} w */
  const facts = ({ game, game_version, hz, width, height, speed_step, kinds, board }) =>
    JSON.stringify([game, game_version, hz, width, height, speed_step, kinds, board]);
  return facts(one) === facts(other);
}

/** @param {string} text */
function ticketBytes(text) {
  try {
    return fromBase64(text);
  } catch {
    throw new TypeError("the ticket is not a text that `zoneserver ticket` prints: it has other characters, or is cut");
  }
}

/** Bytes of base64, also in its form for URLs and without padding. @param {string} text */
function fromBase64(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
}

const latin1 = new TextDecoder("latin1");

/** A text that is equal only for equal bytes. @param {Uint8Array} bytes */
function bytesKey(bytes) {
  return latin1.decode(bytes);
}
