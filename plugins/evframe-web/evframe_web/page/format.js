// Numbers, times and sizes as operators read them.

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

/** Return a count, such as 12,345. */
export const count = (value) => (value === null || value === undefined ? "–" : WHOLE.format(value));

/** Return a count in few characters, such as 12.3K. */
export const short = (value) => {
  if (value === null || value === undefined) return "–";
  return Math.abs(value) < 10_000 ? WHOLE.format(value) : SHORT.format(value);
};

/** Return a number of events in a second. */
export const rate = (value) => {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  if (value < 10) return value.toFixed(value < 0.1 ? 2 : 1);
  return short(value);
};

/** Return seconds, such as 3 min 20 s. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return seconds === 0 ? "0 s" : "<1 s";
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const parts = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];
  const at = parts.findIndex(([size]) => seconds >= size);
  const [size, unit] = parts[at];
  const [next, small] = parts[at + 1];
  const rest = Math.floor((seconds % size) / next);
  return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${small}` : ""}`;
}

/** Return what a lease has left; `null` is one that never ends. */
export const left = (seconds) => (seconds === null ? "never ends" : duration(seconds));

const two = (value) => String(value).padStart(2, "0");

/** Return the local time of day of a Unix time, with milliseconds. */
export function clock(at) {
  const date = new Date(at * 1000);
  const parts = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return `${parts}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** Return a time in local words, of a text in ISO 8601 or a Unix time. */
export function moment(at) {
  const date = new Date(typeof at === "number" ? at * 1000 : at);
  if (Number.isNaN(date.getTime())) return String(at);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${clock(date.getTime() / 1000).slice(0, 8)}`;
}

const DEEPEST = 16; // levels that are indented: a thousand nested lists would be megabytes of blanks
const SPECIAL = /["[\]{}:,]/g;

/** Return the index behind the string that begins at `start`, without a regular expression that would recurse. */
function behindString(text, start) {
  let end = text.indexOf('"', start + 1);
  for (;;) {
    let slashes = 0;
    while (text[end - 1 - slashes] === "\\") slashes += 1;
    if (slashes % 2 === 0) return end + 1;
    end = text.indexOf('"', end + 1);
  }
}

/** Return a JSON text with a member on each line, and every number as it was; other text as it is. */
export function pretty(text) {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  let depth = 0;
  let at = 0;
  let last = "";
  const parts = []; // one text that grows would be copied again and again
  const line = () => `\n${"  ".repeat(Math.min(depth, DEEPEST))}`;
  while (at < text.length) {
    SPECIAL.lastIndex = at;
    const found = SPECIAL.exec(text)?.index ?? text.length;
    const plain = text.slice(at, found).trim();
    if (plain) parts.push(last === "[" || last === "{" ? line() : "", plain);
    if (plain) last = plain;
    if (found === text.length) break;
    const sign = text[found];
    at = sign === '"' ? behindString(text, found) : found + 1;
    const isEmpty = (sign === "}" || sign === "]") && (last === "[" || last === "{");
    if (sign === "}" || sign === "]") depth -= 1;
    if (sign === ":") parts.push(": ");
    else if (sign === ",") parts.push(",", line());
    else if (sign === "}" || sign === "]") parts.push(isEmpty ? "" : line(), sign);
    else parts.push(last === "[" || last === "{" ? line() : "", sign === '"' ? text.slice(found, at) : sign);
    if (sign === "{" || sign === "[") depth += 1;
    last = sign;
  }
  return parts.join("");
}

/** Return the beginning of a text, and whether that is not all of it: a browser is slow to show megabytes. */
export function beginning(text, most = 64 << 10) {
  return text.length > most ? [text.slice(0, most), true] : [text, false];
}
