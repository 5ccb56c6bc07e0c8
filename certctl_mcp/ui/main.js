// The page: connects the parts of the screen, the server and the open tab.

import { ToolError, UnauthorizedError, aborted, facts } from "./results.js";
import { filterOf, notificationOf, queryOf } from "./address.js";
import { Channels } from "./channels.js";
import { Details } from "./details.js";
import { arrange, byId, counted, element, grouped } from "./dom.js";
import { Filters } from "./filters.js";
import { HostClient, observeVisibility } from "./host_client.js";
import { NotificationList } from "./notification_list.js";
import { RequeueTracker, toast } from "./toasts.js";
import { HttpClient, sleep } from "./http_client.js";
import { Overview } from "./overview.js";
import { Requeuer } from "./requeue.js";
import { RowMaker, requeueable } from "./rows.js";
import { SignIn } from "./sign_in.js";
import { NotificationTable } from "./table.js";
import { updateTimes, setTimeZone } from "./times.js";
import { close as closeTooltip, setUpTooltip } from "./tooltip.js";

const MIN_INTERVAL = 600;
/** Milliseconds between two refreshes of everything, however many changes arrive. */

class Page {
  #hosted = document.documentElement.dataset.host === "app";
  #server = this.#hosted ? new HostClient((method, params) => this.#fromHost(method, params)) : new HttpClient();
  #tab = "all";
  #grouped = false;
  #listings = new Map();
  #dead = null;
  #session = new AbortController();
  #dirty = false;
  #refreshing = false;
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
      if (failure instanceof UnauthorizedError) {
        // A key that was revoked is not tried again by every request.
        this.#server.key = null;
        this.#signIn(failure.message);
      }
      throw failure;
    }
  };

  constructor() {
    const page = this;
    const actions = {
      get requeues() {
        return page.#requeues;
      },
      open: (row) => {
        closeTooltip();
        this.#details.open(row);
        this.#remember(this.#tab);
      },
      closed: () => this.#remember(this.#tab),
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
    this.requeuer = new Requeuer(this.#call);
    this.channels = new Channels(this.#call);
    this.signIn = new SignIn(
      (key) => this.#server.signIn(key),
      () => this.#signedIn(),
    );
    this.tracker = new RequeueTracker(this.#call, actions.open);
    this.#details = new Details(this.#call, actions);
    this.table = new NotificationTable(new RowMaker(actions), actions);
    this.#bind();
    this.#server.key !== undefined && (byId("sign-out").hidden = !this.#server.key);
  }

  get #listing() {
    return this.#listings.get(this.#tab);
  }

  async start() {
    updateTimes();
    setUpTooltip();
    if (this.#hosted) {
      observeVisibility();
      const greeting = await this.#server.start();
      this.#applyContext(greeting.hostContext ?? {});
      this.#server.reportHeight();
      this.#silent = !greeting.hostCapabilities?.serverTools;
    }
    if (this.#hosted) {
      this.#open(this.#tab);
    } else {
      this.#restore();
      window.addEventListener("popstate", () => this.#restore());
    }
    if (!this.#silent) this.#startSession();
  }

  /** Start everything that runs until the person signs out. */
  #startSession() {
    this.#session = new AbortController();
    const { signal } = this.#session;
    this.#changed();
    this.#server.watch(() => this.#changed(), (connected) => this.#setConnected(connected), signal);
    this.#server.tools(signal).then(
      (names) => {
        this.#requeues = names === null || names.includes("requeue_notification");
        this.channels.pauses = names === null || names.includes("pause_channel");
        this.#render();
      },
      () => {},
    );
    this.#call("list_channels", {}, signal).then(
      ({ channels }) => this.filters.offer(channels.map((channel) => channel.name), []),
      () => {},
    );
  }

  #setConnected(connected) {
    const words = this.#hosted ? "Up to date" : "Live";
    byId("link-state").dataset.state = connected ? "linked" : "lost";
    byId("link-text").textContent = connected ? words : "Disconnected, reconnecting";
    if (!connected) this.#changed();
  }

  // ---- Tabs and filters

  /** Put what is shown into the address. Back returns to the tab before, not to each keystroke. */
  #remember(tab) {
    if (this.#hosted) return;
    const address = location.pathname + queryOf(tab, this.filters.for(tab), this.#details.id);
    if (address === location.pathname + location.search) return;
    history[tab === this.#tab ? "replaceState" : "pushState"](null, "", address);
  }

  /** Show what the address says. */
  #restore() {
    this.#open(this.filters.adopt(filterOf(location.search)), { remember: false });
    const linked = notificationOf(location.search);
    if (linked === null) this.#details.close();
    else this.#details.openId(linked);
  }

  /** Show a tab with the current filters: what is known at once, and updates when they arrive. */
  #open(tab, { remember = true } = {}) {
    closeTooltip();
    if (remember) this.#remember(tab);
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
    const listing = new NotificationList(this.#call, filter, () => this.#listing === listing && this.#render());
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
  }

  async #more() {
    const listing = this.#listing;
    if (this.#silent || !listing?.continues || listing.failure) return;
    await listing.more();
    // The observer only reports changes: what stayed in view must be observed again.
    this.#end.unobserve(this.#foot);
    this.#end.observe(this.#foot);
  }

  // ---- Changes

  async #changed() {
    this.#dirty = true;
    if (this.#refreshing || this.#silent) return;
    this.#refreshing = true;
    const { signal } = this.#session;
    while (this.#dirty && !signal.aborted) {
      this.#dirty = false;
      for (const listing of this.#listings.values()) listing.spoil();
      await Promise.allSettled([
        this.#listing.refresh((segment) => this.#grouped || this.table.shows(segment.rows)),
        this.#summarize(signal),
        this.tracker.refresh(),
        this.#details.refresh(),
        this.overview.report(),
        this.channels.refresh(signal),
      ]);
      await sleep(MIN_INTERVAL, signal);
    }
    this.#refreshing = false;
    // Someone signed in while the loop of the session before was ending.
    if (this.#dirty && !this.#session.signal.aborted) this.#changed();
  }

  async #summarize(signal) {
    const summary = await this.#call("dashboard_summary", {}, signal);
    this.overview.show(summary);
    const counts = Object.values(summary.notifications ?? {});
    byId("count-all").textContent = grouped(counts.reduce((sum, count) => sum + count, 0));
    const dead = summary.notifications_dead;
    byId("count-dead").textContent = grouped(dead);
    if (this.#dead !== null && dead > this.#dead) toast(`${counted(dead - this.#dead, "new dead letter")}.`, "bad");
    this.#dead = dead;
  }

  #refreshSeen() {
    const listing = this.#listing;
    if (this.#silent || listing?.segments.every((segment) => !segment.stale)) return;
    listing.refresh((segment) => this.table.shows(segment.rows));
  }

  // ---- Actions

  #choose(rows, yes) {
    this.#listing.choose(rows, yes);
    this.#render();
  }

  async #requeue(row, button) {
    button.disabled = true;
    button.setAttribute("aria-busy", "true");
    const next = button.closest("tr")?.nextElementSibling;
    try {
      await this.requeuer.one(row.id);
      this.tracker.add(row);
      this.#listing.choose([row], false);
      toast("Requeued. The first attempt is made at once.", "good");
      if (button.closest(".list")) (next?.querySelector("[data-control]") ?? byId("list")).focus({ preventScroll: true });
    } catch (failure) {
      if (!aborted(failure)) toast(failure.message, "bad");
      button.disabled = false;
      button.removeAttribute("aria-busy");
    }
    this.#changed();
  }

  async #requeueMany() {
    const listing = this.#listing;
    const which = listing.everything ? listing.filter : { ids: [...listing.chosen] };
    try {
      const told = await this.requeuer.many(which);
      if (told === null) return;
      listing.choose(null, false);
      toast(told, "good");
      this.#render();
      byId("list").focus({ preventScroll: true });
    } catch (failure) {
      toast(failure.message, "bad");
    }
    this.#changed();
  }

  // ---- Rendering

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
    if (listing.failure && !(listing.failure instanceof UnauthorizedError)) {
      const refused = listing.failure instanceof ToolError;
      return element("p.notice.bad", { role: "alert" }, refused ? listing.failure.message : `No answer: ${listing.failure.message}.`);
    }
    if (listing.unknown) return element("p.notice.waiting", {}, "Loading…");
    if (listing.loaded) return null;
    const narrowed = this.filters.any || (this.#tab === "all" && listing.filter.status);
    if (narrowed) return element("p.notice", {}, "Nothing matches these filters.");
    return element("p.notice", {}, this.#tab === "dead" ? "No dead letters." : "No notifications yet.");
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

  #signedIn() {
    byId("sign-out").hidden = false;
    this.#listings.clear();
    this.#open(this.#tab);
    this.#startSession();
  }

  #signIn(problem) {
    this.#session.abort();
    for (const listing of this.#listings.values()) listing.drop();
    this.#listings.set(this.#tab, this.#newListing(this.#tab, this.filters.for(this.#tab)));
    this.#dead = null;
    this.#render();
    byId("figures").replaceChildren();
    byId("uncounted").textContent = "";
    byId("sign-out").hidden = true;
    byId("link-state").dataset.state = "lost";
    byId("link-text").textContent = "Signed out";
    this.signIn.open(problem);
  }

  // ---- The host

  #fromHost(method, params) {
    if (method === "ui/notifications/tool-input") {
      this.#open(this.filters.adopt(params.arguments ?? {}));
    } else if (method === "ui/notifications/tool-result") {
      if (this.#silent && params.structuredContent?.notifications) this.#listing.adopt(params.structuredContent);
    } else if (method === "ui/notifications/host-context-changed") {
      this.#applyContext(params);
    } else if (method === "ui/resource-teardown") {
      this.#session.abort();
    }
  }

  #applyContext(context) {
    const root = document.documentElement;
    if (context.theme) root.dataset.theme = context.theme === "dark" ? "dark" : "light";
    for (const [name, value] of Object.entries(context.styles?.variables ?? {})) {
      if (/^--[a-z0-9-]+$/.test(name) && typeof value === "string") root.style.setProperty(name, value);
    }
    if (context.displayMode) root.dataset.display = context.displayMode;
    const { height, maxHeight } = context.containerDimensions ?? {};
    if (height || maxHeight) root.style.setProperty("--room", `${height ?? maxHeight}px`);
    setTimeZone(context.timeZone);
  }
}

new Page().start();
