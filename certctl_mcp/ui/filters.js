// The filters that a person has set, or that came with an assistant's call, as a tool's arguments.

import { byId, element, words } from "./dom.js";
import { exactly } from "./times.js";

const STATUSES = ["pending", "failed", "dead", "sent", "read"];
const TYPES = ["ExpirationWarning", "RenewalSuccess", "RenewalFailure", "DeploymentSuccess", "DeploymentFailure", "PolicyViolation", "Revocation"];
const PAUSE = 250;
/** Milliseconds without another keystroke before a search starts. */
const AGES = [["", "Any time"], ["1h", "Last hour"], ["24h", "Last 24 hours"], ["7d", "Last 7 days"], ["30d", "Last 30 days"], ["between", "Between…"]];
const FURTHER = {
  certificate_id: "Certificate",
  recipient: "Recipient",
  urgency: "Certificate is",
  created_after: "Created after",
  created_before: "Created before",
};
/** Filters without their own control, including times that the control for times can't show. */

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d/;

export class Filters {
  #statuses = new Set();
  #further = {};
  #changed;
  #timer;
  #text = byId("filter-text");
  #channel = byId("filter-channel");
  #type = byId("filter-type");
  #age = byId("filter-age");
  #from = byId("filter-from");
  #until = byId("filter-until");

  constructor(changed) {
    this.#changed = changed;
    for (const type of TYPES) this.#type.append(element("option", { value: type }, words(type)));
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
    for (const [value, label] of AGES) this.#age.append(element("option", { value }, label));
    for (const control of [this.#age, this.#from, this.#until]) {
      control.addEventListener("change", () => {
        delete this.#further.created_after;
        delete this.#further.created_before;
        this.#apply();
      });
    }
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
      ...this.#times,
      ...this.#further,
    };
  }

  get #times() {
    if (this.#age.value !== "between") return this.#age.value && { created_after: this.#age.value };
    return {
      ...(this.#from.value && { created_after: new Date(this.#from.value).toISOString() }),
      ...(this.#until.value && { created_before: new Date(this.#until.value).toISOString() }),
    };
  }

  get any() {
    const { status: _, ...rest } = this.for("dead");
    return Object.keys(rest).length > 0;
  }

  /** Apply the filters of an assistant's call. Returns the tab that shows them. */
  adopt(given) {
    this.#clear();
    this.#text.value = given.text ?? "";
    this.offer([given.channel].filter(Boolean), [given.type].filter(Boolean));
    this.#channel.value = given.channel ?? "";
    this.#type.value = given.type ?? "";
    for (const name of Object.keys(FURTHER)) if (given[name]) this.#further[name] = given[name];
    this.#adoptTimes();
    const statuses = [given.status ?? []].flat();
    const dead = statuses.length === 1 && statuses[0] === "dead";
    this.#statuses = new Set(dead ? [] : statuses);
    this.#show();
    return dead ? "dead" : "all";
  }

  /** Show times in their control if it can show them. */
  #adoptTimes() {
    const { created_after: after, created_before: before } = this.#further;
    if (!before && AGES.some(([value]) => value === after)) this.#age.value = after;
    else if ([after, before].some(Boolean) && [after, before].every((moment) => !moment || ISO.test(moment))) {
      this.#age.value = "between";
      this.#from.value = after ? local(after) : "";
      this.#until.value = before ? local(before) : "";
    } else return;
    delete this.#further.created_after;
    delete this.#further.created_before;
  }

  /** Add names to choose from. */
  offer(channels, types) {
    for (const [select, names, shown] of [[this.#channel, channels, String], [this.#type, types, words]]) {
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
    this.#age.value = this.#from.value = this.#until.value = "";
  }

  #apply() {
    clearTimeout(this.#timer);
    this.#show();
    this.#changed();
  }

  #show() {
    for (const chip of byId("filter-status").children) chip.setAttribute("aria-pressed", String(this.#statuses.has(chip.dataset.status)));
    byId("filter-between").hidden = this.#age.value !== "between";
    const chips = Object.entries(this.#further).map(([name, value]) =>
      element(
        "button.chip.further",
        {
          type: "button",
          "aria-label": `Remove the filter ${FURTHER[name]} ${shown(value)}`,
          click: () => {
            delete this.#further[name];
            this.#apply();
            this.#text.focus();
          },
        },
        `${FURTHER[name]} ${shown(value)} ×`,
      ),
    );
    byId("further").replaceChildren(...chips);
    byId("clear-filters").hidden = !this.any && this.#statuses.size === 0;
  }
}

function shown(value) {
  return ISO.test(value) ? exactly(value) : value;
}

/** A moment in the format of <input type="datetime-local">: in the browser's time, to the minute. */
function local(moment) {
  const at = new Date(moment);
  return new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
