// The details dialog: one notification's texts in full, and its attempts as a timeline.

import { linkTo } from "./address.js";
import { arrange, byId, counted, element, words } from "./dom.js";
import { prose } from "./prose.js";
import { UnauthorizedError, aborted, extra, facts } from "./results.js";
import { badge, refused, requeueable } from "./rows.js";
import { duration, exactTime, time, zoneName } from "./times.js";
import { toast } from "./toasts.js";

const OUTCOMES = {
  sent: "Delivered",
  failed: "Failed",
  dead: "Failed permanently",
  told_to_wait: "Told to wait",
  skipped: "Found no notifier",
  abandoned: "Never answered",
};

/** What somebody did; sending is shown with the first step. */
const ACTIONS = { requeue: "Requeued", "mark read": "Settled" };

const SETTLEABLE = new Set(["pending", "failed", "dead", "sent"]);

export class Details {
  #ask;
  #actions;
  #id = null;
  #request = null;
  #dialog = byId("details");
  #written = "";

  /** `ask` returns a tool's whole result; `actions` has `requeue(row, button)`, `settle(row)`, `requeues`, `settles`, `links` and `closed()`. */
  constructor(ask, actions) {
    this.#ask = ask;
    this.#actions = actions;
    this.#dialog.addEventListener("close", () => {
      this.#request?.abort();
      this.#id = null;
      delete document.body.dataset.dialog;
      this.#actions.closed();
    });
    // A click on the backdrop has the dialog itself as its target.
    this.#dialog.addEventListener("click", (event) => event.target === this.#dialog && this.#dialog.close());
  }

  /** The id of the notification that is open, or null. */
  get id() {
    return this.#id;
  }

  /** Open a notification of which only the id is known. */
  openId(id) {
    return this.open({ id, untrusted: { type: "Notification" } });
  }

  close() {
    this.#dialog.close();
  }

  open(row) {
    this.#id = row.id;
    this.#written = "";
    this.#show(this.#head(row), element("p.account", { "aria-busy": "true" }, "Loading…"));
    document.body.dataset.dialog = "";
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#dialog.querySelector("[data-control=close]").focus();
    return this.refresh();
  }

  /** Fetch the open notification again. */
  async refresh() {
    const id = this.#id;
    if (id === null) return;
    this.#request?.abort();
    this.#request = new AbortController();
    const { signal } = this.#request;
    try {
      const result = await this.#ask("get_notification", { id }, signal);
      const found = facts(result);
      if (signal.aborted || this.#id !== id) return;
      const written = JSON.stringify(found);
      if (written === this.#written) return;
      this.#written = written;
      this.#show(this.#head(found.notification), ...this.#body(found, extra(result, "outlook") ?? found.account));
    } catch (failure) {
      if (aborted(failure) || failure instanceof UnauthorizedError || this.#id !== id) return;
      const known = this.#dialog.querySelector(".account");
      if (!this.#written) known.replaceChildren(`Could not load: ${failure.message}`);
    }
  }

  #show(...parts) {
    const control = this.#dialog.contains(document.activeElement) && document.activeElement.dataset.control;
    this.#dialog.replaceChildren(...parts);
    if (control) (this.#dialog.querySelector(`[data-control="${control}"]`) ?? this.#dialog.querySelector("[data-control=close]")).focus();
  }

  #head(row) {
    const can = this.#actions.requeues && requeueable(row);
    return element(
      "header.sheet-head",
      {},
      element("h2", { id: "details-title" }, words(row.untrusted.type)),
      row.status && badge(row),
      element("span.grow"),
      can &&
        element(
          "button.primary",
          { type: "button", "data-control": "requeue", click: (event) => this.#actions.requeue(row, event.currentTarget) },
          "Requeue",
        ),
      this.#actions.settles && SETTLEABLE.has(row.status) && element("button.quiet", { type: "button", "data-control": "settle", click: () => this.#actions.settle(row) }, "Settle…"),
      this.#actions.links && element("button.quiet", { type: "button", "data-control": "copy", click: () => copyLink(row.id) }, "Copy link"),
      element("button.quiet", { type: "button", "data-control": "close", click: () => this.#dialog.close() }, "Close"),
    );
  }

  #body(found, outlook) {
    const { notification: row, attempts } = found;
    const told = row.untrusted;
    return [
      element("p.account", {}, ...prose(outlook)),
      text("Message", told.message, "prose"),
      text("Last error", told.last_error, "verbatim", row.failure),
      text("Not delivered because", told.not_delivered_because),
      row.cut && element("p.note", {}, `${counted(row.cut, "character")} of these texts are left out.`),
      definitions([
        ["Channel", told.channel],
        ["Recipient", told.recipient],
        ["Certificate", told.certificate_id && [told.certificate_id, row.certificate].filter(Boolean).join(", ")],
        ["Created", exactTime(row.created_at)],
        ["Delivered", row.sent_at && exactTime(row.sent_at)],
        ["Due", row.next_retry_at && time(row.next_retry_at)],
        ["Settled", row.read_at && exactTime(row.read_at)],
        ["In place of", found.origin_id && element("code", {}, found.origin_id)],
        ["Replaced by", found.replaced_by && element("code", {}, found.replaced_by)],
        ["Id", element("code", {}, row.id)],
      ]),
      element("h3", { id: "attempts-title" }, "Attempts"),
      timeline(found, row, attempts),
      element("p.note", {}, `Times in ${zoneName()}.`),
    ].filter(Boolean);
  }
}

async function copyLink(id) {
  const link = linkTo(id);
  try {
    await navigator.clipboard.writeText(link);
    toast("The link is copied.", "good");
  } catch {
    // Browsers offer no clipboard to pages loaded without TLS.
    toast(link);
  }
}

function definitions(pairs) {
  const shown = pairs.filter(([, value]) => value);
  return element("dl.facts", {}, ...shown.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

function text(title, content, kind = "verbatim", label = null) {
  return content && element("section.text", {}, element("h3", {}, title, label && element("span.fault", {}, label)), element(`pre.${kind}`, { tabindex: "0", "aria-label": title }, content));
}

function timeline(found, row, attempts) {
  const line = element("ol.timeline", { "aria-labelledby": "attempts-title" });
  const done = (found.done ?? []).map((one) => ({ at: one.at, action: one.action, by: `by ${one.untrusted.actor}` }));
  const steps = [step("accepted", "Accepted", row.created_at, done.find((one) => one.action === "send")?.by)];
  if (found.earlier_attempts) {
    steps.push(element("li.step.more", {}, element("strong", {}, counted(found.earlier_attempts, "earlier attempt"))));
  }
  let before;
  for (const one of inOrder(attempts, done.filter(({ action }) => action in ACTIONS))) {
    if (one.action) {
      steps.push(step("done", ACTIONS[one.action], one.at, one.by));
      before = undefined;
      continue;
    }
    const error = one.untrusted?.error;
    const final = one.outcome === "dead" && one === attempts.at(-1) && refused(row);
    const title = `${final ? "Refused permanently" : (OUTCOMES[one.outcome] ?? one.outcome)}${one.late ? ", too late to count" : ""}`;
    steps.push(step(one.outcome, title, one.started_at, `Attempt ${one.number}`, one.seconds, error && (error === before ? "The same error." : error)));
    before = error;
  }
  if (found.under_way) steps.push(element("li.step.running", {}, element("strong", {}, "In progress")));
  else if (row.status === "pending") steps.push(element("li.step.running", {}, element("strong", {}, "Waiting")));
  else if (row.next_retry_at) steps.push(element("li.step.running", {}, element("strong", {}, "Due "), time(row.next_retry_at)));
  arrange(line, steps);
  return line;
}

function inOrder(attempts, done) {
  const when = (one) => Date.parse(one.started_at ?? one.at);
  // Times are rounded to seconds, and a requeued notification is attempted within one.
  return [...done, ...attempts].sort((one, other) => when(one) - when(other));
}

function step(kind, title, moment, name = null, seconds = undefined, error = null) {
  return element(
    `li.step.${kind}`,
    {},
    element("div.step-line", {}, element("strong", {}, title), name && element("span", {}, name), exactTime(moment), seconds !== undefined && element("span", {}, duration(seconds))),
    error && element("p.step-error", {}, error),
  );
}
