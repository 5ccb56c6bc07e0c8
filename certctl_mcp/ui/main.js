// The page: connects the parts of the screen, the server and the open view.

import { addressOf, notificationOf, viewOf } from "./address.js";
import { Audit } from "./audit.js";
import { Causes } from "./causes.js";
import { Changes } from "./changes.js";
import { Channels } from "./channels.js";
import { Details } from "./details.js";
import { byId, counted, grouped } from "./dom.js";
import { HostClient, observeVisibility } from "./host_client.js";
import { HttpClient, sleep } from "./http_client.js";
import { Notifications } from "./notifications.js";
import { Overview } from "./overview.js";
import { UnauthorizedError, aborted, facts } from "./results.js";
import { SignIn } from "./sign_in.js";
import { Tabs, bindKeys } from "./tabs.js";
import { updateTimes, setTimeZone } from "./times.js";
import { RequeueTracker, toast } from "./toasts.js";
import { close as closeTooltip, setUpTooltip } from "./tooltip.js";

const MIN_INTERVAL = 600;
/** Milliseconds between two refreshes of everything, however many changes arrive. */
const LISTS = new Set(["all", "dead"]);
const { title: TITLE } = document;

class Page {
  #hosted = document.documentElement.dataset.host === "app";
  #server = this.#hosted ? new HostClient((method, params) => this.#fromHost(method, params)) : new HttpClient();
  #view = "all";
  #dead = null;
  #session = new AbortController();
  #ready = false;
  #dirty = false;
  #refreshing = false;
  #silent = false;
  #may = { requeue: true, settle: true };
  #details;

