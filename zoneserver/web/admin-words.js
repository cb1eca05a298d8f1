// @ts-check
// How values are written for people, as in the terminal: numbers, sizes, times.

/** @param {number} value @param {number} base @param {string[]} units */
function scaled(value, base, units) {
  let power = 0;
  // 999.5 would be rounded to four digits.
  while (value >= 999.5 && power < units.length - 1) {
    value /= base;
    power += 1;
  }
  return milliseconds(value) + units[power];
}

/** A count or a rate, as 2.3, 1,234, 12.3k or 4.56M. @param {number | null | undefined} value */
export function count(value) {
  if (value === null || value === undefined) return "–";
  if (value < 9.95 && value !== Math.trunc(value)) return value.toFixed(1);
  if (Math.round(value) < 10_000) return whole(value);
  return scaled(value, 1000, ["", "k", "M", "G", "T", "P"]);
}

/** A whole number with all of its digits. @param {number} value */
export function whole(value) {
  return Math.round(value).toLocaleString("en");
}

/** Bytes, as 512 B or 2.00 KiB. @param {number | null | undefined} value */
export function size(value) {
  if (value === null || value === undefined) return "–";
  if (Math.round(value) < 1000) return `${Math.round(value)} B`;
  return scaled(value, 1024, [" B", " KiB", " MiB", " GiB", " TiB", " PiB"]);
}

/** Milliseconds without their unit: three digits. @param {number} value */
export function milliseconds(value) {
  return value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
}

/** A duration in its two largest units, as 5s, 1m 05s or 1d 01h. @param {number} seconds */
export function duration(seconds) {
  const full = Math.trunc(seconds);
  /** @type {[number, string, number, string][]} */
  const units = [[86_400, "d", 3600, "h"], [3600, "h", 60, "m"], [60, "m", 1, "s"]];
  for (const [length, unit, smaller, smallerUnit] of units) {
    if (full >= length) {
      const rest = String(Math.trunc((full % length) / smaller)).padStart(2, "0");
      return `${Math.trunc(full / length)}${unit} ${rest}${smallerUnit}`;
    }
  }
  return `${full}s`;
}

/** A place in a recording, as 12:05 or 1:00:00. @param {number} seconds */
export function clock(seconds) {
  const parts = [Math.trunc(seconds / 3600), Math.trunc(seconds / 60) % 60, Math.trunc(seconds) % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, index) => (index ? String(part).padStart(2, "0") : String(part))).join(":");
}

/** How much of a limit is used up, in a word. @param {number} share */
export function level(share) {
  return share < 0.5 ? "fine" : share < 0.9 ? "busy" : "over";
}

/**
 * A word as a shell reads it, for the words of a command.
 * @param {string} text
 */
export function quoted(text) {
  return `'${text.replaceAll("'", `'"'"'`)}'`;
}

/**
 * A new element.
 * @param {string} tag
 * @param {string} [className]
 * @param {string} [text]
 */
export function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** The element with this id. @param {string} id @returns {any} */
export function at(id) {
  return document.getElementById(id);
}

/** Sets a text only if it is another one, so that a selection of text stays. @param {Element} target @param {string} text */
export function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}
