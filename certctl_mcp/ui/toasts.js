// Short messages about what just happened, and the notifications that were requeued here.

import { aborted } from "./results.js";
import { arrange, byId, element, words } from "./dom.js";
import { badge } from "./rows.js";

const VISIBLE_FOR = 7_000;
const MAX_TOASTS = 4;
const MAX_TRACKED = 5;
const SETTLED = new Set(["sent", "dead", "read"]);

/** Show a message for a few seconds, also to screen readers. */
export function toast(text, tone = "") {
  const list = byId("news");
  const said = element(`p${tone ? `.${tone}` : ""}`, {}, text);
  list.append(said);
  while (list.children.length > MAX_TOASTS) list.firstChild.remove();
  setTimeout(() => said.remove(), VISIBLE_FOR);
}

/** Shows notifications requeued on this page until they are delivered or dead. */
export class RequeueTracker {
  #call;
  #open;
  #rows = new Map();
  #shown = byId("requeued");

  /** `open` shows the details of a row. */
  constructor(call, open) {
    this.#call = call;
    this.#open = open;
  }

  add(row) {
    this.#rows.delete(row.id);
    this.#rows.set(row.id, { ...row, status: "pending" });
    while (this.#rows.size > MAX_TRACKED) this.#rows.delete(this.#rows.keys().next().value);
    this.#show();
  }

  get waiting() {
    return [...this.#rows.values()].some((row) => !SETTLED.has(row.status));
  }

  async refresh() {
    for (const before of [...this.#rows.values()]) {
      if (SETTLED.has(before.status)) continue;
      try {
        const { notification: row } = await this.#call("get_notification", { id: before.id });
        if (!this.#rows.has(row.id) || row.status === before.status) continue;
        this.#rows.set(row.id, row);
        this.#show();
        if (SETTLED.has(row.status)) toast(`${words(row.untrusted.type)} to ${row.untrusted.channel}: ${row.status}.`, row.status === "dead" ? "bad" : "good");
      } catch (failure) {
        if (!aborted(failure)) return;
      }
    }
  }

  #show() {
    this.#shown.hidden = this.#rows.size === 0;
    const lines = [...this.#rows.values()].reverse().map((row) =>
      element(
        "li",
        { "data-id": row.id },
        element("span.requeued-word", {}, "Requeued"),
        badge(row),
        element("button.link", { type: "button", click: () => this.#open(row) }, words(row.untrusted.type)),
        element("span.channel", {}, row.untrusted.channel),
        element("span.grow"),
        element("button.quiet", { type: "button", "aria-label": `Stop showing ${row.id}`, click: () => this.#forget(row.id) }, "Dismiss"),
      ),
    );
    arrange(this.#shown, lines);
  }

  #forget(id) {
    this.#rows.delete(id);
    this.#show();
    byId("panel").focus({ preventScroll: true });
  }
}
