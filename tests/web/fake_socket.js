// The payloads of GOODBYE, and of the BYE that answers it.
const GOODBYE = "145,4", BYE = [0x94, 21, 0xab, ...new TextEncoder().encode("CLIENT_LEFT"), 0xa0, 0xc3];

/** A WebSocket whose server is the test. `FakeSocket.all` has every one that was opened. */
export class FakeSocket {
  /** @type {FakeSocket[]} */
  static all = [];

  static get last() {
    return FakeSocket.all[FakeSocket.all.length - 1];
  }

  /** The next socket that is opened, once it has sent something. */
  static next(count = FakeSocket.all.length + 1) {
    return until(() => FakeSocket.all.length >= count && FakeSocket.last.sent.length && FakeSocket.last);
  }

  readyState = 0;
  /** What the client sent: each payload as bytes. */
  sent = [];

  constructor(url, protocols) {
    this.url = url;
    this.protocols = protocols;
    FakeSocket.all.push(this);
    queueMicrotask(() => {
      this.readyState = 1;
      this.onopen?.();
    });
  }

  send(payload) {
    this.sent.push(payload);
    if (payload.join() === GOODBYE) queueMicrotask(() => this.onmessage?.({ data: Uint8Array.from(BYE).buffer }));
  }

  close() {
    this.readyState = 3;
  }

  /** The server sends a message. */
  tell(zonejs, ...message) {
    this.onmessage?.({ data: zonejs.encode(message).buffer });
  }

  /** The connection ends without a word. */
  lose() {
    this.readyState = 3;
    this.onclose?.();
  }

  welcome(zonejs, { slot = 0, tick = 100, token = 7, epoch = 1, seq = 0, options = ["resume"], resume, limits = [1024, 16] } = {}) {
    const back = resume === undefined ? [new Uint8Array(16).fill(token), 300, epoch, seq] : resume;
    const kinds = [["player", [["hp", 100]]], ["coin", [["worth", 1]]]];
    const zone = [["test", "1"], [20, 1000, 1000, 20], kinds, [["left", 60]]];
    this.tell(zonejs, 16, 2, slot, tick, ...zone, limits, options, back);
  }

  /** The zone at this tick: a player "ann" in slot 0, who stands. */
  snapshot(zonejs, tick = 100, seq = 0) {
    const four = (...values) => new Uint8Array(new Int32Array(values).buffer);
    const motion = [four(10), four(20), new Uint8Array(1), new Uint8Array(1), four(1), Uint8Array.of(seq)];
    this.tell(zonejs, 17, tick, ["ann"], motion, [four(100)], [60]);
  }

  /** A frame. */
  frame(zonejs, tick, { hash = null, acted = null, events = [], dilation = 100, joins = [], leaves = [], placed = [] } = {}) {
    const none = new Uint8Array(0), nobody = Uint8Array.of(1);
    const moved = acted ? [Uint8Array.of(0, 1), ...acted.map((byte) => Uint8Array.of(byte))] : [nobody, none, none, none];
    this.tell(zonejs, 18, tick, dilation, hash, leaves, joins, moved, [nobody, none, none], placed, [], [], events);
  }
}

/** The first true value, which is looked for in every turn. */
export async function until(look) {
  for (let i = 0; i < 3000; i++) {
    const found = look();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  throw new Error(`never true: ${look}`);
}
