// The connection to the server from a page in a browser: MCP over HTTP, and a subscription.

import { root } from "./address.js";
import { RateLimitedError, ToolError, UnauthorizedError, UnreachableError } from "./results.js";

const VERSION = "2026-07-28";
const KEY = "certctl-api-key";
const STAYS = "certctl-stays-signed-in";
/** Records only that there is a cookie, which a script can't see. */
const PAGE = { "X-Requested-With": "certctl-page" };
/** Without it the server ignores the cookie. */
const REQUEST_META = {
  "io.modelcontextprotocol/protocolVersion": VERSION,
  "io.modelcontextprotocol/clientInfo": { name: "certctl-page", version: "1" },
  "io.modelcontextprotocol/clientCapabilities": {},
};
const SUBSCRIBED = ["certctl://dashboard", "certctl://notifications/dead", "certctl://notifications"];
const MIN_BACKOFF = 1_000;
const MAX_BACKOFF = 30_000;
const MAX_WAIT = 5;
/** The longest that a call waits when the server limits its rate, in seconds; a longer wait is an error. */

export class HttpClient {
  #last = 0;
  #endpoint = new URL("mcp", root());
  #session = new URL("api/v1/auth/session", root());

  get #key() {
    return sessionStorage.getItem(KEY);
  }

  set #key(given) {
    if (given) sessionStorage.setItem(KEY, given);
    else sessionStorage.removeItem(KEY);
  }

  /** Whether someone is signed in. */
  get signedIn() {
    return this.#key !== null || localStorage.getItem(STAYS) !== null;
  }

  /** If the server accepts `key`, keep it in this tab, or a cookie instead. Otherwise throws the reason. */
  async signIn(key, stay) {
    this.#key = key;
    try {
      await this.tools();
      if (stay) await this.#stay(key);
    } catch (failure) {
      this.#key = null;
      throw failure;
    }
  }

  /** Forget the key and the cookie. */
  async signOut() {
    const stayed = localStorage.getItem(STAYS) !== null;
    const headers = this.#credentials;
    this.forget();
    if (stayed) await fetch(this.#session, { method: "DELETE", headers }).catch(() => {});
  }

  /** The server no longer accepts the key or the cookie. */
  forget() {
    this.#key = null;
    localStorage.removeItem(STAYS);
  }

  async #stay(key) {
    const response = await fetch(this.#session, { method: "POST", headers: { Authorization: `Bearer ${key}` } });
    if (!response.ok) throw new UnreachableError("The server accepted the key but set no cookie.");
    this.#key = null;
    try {
      await this.tools();
      localStorage.setItem(STAYS, "yes");
    } catch {
      // A proxy that changes the host name makes the page another origin, which may not use the cookie.
      this.#key = key;
    }
  }

  get #credentials() {
    return { ...PAGE, ...(this.#key && { Authorization: `Bearer ${this.#key}` }) };
  }

  /** The result of a tool call. */
  async call(tool, given, signal) {
    return this.#ask("tools/call", { name: tool, arguments: given }, signal, { "Mcp-Name": tool });
  }

  /** The names of the available tools. */
  async tools(signal) {
    return (await this.#ask("tools/list", {}, signal)).tools.map((tool) => tool.name);
  }

  /**
   * Call `changed` after every change until `signal` is aborted, and `connected` with whether the connection
   * is up. `changed` is also called on each reconnection, for changes that were missed meanwhile.
   */
  async watch(changed, connected, signal) {
    let pause = MIN_BACKOFF;
    while (!signal.aborted) {
      try {
        const params = { notifications: { resourceSubscriptions: SUBSCRIBED } };
        const response = await this.#post("subscriptions/listen", params, signal);
        for await (const message of messages(response.body)) {
          if (message.error) throw new ToolError(message.error.message);
          if (message.method === "notifications/subscriptions/acknowledged") {
            pause = MIN_BACKOFF;
            connected(true);
            changed();
          } else if (message.method === "notifications/resources/updated") {
            changed();
          }
        }
      } catch (failure) {
        if (signal.aborted || failure instanceof UnauthorizedError) return;
      }
      connected(false);
      await sleep(pause, signal);
      pause = Math.min(pause * 2, MAX_BACKOFF);
    }
  }

  async #ask(method, params, signal, headers = {}) {
    const response = await this.#post(method, params, signal, headers);
    const events = response.headers.get("content-type")?.startsWith("text/event-stream");
    const message = events ? await answerIn(response.body) : await response.json().catch(() => null);
    if (message?.error) throw new ToolError(message.error.message);
    if (!message?.result) throw new UnreachableError(`the server responded with ${response.status} and no result`);
    return message.result;
  }

  async #post(method, params, signal, headers = {}) {
    for (;;) {
      const response = await this.#postOnce(method, params, signal, headers);
      if (response.status !== 429) return response;
      const wait = Number(response.headers.get("retry-after"));
      if (!(wait > 0 && wait <= MAX_WAIT)) throw new RateLimitedError(wait);
      await sleep(wait * 1_000, signal);
      signal?.throwIfAborted();
    }
  }

  async #postOnce(method, params, signal, headers) {
    const id = ++this.#last;
    const body = { jsonrpc: "2.0", id, method, params: { ...params, _meta: REQUEST_META } };
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
          ...this.#credentials,
        },
        body: JSON.stringify(body),
        cache: "no-store",
        signal,
      });
    } catch (failure) {
      if (signal?.aborted) throw failure;
      throw new UnreachableError("the server can't be reached");
    }
    if (response.status === 401) throw new UnauthorizedError(this.#key ? "This key is not accepted." : "");
    if (response.status === 403) throw new ToolError("This key does not allow that.");
    if (response.status >= 500) throw new UnreachableError(`the server responded with ${response.status}`);
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

/** Resolves after this many milliseconds, or as soon as `signal` is aborted. */
export function sleep(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
