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

/** Return a JSON text with a member on each line, and every number as it was; other text as it is. */
export function pretty(text) {
  let depth = 0;
  let result = "";
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  const line = () => `\n${"  ".repeat(depth)}`;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}:,]|[^\s"[\]{}:,]+/g)) {
    if (token === "{" || token === "[") {
      depth += 1;
      result += token + line();
    } else if (token === "}" || token === "]") {
      depth -= 1;
      result = result.trimEnd();
      result += result.endsWith("{") || result.endsWith("[") ? token : line() + token;
    } else if (token === ",") result += token + line();
    else result += token === ":" ? ": " : token;
  }
  return result;
}
