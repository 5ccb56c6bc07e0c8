// The chart of delivery attempts: SVG in the page's own type and colours, as wide as the page allows.

import { grouped, svg } from "./dom.js";
import { clock, day, exactly } from "./times.js";

const HEIGHT = 190;
const TOP = 10;
const BOTTOM = 40;
const LEFT = 44;
const RIGHT = 8;
const LEAST = 2;
/** Pixels. The minimum height of a part: one dead letter among ten thousand deliveries must be visible. */
const BETWEEN_LABELS = 62;
const LAST_LABEL = 22;
/** Pixels from the right edge, where a label would be cut off. */

/** Outcomes from the bottom up, with their names. */
export const OUTCOMES = [
  ["sent", "delivered"],
  ["skipped", "skipped"],
  ["abandoned", "abandoned"],
  ["told_to_wait", "told to wait"],
  ["failed", "failed, to retry"],
  ["dead", "dead"],
];

/** The chart of `timeline`, `width` pixels wide. `label` describes it to those who can't see it. */
export function chart({ steps, step_seconds: seconds }, width, label) {
  const drawn = svg("svg", { class: "chart", role: "img", "aria-label": label, width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}` });
  const totals = steps.map((step) => OUTCOMES.reduce((sum, [name]) => sum + (step[name] ?? 0), 0));
  const unit = roundStep(Math.max(...totals));
  const top = Math.max(1, Math.ceil(Math.max(...totals) / unit)) * unit;
  const floor = HEIGHT - BOTTOM;
  const scale = (floor - TOP) / top;
  for (let count = 0; count <= top; count += unit) {
    const y = Math.round(floor - count * scale) + 0.5;
    drawn.append(
      svg("line", { class: count ? "grid" : "axis", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }),
      svg("text", { x: LEFT - 8, y: y + 4, "text-anchor": "end" }, grouped(count)),
    );
  }
  const slot = (width - LEFT - RIGHT) / steps.length;
  const every = Math.ceil(BETWEEN_LABELS / slot);
  let shown = "";
  for (const [at, step] of steps.entries()) {
    const x = LEFT + slot * at;
    drawn.append(bar(step, x, slot, scale, floor));
    if (at % every || x + slot / 2 > width - LAST_LABEL) continue;
    const [first, second] = seconds >= 86_400 ? [day(step.begins_at), ""] : [clock(step.begins_at), day(step.begins_at)];
    drawn.append(svg("text", { x: x + slot / 2, y: floor + 16, "text-anchor": "middle" }, first));
    if (second && second !== shown) drawn.append(svg("text", { x: x + slot / 2, y: floor + 31, "text-anchor": "middle" }, second));
    shown = second;
  }
  return drawn;
}

function bar(step, x, slot, scale, floor) {
  const parts = OUTCOMES.filter(([name]) => step[name]);
  const told = parts.map(([name, words]) => `${grouped(step[name])} ${words}`).join(", ");
  const found = svg("g", {}, svg("title", {}, `${exactly(step.begins_at)}: ${told || "nothing"}`));
  // As high as the plot, because a low bar is hard to point at.
  found.append(svg("rect", { class: "column", x, width: slot, y: TOP, height: floor - TOP }));
  let below = floor;
  for (const [name] of parts) {
    const height = Math.max(LEAST, step[name] * scale);
    found.append(svg("rect", { class: `bar ${name}`, x: x + slot * 0.14, width: slot * 0.72, y: below - height, height }));
    below -= height;
  }
  return found;
}

/** The smallest of 1, 2, 5, 10, 20, 50 ... that reaches `highest` in at most four steps. */
function roundStep(highest) {
  for (let power = 1; ; power *= 10) {
    for (const factor of [1, 2, 5]) if (factor * power * 4 >= highest) return factor * power;
  }
}
