// What does the page do? It ties what is shown to what is asked for, and both to the tab that is open.

import { Refusal, Unauthorized, aborted, facts } from "./results.js";
import { Details } from "./details.js";
import { arrange, byId, counted, element, grouped } from "./dom.js";
import { Filters } from "./filters.js";
import { InHost, keepAnEyeOnView } from "./host_client.js";
import { Listing } from "./notification_list.js";
import { Followed, tell } from "./toasts.js";
import { OverHttp, passing } from "./http_client.js";
import { Overview } from "./overview.js";
import { Requeueing } from "./requeue.js";
import { RowMaker, requeueable } from "./rows.js";
import { NotificationTable } from "./table.js";
import { keepTimes, useTimeZone } from "./times.js";
import { close as closeTip, prepareTip } from "./tooltip.js";

const LEAST_PAUSE = 600;
/** Milliseconds between two looks at everything, however many changes come. */

class Page {
  #hosted = document.documentElement.dataset.host === "app";
  #server = this.#hosted ? new InHost((method, params) => this.#fromHost(method, params)) : new OverHttp();
  #tab = "all";
  #grouped = false;
  #listings = new Map();
  #dead = null;
  #session = new AbortController();
  #dirty = false;
  #looking = false;
  #silent = false;
  #requeues = true;
  #details;
  #end;
  #foot = byId("foot");

