// The views of notifications: all of them, and the dead letters. Filters, list, order and selection.

import { arrange, byId, counted, element, grouped } from "./dom.js";
import { Filters } from "./filters.js";
import { NotificationList } from "./notification_list.js";
import { ToolError, UnauthorizedError } from "./results.js";
import { RowMaker, requeueable } from "./rows.js";
import { NotificationTable } from "./table.js";

export class Notifications {
  /** Whether tools can be called. If not, the rows come from the host. */
  silent = false;
  #call;
  #actions;
  #view = "all";
  #grouped = false;
  #oldestFirst = false;
  #listings = new Map();
  #foot = byId("foot");
  #end;
  #filters;
  #table;

  /**
   * `actions` has `open(row)`, `requeue(row, button)`, `requeues`, `change(action, chosen)`, `whole(row, signal)`
   * and `narrowed()`, called when a person has set other filters or another order.
   */
  constructor(call, actions) {
    this.#call = call;
    this.#actions = actions;
    this.#filters = new Filters(() => actions.narrowed());
    const ofRows = {
      get requeues() {
        return actions.requeues;
      },
      open: actions.open,
      requeue: actions.requeue,
      whole: actions.whole,
      choose: (row, yes) => this.#choose([row], yes),
      chooseAll: (rows, yes) => this.#choose(rows ?? this.#listing.rows.filter(requeueable), yes),
      order: () => this.#sort(!this.#oldestFirst),
      seen: () => this.#refreshSeen(),
    };
    this.#table = new NotificationTable(new RowMaker(ofRows), ofRows);
    this.#bind();
  }

