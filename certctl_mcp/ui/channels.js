// The view of the channels: which processes deliver over each, with what results; pausing, resuming and testing.

import { byId, counted, element, grouped } from "./dom.js";
import { prose } from "./prose.js";
import { aborted } from "./results.js";
import { duration, time } from "./times.js";
import { toast } from "./toasts.js";

const LENGTHS = [["1h", "1 hour"], ["4h", "4 hours"], ["1d", "1 day"], ["7d", "7 days"], ["until", "Until…"]];
const MAX_REASON = 500;
const WORDS = { paused: "paused", told_to_wait: "told to wait", held: "held in an outage", rate_limited: "at its rate limit" };
const FAILURES = ["failed", "dead", "abandoned"];

export class Channels {
  /** The actions that the server allows this page. */
  may = { pause: false, test: false };
  #call;
  #found = null;
  #changed;
  #dialog = byId("pause");
  #test = byId("test");
  #channel = null;

  /** `call` returns a tool's result; `changed` is called when there is news about the channels. */
  constructor(call, changed) {
    this.#call = call;
    this.#changed = changed;
    byId("pause-for").replaceChildren(...LENGTHS.map(([value, label]) => element("option", { value }, label)));
    byId("pause-for").addEventListener("change", () => this.#showUntil());
    byId("pause-reason").maxLength = MAX_REASON;
    byId("pause-cancel").addEventListener("click", () => this.#dialog.close());
    byId("pause-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#pause();
    });
    byId("test-close").addEventListener("click", () => this.#test.close());
    byId("test-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#sendTest();
    });
  }

  get names() {
    return this.#all.map((channel) => channel.name);
  }

  get #all() {
    return this.#found?.channels ?? [];
  }

  /** When a channel last delivered within a day, or null. */
  lastSentAt(name) {
    return this.#named(name)?.last_day?.last_sent_at ?? null;
  }

  /** The state of a channel that is closed, in a word or two, or null. */
  closedWord(name) {
    const closed = this.#named(name)?.closed;
    return closed ? WORDS[closed.state] : null;
  }

  /** Why a requeue over a channel may fail again, as the children of an element; null if nothing says so. */
  warningOf(name) {
    const channel = this.#named(name);
    if (!channel) return null;
    const { closed, last_day: day } = channel;
    if (closed && closed.state !== "rate_limited") return [`${name} is ${WORDS[closed.state]} until `, time(closed.until), ". Requeued notifications wait until then."];
    if (!channel.processes) return [`No running process delivers over ${name}.`];
    if (!failing(day)) return null;
    return [`${name} is still failing: its newest attempt failed `, time(day.last_failed_at), ...(day.last_sent_at ? [", and it last delivered ", time(day.last_sent_at)] : [", and it has delivered nothing in 24 hours"]), "."];
  }

  async refresh(signal) {
    try {
      this.#found = await this.#call("list_channels", {}, signal);
    } catch (failure) {
      if (!aborted(failure)) byId("channels").replaceChildren(element("p.notice.bad", { role: "alert" }, `The channels are unavailable: ${failure.message}`));
      return;
    }
    this.render();
    this.#changed();
  }

  /** Forget everything that a person who has signed out could see. */
  clear() {
    this.#found = null;
    byId("channels").replaceChildren();
    byId("count-channels").textContent = "";
  }