  #call = async (tool, given, signal) => facts(await this.#ask(tool, given, signal));
  #ask = async (tool, given, signal) => {
    try {
      return await this.#server.call(tool, given, signal);
    } catch (failure) {
      if (failure instanceof Unauthorized) this.#signIn(failure.message);
      throw failure;
    }
  };

  constructor() {
    const page = this;
    const doing = {
      get requeues() {
        return page.#requeues;
      },
      open: (row) => {
        closeTip();
        this.#details.open(row);
      },
      requeue: (row, button) => this.#requeue(row, button),
      choose: (row, yes) => this.#choose([row], yes),
      chooseAll: (rows, yes) => this.#choose(rows ?? this.#listing.rows.filter(requeueable), yes),
      whole: async (row, signal) => {
        if (!row.cut) return row.untrusted.last_error;
        const { notification } = await this.#call("get_notification", { id: row.id }, signal);
        return notification.untrusted.last_error ?? row.untrusted.last_error;
      },
      seen: () => this.#refreshSeen(),
    };
    this.filters = new Filters(() => this.#open(this.#tab));
    this.overview = new Overview(this.#ask);
    this.requeueing = new Requeueing(this.#call);
    this.followed = new Followed(this.#call, (row) => this.#details.open(row));
    this.#details = new Details(this.#call, doing);
    this.table = new NotificationTable(new RowMaker(doing), doing);
    this.#bind();
    this.#server.key !== undefined && (byId("sign-out").hidden = !this.#server.key);
  }

  get #listing() {
    return this.#listings.get(this.#tab);
  }

  async start() {
    keepTimes();
    prepareTip();
    if (this.#hosted) {
      keepAnEyeOnView();
      const greeting = await this.#server.start();
      this.#wear(greeting.hostContext ?? {});
      this.#server.keepHeight();
      this.#silent = !greeting.hostCapabilities?.serverTools;
    }
    this.#open(this.#tab);
    if (!this.#silent) this.#begin();
  }

  /** Everything that goes on until the person signs out. */
  #begin() {
    this.#session = new AbortController();
    const { signal } = this.#session;
    this.#changed();
    this.#server.watch(() => this.#changed(), (linked) => this.#linked(linked), signal);
    this.#server.tools(signal).then(
      (names) => {
        this.#requeues = names === null || names.includes("requeue_notification");
        this.#render();
      },
      () => {},
    );
    this.#call("list_channels", {}, signal).then(
      ({ channels }) => this.filters.offer(channels.map((channel) => channel.name), []),
      () => {},
    );
  }

  #linked(linked) {
    const words = this.#hosted ? "Up to date" : "Live";
    byId("link-state").dataset.state = linked ? "linked" : "lost";
    byId("link-text").textContent = linked ? words : "Not connected, trying again";
    if (!linked) this.#changed();
  }

  // ---- Tabs and filters

  /** Shows a tab with the filters as they are: what is known of it at once, and what is new when it comes. */
  #open(tab) {
    closeTip();
    if (tab !== this.#tab) this.#listing?.drop();
    this.#tab = tab;
    const filter = this.filters.for(tab);
    const known = this.#listing;
    if (JSON.stringify(known?.filter) !== JSON.stringify(filter)) {
      known?.drop();
      this.#listings.set(tab, this.#newListing(tab, filter));
    } else {
      known.revive();
    }
    for (const button of byId("tabs").children) {
      const selected = button.dataset.tab === tab;
      button.setAttribute("aria-selected", String(selected));
      button.tabIndex = selected ? 0 : -1;
    }
    byId("panel").setAttribute("aria-labelledby", `tab-${tab}`);
    this.filters.forTab(tab);
    this.#render();
    if (!this.#silent) this.#listing.refresh((segment) => this.table.shows(segment.rows));
  }

  #newListing(tab, filter) {
    const listing = new Listing(this.#call, filter, () => this.#listing === listing && this.#render());
    return listing;
  }

  #bind() {
    const tabs = byId("tabs");
    tabs.addEventListener("click", (event) => {
      const { tab } = event.target.closest("[data-tab]")?.dataset ?? {};
      if (tab) this.#open(tab);
    });
    tabs.addEventListener("keydown", (event) => {
      const names = ["all", "dead"];
      const to = { ArrowLeft: names[0], ArrowRight: names[1], Home: names[0], End: names[1] }[event.key];
      if (!to) return;
      event.preventDefault();
      this.#open(to);
      byId(`tab-${to}`).focus();
    });
    byId("arrangement").addEventListener("click", (event) => {
      const { arrangement } = event.target.dataset;
      if (!arrangement) return;
      this.#grouped = arrangement === "grouped";
      for (const button of byId("arrangement").children) button.setAttribute("aria-pressed", String(button.dataset.arrangement === arrangement));
      this.#render();
    });
    byId("more").addEventListener("click", () => this.#more());
    this.#end = new IntersectionObserver((entries) => entries.at(-1).isIntersecting && this.#more(), {
      rootMargin: "0px 0px 900px 0px",
      scrollMargin: "0px 0px 900px 0px",
    });
    this.#end.observe(this.#foot);
    byId("selection-clear").addEventListener("click", () => {
      this.#listing.choose(null, false);
      this.#render();
      byId("list").focus({ preventScroll: true });
    });
    byId("select-matching").addEventListener("click", () => {
      this.#listing.choose("everything", true);
      this.#render();
      byId("selection-requeue").focus();
    });
    byId("selection-requeue").addEventListener("click", () => this.#requeueMany());
    byId("sign-out").addEventListener("click", () => {
      this.#server.key = null;
      this.#signIn("");
    });
    byId("sign-in-form").addEventListener("submit", () => {
      this.#server.key = byId("api-key").value.trim();
      byId("api-key").value = "";
      byId("sign-out").hidden = false;
      this.#listings.clear();
      this.#open(this.#tab);
      this.#begin();
    });
    byId("sign-in").addEventListener("cancel", (event) => event.preventDefault());
  }

  async #more() {
    const listing = this.#listing;
    if (this.#silent || !listing?.continues || listing.failure) return;
    await listing.more();
    // Only coming into sight is told: what has stayed there must come anew.
    this.#end.unobserve(this.#foot);
    this.#end.observe(this.#foot);
  }

  // ---- What has changed

  async #changed() {
    this.#dirty = true;
    if (this.#looking || this.#silent) return;
    this.#looking = true;
    const { signal } = this.#session;
    while (this.#dirty && !signal.aborted) {
      this.#dirty = false;
      for (const listing of this.#listings.values()) listing.spoil();
      await Promise.allSettled([
        this.#listing.refresh((segment) => this.#grouped || this.table.shows(segment.rows)),
        this.#summarize(signal),
        this.followed.refresh(),
        this.#details.refresh(),
        this.overview.report(),
      ]);
      await passing(LEAST_PAUSE, signal);
    }
    this.#looking = false;
  }

  async #summarize(signal) {
    const summary = await this.#call("dashboard_summary", {}, signal);
    this.overview.show(summary);
    const counts = Object.values(summary.notifications ?? {});
    byId("count-all").textContent = grouped(counts.reduce((sum, count) => sum + count, 0));
    const dead = summary.notifications_dead;
    byId("count-dead").textContent = grouped(dead);
    if (this.#dead !== null && dead > this.#dead) tell(`${counted(dead - this.#dead, "new dead letter")}.`, "bad");
    this.#dead = dead;
  }

  #refreshSeen() {
    const listing = this.#listing;
    if (this.#silent || listing?.segments.every((segment) => !segment.stale)) return;
    listing.refresh((segment) => this.table.shows(segment.rows));
  }

  // ---- What is done

  #choose(rows, yes) {
    this.#listing.choose(rows, yes);
    this.#render();
  }

  async #requeue(row, button) {
    button.disabled = true;
    button.setAttribute("aria-busy", "true");
    const next = button.closest("tr")?.nextElementSibling;
    try {
      await this.requeueing.one(row.id);
      this.followed.add(row);
      this.#listing.choose([row], false);
      tell("Requeued. It is attempted at once.", "good");
      if (button.closest(".list")) (next?.querySelector("[data-control]") ?? byId("list")).focus({ preventScroll: true });
    } catch (failure) {
      if (!aborted(failure)) tell(failure.message, "bad");
      button.disabled = false;
      button.removeAttribute("aria-busy");
    }
    this.#changed();
  }

  async #requeueMany() {
    const listing = this.#listing;
    const which = listing.everything ? listing.filter : { ids: [...listing.chosen] };
    try {
      const told = await this.requeueing.many(which);
      if (told === null) return;
      listing.choose(null, false);
      tell(told, "good");
      this.#render();
      byId("list").focus({ preventScroll: true });
    } catch (failure) {
      tell(failure.message, "bad");
    }
    this.#changed();
  }

  // ---- What is shown

  #render() {
    const listing = this.#listing;
    this.table.render(listing, this.#grouped);
    this.filters.offer(listing.rows.map((row) => row.untrusted.channel), listing.rows.map((row) => row.untrusted.type));
    arrange(byId("list"), [this.#notice(listing), listing.loaded ? this.table.element : null, this.#foot].filter(Boolean));
    byId("list").setAttribute("aria-busy", String(listing.unknown && !listing.failure));
    byId("shown").textContent = listing.loaded ? `${grouped(listing.loaded)} of ${counted(Math.max(listing.total, listing.loaded), "notification")}` : "";
    byId("more").hidden = !listing.continues;
    this.#renderSelection(listing);
  }

  #notice(listing) {
    if (listing.failure && !(listing.failure instanceof Unauthorized)) {
      const refused = listing.failure instanceof Refusal;
      return element("p.notice.bad", { role: "alert" }, refused ? listing.failure.message : `No answer: ${listing.failure.message}.`);
    }
    if (listing.unknown) return element("p.notice.waiting", {}, "Loading…");
    if (listing.loaded) return null;
    const narrowed = this.filters.any || (this.#tab === "all" && listing.filter.status);
    if (narrowed) return element("p.notice", {}, "Nothing matches these filters.");
    return element("p.notice", {}, this.#tab === "dead" ? "No dead letters. Everything was delivered, is being tried, or was settled." : "No notifications yet.");
  }

  #renderSelection(listing) {
    const chosen = listing.chosen.size;
    byId("selection").hidden = chosen === 0 && !listing.everything;
    const all = listing.everything ? listing.total : chosen;
    byId("selection-text").textContent = `${grouped(all)} chosen`;
    const open = listing.rows.filter(requeueable).length;
    const offered = this.#tab === "dead" && !listing.everything && chosen === open && listing.continues;
    byId("select-matching").hidden = !offered;
    byId("select-matching").textContent = `Choose all ${grouped(listing.total ?? 0)} that match`;
  }

  #signIn(problem) {
    this.#session.abort();
    for (const listing of this.#listings.values()) listing.drop();
    this.#listings.set(this.#tab, this.#newListing(this.#tab, this.filters.for(this.#tab)));
    this.#dead = null;
    this.#render();
    byId("figures").replaceChildren();
    byId("uncounted").textContent = "";
    byId("sign-in-problem").textContent = problem;
    byId("sign-out").hidden = true;
    byId("link-state").dataset.state = "lost";
    byId("link-text").textContent = "Signed out";
    if (!byId("sign-in").open) byId("sign-in").showModal();
  }

  // ---- What a host says

  #fromHost(method, params) {
    if (method === "ui/notifications/tool-input") {
      this.#open(this.filters.adopt(params.arguments ?? {}));
    } else if (method === "ui/notifications/tool-result") {
      if (this.#silent && params.structuredContent?.notifications) this.#listing.adopt(params.structuredContent);
    } else if (method === "ui/notifications/host-context-changed") {
      this.#wear(params);
    } else if (method === "ui/resource-teardown") {
      this.#session.abort();
    }
  }

  #wear(context) {
    const root = document.documentElement;
    if (context.theme) root.dataset.theme = context.theme === "dark" ? "dark" : "light";
    for (const [name, value] of Object.entries(context.styles?.variables ?? {})) {
      if (/^--[a-z0-9-]+$/.test(name) && typeof value === "string") root.style.setProperty(name, value);
    }
    if (context.displayMode) root.dataset.display = context.displayMode;
    const { height, maxHeight } = context.containerDimensions ?? {};
    if (height || maxHeight) root.style.setProperty("--room", `${height ?? maxHeight}px`);
    useTimeZone(context.timeZone);
  }
}

new Page().start();
