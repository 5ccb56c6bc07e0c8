// What has just happened? Said once, where it is seen and heard, and gone again by itself.

import { aborted } from "./results.js";
import { arrange, byId, element, spaced } from "./dom.js";
import { badge } from "./rows.js";

const STAYS = 7_000;
const MOST = 4;
const MOST_FOLLOWED = 5;
const SETTLED = new Set(["sent", "dead", "read"]);

/** Say something to whoever looks or listens. */
export function tell(text, tone = "") {
  const news = byId("news");
  const said = element(`p${tone ? `.${tone}` : ""}`, {}, text);
  news.append(said);
  while (news.children.length > MOST) news.firstChild.remove();
  setTimeout(() => said.remove(), STAYS);
}

/** Those that were requeued here are followed until it is known what came of them. */
export class Followed {
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
    while (this.#rows.size > MOST_FOLLOWED) this.#rows.delete(this.#rows.keys().next().value);
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
        if (SETTLED.has(row.status)) tell(`${spaced(row.untrusted.type)} to ${row.untrusted.channel}: ${row.status}.`, row.status === "dead" ? "bad" : "good");
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
        element("button.link", { type: "button", click: () => this.#open(row) }, spaced(row.untrusted.type)),
        element("span.channel", {}, row.untrusted.channel),
        element("span.grow"),
        element("button.quiet", { type: "button", "aria-label": `Follow ${row.id} no longer`, click: () => this.#forget(row.id) }, "Dismiss"),
      ),
    );
    arrange(this.#shown, lines);
  }

  #forget(id) {
    this.#rows.delete(id);
    this.#show();
    byId("list").focus({ preventScroll: true });
  }
}
