// Plain words for the end of a session, and for a session that was refused.

/** A server may send texts of 64 KiB. The page shows this much of one. */
const CHARACTERS = 300;

const CODES = {
  CLIENT_LEFT: "You have left.",
  CONNECTION_LOST: "The connection is lost, and the server cannot be reached.",
  SERVER_STOPPING: "The server was stopped.",
  SERVER_RESTARTING: "The server restarts. Join again in a moment.",
  SERVER_FULL: "There is no room for another one at the moment. Try again soon.",
  HANDSHAKE_TIMEOUT: "The server had to wait too long for this page. Try again.",
  VERSION_MISMATCH: "This page is older or newer than the server. Reload it.",
  GAME_VERSION: "The game on this server is another version. Reload the page.",
  BAD_NAME: "This name is not allowed. A name has 1 to 24 visible characters, and no space at either end.",
  NAME_TAKEN: "Another player has this name. Choose another one.",
  REPLACED: "You have joined again elsewhere, in another tab or browser, and play there now.",
  RESUME_FAILED: "You were away too long to get your place back. Join again.",
  BAD_TICKET:
    "This server asks for a ticket, and did not take this one. A ticket is good once, for one name, and not for long.",
  STORE_FAILED: "The server could not read what it has saved of you. Try again soon.",
  TOO_MANY_CONNECTIONS: "There are too many connections from your address. Close some tabs, or wait a few seconds.",
  BANNED: "A player from your address was kicked, so nobody from it gets in for about a minute.",
  FLOOD: "This page sent far more than a player does, so the server ended the session.",
  PROTOCOL_ERROR: "The server did not understand this page, and ended the session. Reload the page.",
  SLOW_CONSUMER: "This page did not read fast enough, so the server ended the session. Join again.",
  INTERNAL_ERROR: "The server failed while it served you. Join again.",
  KICKED: "You were kicked.",
};

/** The beginning of a text that may be long. */
export const cut = (text, characters = CHARACTERS) =>
  text.length <= characters ? text : `${text.slice(0, characters).replace(/[\ud800-\udbff]$/, "")} …`;

/** The end of a session in plain words: the meaning of its code, and what the server said to it. */
export function ended({ code = "CONNECTION_LOST", text = "" }) {
  const known = Object.hasOwn(CODES, code) ? CODES[code] : null;
  // The texts of other codes are the game's own, and meant for the player.
  if (!known) return cut(text || `The game ended the session: ${code}.`);
  return code === "KICKED" && text ? cut(`${known} The server says: ${text}`) : known;
}
