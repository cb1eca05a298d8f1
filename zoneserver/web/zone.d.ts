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
/** The connection has ended. `code` is a close code of PROTOCOL.md, `text` is for people. */
export declare class ZoneClosed extends Error {
    code: string;
    text: string;
    /** Whether a new connection may succeed. */
    retry: boolean;
    /**
     * @param {string} code
     * @param {string} text
     * @param {boolean} retry
     */
    constructor(code: string, text: string, retry: boolean);
}
/** The zone refused an action, for the reason in `code`; `text` is for people. The session goes on. */
export declare class Refused extends Error {
    seq: number;
    code: string;
    text: string;
    /**
     * @param {number} seq
     * @param {string} code
     * @param {string} text
     */
    constructor(seq: number, code: string, text: string);
}
/** Bytes that are no message of a server, or a message that does not fit. */
export declare class MessageError extends Error {
}
export type Value = null | boolean | number | bigint | string | Uint8Array | Value[];
export type Holder = string | number | null;
export type Welcome = {
    op: "WELCOME";
    version: number;
    slot: number | null;
    tick: number;
    game: string;
    game_version: string;
    hz: number;
    width: number;
    height: number;
    speed_step: number;
    kinds: [string, [string, number][]][];
    board: [string, number | string][];
    payload_max: number;
    actions_max: number;
    options: string[];
    resume: [Uint8Array, number, number, number] | null;
};
export type Snapshot = {
    op: "SNAPSHOT";
    tick: number;
    slots: Holder[];
    x: Int32Array;
    y: Int32Array;
    vx: Int8Array;
    vy: Int8Array;
    since: Uint32Array;
    seq: Uint8Array;
    stats: Int32Array[];
    board: (number | string)[];
};
export type Tick = {
    op: "TICK";
    tick: number;
    dilation: number;
    hash: number | null;
    leaves: number[];
    joins: (number | string)[];
    acted: {
        slots: number[];
        seq: Uint8Array;
        vx: Int8Array;
        vy: Int8Array;
    };
    steered: {
        slots: number[];
        vx: Int8Array;
        vy: Int8Array;
    };
    placed: number[];
    stats: number[];
    board: (number | string)[];
    events: [number | null, number | null, string, ...Value[]][];
};
export type Pong = {
    op: "PONG";
    token: number | bigint;
    tick: number;
    microseconds: number;
};
export type Refusal = {
    op: "REFUSED";
    tick: number;
    seq: number;
    code: string;
    text: string;
};
export type Bye = {
    op: "BYE";
    code: string;
    text: string;
    retry: boolean;
};
export type Deflated = {
    op: "DEFLATED";
    data: Uint8Array;
};
export type Told = {
    op: "TOLD";
    tick: number;
    kind: string;
    values: Value[];
};
export type Answered = {
    op: "ANSWERED";
    tick: number;
    seq: number;
    values: Value[];
};
export type ServerMessage = Welcome | Snapshot | Tick | Pong | Refusal | Bye | Deflated | Told | Answered;
/**
 * The message of a server in a payload, with the names of PROTOCOL.md; null for one of a later version.
 * Throws MessageError for anything else.
 * @param {Uint8Array} payload
 * @returns {ServerMessage | null}
 */
export declare function decode(payload: Uint8Array): ServerMessage | null;
/**
 * The payload of a message of a client.
 * @param {[1, number, string, Uint8Array, string[], string] | [3, number] | [4]
 *   | [5, number, string, Uint8Array, number, number, string[], string]} message
 */
export declare function encode(message: [1, number, string, Uint8Array, string[], string] | [3, number] | [4] | [5, number, string, Uint8Array, number, number, string[], string]): Uint8Array<ArrayBuffer>;
/**
 * One action, for `encodeAct`. Throws TypeError or RangeError for values that cannot be sent.
 * @param {string} kind
 * @param {Value[]} values
 */