  #call = async (tool, given, signal) => facts(await this.#ask(tool, given, signal));
  #ask = async (tool, given, signal) => {
    try {
      return await this.#server.call(tool, given, signal);
    } catch (failure) {
      if (failure instanceof UnauthorizedError) {
        // A revoked key must not be tried again by every request.
        this.#server.forget();
        this.#signIn(failure.message);
      }
      throw failure;
    }
  };

  constructor() {
    const page = this;
    const actions = {
      get requeues() {
        return page.#may.requeue;
      },
      get settles() {
        return page.#may.settle;
      },
      links: !this.#hosted,
      open: (row) => this.#openDetails(row),
      closed: () => this.#closedDetails(),
      requeue: (row, button) => this.#requeue(row, button),
      settle: (row) => this.#change("settle", { ids: [row.id] }),
      whole: async (row, signal) => {
        if (!row.cut) return row.untrusted.last_error;
        const { notification } = await this.#call("get_notification", { id: row.id }, signal);
        return notification.untrusted.last_error ?? row.untrusted.last_error;
      },
      change: (action, chosen) => this.#change(action, chosen),
      test: (channel) => this.channels.test(channel),
      show: (filter) => this.#open(this.notifications.adopt(filter)),
      narrowed: () => this.#open(this.#view),
    };
    this.tabs = new Tabs((view) => this.#open(view));
    this.notifications = new Notifications(this.#call, actions);
    this.overview = new Overview(this.#ask);
    this.channels = new Channels(this.#call, () => this.#channelsChanged());
    this.audit = new Audit(this.#call, (id) => this.#openDetails({ id, untrusted: { type: "Notification" } }));
    this.changes = new Changes(this.#call, (channel) => this.channels.warningOf(channel));
    this.causes = new Causes(this.#call, this.channels, actions);
    this.signIn = new SignIn(
      (key, stay) => this.#server.signIn(key, stay),
      () => this.#begin(),
    );
    this.tracker = new RequeueTracker(this.#call, actions.open);
    this.#details = new Details(this.#ask, actions);
    this.#bind();
  }

  async start() {
    updateTimes();
    setUpTooltip();
    if (!this.#hosted) {
      window.addEventListener("popstate", () => this.#ready && this.#restore());
      this.tabs.select(viewOf(location.search).view ?? "all");
      return this.#begin();
    }
    observeVisibility();
    const greeting = await this.#server.start();
    this.#applyContext(greeting.hostContext ?? {});
    this.#server.reportHeight();
    this.#silent = this.notifications.silent = !greeting.hostCapabilities?.serverTools;
    if (this.#silent) this.tabs.keepLists();
    this.#ready = true;
    this.#open(this.#view);
    if (!this.#silent) this.#startSession();
  }

  /** First request only the counts, so that someone who is not signed in costs one request. */
  async #begin() {
    this.#session = new AbortController();
    try {
      await this.#summarize(this.#session.signal);
    } catch (failure) {
      if (failure instanceof UnauthorizedError) return;
    }
    this.#ready = true;
    byId("sign-out").hidden = !this.#server.signedIn;
    this.#restore();
    this.#startSession();
  }

  /** Start everything that runs until the person signs out. */
  #startSession() {
    const { signal } = this.#session;
    this.overview.report(true);
    this.#changed();
    this.#server.watch(() => this.#changed(), (connected) => this.#setConnected(connected), signal);
    this.#server.tools(signal).then(
      (names) => {
        const may = (name) => names === null || names.includes(name);
        this.#may = { requeue: may("requeue_notification"), settle: may("mark_notifications_read") };
        byId("selection-settle").hidden = !this.#may.settle;
        // Whether a host's caller may delete is unknown, and most may not.
        byId("selection-purge").hidden = !names?.includes("purge_notifications");
        this.causes.may = { ...this.#may, test: may("send_test_notification") };
        this.channels.may = { pause: may("pause_channel"), test: may("send_test_notification") };
        byId("tab-audit").hidden = !may("audit_log");
        for (const view of [this.notifications, this.causes, this.channels]) view.render();
      },
      () => {},
    );
  }

  #setConnected(connected) {
    const words = this.#hosted ? "Up to date" : "Live";
    byId("link-state").dataset.state = connected ? "linked" : "lost";
    byId("link-text").textContent = connected ? words : "Disconnected, reconnecting";
    if (!connected) this.#changed();
  }

  #channelsChanged() {
    this.notifications.offer(this.channels.names);
    this.causes.render();
  }

  // ---- Views and addresses

  get #state() {
    return { view: this.#view, ...this.notifications.state(this.#view) };
  }

  /** Put the present view into the address. Back returns to the previous view, not to each keystroke. */
  #remember() {
    if (this.#hosted) return;
    const address = addressOf(this.#state, this.#details.id);
    if (address === location.pathname + location.search) return;
    const same = viewOf(location.search).view === this.#view;
    history[same ? "replaceState" : "pushState"](null, "", address);
  }

  /** Show the view in the address; without one, the causes while there are dead letters. */
  #restore() {
    const { view, filter, oldestFirst } = viewOf(location.search);
    const fitting = this.notifications.adopt(filter, oldestFirst);
    const narrowed = Object.keys(filter).length > 0;
    const usual = narrowed ? fitting : this.#dead ? "causes" : "all";
    this.#open(view === null || (view === "all" && narrowed) ? usual : view, { remember: false });
    const linked = notificationOf(location);
    if (linked === null) this.#details.close();
    else if (linked !== this.#details.id) this.#details.openId(linked);
  }

  /** Show a view with the current filters: known data at once, and updates when they arrive. */
  #open(view, { remember = true } = {}) {
    closeTooltip();
    this.#view = view;
    if (remember) this.#remember();
    this.tabs.select(view);
    const lists = LISTS.has(view);
    byId("opening").hidden = true;
    byId("notifications").hidden = byId("arrangement").hidden = !lists;
    for (const name of ["causes", "channels", "audit"]) byId(name).hidden = name !== view;
    if (lists) {
      this.notifications.show(view);
    } else {
      this.notifications.leave();
      this.#refreshView();
    }
  }

  #openDetails(row) {
    closeTooltip();
    const before = this.#details.id;
    this.#details.open(row);
    if (this.#hosted) return;
    // Back closes the dialog, however many notifications were opened in it.
    history[before === null ? "pushState" : "replaceState"]({ opened: true }, "", addressOf(this.#state, row.id));
  }

  #closedDetails() {
    if (this.#hosted || notificationOf(location) === null || !this.#ready) return;
    if (history.state?.opened) history.back();
    else history.replaceState(null, "", addressOf(this.#state));
  }

  #bind() {
    bindKeys({
      search: () => {
        if (!LISTS.has(this.#view)) this.#open("all");
        this.notifications.search();
      },
      move: (step) => LISTS.has(this.#view) && this.notifications.move(step),
    });
    byId("sign-out").addEventListener("click", async () => {
      await this.#server.signOut();
      this.#signIn("");
    });
  }

  // ---- Changes

  async #changed() {
    this.#dirty = true;
    if (this.#refreshing || this.#silent) return;
    this.#refreshing = true;
    const { signal } = this.#session;
    while (this.#dirty && !signal.aborted) {
      this.#dirty = false;
      this.notifications.spoil();
      await Promise.allSettled([
        this.#refreshView(),
        this.#summarize(signal),
        this.tracker.refresh(),
        this.#details.refresh(),
        this.overview.report(),
        this.channels.refresh(signal),
      ]);
      await sleep(MIN_INTERVAL, signal);
    }
    this.#refreshing = false;
    // Someone signed in while the previous session's loop was ending.
    if (this.#dirty && !this.#session.signal.aborted) this.#changed();
  }

  #refreshView() {
    if (LISTS.has(this.#view)) return this.notifications.refresh();
    if (this.#view === "audit") return this.audit.refresh(this.#session.signal);
    return this.#view === "causes" ? this.causes.refresh() : undefined;
  }

  async #summarize(signal) {
    const summary = await this.#call("dashboard_summary", {}, signal);
    this.overview.show(summary);
    const counts = Object.values(summary.notifications ?? {});
    byId("count-all").textContent = grouped(counts.reduce((sum, count) => sum + count, 0));
    const dead = summary.notifications_dead;
    byId("count-dead").textContent = grouped(dead);
    document.title = dead ? `(${grouped(dead)}) ${TITLE}` : TITLE;
    if (this.#dead !== null && dead > this.#dead) toast(`${counted(dead - this.#dead, "new dead letter")}.`, "bad");
    this.#dead = dead;
  }

  // ---- Actions

  async #requeue(row, button) {
    button.disabled = true;
    button.setAttribute("aria-busy", "true");
    const next = button.closest("tr")?.nextElementSibling;
    let requeued = false;
    try {
      requeued = await this.changes.requeueOne(row);
      if (requeued) {
        this.tracker.add(row);
        this.notifications.deselect(row);
        toast("Requeued. The first attempt is made at once.", "good");
        if (button.closest(".list")) (next?.querySelector("[data-control=open]") ?? byId("list")).focus({ preventScroll: true });
      }
    } catch (failure) {
      if (!aborted(failure)) toast(failure.message, "bad");
    }
    if (!requeued) {
      button.disabled = false;
      button.removeAttribute("aria-busy");
    }
    this.#changed();
  }

  /** Whether anything was done. */
  async #change(action, chosen) {
    let told = null;
    try {
      told = await this.changes.many(action, chosen);
      if (told !== null) toast(told, "good");
    } catch (failure) {
      toast(failure.message, "bad");
    }
    if (told !== null && this.#view === "causes") this.causes.refresh(true);
    this.#changed();
    return told !== null;
  }

  #signIn(problem) {
    this.#session.abort();
    this.#ready = false;
    this.#dead = null;
    document.title = TITLE;
    for (const view of [this.notifications, this.causes, this.channels, this.audit]) view.clear();
    this.#details.close();
    for (const name of ["figures", "deliveries-line", "uncounted", "count-all", "count-dead", "report", "chart"]) byId(name).replaceChildren();
    byId("sign-out").hidden = true;
    byId("link-state").dataset.state = "lost";
    byId("link-text").textContent = "Signed out";
    this.signIn.open(problem);
  }

  // ---- The host

  #fromHost(method, params) {
    if (method === "ui/notifications/tool-input") {
      this.#open(this.notifications.adopt(params.arguments ?? {}));
    } else if (method === "ui/notifications/tool-result") {
      if (this.#silent && params.structuredContent?.notifications) this.notifications.adoptResult(params.structuredContent);
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
