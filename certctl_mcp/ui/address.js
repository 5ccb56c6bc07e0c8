// The page's addresses: `?view=...` with filters and order for a view, and `/n/ID` for a notification, so that
// each can be reloaded, linked to and returned to.

export const VIEWS = ["causes", "all", "dead", "channels", "audit"];

const FILTERS = ["status", "channel", "type", "text", "certificate_id", "recipient", "urgency", "created_after", "created_before"];

let known;

/** The page's own location, whichever view is shown. Must first be called before any address is changed. */
export function root() {
  known ??= new URL(document.documentElement.dataset.root, document.baseURI);
  return known;
}

/** The address of a notification. */
export function linkTo(id) {
  return new URL(`n/${encodeURIComponent(id)}`, root()).href;
}

/** The address of `view` with these filters, and of the notification that is open above it. */
export function addressOf({ view, filter, oldestFirst }, notification = null) {
  const query = new URLSearchParams();
  query.set("view", view);
  if (view === "all" || view === "dead") {
    for (const name of FILTERS) {
      if (view === "dead" && name === "status") continue;
      for (const value of [filter[name] ?? []].flat()) query.append(name, value);
    }
    if (oldestFirst) query.set("order", "oldest");
  }
  const path = notification === null ? root().pathname : new URL(linkTo(notification)).pathname;
  return `${path}?${query}`;
}

/** The id of the notification that an address opens, or null. Old messages link to `?notification=ID`. */
export function notificationOf(location) {
  const path = location.pathname.slice(root().pathname.length);
  if (path.startsWith("n/")) return decoded(path.slice(2)) || null;
  return new URLSearchParams(location.search).get("notification") || null;
}

/** The view, filters and order of an address. Without a view, `view` is null and the page decides. */
export function viewOf(search) {
  const query = new URLSearchParams(search);
  const filter = {};
  for (const name of FILTERS) if (query.get(name)) filter[name] = query.get(name);
  if (query.has("status")) filter.status = query.getAll("status");
  const view = VIEWS.find((one) => one === query.get("view")) ?? (Object.keys(filter).length ? "all" : null);
  if (view === "dead") filter.status = ["dead"];
  return { view, filter, oldestFirst: query.get("order") === "oldest" };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
