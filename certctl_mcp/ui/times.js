// Times, shown relative to now and kept current, with the exact time on hover.

import { element } from "./dom.js";

const STEPS = [
  [60, "second", 1],
  [3600, "minute", 60],
  [86400, "hour", 3600],
  [86400 * 30, "day", 86400],
  [86400 * 365, "month", 86400 * 30],
  [Infinity, "year", 86400 * 365],
];
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const EXACT = { dateStyle: "medium", timeStyle: "medium" };
const EVERY = 15_000;

let zone;
let exact = new Intl.DateTimeFormat(undefined, EXACT);

/** The host may know its user's time zone better than the browser. */
export function setTimeZone(name) {
  if (!name || name === zone) return;
  try {
    exact = new Intl.DateTimeFormat(undefined, { ...EXACT, timeZone: name });
    zone = name;
  } catch {
    // An unknown name changes nothing.
  }
}

export function distance(moment, now = Date.now()) {
  const seconds = (Date.parse(moment) - now) / 1000;
  if (Math.abs(seconds) < 5) return "just now";
  const [, unit, length] = STEPS.find(([below]) => Math.abs(seconds) < below);
  return RELATIVE.format(Math.trunc(seconds / length), unit);
}

export function exactly(moment) {
  return exact.format(new Date(moment));
}

/** A <time> that says how long ago, or how long from now. */
export function time(moment, prefix = "") {
  const shown = element("time", { datetime: moment, title: exactly(moment) }, prefix + distance(moment));
  if (prefix) shown.dataset.prefix = prefix;
  return shown;
}

/** A duration in seconds, with as many digits as are significant. */
export function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 100) return `${Number(seconds.toPrecision(3))} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

export function updateTimes() {
  setInterval(() => {
    for (const shown of document.querySelectorAll("time[datetime]:not([data-fixed])")) {
      const text = (shown.dataset.prefix ?? "") + distance(shown.dateTime);
      if (shown.textContent !== text) shown.textContent = text;
    }
  }, EVERY);
}
