// Which notifications are wanted? What the person set, and what the assistant asked for, as a tool's arguments.

import { byId, element, spaced } from "./dom.js";

const STATUSES = ["pending", "failed", "dead", "sent", "read"];
const TYPES = ["ExpirationWarning", "RenewalSuccess", "RenewalFailure", "DeploymentSuccess", "DeploymentFailure", "PolicyViolation", "Revocation"];
const PAUSE = 250;
/** Milliseconds without a further letter before a text is looked for. */
const FURTHER = {
  certificate_id: "Certificate",
  recipient: "Recipient",
  created_after: "Created after",
  created_before: "Created before",
};

export class Filters {
  #statuses = new Set();
  #further = {};
  #changed;
  #timer;
  #text = byId("filter-text");
  #channel = byId("filter-channel");
  #type = byId("filter-type");

  constructor(changed) {
    this.#changed = changed;
    for (const type of TYPES) this.#type.append(element("option", { value: type }, spaced(type)));
    for (const status of STATUSES) {
      byId("filter-status").append(
        element("button.chip", { type: "button", "data-status": status, "aria-pressed": "false", click: () => this.#toggle(status) }, status),
      );
    }
    this.#text.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#apply(), PAUSE);
    });
    this.#channel.addEventListener("change", () => this.#apply());
    this.#type.addEventListener("change", () => this.#apply());
    byId("filters").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#apply();
    });
    byId("clear-filters").addEventListener("click", () => {
      this.#clear();
      this.#apply();
      this.#text.focus();
    });
  }

  /** The arguments for a tab. */
  for(tab) {
    const text = this.#text.value.trim();
    const status = tab === "dead" ? ["dead"] : STATUSES.filter((one) => this.#statuses.has(one));
    return {
      ...(status.length && { status }),
      ...(this.#channel.value && { channel: this.#channel.value }),
      ...(this.#type.value && { type: this.#type.value }),
      ...(text && { text }),
      ...this.#further,
    };
  }

  get any() {
    const { status: _, ...rest } = this.for("dead");
    return Object.keys(rest).length > 0;
  }

  /** What an assistant's call asked for. The tab on which it is to be seen. */
  adopt(given) {
    this.#clear();
    this.#text.value = given.text ?? "";
    this.offer([given.channel].filter(Boolean), [given.type].filter(Boolean));
    this.#channel.value = given.channel ?? "";
    this.#type.value = given.type ?? "";
    for (const name of Object.keys(FURTHER)) if (given[name]) this.#further[name] = given[name];
    const statuses = [given.status ?? []].flat();
    const dead = statuses.length === 1 && statuses[0] === "dead";
    this.#statuses = new Set(dead ? [] : statuses);
    this.#show();
    return dead ? "dead" : "all";
  }

  /** Names to choose from, beside those already there. */
  offer(channels, types) {
    for (const [select, names, shown] of [[this.#channel, channels, String], [this.#type, types, spaced]]) {
      const known = new Set([...select.options].map((option) => option.value));
      for (const name of new Set(names)) if (name && !known.has(name)) select.append(element("option", { value: name }, shown(name)));
    }
  }

  forTab(tab) {
    byId("filter-status").hidden = tab === "dead";
  }

  #toggle(status) {
    if (!this.#statuses.delete(status)) this.#statuses.add(status);
    this.#apply();
  }

  #clear() {
    this.#statuses.clear();
    this.#further = {};
    this.#text.value = this.#channel.value = this.#type.value = "";
  }

  #apply() {
    clearTimeout(this.#timer);
    this.#show();
    this.#changed();
  }

  #show() {
    for (const chip of byId("filter-status").children) chip.setAttribute("aria-pressed", String(this.#statuses.has(chip.dataset.status)));
    const chips = Object.entries(this.#further).map(([name, value]) =>
      element(
        "button.chip.further",
        {
          type: "button",
          "aria-label": `Remove the filter ${FURTHER[name]} ${value}`,
          click: () => {
            delete this.#further[name];
            this.#apply();
            this.#text.focus();
          },
        },
        `${FURTHER[name]} ${value} ×`,
      ),
    );
    byId("further").replaceChildren(...chips);
    byId("clear-filters").hidden = !this.any && this.#statuses.size === 0;
  }
}