export declare function encodeAction(kind: string, values: Value[]): Uint8Array<ArrayBuffer>;
/**
 * @param {number} seq the sequence of the first action
 * @param {Uint8Array[]} actions
 */
export declare function encodeAct(seq: number, actions: Uint8Array[]): Uint8Array<ArrayBuffer>;
export type Codes = {
    table: Uint16Array;
    bits: number;
};
/**
 * What raw DEFLATE data stands for. Throws MessageError for anything else, and for more than `bytesMax` bytes.
 * @param {Uint8Array} data
 * @param {number} bytesMax
 */
export declare function inflate(data: Uint8Array, bytesMax?: number): Uint8Array<ArrayBuffer>;
export type Columns = {
    count: number;
    present: Uint8Array;
    x: Float64Array;
    y: Float64Array;
    vx: Float64Array;
    vy: Float64Array;
    since: Float64Array;
    fromX: Float64Array;
    fromY: Float64Array;
    fromVx: Float64Array;
    fromVy: Float64Array;
    fromSince: Float64Array;
};
/**
 * A player, or a thing. It stays the same object as long as it is in the zone, and keeps what it was when it has left.
 */
declare class Entity {
    #private;
    /** The number by which frames and values of events name it. */
    slot: number;
    /**
     * @param {Replica} replica
     * @param {number} slot
     */
    constructor(replica: Replica, slot: number);
    /** Whether it is in the zone. */
    get isPresent(): boolean;
    /** The position at the end of the last tick: a whole number. */
    get x(): number;
    get y(): number;
    /** The velocity in steps, from -127 to 127. */
    get vx(): number;
    get vy(): number;
    /** The stats by name, as they are now. */
    get stats(): Record<string, number>;
    /** It has left the zone: it keeps what it was. */
    end(): void;
}
/** A player in the zone. */
export declare class Player extends Entity {
    name: string;
    /**
     * @param {Replica} replica
     * @param {number} slot
     * @param {string} name
     */
    constructor(replica: Replica, slot: number, name: string);
}
/** Anything in the zone that is no player: a coin, a wolf. */
export declare class Thing extends Entity {
    kind: string;
    /**
     * @param {Replica} replica
     * @param {number} slot
     * @param {string} kind
     */
    constructor(replica: Replica, slot: number, kind: string);
}
export type Change = {
    joined: Player[];
    left: Player[];
};
/** What a frame or a snapshot has changed in who is there. @typedef {{ joined: Player[], left: Player[] }} Change */
/** The copy of the zone's state. Throws MessageError for a message that does not fit it. */
export declare class Replica {
    #private;
    welcome: Welcome;
    /** The tick at whose end the zone had this state. */
    tick: number;
    /** What holds each slot. @type {Holder[]} */
    holders: Holder[];
    seq: Uint8Array<ArrayBuffer>;
    /** Column i is stat i of whatever holds the slot. @type {Float64Array[]} */
    stats: Float64Array[];
    /** @type {(number | string)[]} */
    board: (number | string)[];
    /** @type {Columns} */
    columns: Columns;
    /** @param {Welcome} welcome */
    constructor(welcome: Welcome);
    /** @param {number} slot */
    entity(slot: number): Player | Thing | undefined;
    /** @param {number | null} slot */
    player(slot: number | null): Player | undefined;
    /** @param {number} slot */
    thing(slot: number): Thing | undefined;
    get players(): Player[];
    get things(): Thing[];
    /** Makes the stats by name of whatever holds the slot now, as they are now: many leave, and few are asked for it.
     * @param {number} slot
     * @returns {() => Record<string, number>} */
    statsOf(slot: number): () => Record<string, number>;
    /** The position at the end of the current tick, in whole numbers. @param {number} slot @returns {[number, number]} */
    position(slot: number): [number, number];
    /**
     * The positions of all slots at a fraction of a tick, to draw them.
     * @param {number} at
     * @param {Float64Array | Float32Array | number[]} outX
     * @param {Float64Array | Float32Array | number[]} outY
     * @param {number} [first]
     * @param {number} [end]
     */
    positions(at: number, outX: Float64Array | Float32Array | number[], outY: Float64Array | Float32Array | number[], first?: number, end?: number): number;
    /** The state hash. */
    hash(): number;
    /** @param {Snapshot} snapshot @returns {Change} */
    restore(snapshot: Snapshot): Change;
    /** @param {Tick} frame @returns {Change} */
    apply(frame: Tick): Change;
    /** Another replica takes the place of this one; returns the players of this one. */
    end(): Player[];
}
export type Fate = {
    outcome: "happened" | "superseded" | "past";
} | {
    outcome: "answered";
    values: Value[];
} | {
    outcome: "dropped" | "refused" | "unsent";
    refused: Refused;
};
/** What became of an action.
 * @typedef {{ outcome: "happened" | "superseded" | "past" } | { outcome: "answered", values: Value[] }
 *   | { outcome: "dropped" | "refused" | "unsent", refused: Refused }} Fate */