  /** The filters of a view, as a tool's arguments, and the order: what an address holds. */
  state(view) {
    return { filter: this.#filters.for(view), oldestFirst: this.#oldestFirst };
  }

  /** Apply filters and order. Returns the view that shows them. */
  adopt(filter, oldestFirst = false) {
    this.#oldestFirst = oldestFirst;
    return this.#filters.adopt(filter);
  }

  /** Offer channels to filter by. */
  offer(channels) {
    this.#filters.offer(channels, []);
  }

  /** Show a view with the current filters: known data at once, and updates when they arrive. */
  show(view) {
    if (view !== this.#view) this.leave();
    this.#view = view;
    const { filter } = this.state(view);
    const known = this.#listing;
    if (known?.oldestFirst === this.#oldestFirst && JSON.stringify(known.filter) === JSON.stringify(filter)) {
      known.revive();
    } else {
      known?.drop();
      const listing = new NotificationList(this.#call, filter, this.#oldestFirst, () => this.#listing === listing && this.render());
      this.#listings.set(view, listing);
    }
    this.#filters.forTab(view);
    byId("order").value = this.#oldestFirst ? "oldest" : "newest";
    this.render();
    if (!this.silent) this.#listing.refresh((segment) => this.#table.shows(segment.rows));
  }

  /** The list is no longer shown, so a late response changes nothing. */
  leave() {
    this.#listing?.drop();
  }

  /** Show the rows from the host. */
  adoptResult(answer) {
    this.#listing?.adopt(answer);
  }

  /** Everything may have changed. */
  spoil() {
    for (const listing of this.#listings.values()) listing.spoil();
  }

  /** Fetch the shown rows again. */
  refresh() {
    return this.#listing?.refresh((segment) => this.#grouped || this.#table.shows(segment.rows));
  }

  /** Forget everything that a person who has signed out could see. */
  clear() {
    this.leave();
    this.#listings.clear();
    byId("list").replaceChildren(this.#foot);
    byId("shown").textContent = "";
    byId("more").hidden = byId("selection").hidden = true;
  }

  deselect(row) {
    this.#listing?.choose([row], false);
  }

  search() {
    byId("filter-text").focus();
  }

  /** Move the focus by this many rows. */
  move(step) {
    this.#table.move(step);
  }

  render() {
    const listing = this.#listing;
    if (!listing) return;
    this.#table.render(listing, this.#grouped);
    this.#filters.offer(listing.rows.map((row) => row.untrusted.channel), listing.rows.map((row) => row.untrusted.type));
    arrange(byId("list"), [this.#notice(listing), listing.loaded ? this.#table.element : null, this.#foot].filter(Boolean));
    byId("list").setAttribute("aria-busy", String(listing.unknown && !listing.failure));
    byId("shown").textContent = listing.loaded ? `${grouped(listing.loaded)} of ${counted(Math.max(listing.total, listing.loaded), "notification")}` : "";
    byId("more").hidden = !listing.continues;
    this.#renderSelection(listing);
  }

  get #listing() {
    return this.#listings.get(this.#view);
  }

  #bind() {
    byId("order").addEventListener("change", (event) => this.#sort(event.target.value === "oldest"));
    byId("grouping").addEventListener("click", (event) => {
      const { arrangement } = event.target.dataset;
      if (!arrangement) return;
      this.#grouped = arrangement === "grouped";
      for (const button of byId("grouping").children) button.setAttribute("aria-pressed", String(button.dataset.arrangement === arrangement));
      this.render();
    });
    byId("more").addEventListener("click", () => this.#more());
    this.#end = new IntersectionObserver((entries) => entries.at(-1).isIntersecting && this.#more(), {
      rootMargin: "0px 0px 900px 0px",
      scrollMargin: "0px 0px 900px 0px",
    });
    this.#end.observe(this.#foot);
    byId("selection-clear").addEventListener("click", () => this.#deselectAll());
    byId("select-matching").addEventListener("click", () => {
      this.#choose("everything", true);
      byId("selection-requeue").focus();
    });
    for (const action of ["requeue", "settle", "purge"]) {
      byId(`selection-${action}`).addEventListener("click", () => this.#change(action));
    }
  }

  async #more() {
    const listing = this.#listing;
    if (this.silent || !listing?.continues || listing.failure) return;
    await listing.more();
    // The observer only reports changes, so elements that stayed in view must be observed again.
    this.#end.unobserve(this.#foot);
    this.#end.observe(this.#foot);
  }

  #refreshSeen() {
    const listing = this.#listing;
    if (this.silent || !listing || listing.segments.every((segment) => !segment.stale)) return;
    listing.refresh((segment) => this.#table.shows(segment.rows));
  }

  #sort(oldestFirst) {
    this.#oldestFirst = oldestFirst;
    this.#actions.narrowed();
  }

  #choose(rows, yes) {
    this.#listing.choose(rows, yes);
    this.render();
  }

  #deselectAll() {
    this.#choose(null, false);
    byId("list").focus({ preventScroll: true });
  }

  async #change(action) {
    const listing = this.#listing;
    const done = await this.#actions.change(action, listing.everything ? listing.filter : { ids: [...listing.chosen] });
    if (done && listing === this.#listing) this.#deselectAll();
  }

  #notice(listing) {
    if (listing.failure && !(listing.failure instanceof UnauthorizedError)) {
      const refused = listing.failure instanceof ToolError;
      return element("p.notice.bad", { role: "alert" }, refused ? listing.failure.message : `No response: ${listing.failure.message}.`);
    }
    if (listing.unknown) return element("p.notice.waiting", {}, "Loading…");
    if (listing.loaded) return null;
    const narrowed = this.#filters.any || (this.#view === "all" && listing.filter.status);
    if (narrowed) return element("p.notice", {}, "Nothing matches these filters.");
    return element("p.notice", {}, this.#view === "dead" ? "No dead letters." : "No notifications yet.");
  }

  #renderSelection(listing) {
    const chosen = listing.chosen.size;
    byId("selection").hidden = chosen === 0 && !listing.everything;
    const all = listing.everything ? listing.total : chosen;
    byId("selection-text").textContent = `${grouped(all)} selected`;
    const open = listing.rows.filter(requeueable).length;
    const offered = this.#view === "dead" && !listing.everything && chosen === open && listing.continues;
    byId("select-matching").hidden = !offered;
    byId("select-matching").textContent = `Select all ${grouped(listing.total ?? 0)} that match`;
  }
}
