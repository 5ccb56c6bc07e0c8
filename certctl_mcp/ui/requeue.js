// Requeueing: one notification by its id; many after a preview of what would change.

import { aborted } from "./results.js";
import { byId, counted, element, grouped } from "./dom.js";

const MAX_IDS = 500;

export class Requeuer {
  #call;
  #dialog = byId("ask");

  constructor(call) {
    this.#call = call;
  }

  /** Throws the tool's error. */
  async one(id) {
    return this.#call("requeue_notification", { id });
  }

  /**
   * Show what would change, and do it once confirmed. `chosen` are arguments that select: `ids`, or a
   * filter. Returns a sentence about what was done, or null if nothing was.
   */
  async many(chosen) {
    const parts = chosen.ids ? batches(chosen.ids) : [chosen];
    const asking = new AbortController();
    const previews = [];
    const answered = this.#ask(asking);
    try {
      for (const part of parts) previews.push(await this.#call("requeue_notifications", part, asking.signal));
    } catch (failure) {
      if (aborted(failure)) return null;
      this.#refused(failure.message);
      await answered;
      return null;
    }
    const done = previews.filter((preview) => preview.changed);
    // The host may have asked its user already.
    if (done.length) {
      this.#dialog.close();
      return outcome(previews);
    }
    this.#preview(previews);
    if (!(await answered)) return null;
    const outcomes = [];
    for (const [at, part] of parts.entries()) {
      const { confirmation } = previews[at];
      if (confirmation) outcomes.push(await this.#call("requeue_notifications", { ...part, confirmation }));
    }
    const changed = outcomes.filter((one) => one.confirmation);
    if (changed.length) throw new Error(changed[0].next.split(". ")[0].replace("Not done: ", "Not done: it changed meanwhile: "));
    return outcome(outcomes);
  }

  /** Whether the person confirms. */
  #ask(asking) {
    this.#dialog.returnValue = "";
    this.#dialog.replaceChildren(
      element("h2", { id: "ask-title" }, "Requeue these?"),
      element("div", { id: "ask-text" }, element("p", { "aria-busy": "true" }, "Counting…")),
      element("div.buttons", {}, this.#button("Cancel", "quiet", "")),
    );
    document.body.dataset.dialog = "";
    this.#dialog.showModal();
    return new Promise((resolve) => {
      this.#dialog.addEventListener(
        "close",
        () => {
          delete document.body.dataset.dialog;
          const yes = this.#dialog.returnValue === "yes";
          if (!yes) asking.abort();
          resolve(yes);
        },
        { once: true },
      );
    });
  }

  #preview(previews) {
    const count = sum(previews, "would_change");
    const shares = (name, of) => {
      const found = new Map();
      for (const [key, number] of previews.flatMap(of)) found.set(key, (found.get(key) ?? 0) + number);
      return [...found].sort(([, one], [, other]) => other - one).map(([key, number]) => element("li", {}, element("span", {}, key), element("b", {}, grouped(number))));
    };
    const channels = shares("channel", (preview) => (preview.by_channel ?? []).map((share) => [share.untrusted.channel, share.count]));
    const statuses = shares("status", (preview) => Object.entries(preview.by_status ?? {}));
    const left = leftOut(previews);
    byId("ask-title").textContent = count ? `Requeue ${counted(count, "notification")}?` : "Nothing to requeue";
    byId("ask-text").replaceChildren(
      element("p", {}, count ? "Each goes back in the queue, with no failed attempts counted." : "None of these is dead or failed any more."),
      ...(statuses.length ? [element("h3", {}, "By status"), element("ul.shares", {}, ...statuses)] : []),
      ...(channels.length ? [element("h3", {}, "By channel"), element("ul.shares", {}, ...channels)] : []),
      ...(left ? [element("p.note", {}, `Left out: ${left}.`)] : []),
    );
    const buttons = this.#dialog.querySelector(".buttons");
    if (count) buttons.append(this.#button(`Requeue ${grouped(count)}`, "primary", "yes"));
  }

  #refused(message) {
    byId("ask-title").textContent = "This can't be done";
    byId("ask-text").replaceChildren(element("p.problem", {}, message));
  }

  #button(label, kind, value) {
    return element(`button.${kind}`, { type: "button", click: () => this.#dialog.close(value) }, label);
  }
}

function batches(ids) {
  const parts = [];
  for (let at = 0; at < ids.length; at += MAX_IDS) parts.push({ ids: ids.slice(at, at + MAX_IDS) });
  return parts;
}

function sum(answers, name) {
  return answers.reduce((total, answer) => total + (answer[name] ?? 0), 0);
}

function leftOut(answers) {
  const words = { under_way: "being attempted now", other_status: "neither dead nor failed", missing: "not there any more" };
  const told = Object.entries(words).map(([key, meaning]) => {
    const number = answers.reduce((total, answer) => total + (answer.left_out?.[key] ?? 0), 0);
    return number && `${grouped(number)} ${meaning}`;
  });
  return told.filter(Boolean).join(", ");
}

function outcome(answers) {
  const left = leftOut(answers);
  return `${counted(sum(answers, "changed"), "notification")} requeued${left ? `; left out: ${left}` : ""}.`;
}
