// Requeueing, settling and deleting: one notification by its id; many after a preview of what would change.

import { byId, counted, element, grouped } from "./dom.js";
import { aborted } from "./results.js";

const MAX_IDS = 500;

/** The bulk actions. */
const ACTIONS = {
  requeue: {
    tool: "requeue_notifications",
    verb: "Requeue",
    done: "requeued",
    means: "Each goes back in the queue, with no failed attempts counted.",
    nothing: "None of these is dead or failed any more.",
  },
  settle: {
    tool: "mark_notifications_read",
    verb: "Settle",
    done: "settled",
    means: "They are marked as read. Undelivered ones will not be delivered, and can't be requeued.",
    nothing: "None of these is left to settle.",
  },
  purge: {
    tool: "purge_notifications",
    verb: "Delete",
    done: "deleted",
    means: "They are permanently deleted, with their attempts.",
    nothing: "Notifications still to be delivered are never deleted.",
    // The tool deletes dead letters only if they are named.
    also: { status: ["dead", "sent", "read"] },
  },
};

export class Changes {
  #call;
  #warningOf;
  #dialog = byId("ask");

  /** `call` returns a tool's result; `warningOf(channel)` says why a requeue over it may fail again, or null. */
  constructor(call, warningOf) {
    this.#call = call;
    this.#warningOf = warningOf;
  }

  /**
   * Requeue one; if its channel is failing, only after confirmation. Returns whether it was requeued. Throws
   * the tool's error.
   */
  async requeueOne(row) {
    const warning = this.#warningOf(row.untrusted.channel);
    if (warning && !(await this.#confirmed(warning))) return false;
    await this.#call("requeue_notification", { id: row.id });
    return true;
  }

  /**
   * Show what `name`, an action, would change, and do it once confirmed. `chosen` are arguments that select:
   * `ids`, or a filter. Returns a sentence about what was done, or null if nothing was.
   */
  async many(name, chosen) {
    const action = ACTIONS[name];
    const parts = chosen.ids ? batches(chosen.ids).map((part) => ({ ...part, ...action.also })) : [chosen];
    const asking = new AbortController();
    const previews = [];
    const answered = this.#ask(`${action.verb} these?`, [element("p", { "aria-busy": "true" }, "Counting…")], asking);
    try {
      for (const part of parts) previews.push(await this.#call(action.tool, part, asking.signal));
    } catch (failure) {
      if (aborted(failure)) return null;
      this.#refused(failure.message);
      await answered;
      return null;
    }
    // The host may have asked its user already.
    if (previews.some((preview) => preview.changed)) {
      this.#dialog.close();
      return outcome(action, previews);
    }
    this.#preview(action, previews);
    if (!(await answered)) return null;
    const outcomes = [];
    for (const [at, part] of parts.entries()) {
      const { confirmation } = previews[at];
      if (confirmation) outcomes.push(await this.#call(action.tool, { ...part, confirmation }));
    }
    const changed = outcomes.filter((one) => one.confirmation);
    if (changed.length) throw new Error(changed[0].next.split(". ")[0].replace("Not done: ", "Not done: it changed meanwhile: "));
    return outcome(action, outcomes);
  }

  #confirmed(warning) {
    const answered = this.#ask("Requeue it anyway?", [element("p.warning", {}, ...warning), element("p", {}, "It goes back in the queue, with no failed attempts counted.")]);
    this.#dialog.querySelector(".buttons").append(this.#button("Requeue", "primary", "yes"));
    return answered;
  }

  /** Whether the person confirms. */
  #ask(title, text, asking = null) {
    this.#dialog.returnValue = "";
    this.#dialog.replaceChildren(
      element("h2", { id: "ask-title" }, title),
      element("div", { id: "ask-text" }, ...text),
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
          if (!yes) asking?.abort();
          resolve(yes);
        },
        { once: true },
      );
    });
  }

  #preview(action, previews) {
    const count = sum(previews, "would_change");
    const shares = (of) => {
      const found = new Map();
      for (const [key, number] of previews.flatMap(of)) found.set(key, (found.get(key) ?? 0) + number);
      return [...found].sort(([, one], [, other]) => other - one);
    };
    const channels = shares((preview) => (preview.by_channel ?? []).map((share) => [share.untrusted.channel, share.count]));
    const statuses = shares((preview) => Object.entries(preview.by_status ?? {}));
    const warnings = action === ACTIONS.requeue ? channels.map(([channel]) => this.#warningOf(channel)).filter(Boolean) : [];
    const left = leftOut(previews);
    byId("ask-title").textContent = count ? `${action.verb} ${counted(count, "notification")}?` : `Nothing to ${action.verb.toLowerCase()}`;
    byId("ask-text").replaceChildren(
      ...warnings.map((warning) => element("p.warning", {}, ...warning)),
      element("p", {}, count ? action.means : action.nothing),
      ...(statuses.length ? [element("h3", {}, "By status"), list(statuses)] : []),
      ...(channels.length ? [element("h3", {}, "By channel"), list(channels)] : []),
      ...(left ? [element("p.note", {}, `Left out: ${left}.`)] : []),
    );
    if (count) this.#dialog.querySelector(".buttons").append(this.#button(`${action.verb} ${grouped(count)}`, "primary", "yes"));
  }

  #refused(message) {
    byId("ask-title").textContent = "This can't be done";
    byId("ask-text").replaceChildren(element("p.problem", {}, message));
  }

  #button(label, kind, value) {
    return element(`button.${kind}`, { type: "button", click: () => this.#dialog.close(value) }, label);
  }
}

function list(shares) {
  return element("ul.shares", {}, ...shares.map(([key, number]) => element("li", {}, element("span", {}, key), element("b", {}, grouped(number)))));
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
  const words = { under_way: "being attempted now", other_status: "of another status", missing: "no longer there" };
  const told = Object.entries(words).map(([key, meaning]) => {
    const number = answers.reduce((total, answer) => total + (answer.left_out?.[key] ?? 0), 0);
    return number && `${grouped(number)} ${meaning}`;
  });
  return told.filter(Boolean).join(", ");
}

function outcome(action, answers) {
  const left = leftOut(answers);
  return `${counted(sum(answers, "changed"), "notification")} ${action.done}${left ? `; left out: ${left}` : ""}.`;
}
