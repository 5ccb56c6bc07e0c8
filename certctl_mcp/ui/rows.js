// One notification as a row of the list.

import { element, words } from "./dom.js";
import { time } from "./times.js";
import { attachTooltip } from "./tooltip.js";

/** The statuses from which a notification can be requeued; one that was not delivered can be, too. */
const REQUEUEABLE = new Set(["dead", "failed"]);

const ATTEMPTS = Number(document.documentElement.dataset.maxAttempts);

export function requeueable(row) {
  return REQUEUEABLE.has(row.status) || undelivered(row);
}

/** Counts as sent, but was not delivered. */
export function undelivered(row) {
  return row.status === "sent" && !row.sent_at;
}

/** Became a dead letter although attempts were left. */
export function refused(row) {
  return row.status === "dead" && Boolean(row.refused) && (row.attempts ?? 0) < ATTEMPTS;
}

/** How many attempts failed. Of a dead one those were all that it had, whatever this server allows. */
function spent(row) {
  const failed = row.attempts ?? 0;
  if (refused(row)) return "Refused permanently";
  if (row.status !== "dead") return `${failed} of ${ATTEMPTS} attempts`;
  return failed === 1 && row.failure ? row.failure : `${failed} of ${failed} attempts`;
}

export function badge(row) {
  const status = undelivered(row) ? "undelivered" : row.status;
  return element(`span.badge.${status}`, {}, status === "undelivered" ? "not delivered" : (row.untrusted?.status ?? status));
}

/** Creates and keeps the elements of rows. */
export class RowMaker {
  #made = new Map();
  #actions;

  /** `actions` has `open(row)`, `requeue(row, button)`, `choose(row, yes)`, `whole(row, signal)`, and `requeues`. */
  constructor(actions) {
    this.#actions = actions;
  }

  /** The row's element; the same one as long as nothing about the row has changed. */
  of(row, chosen) {
    const written = JSON.stringify(row) + this.#actions.requeues;
    let known = this.#made.get(row.id);
    if (known?.written !== written) {
      const shown = this.#make(row);
      if (known) keepFocus(known.shown, shown);
      known = { written, shown, row };
      this.#made.set(row.id, known);
    }
    const box = known.shown.querySelector("input[type=checkbox]");
    if (box) box.checked = chosen;
    known.shown.toggleAttribute("data-chosen", chosen);
    return known.shown;
  }

  /** The shown row with this id, or undefined. */
  row(id) {
    return this.#made.get(id)?.row;
  }

  /** Forget all rows except those with these ids. */
  keep(ids) {
    for (const id of this.#made.keys()) if (!ids.has(id)) this.#made.delete(id);
  }

  #make(row) {
    const { type, channel, recipient, certificate_id: certificate, message } = row.untrusted;
    const heading = element(
      "button.link.type",
      { type: "button", tabindex: -1, click: () => this.#actions.open(row), "data-control": "open" },
      words(type),
    );
    const can = this.#actions.requeues && requeueable(row);
    return element(
      "tr",
      { role: "row", "data-id": row.id, "data-status": row.status },
      element("td.choose", { role: "cell" }, can && this.#box(row)),
      element("td.standing", { role: "cell" }, badge(row), ...this.#standing(row)),
      element("td.what", { role: "cell" }, heading, element("p.message", {}, message ?? "")),
      element("td.where", { role: "cell" }, element("span.channel", {}, channel), element("span.recipient", {}, recipient ?? "")),
      element("td.certificate", { role: "cell" }, certificate ?? "", row.certificate && element("p.message", {}, row.certificate)),
      element("td.why", { role: "cell" }, this.#why(row)),
      element("td.when", { role: "cell" }, time(row.created_at)),
      element("td.act", { role: "cell" }, can && this.#button(row)),
    );
  }

  #standing(row) {
    if (!REQUEUEABLE.has(row.status)) return [];
    const retries = element("span.retries", {}, spent(row));
    if (row.status === "dead") return [retries];
    return [retries, element("span.next", {}, row.next_retry_at ? time(row.next_retry_at, "next ") : "no time set")];
  }

  #why(row) {
    const { last_error: error, not_delivered_because: reason } = row.untrusted;
    if (!error && !reason) return null;
    const shown = element(
      "button.error",
      { type: "button", tabindex: -1, "data-control": "error", click: () => this.#actions.open(row) },
      row.failure && element("span.fault", {}, row.failure),
      element("span.raw", {}, error || reason),
    );
    attachTooltip(shown, (signal) => (error ? this.#actions.whole(row, signal) : reason));
    return shown;
  }

  #box(row) {
    return element("input", {
      type: "checkbox",
      tabindex: -1,
      "data-control": "choose",
      "aria-label": `Select ${words(row.untrusted.type)}, ${row.id}`,
      change: (event) => this.#actions.choose(row, event.target.checked),
    });
  }

  #button(row) {
    return element(
      "button.requeue",
      {
        type: "button",
        tabindex: -1,
        "data-control": "requeue",
        "aria-label": `Requeue ${words(row.untrusted.type)}, ${row.id}`,
        click: (event) => this.#actions.requeue(row, event.currentTarget),
      },
      "Requeue",
    );
  }
}

function keepFocus(before, after) {
  const control = before.contains(document.activeElement) && document.activeElement.dataset.control;
  if (!control) return;
  before.replaceWith(after);
  makeTabbable(after, true);
  (after.querySelector(`[data-control="${control}"]`) ?? after.querySelector("[data-control=open]")).focus({ preventScroll: true });
}

/** Let the Tab key reach a row's controls, or skip them. */
export function makeTabbable(shown, yes) {
  for (const control of shown.querySelectorAll("[data-control]")) control.tabIndex = yes ? 0 : -1;
}