  render() {
    if (this.#found === null) return;
    const closed = this.#all.filter((channel) => channel.closed && channel.closed.state !== "rate_limited");
    byId("count-channels").textContent = closed.length ? `${grouped(closed.length)} closed` : "";
    const unserved = (this.#found.nobody_delivers ?? []).map((one) => element("p.notice.odd", {}, `${counted(one.waiting, "notification")} ${one.waiting === 1 ? "waits" : "wait"} for ${one.untrusted.channel}, which no running process has.`));
    const control = document.activeElement?.closest("#channels") && document.activeElement.dataset.control;
    const { delivery } = this.#found;
    byId("channels").replaceChildren(
      ...(delivery ? [element("p.remark", {}, ...prose(delivery))] : []),
      ...unserved,
      this.#all.length ? element("ul.cards", {}, ...this.#all.map((channel) => this.#card(channel))) : element("p.notice", {}, "No channel is configured."),
    );
    if (control) document.querySelector(`#channels [data-control="${CSS.escape(control)}"]`)?.focus();
  }

  /** Open the dialog that tests a channel. */
  test(name) {
    this.#channel = name;
    byId("test-title").textContent = `Test ${name}`;
    byId("test-outcome").textContent = "";
    byId("test-recipient").value = "";
    byId("test-send").disabled = false;
    this.#test.showModal();
  }

  #named(name) {
    return this.#all.find((channel) => channel.name === name);
  }

  #card(channel) {
    const { name, closed, last_day: day, processes } = channel;
    const paused = closed?.state === "paused";
    const state = closed ? [WORDS[closed.state], "warn"] : !processes ? ["no process delivers", "bad"] : failing(day) ? ["failing", "bad"] : day ? ["delivering", "good"] : ["open", ""];
    const pause = this.may.pause && element("button.quiet", { type: "button", "data-control": `pause ${name}`, click: () => (paused ? this.#resume(name) : this.#ask(name)), "aria-label": `${paused ? "Resume" : "Pause"} ${name}` }, paused ? "Resume" : "Pause…");
    const test = this.may.test && element("button.quiet", { type: "button", "data-control": `test ${name}`, "aria-label": `Test ${name}`, click: () => this.test(name) }, "Test…");
    return element(
      "li.card",
      { "data-channel": name },
      element("header", {}, element("h3", {}, name), element(`span.state${state[1] && `.${state[1]}`}`, {}, state[0]), element("span.grow"), test, pause),
      element("p.destination", {}, channel.destination),
      closed && element("p", {}, ...told(closed)),
      element("p.note", {}, processes ? `${counted(processes, "process", "processes")} ${processes === 1 ? "delivers" : "deliver"} over it. ` : "No running process delivers over it. ", ...attempts(day)),
    );
  }

  #ask(channel) {
    this.#channel = channel;
    byId("pause-title").textContent = `Pause ${channel}?`;
    byId("pause-problem").textContent = "";
    byId("pause-reason").value = "";
    this.#showUntil();
    this.#dialog.showModal();
  }

  #showUntil() {
    const input = byId("pause-until");
    input.hidden = byId("pause-for").value !== "until";
    input.required = !input.hidden;
  }

  async #pause() {
    const length = byId("pause-for").value;
    const until = length === "until" ? new Date(byId("pause-until").value).toISOString() : length;
    const given = { channel: this.#channel, until, reason: byId("pause-reason").value };
    try {
      await this.#call("pause_channel", given);
    } catch (failure) {
      byId("pause-problem").textContent = failure.message;
      return;
    }
    this.#dialog.close();
    toast(`${given.channel} is paused.`, "good");
    await this.refresh();
  }

  async #resume(channel) {
    try {
      await this.#call("resume_channel", { channel });
      toast(`${channel} is resumed.`, "good");
    } catch (failure) {
      toast(failure.message, "bad");
    }
    await this.refresh();
  }

  async #sendTest() {
    const said = byId("test-outcome");
    const channel = this.#channel;
    byId("test-send").disabled = true;
    said.dataset.tone = "";
    said.textContent = "Sending…";
    let outcome;
    try {
      const { delivered, seconds, untrusted } = await this.#call("send_test_notification", { channel, recipient: byId("test-recipient").value.trim() });
      outcome = delivered ? ["good", `Delivered in ${duration(seconds)}.`] : ["bad", `Not delivered: ${untrusted.error}`];
    } catch (failure) {
      outcome = ["bad", failure.message];
    }
    if (channel !== this.#channel) return;
    byId("test-send").disabled = false;
    [said.dataset.tone, said.textContent] = outcome;
  }
}

/** Whether a channel's newest attempt within a day failed. */
function failing(day) {
  return Boolean(day?.last_failed_at) && (!day.last_sent_at || day.last_sent_at < day.last_failed_at);
}

function attempts(day) {
  if (!day) return ["Nothing was attempted in 24 hours."];
  const failed = FAILURES.reduce((sum, outcome) => sum + (day.outcomes[outcome] ?? 0), 0);
  const parts = [
    [`${grouped(day.outcomes.sent ?? 0)} delivered`, day.last_sent_at],
    [failed && `${counted(failed, "attempt")} failed`, day.last_failed_at],
    [day.outcomes.told_to_wait && `${grouped(day.outcomes.told_to_wait)} told to wait`, null],
  ].filter(([words]) => words);
  return ["In 24 hours ", ...parts.flatMap(([words, last], at) => [at ? "; " : "", words, ...(last ? [", last ", time(last)] : [])]), "."];
}

function told(closed) {
  const { reason, by, error } = closed.untrusted ?? {};
  const word = WORDS[closed.state];
  return [
    `${word.charAt(0).toUpperCase()}${word.slice(1)}${closed.state === "held" ? "; next probe " : " until "}`,
    time(closed.until),
    closed.since && element("span", {}, ", since ", time(closed.since)),
    `; ${grouped(closed.waiting)} waiting`,
    by && `; by ${by}`,
    reason && `: ${reason}`,
    !reason && error && element("span.raw", {}, `: ${error}`),
  ].filter(Boolean);
}
