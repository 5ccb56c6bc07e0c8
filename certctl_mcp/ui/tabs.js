// The tabs of the views, and the keys that work anywhere on the page.

import { byId } from "./dom.js";

export class Tabs {
  #list = byId("tabs");

  /** `open(view)` is called when a person chooses a view. */
  constructor(open) {
    this.#list.addEventListener("click", (event) => {
      const { view } = event.target.closest("[data-view]")?.dataset ?? {};
      if (view) open(view);
    });
    this.#list.addEventListener("keydown", (event) => {
      const tabs = [...this.#list.children].filter((tab) => !tab.hidden);
      const at = tabs.indexOf(document.activeElement);
      const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: tabs.length - 1 }[event.key];
      if (at < 0 || to === undefined) return;
      event.preventDefault();
      const tab = tabs.at(to % tabs.length);
      open(tab.dataset.view);
      tab.focus();
    });
  }

  select(view) {
    for (const tab of this.#list.children) {
      const selected = tab.dataset.view === view;
      tab.setAttribute("aria-selected", String(selected));
      tab.tabIndex = selected ? 0 : -1;
      // On a narrow screen the tabs are wider than it.
      if (selected) this.#list.scrollLeft = Math.max(0, tab.offsetLeft + tab.offsetWidth - this.#list.offsetLeft - this.#list.clientWidth);
    }
    byId("panel").setAttribute("aria-labelledby", `tab-${view}`);
  }

  /** Leave only the lists, if no tool can be called. */
  keepLists() {
    for (const view of ["causes", "channels", "audit"]) byId(`tab-${view}`).hidden = true;
  }
}

/** `/` searches, j and k move through the rows. */
export function bindKeys({ search, move }) {
  const keys = { "/": search, j: () => move(1), k: () => move(-1) };
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input:not([type=checkbox]), select, textarea, dialog")) return;
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}
