// The notifications of a tab: the matches of a filter, page by page, kept up to date.

const PAGE = 100;
const MOST_PAGES_AT_ONCE = 5;

/**
 * Dropping it aborts its requests, so that a late response changes nothing.
 *
 * A segment holds one page. It begins at a fixed cursor, so it can be refreshed by itself, however much has
 * been added before it.
 */
export class NotificationList {
  segments = [];
  total = null;
  failure = null;
  /** The selected ids of loaded rows. */
  chosen = new Set();
  /** Everything that matches is selected, loaded or not. */
  everything = false;
  /** Changes with every change of the selection. */
  choice = 0;
  #next;
  #begun = false;
  #dropped = new AbortController();
  #turn = Promise.resolve();
  #call;
  #changed;

  /** `call` calls a tool; `changed` is called when there is something new to show. */
  constructor(call, filter, oldestFirst, changed) {
    this.#call = call;
    this.filter = filter;
    this.oldestFirst = oldestFirst;
    this.#changed = changed;
  }

  get rows() {
    return this.segments.flatMap((segment) => segment.rows);
  }

  get loaded() {
    return this.segments.reduce((sum, segment) => sum + segment.rows.length, 0);
  }

  /** There are more pages. */
  get continues() {
    return this.#next !== undefined;
  }

  /** Nothing is loaded yet. */
  get unknown() {
    return !this.#begun;
  }

  /** Select or deselect these rows, or everything that matches, or, without rows, nothing. */
  choose(rows, yes) {
    this.everything = rows === "everything";
    this.choice += 1;
    if (rows === null) this.chosen.clear();
    else if (!this.everything) for (const { id } of rows) this.chosen[yes ? "add" : "delete"](id);
  }

  drop() {
    this.#dropped.abort();
  }

  /** Show it again. */
  revive() {
    if (this.#dropped.signal.aborted) this.#dropped = new AbortController();
  }

  /** Rows that came from the host, if no tool can be called. */
  adopt(answer) {
    this.segments = [{ cursor: undefined, rows: answer.notifications, stale: false }];
    this.total = answer.total;
    this.failure = null;
    this.#begun = true;
    this.#changed();
  }

  /** The next page. */
  more() {
    return this.#inTurn(async (signal) => {
      if (this.#begun && !this.continues) return;
      const page = await this.#page(this.#next, signal);
      const known = new Set(this.rows.map((row) => row.id));
      const rows = page.notifications.filter((row) => !known.has(row.id));
      this.segments.push({ cursor: this.#next, rows, stale: false });
      this.#next = page.next_cursor;
      this.#begun = true;
    });
  }

  /** Mark everything as possibly changed. */
  spoil() {
    for (const segment of this.segments) segment.stale = true;
  }

  /** Refresh the segments that may have changed and for which `wanted` holds; at least the first. */
  refresh(wanted) {
    return this.#inTurn(async (signal) => {
      if (!this.#begun) {
        const page = await this.#page(undefined, signal);
        this.segments = [{ cursor: undefined, rows: page.notifications, stale: false }];
        this.#next = page.next_cursor;
        this.#begun = true;
        return;
      }
      for (const segment of [...this.segments]) {
        const first = segment === this.segments[0];
        if (segment.stale && this.segments.includes(segment) && (first || wanted(segment))) {
          await this.#renew(segment, signal);
        }
      }
    });
  }

  async #renew(segment, signal) {
    const at = this.segments.indexOf(segment);
    const later = new Set(this.segments.slice(at + 1).flatMap((one) => one.rows.map((row) => row.id)));
    const enough = Math.max(segment.rows.length, PAGE);
    const rows = [];
    let cursor = segment.cursor;
    for (let pages = 1; ; pages++) {
      const page = await this.#page(cursor, signal);
      const end = page.notifications.findIndex((row) => later.has(row.id));
      rows.push(...(end < 0 ? page.notifications : page.notifications.slice(0, end)));
      if (end >= 0) break;
      cursor = page.next_cursor;
      const last = at === this.segments.length - 1;
      if (cursor === undefined || pages === MOST_PAGES_AT_ONCE || (last && rows.length >= enough)) {
        // The pages after it are gone, or too far behind.
        this.segments.length = at + 1;
        this.#next = cursor;
        break;
      }
    }
    segment.rows = rows;
    segment.stale = false;
  }

  /** A page of rows, in as many calls as necessary, because a tool's result has its own limit. */
  async #page(cursor, signal) {
    const notifications = [];
    do {
      const wanted = { ...this.filter, ...(this.oldestFirst && { oldest_first: true }), form: "detailed", limit: PAGE - notifications.length };
      const part = await this.#call("list_notifications", { ...wanted, ...(cursor !== undefined && { cursor }) }, signal);
      signal.throwIfAborted();
      this.total = part.total;
      notifications.push(...part.notifications);
      cursor = part.next_cursor;
    } while (cursor !== undefined && notifications.length < PAGE);
    return { notifications, next_cursor: cursor };
  }

  /** One after the other, because each begins where the previous one ended. */
  #inTurn(step) {
    const { signal } = this.#dropped;
    const turn = this.#turn.then(async () => {
      if (signal.aborted) return;
      try {
        await step(signal);
        this.failure = null;
      } catch (failure) {
        if (signal.aborted) return;
        this.failure = failure;
      }
      if (this.chosen.size) {
        // Rows that are gone can't stay selected.
        this.chosen = this.chosen.intersection(new Set(this.rows.map((row) => row.id)));
        this.choice += 1;
      }
      this.#changed();
    });
    this.#turn = turn;
    return turn;
  }
}
