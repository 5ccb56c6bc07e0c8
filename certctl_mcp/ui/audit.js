// The view of the audit log: who did what, newest first.

import { byId, counted, element } from "./dom.js";
import { aborted } from "./results.js";
import { time } from "./times.js";

const MOST = 100;
const WORDS = {
  send: "sent",
  requeue: "requeued",
  "mark read": "settled",
  purge: "deleted",
  test: "tested a channel",
  pause: "paused",
  resume: "resumed",
  retention: "deleted by retention",
};
/** The test messages of a channel are not stored, so there is nothing to open. */
const NOT_STORED = new Set(["test", "purge"]);

export class Audit {
  #call;
  #open;
  #found = null;
  #written = "";

  /** `call` returns a tool's result; `open(id)` shows a notification. */
  constructor(call, open) {
    this.#call = call;
    this.#open = open;
  }

  async refresh(signal) {
    let found;
    try {
      found = await this.#call("audit_log", { limit: MOST }, signal);
    } catch (failure) {
      if (!aborted(failure)) byId("audit").replaceChildren(element("p.notice.bad", { role: "alert" }, `The audit log is unavailable: ${failure.message}`));
      this.#written = "";
      return;
    }
    const written = JSON.stringify(found);
    if (written === this.#written) return;
    this.#written = written;
    this.#found = found;
    this.render();
  }

  /** Forget everything that a person who has signed out could see. */
  clear() {
    this.#found = null;
    this.#written = "";
    byId("audit").replaceChildren();
  }

  render() {
    if (this.#found === null) return;
    const { entries } = this.#found;
    if (!entries.length) {
      byId("audit").replaceChildren(element("p.notice", {}, "No entries yet."));
      return;
    }
    const focused = document.activeElement?.closest("#audit tr")?.rowIndex;
    const names = ["When", "Who", "What", "Which"].map((name) => element("th", { role: "columnheader", scope: "col" }, name));
    const table = element(
      "table",
      { role: "table", "aria-label": "Audit log" },
      element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, ...names)),
      element("tbody", { role: "rowgroup" }, ...entries.map((entry) => this.#row(entry))),
    );
    const more = entries.length + (this.#found.cut ?? 0) >= MOST;
    byId("audit").replaceChildren(table, ...(more ? [element("p.remark", {}, `The newest ${counted(entries.length, "entry", "entries")}. certctl-mcp audit shows more.`)] : []));
    if (focused !== undefined) table.rows[focused]?.querySelector("button")?.focus({ preventScroll: true });
  }

  #row({ at, action, id, untrusted }) {
    const opens = id && !NOT_STORED.has(action);
    const which = opens ? element("button.link", { type: "button", click: () => this.#open(id) }, id) : (id ?? untrusted.detail ?? "");
    const cells = [time(at), untrusted.actor, WORDS[action] ?? action].map((content) => element("td", { role: "cell" }, content));
    return element("tr", { role: "row" }, ...cells, element("td.which", { role: "cell" }, which));
  }
}
