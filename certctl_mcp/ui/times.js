// Times: relative to now and kept current, or exact, in one local time zone everywhere; UTC appears on hover.

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
const EVERY = 15_000;

const FORMATS = {
  exact: { dateStyle: "medium", timeStyle: "medium" },
  clock: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
  day: { day: "numeric", month: "short" },
  zone: { hour: "2-digit", timeZoneName: "short" },
};

let zone;
let formats = made();

function made(timeZone) {
  return Object.fromEntries(Object.entries(FORMATS).map(([name, options]) => [name, new Intl.DateTimeFormat("en-GB", { ...options, timeZone })]));
}

/** The host may know its user's time zone better than the browser. */
export function setTimeZone(name) {
  if (!name || name === zone) return;
  try {
    formats = made(name);
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

/** Date and time to the second. */
export function exactly(moment) {
  return formats.exact.format(new Date(moment));
}

/** Hours and minutes. */
export function clock(moment) {
  return formats.clock.format(new Date(moment));
}

/** Day and month. */
export function day(moment) {
  return formats.day.format(new Date(moment));
}

/** The name of the clock's zone at a moment, such as GMT+1. */
export function zoneName(moment = Date.now()) {
  return formats.zone.formatToParts(new Date(moment)).find((part) => part.type === "timeZoneName").value;
}

function utc(moment) {
  return `${new Date(moment).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** A <time> that says how long ago, or how long from now. */
export function time(moment, prefix = "") {
  const shown = element("time", { datetime: moment, title: `${exactly(moment)}\n${utc(moment)}` }, prefix + distance(moment));
  if (prefix) shown.dataset.prefix = prefix;
  return shown;
}

/** A <time> that says exactly when. */
export function exactTime(moment) {
  return element("time", { datetime: moment, title: utc(moment), "data-fixed": true }, exactly(moment));
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
