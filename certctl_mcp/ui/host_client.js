// The connection to the server from a page in an MCP host: through the host, by messages between windows.

import { ToolError, UnreachableError } from "./results.js";
import { sleep } from "./http_client.js";

const VERSION = "2026-01-26";
const ACTIVE_INTERVAL = 1_000;
const ATTENTIVE_INTERVAL = 4_000;
const IDLE_INTERVAL = 15_000;
/** Milliseconds between two polls: after an action, while a person is there, and otherwise. */
const ACTIVE_FOR = 20_000;
const ATTENTIVE_FOR = 180_000;

export class HostClient {
  #last = 0;
  #waiting = new Map();
  #onNotification;
  #lastAction = 0;
  #lastInput = Date.now();
  #wake = null;

  /** `onNotification` is called with the method and the params of each notification from the host. */
  constructor(onNotification) {
    this.#onNotification = onNotification;
    window.addEventListener("message", (event) => {
      if (event.source === window.parent && event.data?.jsonrpc === "2.0") this.#receive(event.data);
    });
    for (const kind of ["pointerdown", "keydown"]) {
      window.addEventListener(kind, () => (this.#lastInput = Date.now()), { passive: true });
    }
  }

  /** Initialize. Returns the host's capabilities and context. */
  async start() {
    const greeting = await this.#ask("ui/initialize", {
      appInfo: { name: "certctl-notifications", title: "certctl notifications", version: "1" },
      appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
      protocolVersion: VERSION,
    });
    this.#send({ method: "ui/notifications/initialized", params: {} });
    return greeting;
  }

  async call(tool, given, signal) {
    if (!READ_ONLY_TOOLS.has(tool)) {
      this.#lastAction = Date.now();
      this.#wake?.();
    }
    return this.#ask("tools/call", { name: tool, arguments: given }, signal);
  }

  /** Unknown: the protocol for apps has no request for it. */
  async tools() {
    return null;
  }

  /** As in a browser, but by polling the summary, because hosts don't forward notifications. */
  async watch(changed, connected, signal) {
    let before;
    while (!signal.aborted) {
      if (isVisible()) {
        try {
          const answer = await this.call("dashboard_summary", {}, signal);
          const { completed_at: _, ...numbers } = answer.structuredContent ?? {};
          const now = JSON.stringify(numbers);
          connected(true);
          if (now !== before || this.#active) changed();
          before = now;
        } catch {
          if (signal.aborted) return;
          connected(false);
        }
      }
      const hurried = new AbortController();
      this.#wake = () => hurried.abort();
      await sleep(this.#pause, AbortSignal.any([signal, hurried.signal]));
    }
  }

  /** Report the page's height to the host whenever it changes. */
  reportHeight() {
    let told = 0;
    new ResizeObserver(() => {
      const height = Math.ceil(document.body.getBoundingClientRect().height);
      if (height === told) return;
      told = height;
      this.#send({ method: "ui/notifications/size-changed", params: { height } });
    }).observe(document.body);
  }

  async showFullscreen() {
    await this.#ask("ui/request-display-mode", { mode: "fullscreen" });
  }

  get #active() {
    return Date.now() - this.#lastAction < ACTIVE_FOR;
  }

  get #pause() {
    if (this.#active) return ACTIVE_INTERVAL;
    return Date.now() - this.#lastInput < ATTENTIVE_FOR ? ATTENTIVE_INTERVAL : IDLE_INTERVAL;
  }

  #ask(method, params, signal) {
    signal?.throwIfAborted();
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.#waiting.delete(id);
        this.#send({ method: "notifications/cancelled", params: { requestId: id } });
        reject(signal.reason);
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#waiting.set(id, (message) => {
        signal?.removeEventListener("abort", abort);
        if (message.error) reject(new ToolError(message.error.message));
        else if (message.result) resolve(message.result);
        else reject(new UnreachableError("the host did not respond"));
      });
      this.#send({ id, method, params });
    });
  }

  #receive(message) {
    if (message.method === undefined) {
      const settle = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      settle?.(message);
    } else if (message.id === undefined) {
      this.#onNotification(message.method, message.params ?? {});
    } else if (message.method === "ping" || message.method === "ui/resource-teardown") {
      if (message.method !== "ping") this.#onNotification(message.method, {});
      this.#send({ id: message.id, result: {} });
    } else {
      this.#send({ id: message.id, error: { code: -32601, message: "Method not found" } });
    }
  }

  #send(message) {
    // A sandboxed document can't know the host's origin; nothing secret is sent.
    window.parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
  }
}

const READ_ONLY_TOOLS = new Set(["list_notifications", "get_notification", "dashboard_summary", "delivery_report", "list_channels", "diagnose_dead_letters"]);

let inViewport = true;

/** Whether the page is visible: as a conversation continues, it scrolls out of view. */
function isVisible() {
  return inViewport && document.visibilityState === "visible";
}

export function observeVisibility() {
  new IntersectionObserver((entries) => (inViewport = entries.at(-1).isIntersecting)).observe(document.body);
}
