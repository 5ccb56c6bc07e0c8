// The table of notifications, in parts that the browser renders only while they are in view.

import { arrange, counted, element } from "./dom.js";
import { makeTabbable, requeueable } from "./rows.js";

const COLUMNS = [
  ["choose", ""],
  ["standing", "Status"],
  ["what", "Notification"],
  ["where", "Channel"],
  ["certificate", "Certificate"],
  ["why", "Last error"],
  ["when", "Created"],
  ["act", ""],
];
const ROW_HEIGHT = 53;
const ROWS_A_PART = 50;

export class NotificationTable {
  #maker;
  #actions;
  #all;
  #table;
  #head;
  #parts = new Map();
  #held = new WeakMap();
  #inSight = new Set();
  #watching;
  #current = null;
  #listing = null;
  #created;

  /**
   * `actions` has `open(row)`, `chooseAll(rows, yes)`, `order()`, which reverses the order, and `seen()`, called
   * when other parts come into view.
   */
  constructor(maker, actions) {
    this.#maker = maker;
    this.#actions = actions;
    this.#all = element("input", {
      type: "checkbox",
      "aria-label": "Select all that are shown and can be requeued",
      change: (event) => actions.chooseAll(null, event.target.checked),
    });
    const names = COLUMNS.map(([name, title]) => {
      const content = name === "choose" ? this.#all : name === "when" ? element("button.link", { type: "button", click: () => actions.order() }, title) : title;
      const label = name === "act" ? { "aria-label": "Action" } : {};
      return element(`th.${name}`, { role: "columnheader", scope: "col", ...label }, content);
    });
    this.#head = element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, ...names));
    this.#table = element("table", { role: "table", "aria-label": "Notifications" }, this.#head);
    this.#created = this.#head.querySelector(".when");
    this.#table.addEventListener("click", (event) => this.#clicked(event));
    this.#table.addEventListener("focusin", (event) => this.#make(event.target.closest("tr[data-id]")));
    this.#table.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step && event.target.closest("tr[data-id]")) {
        event.preventDefault();
        this.move(step);
      }
    });
    this.#watching = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) this.#inSight.add(target);
        else this.#inSight.delete(target);
      }
      actions.seen();
    });
  }

  get element() {
    return this.#table;
  }

  /** Whether any of these rows is in view. */
  shows(rows) {
    const ids = new Set(rows.map((row) => row.id));
    return [...this.#inSight].some((part) => this.#held.get(part).some((row) => ids.has(row.id)));
  }

  /** Move the focus by this many rows, beginning with the first visible one. */
  move(step) {
    const rows = [...this.#table.querySelectorAll("tr[data-id]")];
    const at = rows.indexOf(document.activeElement?.closest("tr[data-id]"));
    const next = at < 0 ? rows.indexOf(this.#current) : at + step;
    const to = rows[Math.max(0, Math.min(next, rows.length - 1))];
    to?.querySelector("[data-control=open]").focus();
    to?.scrollIntoView({ block: "nearest" });
  }

  /** Tab reaches one row; j, k and the arrow keys reach the others. */
  #make(row) {
    if (!row || row === this.#current) return;
    if (this.#current) makeTabbable(this.#current, false);
    this.#current = row;
    makeTabbable(row, true);
  }

  #clicked(event) {
    const shown = event.target.closest("tr[data-id]");
    if (!shown || event.target.closest("button, input, a") || String(getSelection())) return;
    this.#make(shown);
    this.#actions.open(this.#maker.row(shown.dataset.id));
  }

  render(listing, grouped) {
    this.#table.toggleAttribute("data-grouped", grouped);
    const parts = grouped ? this.#groups(listing) : this.#pieces(listing);
    arrange(this.#table, [this.#head, ...parts]);
    const kept = new Set(parts);
    for (const [key, { part }] of this.#parts) {
      if (kept.has(part)) continue;
      this.#parts.delete(key);
      this.#watching.unobserve(part);
      this.#inSight.delete(part);
    }
    const rows = listing.rows;
    this.#maker.keep(new Set(rows.map((row) => row.id)));
    if (listing !== this.#listing && this.#current && !this.#current.contains(document.activeElement)) {
      makeTabbable(this.#current, false);
      this.#current = null;
    }
    this.#listing = listing;
    if (!this.#table.contains(this.#current)) {
      const again = this.#current && this.#table.querySelector(`tr[data-id="${CSS.escape(this.#current.dataset.id)}"]`);
      this.#make(again || this.#table.querySelector("tr[data-id]"));
    }
    this.#created.setAttribute("aria-sort", listing.oldestFirst ? "ascending" : "descending");
    const open = rows.filter(requeueable);
    const chosen = open.filter((row) => listing.chosen.has(row.id)).length;
    this.#all.checked = open.length > 0 && chosen === open.length;
    this.#all.indeterminate = chosen > 0 && chosen < open.length;
    this.#all.disabled = open.length === 0;
  }

  #pieces(listing) {
    return listing.segments.flatMap((segment) => {
      const pieces = [];
      for (let at = 0; at < segment.rows.length; at += ROWS_A_PART) {
        const key = `${segment.cursor ?? ""} ${at}`;
        const state = [segment.rows, listing.choice, this.#actions.requeues];
        const known = this.#parts.get(key);
        if (known && known.state?.every((one, index) => one === state[index])) {
          pieces.push(known.part);
        } else {
          pieces.push(this.#part(key, segment.rows.slice(at, at + ROWS_A_PART), listing));
          this.#parts.get(key).state = state;
        }
      }
      return pieces;
    });
  }

  #groups(listing) {
    const groups = new Map();
    for (const row of listing.rows) {
      const certificate = row.untrusted.certificate_id ?? "";
      if (!groups.has(certificate)) groups.set(certificate, []);
      groups.get(certificate).push(row);
    }
    return [...groups].map(([certificate, rows]) => {
      return this.#part(`certificate ${certificate}`, rows, listing, this.#heading(certificate, rows, listing));
    });
  }

  #heading(certificate, rows, listing) {
    const open = rows.filter(requeueable);
    const chosen = open.filter((row) => listing.chosen.has(row.id)).length;
    const box =
      this.#actions.requeues &&
      open.length > 0 &&
      element("input", {
        type: "checkbox",
        "aria-label": `Select all of ${certificate || "no certificate"} that can be requeued`,
        change: (event) => this.#actions.chooseAll(open, event.target.checked),
      });
    if (box) {
      box.checked = chosen === open.length;
      box.indeterminate = chosen > 0 && chosen < open.length;
    }
    const dead = rows.filter((row) => row.status === "dead").length;
    return element(
      "tr.group",
      { role: "row" },
      element(
        "th",
        { role: "rowheader", scope: "rowgroup", colspan: COLUMNS.length },
        box,
        element("span.group-name", {}, certificate || "No certificate"),
        element("span.group-count", {}, counted(rows.length, "notification")),
        dead > 0 && rows.length > dead && element("span.group-count", {}, `${dead} dead`),
      ),
    );
  }

  #part(key, rows, listing, heading = null) {
    let part = this.#parts.get(key)?.part;
    if (!part) {
      part = element("tbody", { role: "rowgroup" });
      this.#parts.set(key, { part });
      this.#watching.observe(part);
    }
    this.#held.set(part, rows);
    part.style.containIntrinsicBlockSize = `auto ${rows.length * ROW_HEIGHT}px`;
    const shown = rows.map((row) => this.#maker.of(row, listing.everything || listing.chosen.has(row.id)));
    if (heading) {
      const before = part.querySelector("tr.group");
      const focused = before?.contains(document.activeElement);
      before?.remove();
      arrange(part, [heading, ...shown]);
      if (focused) heading.querySelector("input")?.focus({ preventScroll: true });
    } else {
      arrange(part, shown);
    }
    return part;
  }
}
