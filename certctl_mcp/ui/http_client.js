// How does the page in a browser speak to its server? Over MCP, each request for itself, and one that listens.

import { Refusal, Unauthorized, Unreachable } from "./results.js";

const VERSION = "2026-07-28";
const KEY = "certctl-api-key";
const ABOUT = {
  "io.modelcontextprotocol/protocolVersion": VERSION,
  "io.modelcontextprotocol/clientInfo": { name: "certctl-page", version: "1" },
  "io.modelcontextprotocol/clientCapabilities": {},
};
const WATCHED = ["certctl://dashboard", "certctl://notifications/dead", "certctl://notifications"];
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 30_000;

export class OverHttp {
  #last = 0;
  #endpoint = new URL("mcp", document.baseURI);

  get key() {
    return sessionStorage.getItem(KEY);
  }

  set key(given) {
    if (given) sessionStorage.setItem(KEY, given);
    else sessionStorage.removeItem(KEY);
  }

  /** The answer of a tool. */
  async call(tool, given, signal) {
    return this.#ask("tools/call", { name: tool, arguments: given }, signal, { "Mcp-Name": tool });
  }

  /** The names of the tools there are. */
  async tools(signal) {
    return (await this.#ask("tools/list", {}, signal)).tools.map((tool) => tool.name);
  }

  /**
   * Calls `changed` whenever something has changed, until `signal` is aborted. `linked` is told whether
   * changes arrive, and `changed` is called each time they begin to, for what was missed before.
   */
  async watch(changed, linked, signal) {
    let pause = FIRST_PAUSE;
    while (!signal.aborted) {
      try {
        const params = { notifications: { resourceSubscriptions: WATCHED } };
        const response = await this.#post("subscriptions/listen", params, signal);
        for await (const message of messages(response.body)) {
          if (message.error) throw new Refusal(message.error.message);
          if (message.method === "notifications/subscriptions/acknowledged") {
            pause = FIRST_PAUSE;
            linked(true);
            changed();
          } else if (message.method === "notifications/resources/updated") {
            changed();
          }
        }
      } catch (failure) {
        if (signal.aborted || failure instanceof Unauthorized) return;
      }
      linked(false);
      await passing(pause, signal);
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    }
  }

  async #ask(method, params, signal, headers = {}) {
    const response = await this.#post(method, params, signal, headers);
    const events = response.headers.get("content-type")?.startsWith("text/event-stream");
    const message = events ? await answerIn(response.body) : await response.json().catch(() => null);
    if (message?.error) throw new Refusal(message.error.message);
    if (!message?.result) throw new Unreachable(`the server answered ${response.status} and nothing more`);
    return message.result;
  }

  async #post(method, params, signal, headers = {}) {
    const id = ++this.#last;
    const body = { jsonrpc: "2.0", id, method, params: { ...params, _meta: ABOUT } };
    let response;
    try {
      response = await fetch(this.#endpoint, {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          Accept: "application/json, text/event-stream",
          "MCP-Protocol-Version": VERSION,
          "Mcp-Method": method,
          ...headers,
          ...(this.key && { Authorization: `Bearer ${this.key}` }),
        },
        body: JSON.stringify(body),
        cache: "no-store",
        signal,
      });
    } catch (failure) {
      if (signal?.aborted) throw failure;
      throw new Unreachable("the server can't be reached");
    }
    if (response.status === 401) throw new Unauthorized(this.key ? "This key is not accepted." : "");
    if (response.status === 403) throw new Refusal("This key does not allow that.");
    if (response.status === 429) {
      const wait = response.headers.get("retry-after");
      throw new Refusal(`Too many requests; try again ${wait ? `in ${wait} s` : "later"}.`);
    }
    if (response.status >= 500) throw new Unreachable(`the server answered ${response.status}`);
    return response;
  }
}

async function answerIn(body) {
  for await (const message of messages(body)) {
    if ("id" in message) return message;
  }
  return null;
}

/** The messages of a stream of server-sent events. */
async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const events = (rest + value).split(/\r\n\r\n|\n\n/);
      rest = events.pop();
      for (const event of events) {
        const data = event
          .split(/\r?\n/)
          .filter((line) => line.startsWith("data:"))
          .map((line) => line.slice(5).trimStart());
        if (data.length) yield JSON.parse(data.join("\n"));
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** After so many milliseconds, or at once when nobody waits any more. */
export function passing(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