/** What becomes of one's own actions: the procedure that PROTOCOL.md prints. */
export declare class Outcomes {
    #private;
    /** The encoded actions without an outcome by sequence, in rising order. @type {Map<number, Uint8Array>} */
    waiting: Map<number, Uint8Array>;
    /** The fates of the last actions by sequence. @type {Map<number, Fate>} */
    fates: Map<number, Fate>;
    /** Called for each action that has a fate. @type {(seq: number, fate: Fate) => void} */
    onFate: (seq: number, fate: Fate) => void;
    /** @param {number} seq @param {Uint8Array} action */
    sent(seq: number, action: Uint8Array): void;
    /** @param {Refusal} refusal */
    refused({ seq, code, text }: Refusal): void;
    /** @param {Answered} answered */
    answered({ seq, values }: Answered): void;
    /** @param {Tick} frame @param {number} own */
    inFrame(frame: Tick, own: number): void;
    /** @param {Snapshot} snapshot @param {number} own */
    inSnapshot(snapshot: Snapshot, own: number): void;
    /** The client has come back, and the zone had taken the actions up to `seq`: their outcomes come by the tick `until`.
     * @param {number} seq @param {number} until */
    resumed(seq: number, until: number): void;
    /** Gives up what has no outcome by this tick. @param {number} tick */
    expire(tick: number): void;
    /** The player is another one: nothing is told of the actions any more. @param {string} text */
    restart(text: string): void;
    /** The client itself refuses an action. @param {number} seq @param {string} code @param {string} text */
    unsent(seq: number, code: string, text: string): void;
}
/**
 * Which tick to draw, as a fraction: behind the newest frame by one tick and by what frames were late of late. It never
 * runs backwards, unless the zone begins again at an earlier tick. Times are arguments, in seconds.
 */
export declare class Clock {
    #private;
    /** @param {number} hz @param {number} tick @param {number} now */
    constructor(hz: number, tick: number, now: number);
    /** A frame or a snapshot has arrived.
     * @param {number} tick
     * @param {number} dilation from 0 to 1
     * @param {number} now */
    arrived(tick: number, dilation: number, now: number): void;
    /** The zone goes on from another tick. @param {number} tick @param {number} now */
    restart(tick: number, now: number): void;
    /** The tick to draw at this moment. @param {number} now */
    now(now: number): number;
}
export type End = {
    code: string;
    text: string;
    retry: boolean;
};
export type Owner = {
    received(link: Link, payload: Uint8Array): void;
    sent(bytes: number): void;
    ended(link: Link, end: End): void;
};
/** @typedef {{ received(link: Link, payload: Uint8Array): void, sent(bytes: number): void,
 *   ended(link: Link, end: End): void }} Owner */
