// The view of the causes: a card for each channel and kind of failure, with what to do about it.

import { byId, counted, element, grouped } from "./dom.js";
import { prose } from "./prose.js";
import { aborted } from "./results.js";
import { time } from "./times.js";

const FRESH = 3_000;
/** Milliseconds between two diagnoses while changes arrive: each reads everything that failed. */

const NOT_OF_CHANNEL = new Set(["refused", "recipient", "mailbox", "abandoned", "no_notifier"]);
/** Kinds that say nothing about whether the channel delivers now. */
const EXCERPT = 60;
/** Characters from which an error is probably cut. */

export class Causes {
  /** The actions that the server allows this page. */
  may = { requeue: false, settle: false, test: false };
  #call;
  #actions;
  #channels;
  #found = null;
  #asked = 0;
  #later;
  #request = null;

  /** `actions` has `change(action, chosen)`, `show(filter)`, `open(row)` and `test(channel)`. */
  constructor(call, channels, actions) {
    this.#call = call;
    this.#channels = channels;
    this.#actions = actions;
  }

  /** Diagnose again; if that was done just before, a little later, unless `now`. */
  async refresh(now = false) {
    clearTimeout(this.#later);
    const wait = this.#asked + FRESH - Date.now();
    if (!now && wait > 0) {
      this.#later = setTimeout(() => this.refresh(true), wait);
      return;
    }
    this.#asked = Date.now();
    this.#request?.abort();
    this.#request = new AbortController();
    try {
      this.#found = await this.#call("diagnose_dead_letters", {}, this.#request.signal);
    } catch (failure) {
      if (aborted(failure)) return;
      this.#asked = 0;
      byId("causes").replaceChildren(element("p.notice.bad", { role: "alert" }, `The causes are unavailable: ${failure.message}`));
      return;
    }
    this.render();
  }

  /** Forget everything that a person who has signed out could see. */
  clear() {
    clearTimeout(this.#later);
    this.#request?.abort();
    this.#found = null;
    this.#asked = 0;
    byId("causes").replaceChildren();
  }

  render() {
    if (this.#found === null) return;
    const { groups, others, urgency } = this.#found;
    const control = document.activeElement?.closest("#causes") && document.activeElement.dataset.control;
    byId("causes").replaceChildren(
      ...(urgency ? [element("p.remark", {}, ...prose(urgency))] : []),
      groups.length ? element("ul.cards", {}, ...groups.map((group) => this.#card(group))) : element("p.notice", {}, "Nothing failed. Everything was delivered, is due, or was settled."),
      ...(others ? [element("p.note", {}, `Not in any card: ${counted(others.dead, "dead letter")}, ${grouped(others.failing)} failed.`)] : []),
    );
    if (control) (document.querySelector(`#causes [data-control="${CSS.escape(control)}"]`) ?? byId("panel")).focus();
  }

  #card(group) {
    const { channel, error } = group.untrusted;
    const key = `${channel} ${group.kind} ${group.first_at}`;
    const stuck = group.dead + (group.undelivered ?? 0);
    const counts = [
      group.dead && element("b.bad", {}, `${grouped(group.dead)} dead`),
      group.undelivered && element("b.bad", {}, `${grouped(group.undelivered)} not delivered`),
      group.failing && element("b.warn", {}, `${grouped(group.failing)} failed`),
    ].filter(Boolean);
    return element(
      "li.card.cause",
      { "data-channel": channel, "data-kind": group.kind, "data-tone": stuck ? "bad" : "warn" },
      element("header", {}, element("h3", {}, `${channel}: ${group.cause}`), this.#state(group)),
      element("p.counts", {}, ...counts, element("span", {}, ...(stuck + (group.failing ?? 0) > 1 ? ["since ", time(group.first_at), ", last ", time(group.last_at)] : [time(group.last_at)]))),
      element("p.todo", {}, ...prose(group.action), "."),
      error && element("p.raw", {}, error.length < EXCERPT ? error : `${error}…`),
      element("div.actions", {}, ...this.#buttons(group, key, stuck)),
    );
  }

  #state(group) {
    const { channel } = group.untrusted;
    const closed = this.#channels.closedWord(channel);
    if (closed) return element("span.state.warn", {}, closed);
    if (NOT_OF_CHANNEL.has(group.kind)) return null;
    if (this.#deliversAgain(group)) return element("span.state.good", {}, "delivering again, last ", time(this.#channels.lastSentAt(channel)));
    return element("span.state.bad", {}, "still failing, last ", time(group.last_at));
  }

  #deliversAgain(group) {
    const sent = this.#channels.lastSentAt(group.untrusted.channel);
    return sent !== null && sent > group.last_at;
  }

  #buttons(group, key, stuck) {
    const { channel } = group.untrusted;
    const status = [group.dead && "dead", group.undelivered && "sent", !stuck && "failed"].filter(Boolean);
    // Settling selects by channel and status, so if a channel has several causes, it settles all of them.
    const dead = this.#found.groups.filter((other) => other.untrusted.channel === channel).reduce((sum, other) => sum + other.dead, 0);
    const which = (verb, number, own) => `${verb} ${number === own ? grouped(number) : `all ${grouped(number)} of ${channel}`}…`;
    const requeued = group.requeues ?? (stuck || group.failing);
    // While the channel fails, requeueing is not the first thing to do.
    const first = this.#deliversAgain(group) || group.kind === "no_notifier";
    const button = (kind, control, label, click) => element(`button.${kind}`, { type: "button", "data-control": `${control} ${key}`, click }, label);
    return [
      this.may.requeue && group.requeue && button(first ? "primary" : "requeue", "requeue", which("Requeue", requeued, stuck || group.failing), () => this.#actions.change("requeue", group.requeue)),
      // Settling by the status sent would include delivered notifications.
      this.may.settle && group.dead && button("quiet", "settle", which("Settle", dead, group.dead), () => this.#actions.change("settle", { channel, status: ["dead"] })),
      this.may.test && this.#channels.names.includes(channel) && button("quiet", "test", "Test channel…", () => this.#actions.test(channel)),
      button("quiet", "show", "Show them", () => this.#actions.show({ channel, status: group.failing ? [...new Set([...status, "failed"])] : status })),
      button("quiet", "example", "Example", () => this.#actions.open({ id: group.sample_id, untrusted: { type: "Notification", channel } })),
    ].filter(Boolean);
  }
}
