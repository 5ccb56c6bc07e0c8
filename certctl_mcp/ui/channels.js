// The channels: why nothing goes out over one, and pausing and resuming it.

import { aborted } from "./results.js";
import { byId, counted, element, grouped } from "./dom.js";
import { time } from "./times.js";
import { toast } from "./toasts.js";

const LENGTHS = [["1h", "1 hour"], ["4h", "4 hours"], ["1d", "1 day"], ["7d", "7 days"]];
const MAX_REASON = 500;

export class Channels {
  #call;
  #pauses = false;
  #channels = [];
  #dialog = byId("pause");
  #channel = null;

  /** `call` returns a tool's result. */
  constructor(call) {
    this.#call = call;
    byId("pause-for").replaceChildren(...LENGTHS.map(([value, label]) => element("option", { value }, label)));
    byId("pause-reason").maxLength = MAX_REASON;
    byId("pause-cancel").addEventListener("click", () => this.#dialog.close());
    byId("pause-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#pause();
    });
  }

  /** Whether the server lets this page pause channels. */
  set pauses(allowed) {
    this.#pauses = allowed;
    this.#render();
  }

  async refresh(signal) {
    try {
      this.#channels = (await this.#call("list_channels", {}, signal)).channels;
    } catch (failure) {
      if (aborted(failure)) return;
      byId("channels-line").textContent = "unavailable";
      return;
    }
    this.#render();
  }

  #render() {
    const closed = this.#channels.filter((channel) => channel.closed);
    byId("channels-line").textContent = closed.length ? closed.map((channel) => `${channel.name} ${WORDS[channel.closed.state]}`).join(", ") : `${counted(this.#channels.length, "channel")}, all open`;
    byId("channels").dataset.tone = closed.some((channel) => channel.closed.state !== "rate_limited") ? "warn" : "";
    byId("channel-rows").replaceChildren(...this.#channels.map((channel) => this.#row(channel)));
  }

  #row(channel) {
    const { closed } = channel;
    const paused = closed?.state === "paused";
    const button = this.#pauses && element("button.quiet", { type: "button", click: () => (paused ? this.#resume(channel.name) : this.#ask(channel.name)), "aria-label": `${paused ? "Resume" : "Pause"} ${channel.name}` }, paused ? "Resume" : "Pause…");
    return element("li", {}, element("b", {}, channel.name), element("span", {}, ...(closed ? told(closed) : ["open"])), button);
  }

  #ask(channel) {
    this.#channel = channel;
    byId("pause-title").textContent = `Pause ${channel}?`;
    byId("pause-problem").textContent = "";
    byId("pause-reason").value = "";
    this.#dialog.showModal();
  }

  async #pause() {
    const given = { channel: this.#channel, until: byId("pause-for").value, reason: byId("pause-reason").value };
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
}

const WORDS = { paused: "paused", told_to_wait: "told to wait", held: "held in an outage", rate_limited: "at its rate limit" };

function told(closed) {
  const { reason, by, error } = closed.untrusted ?? {};
  const said = reason ?? error;
  return [
    `${WORDS[closed.state]}${closed.state === "held" ? ", next probe " : " until "}`,
    time(closed.until),
    closed.since && element("span", {}, ", since ", time(closed.since)),
    `; ${grouped(closed.waiting)} waiting`,
    by && `; by ${by}`,
    said && `: ${said}`,
  ].filter(Boolean);
}
