// How does the page in an MCP host speak to its server? Through the host, in messages between windows.

import { Refusal, Unreachable } from "./results.js";
import { passing } from "./http_client.js";

const VERSION = "2026-01-26";
const EAGER = 1_000;
const CALM = 4_000;
const IDLE = 15_000;
/** Milliseconds between two looks: after something was done, while somebody is there, and otherwise. */
const EAGER_FOR = 20_000;
const CALM_FOR = 180_000;

export class InHost {
  #last = 0;
  #waiting = new Map();
  #told;
  #acted = 0;
  #touched = Date.now();
  #hurry = null;

  /** `told` is called with a method and its params for what the host says of itself. */
  constructor(told) {
    this.#told = told;
    window.addEventListener("message", (event) => {
      if (event.source === window.parent && event.data?.jsonrpc === "2.0") this.#hear(event.data);
    });
    for (const kind of ["pointerdown", "keydown"]) {
      window.addEventListener(kind, () => (this.#touched = Date.now()), { passive: true });
    }
  }

  /** What the host says of itself: its capabilities and its context. */
  async start() {
    const greeting = await this.#ask("ui/initialize", {
      appInfo: { name: "certctl-notifications", title: "certctl notifications", version: "1" },
      appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
      protocolVersion: VERSION,
    });
    this.#say({ method: "ui/notifications/initialized", params: {} });
    return greeting;
  }

  async call(tool, given, signal) {
    if (!READING.has(tool)) {
      this.#acted = Date.now();
      this.#hurry?.();
    }
    return this.#ask("tools/call", { name: tool, arguments: given }, signal);
  }

  /** Nobody tells: the host would have to ask. */
  async tools() {
    return null;
  }

  /** As in a browser, but by looking at the numbers now and then, since nobody tells. */
  async watch(changed, linked, signal) {
    let before;
    while (!signal.aborted) {
      if (inView()) {
        try {
          const answer = await this.call("dashboard_summary", {}, signal);
          const { completed_at: _, ...numbers } = answer.structuredContent ?? {};
          const now = JSON.stringify(numbers);
          linked(true);
          if (now !== before || this.#eager) changed();
          before = now;
        } catch {
          if (signal.aborted) return;
          linked(false);
        }
      }
      const hurried = new AbortController();
      this.#hurry = () => hurried.abort();
      await passing(this.#pause, AbortSignal.any([signal, hurried.signal]));
    }
  }

  /** Tells the host how high the page is, whenever that changes. */
  keepHeight() {
    let told = 0;
    new ResizeObserver(() => {
      const height = Math.ceil(document.body.getBoundingClientRect().height);
      if (height === told) return;
      told = height;
      this.#say({ method: "ui/notifications/size-changed", params: { height } });
    }).observe(document.body);
  }

  async showLarge() {
    await this.#ask("ui/request-display-mode", { mode: "fullscreen" });
  }

  get #eager() {
    return Date.now() - this.#acted < EAGER_FOR;
  }

  get #pause() {
    if (this.#eager) return EAGER;
    return Date.now() - this.#touched < CALM_FOR ? CALM : IDLE;
  }

  #ask(method, params, signal) {
    signal?.throwIfAborted();
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.#waiting.delete(id);
        this.#say({ method: "notifications/cancelled", params: { requestId: id } });
        reject(signal.reason);
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#waiting.set(id, (message) => {
        signal?.removeEventListener("abort", abort);
        if (message.error) reject(new Refusal(message.error.message));
        else if (message.result) resolve(message.result);
        else reject(new Unreachable("the host gave no answer"));
      });
      this.#say({ id, method, params });
    });
  }

  #hear(message) {
    if (message.method === undefined) {
      const settle = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      settle?.(message);
    } else if (message.id === undefined) {
      this.#told(message.method, message.params ?? {});
    } else if (message.method === "ping" || message.method === "ui/resource-teardown") {
      if (message.method !== "ping") this.#told(message.method, {});
      this.#say({ id: message.id, result: {} });
    } else {
      this.#say({ id: message.id, error: { code: -32601, message: "Method not found" } });
    }
  }

  #say(message) {
    // The host's origin is not known to a document without one of its own; nothing secret is said.
    window.parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
  }
}

const READING = new Set(["list_notifications", "get_notification", "dashboard_summary", "delivery_report", "list_channels"]);

let onScreen = true;

/** Whether anybody can see the page: a conversation goes on, and the page scrolls out of it. */
function inView() {
  return onScreen && document.visibilityState === "visible";
}

export function keepAnEyeOnView() {
  new IntersectionObserver((entries) => (onScreen = entries.at(-1).isIntersecting)).observe(document.body);
}
