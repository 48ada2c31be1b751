// SPDX-License-Identifier: ISC
// Numbers as people read them, in the words that dynapmctl uses. Pure functions; times and spans are milliseconds.

const UNITS = [["d", 86400000], ["h", 3600000], ["min", 60000], ["s", 1000]];

/** "3d 4h", "2h 13min", "4min 19s", "41s": the two largest units, rounded down. */
export function span(ms) {
  if (!Number.isFinite(ms)) return "–";
  const i = UNITS.findIndex(([, size]) => ms >= size);
  if (i < 0) return "0s";
  const [unit, size] = UNITS[i];
  const first = Math.floor(ms / size);
  const next = UNITS[i + 1];
  const second = next ? Math.floor((ms - first * size) / next[1]) : 0;
  return second > 0 ? `${first}${unit} ${second}${next[0]}` : `${first}${unit}`;
}

/** "just now", "4min 19s ago". */
export function ago(ms) {
  return ms < 2000 ? "just now" : `${span(ms)} ago`;
}

/** A short time as it is measured: "0.4ms", "12ms", "1.34s", "2min 5s". */
export function duration(ms) {
  if (!Number.isFinite(ms)) return "–";
  if (ms < 10) return `${Number(ms.toFixed(1))}ms`;
  if (ms < 1000) return `${Math.round(ms)}ms`;
  if (ms < 60000) return `${Number((ms / 1000).toPrecision(3))}s`;
  return span(ms);
}

/** "512 B", "48.2 MiB". */
export function bytes(n) {
  if (!Number.isFinite(n)) return "–";
  const names = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (n >= 1024 && i < names.length - 1) {
    n /= 1024;
    i++;
  }
  return `${i > 0 && n < 99.95 ? n.toFixed(1) : Math.round(n)} ${names[i]}`;
}

/** Something a second: "0", "0.4", "14". */
export function rate(perSecond) {
  if (!Number.isFinite(perSecond)) return "–";
  if (perSecond === 0) return "0";
  if (perSecond < 0.05) return "<0.1";
  return perSecond < 9.95 ? perSecond.toFixed(1) : count(Math.round(perSecond));
}

/** "1,204": grouped, always in the same way. */
export function count(n) {
  return Number.isFinite(n) ? n.toLocaleString("en-US") : "–";
}

/** "1 request", "3 requests". */
export function plural(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** The time of day, and the date where that was not today. */
export function moment(ms, now = Date.now()) {
  const at = new Date(ms);
  const time = at.toLocaleTimeString("en-GB");
  return at.toDateString() === new Date(now).toDateString() ? time : `${at.toLocaleDateString("en-CA")} ${time}`;
}
