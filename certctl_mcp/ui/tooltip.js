// A tooltip with the full error if only its beginning fits, on hover and on focus.

import { aborted } from "./results.js";
import { byId } from "./dom.js";

const MARGIN = 8;
const CLOSE_DELAY = 120;
/** Milliseconds to move the pointer from the text to the tooltip. */

let owner = null;
let asking = null;
let leaving;

/** Show what `whole` returns beside `shown`, and the beginning until it arrives. */
export function attachTooltip(shown, whole) {
  shown.addEventListener("pointerenter", (event) => event.pointerType !== "touch" && open(shown, whole));
  shown.addEventListener("pointerleave", leave);
  shown.addEventListener("focus", () => shown.matches(":focus-visible") && open(shown, whole));
  shown.addEventListener("blur", close);
}

export function setUpTooltip() {
  const tip = byId("tip");
  tip.addEventListener("pointerenter", () => clearTimeout(leaving));
  tip.addEventListener("pointerleave", leave);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && owner) {
      event.preventDefault();
      close();
    }
  });
  window.addEventListener("scroll", () => owner && place(), { passive: true, capture: true });
}

async function open(shown, whole) {
  clearTimeout(leaving);
  if (owner === shown) return;
  close();
  owner = shown;
  asking = new AbortController();
  const { signal } = asking;
  const tip = byId("tip");
  // Without the label in front, which is not part of the text.
  const beginning = (shown.querySelector(".raw") ?? shown).textContent;
  tip.textContent = beginning;
  tip.showPopover();
  shown.setAttribute("aria-describedby", tip.id);
  place();
  try {
    const text = await whole(signal);
    if (signal.aborted) return;
    tip.textContent = text;
    place();
  } catch (failure) {
    if (!aborted(failure)) tip.textContent = `${beginning}\n(the rest could not be loaded: ${failure.message})`;
  }
}

function leave() {
  clearTimeout(leaving);
  leaving = setTimeout(() => owner !== document.activeElement && close(), CLOSE_DELAY);
}

export function close() {
  clearTimeout(leaving);
  asking?.abort();
  owner?.removeAttribute("aria-describedby");
  owner = null;
  if (byId("tip").matches(":popover-open")) byId("tip").hidePopover();
}

function place() {
  if (!owner.isConnected) return close();
  const tip = byId("tip");
  const { clientWidth: room } = document.documentElement;
  const anchor = owner.getBoundingClientRect();
  if (anchor.bottom < 0 || anchor.top > innerHeight) return close();
  const { offsetWidth: width, offsetHeight: height } = tip;
  const below = anchor.bottom + MARGIN / 2;
  const fits = below + height + MARGIN <= innerHeight || anchor.top < height + MARGIN;
  tip.style.left = `${Math.max(MARGIN, Math.min(anchor.left, room - width - MARGIN))}px`;
  tip.style.top = `${fits ? Math.min(below, Math.max(MARGIN, innerHeight - height - MARGIN)) : anchor.top - height - MARGIN / 2}px`;
}
