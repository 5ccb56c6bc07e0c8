// The numbers of the dashboard, and a report of deliveries over a period.

import { OUTCOMES, chart } from "./chart.js";
import { byId, counted, element, grouped } from "./dom.js";
import { aborted, extra, facts } from "./results.js";
import { duration, time, zoneName } from "./times.js";

const REPORT_AGE = 15_000;
/** Milliseconds for which a report is kept while changes arrive. */
const WIDEST_CHART = 720;

export class Overview {
  #ask;
  #period = "24h";
  #reported = 0;
  #request = null;
  #panel = byId("deliveries");
  #timeline = null;
  #label = "";

  /** `ask` returns a tool's whole result. */
  constructor(ask) {
    this.#ask = ask;
    this.#panel.addEventListener("toggle", () => this.report(true));
    new ResizeObserver(() => this.#draw()).observe(byId("chart"));
    byId("period").addEventListener("click", (event) => {
      const { period } = event.target.dataset;
      if (!period) return;
      this.#period = period;
      for (const button of byId("period").children) button.setAttribute("aria-pressed", String(button.dataset.period === period));
      this.report(true);
    });
  }

  show(summary) {
    const at = summary.notifications ?? {};
    const shown = [
      figure("Dead letters", summary.notifications_dead, summary.oldest_dead_at && ["oldest ", time(summary.oldest_dead_at)], summary.notifications_dead && "bad"),
      figure("Failed", at.failed ?? 0, summary.next_retry_at && ["next ", time(summary.next_retry_at)], at.failed && "warn"),
      figure("Pending", at.pending ?? 0),
      summary.notifications_stuck && figure("Stuck", summary.notifications_stuck, ["left by certctl's server"], "bad"),
      figure("Sent", at.sent ?? 0, summary.notifications_undelivered && [`${grouped(summary.notifications_undelivered)} not delivered`]),
      figure("Read", at.read ?? 0),
      summary.total_certificates && figure("Certificates", summary.total_certificates, [parts([[summary.expiring_certificates, "expiring"], [summary.expired_certificates, "expired"], [summary.revoked_certificates, "revoked"]])]),
      summary.total_agents && figure("Agents", summary.total_agents, [parts([[summary.active_agents, "active"], [summary.offline_agents, "offline"]])]),
      (summary.pending_jobs || summary.failed_jobs || summary.complete_jobs) && figure("Jobs", summary.pending_jobs + summary.failed_jobs + summary.complete_jobs, [parts([[summary.pending_jobs, "pending"], [summary.failed_jobs, "failed"], [summary.complete_jobs, "complete"]])]),
    ];
    byId("figures").replaceChildren(...shown.filter(Boolean));
    byId("uncounted").textContent = [
      summary.delivery?.replace(/\.$/, ""),
      summary.unreadable?.length && `Not counted: ${summary.unreadable.join(", ")}`,
      summary.off?.length && `Unavailable here: ${summary.off.join("; ")}`,
    ].filter(Boolean).join(". ");
  }

  /** Fetch the report if the shown one is too old, or `now`. */
  async report(now = false) {
    if (!now && Date.now() - this.#reported < REPORT_AGE) return;
    this.#reported = Date.now();
    this.#request?.abort();
    this.#request = new AbortController();
    const { signal } = this.#request;
    const { open } = this.#panel;
    if (open && now) byId("report").setAttribute("aria-busy", "true");
    try {
      const result = await this.#ask("delivery_report", { period: this.#period, chart: open }, signal);
      if (signal.aborted) return;
      const report = facts(result);
      byId("deliveries-line").textContent = line(report, this.#period);
      this.#timeline = report.all.attempts ? extra(result, "timeline") : null;
      this.#label = `Attempts over the last ${PERIODS[this.#period]} by outcome: ${told(report.all)}.`;
      if (open) {
        byId("report").replaceChildren(...body(report));
        this.#draw();
      }
    } catch (failure) {
      if (aborted(failure)) return;
      if (signal.aborted) return;
      byId("deliveries-line").textContent = "unavailable";
      this.#reported = 0;
    }
    byId("report").removeAttribute("aria-busy");
  }

  #draw() {
    const place = byId("chart");
    place.hidden = !this.#timeline;
    if (!this.#timeline || !this.#panel.open) return;
    const width = Math.min(place.clientWidth, WIDEST_CHART);
    const found = new Set(this.#timeline.steps.flatMap((step) => Object.keys(step)));
    const legend = OUTCOMES.filter(([name]) => found.has(name)).map(([name, words]) => element("li", {}, element(`span.swatch.${name}`), words));
    place.replaceChildren(
      element("figcaption", {}, element("ul.legend", { "aria-hidden": "true" }, ...legend), element("span.note", {}, `attempts by start time, ${zoneName()}`)),
      chart(this.#timeline, width, this.#label),
    );
  }
}

const PERIODS = { "24h": "24 hours", "7d": "7 days", "30d": "30 days" };

/** The outcomes of the alerts come first: repeated attempts are no reason for alarm. */
function line({ alerts, all }, period) {
  const words = [["delivered", "delivered"], ["trying", "still trying"], ["dead", "dead"], ["undelivered", "without a notifier"], ["settled", "settled"]];
  const fates = words.filter(([fate]) => alerts[fate]).map(([fate, word]) => `${grouped(alerts[fate])} ${word}`);
  if (!fates.length && !all.attempts) return `none in ${PERIODS[period]}`;
  return `alerts of the last ${PERIODS[period]}: ${fates.join(", ") || "none"} (${counted(all.attempts, "attempt")})`;
}

function body(report) {
  if (!report.all.attempts) return [element("p.note", {}, report.note ?? "Nothing was attempted.")];
  const rows = report.channels.map((one) => figures(one.untrusted.channel, one));
  return [
    element(
      "div.report-table",
      { tabindex: "0", role: "region", "aria-label": "Attempts by channel" },
      element(
        "table",
        {},
        element("thead", {}, element("tr", {}, ...["Channel", "Attempts", "Delivered", "Retries", "Dead", "Median", "95th pct."].map((name) => element("th", { scope: "col" }, name)))),
        element("tbody", {}, ...rows, rows.length > 1 && figures("All", report.all)),
      ),
      report.more_channels && element("p.note", {}, `${counted(report.more_channels, "more channel")}.`),
    ),
  ];
}

function figures(name, one) {
  const seconds = (value) => (value === undefined ? "–" : duration(value));
  const cells = [grouped(one.attempts), percent(one.success_rate), grouped(one.retries ?? 0), grouped(one.died ?? 0), seconds(one.median_seconds), seconds(one.p95_seconds)];
  return element("tr", {}, element("th", { scope: "row" }, name), ...cells.map((cell) => element("td", {}, cell)));
}

function told(all) {
  const words = [["delivered", "delivered"], ["failed", "failed and retried"], ["told_to_wait", "told to wait"], ["died", "became dead letters"], ["skipped", "skipped"], ["abandoned", "abandoned"]];
  return words.filter(([key]) => all[key]).map(([key, meaning]) => `${grouped(all[key])} ${meaning}`).join(", ");
}

function percent(rate) {
  return rate === undefined ? "–" : `${(rate * 100).toFixed(1).replace(/\.0$/, "")}%`;
}

function figure(name, number, detail = null, tone = "") {
  return element(
    `div.figure${tone ? `.${tone}` : ""}`,
    {},
    element("dt", {}, name),
    element("dd", {}, element("b", {}, grouped(number)), detail ? element("small", {}, ...detail) : null),
  );
}

function parts(pairs) {
  return pairs.filter(([number]) => number).map(([number, word]) => `${grouped(number)} ${word}`).join(", ");
}