/** One WebSocket. It tells its owner of each message, and of its end, exactly once. */
declare class Link {
    #private;
    isReturn: boolean;
    /** @type {Welcome | null} */
    welcome: Welcome | null;
    isOver: boolean;
    /** Whether the server has answered a PING after some seconds of play. */
    isServed: boolean;
    /** When each PING without a PONG was sent, by token. @type {Map<number, number>} */
    pings: Map<number, number>;
    /**
     * @param {string} url
     * @param {typeof WebSocket} WebSocketClass
     * @param {Uint8Array} hello
     * @param {boolean} isReturn whether the hello is a RESUME
     * @param {Owner} owner
     */
    constructor(url: string, WebSocketClass: typeof WebSocket, hello: Uint8Array, isReturn: boolean, owner: Owner);
    /** @param {Welcome} welcome */
    accept(welcome: Welcome): void;
    /** The state of the zone is there. */
    updated(): void;
    /** Asks whether the server is still there: it has a whole interval to show it. */
    probe(): void;
    ping(): number;
    /** A PONG has arrived: the milliseconds since its PING, if it is one of ours. @param {number} token */
    ponged(token: number): number | undefined;
    /** @param {Uint8Array} payload */
    send(payload: Uint8Array): void;
    /** Nothing more can be trusted of what comes. @param {string} text */
    fail(text: string): void;
    /** The first reason wins. @param {End} end */
    end(end: End): void;
}
export type Options = {
    /**
     * the name of your player: needed, unless you watch
     */
    name?: string;
    /**
     * for a zone that asks for tickets: the text that `zoneserver ticket` prints
     */
    ticket?: string | Uint8Array;
    /**
     * see the zone without a player in it
     */
    watch?: boolean;
    /**
     * keep the player in the zone while the connection is lost
     */
    resume?: boolean;
    /**
     * ask for compressed messages
     */
    deflate?: boolean;
    /**
     * after a return, get every frame that was missed, with its events
     */
    whole?: boolean;
    /**
     * the version of the game that the program was written for
     */
    gameVersion?: string;
    /**
     * where the way back is kept, so that
     * it survives a reload of the page: `sessionStorage`
     */
    session?: Pick<Storage, "getItem" | "setItem" | "removeItem"> | null;
    WebSocket?: typeof WebSocket;
};
export type GameEvent = {
    player: Player | null;
    kind: string;
    values: Value[];
};
export type Update = {
    tick: number;
    dilation: number;
    joined: Player[];
    left: Player[];
    events: GameEvent[];
    refused: Refused[];
    told: Told[];
    answered: Answered[];
    resynced: boolean;
    missed: number;
    resumed: boolean;
};
export type ZoneEvents = {
    tick: (update: Update) => void;
    join: (player: Player) => void;
    leave: (player: Player) => void;
    told: (kind: string, values: Value[]) => void;
    refused: (refused: Refused) => void;
    drop: (why: End) => void;
    back: (how: {
        resumed: boolean;
        missed: number;
    }) => void;
    closed: (why: End) => void;
    diverged: (how: {
        tick: number;
        expected: number;
        found: number;
    }) => void;
    frame: (frame: {
        op: string;
        tick: number;
        bytes: number;
        message: Tick | Snapshot;
    }) => void;
} & Record<"*", (kind: string, player: Player | null, ...values: any[]) => void>;
export type Private = {
    key: string;
    bytes: number;
    message: Refusal | Told | Answered;
};
/** A player in a zone, or a watcher: `connect` returns it. */
export declare class Zone {
    #private;
    /** The name of your player; empty for a watcher. */
    name: string;
    /** "playing", "away" while the connection is lost and the client tries to come back, or "closed".
     * @type {"playing" | "away" | "closed"} */
    state: "playing" | "away" | "closed";
    /** The milliseconds of the last round trip, measured every two seconds. @type {number | null} */
    rtt: number | null;
    bytesIn: number;
    bytesOut: number;
    /** How many state hashes of the server were compared, and found to be equal. */
    hashesChecked: number;
    /**
     * Use `connect`.
     * @param {string} url
     * @param {Options} options
     */
    constructor(url: string, options: Options);
    /** The slot of your player; null for a watcher. */
    get slot(): number | null;
    get game(): {
        name: string;
        version: string;
    };
    get hz(): number;
    get width(): number;
    get height(): number;
    /** Units per second of one step of velocity. */
    get speedStep(): number;
    /** The names of the players' stats. */
    get stats(): string[];
    /** The kinds of things, with the names of their stats. */
    get kinds(): {
        [k: string]: string[];
    };
    /** Whether the server deflates its messages. */
    get isDeflated(): boolean;
    get isAway(): boolean;
    /** The tick of the last update. */
    get tick(): number;
    /** What the whole zone shows, by name. */
    get board(): {
        [k: string]: string | number;
    };
    /** All players, by slot. */
    get players(): Player[];
    get things(): Thing[];
    /** @param {number} slot @returns {Player | undefined} */
    player(slot: number): Player | undefined;
    /** @param {number} slot @returns {Thing | undefined} */
    thing(slot: number): Thing | undefined;
    /** The player with this name. @param {string} name @returns {Player | undefined} */
    find(name: string): Player | undefined;
    /** Your own player; undefined for a watcher. */
    get me(): Player | undefined;
    get columns(): Columns;
    /** The stats of the slots by index: `zone.statColumns[zone.stats.indexOf("hp")][slot]`. */
    get statColumns(): Float64Array<ArrayBufferLike>[];
    /** The tick to draw at this moment, as a fraction: behind the newest one by one tick and by what frames are late. */
    now(): number;
    /** Where to draw a player or a thing. @param {number} slot @param {number} [at] a tick @returns {[number, number]} */
    position(slot: number, at?: number): [number, number];
    /**
     * Where to draw all slots, free ones included; returns how many there are.
     * @param {number} at
     * @param {Float64Array | Float32Array | number[]} outX
     * @param {Float64Array | Float32Array | number[]} outY
     */
    positions(at: number, outX: Float64Array | Float32Array | number[], outY: Float64Array | Float32Array | number[]): number;
    /**
     * Do an action; returns its sequence, for `done`. All actions of one turn leave as one packet. While the client is
     * away up to 16 actions are kept for two seconds each; then they are refused with the code AWAY. While 255 actions
     * have no outcome yet, further ones are refused with the code TOO_MANY_ACTIONS.
     * @param {string} kind
     * @param {...Value} values
     * @returns {number}
     */
    act(kind: string, ...values: Value[]): number;
    /**
     * Waits until the zone has told what became of an action. Resolves with the answer to a private action (an array),
     * with undefined for one that happened, and with null for one that is past without a sign of its own: a newer action
     * superseded it, or its frame was skipped. Rejects with Refused, and with ZoneClosed at the end of the connection.
     * @param {number} seq
     * @returns {Promise<Value[] | null | undefined>}
     */
    done(seq: number): Promise<Value[] | null | undefined>;
    /** The milliseconds of a round trip, after the return if the client is away. @returns {Promise<number>} */
    ping(): Promise<number>;
    /**
     * Calls back at each event of this name; returns a function that takes the callback off.
     * @template {string} K
     * @param {K} event
     * @param {K extends keyof ZoneEvents ? ZoneEvents[K] : (player: Player | null, ...values: any[]) => void} callback
     * @returns {() => void}
     */
    on<K extends string>(event: K, callback: K extends keyof ZoneEvents ? ZoneEvents[K] : (player: Player | null, ...values: any[]) => void): () => void;
    /** Cuts the connection as a bad network would. The client comes back by itself. */
    drop(): void;
    /** Leaves the zone, once it has told what became of every action, and after two seconds at the latest. */
    close(): Promise<void>;
}
/**
 * Joins a zone. Resolves when the whole zone is there; rejects with ZoneClosed when the server refuses the player or is
 * not to be reached, and with TypeError or RangeError for what cannot be sent.
 * @param {string | URL} url the address of the server: `location.origin`, or "wss://play.example"
 * @param {Options} options
 * @returns {Promise<Zone>}
 */
export declare function connect(url: string | URL, options: Options): Promise<Zone>;
export {};
