// The page's address: its tab, filters and open notification, so that a view can be reloaded, linked to and
// gone back to. Messages link to `?notification=ID`.

const NAMES = ["status", "channel", "type", "text", "certificate_id", "recipient", "created_after", "created_before"];

/** The query string of a tab with these filters and the id of the notification that is open; empty for the page as it opens. */
export function queryOf(tab, filter, notification = null) {
  const query = new URLSearchParams();
  if (tab !== "all") query.set("view", tab);
  for (const name of NAMES) {
    if (tab === "dead" && name === "status") continue;
    for (const value of [filter[name] ?? []].flat()) query.append(name, value);
  }
  if (notification !== null) query.set("notification", notification);
  return query.size ? `?${query}` : "";
}

/** The id of the notification that a query string opens, or null. */
export function notificationOf(search) {
  return new URLSearchParams(search).get("notification") || null;
}

/** The filters of a query string, as the arguments of a tool. */
export function filterOf(search) {
  const query = new URLSearchParams(search);
  const filter = {};
  for (const name of NAMES) if (query.get(name)) filter[name] = query.get(name);
  filter.status = query.get("view") === "dead" ? ["dead"] : query.getAll("status");
  return filter;
}
