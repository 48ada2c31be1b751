// SPDX-License-Identifier: ISC
// The drawer with everything about one service. It is open for as long as the URL's fragment names one, so that a link
// to it can be kept, and "back" closes it.

import * as api from "./api.js";
import { fillActions } from "./actions.js";
import { $, attribute, make, say, show } from "./dom.js";
import * as format from "./format.js";
import { fillRoutes } from "./routes.js";
import { drawLatency, drawRates, fillState, idleStop } from "./rows.js";

const LOG_LINES = 200;
const LOG_PAUSE = 2000; // ms between an answer and the next question

export class Details {
  #service = null;
  #log = null; // AbortController of what asks for the log
  #opener = null;

  constructor(store) {
    this.store = store;
    const dialog = $("details");
    dialog.addEventListener("close", () => this.#closed());
    dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // beside it
    addEventListener("hashchange", () => this.follow());
  }

  get service() {
    return this.#service;
  }

  open(name) {
    location.hash = `#${encodeURIComponent(name)}`;
  }

  /** Opens or closes it as the URL says, and as what it names is there. */
  follow() {
    let name = "";
    try {
      name = decodeURIComponent(location.hash.slice(1));
    } catch {
      // no name of a service
    }
    const service = this.store.services.get(name) ?? null;
    if (service === this.#service) return;
    if (!service) {
      $("details").close();
      return;
    }
    this.#service = service;
    this.#opener = document.activeElement;
    this.#begin();
  }

  #begin() {
    this.#log?.abort();
    $("d-log").replaceChildren();
    delete $("d-log").dataset.shown;
    show($("d-log"), false);
    show($("d-no-log"), true);
    say($("d-no-log"), "Asking for it…");
    this.draw();
    if (!$("details").open) $("details").showModal();
    $("details").querySelector(".drawer-body").scrollTop = 0;
    this.#followLog();
  }

  #closed() {
    this.#log?.abort();
    this.#service = null;
    if (location.hash) history.pushState(null, "", location.pathname + location.search);
    if (this.#opener?.isConnected) this.#opener.focus({ preventScroll: true });
  }

  draw() {
    const service = this.#service;
    if (!service) return;
    const now = this.store.now();
    const dialog = $("details");
    say($("d-name"), service.name);
    fillState(dialog.querySelector(".state"), service);
    const { since } = service.data;
    say(dialog.querySelector(".since"), Number.isFinite(since) ? `for ${format.span(now - since)}` : "");
    say($("d-reason"), because(service));
    show($("d-reason"), service.reason !== "");
    fillActions($("d-actions"), service);
    fillRoutes($("d-routes"), service.data.routes);
    this.#drawCharts(service);
    fillFacts($("d-facts"), factsOf(service, now));
    fillTransitions(service);
  }

  #drawCharts(service) {
    const { history } = service;
    say($("d-rate"), format.rate(service.rate));
    say($("d-p50"), format.duration(service.latency(0.5)));
    say($("d-p95"), format.duration(service.latency(0.95)));
    say($("d-rate-top"), format.rate(drawRates($("d-rate-chart"), history)));
    say($("d-latency-top"), format.duration(drawLatency($("d-latency-chart"), history)));
  }

  /** Asks for the log again and again while the drawer shows this service and somebody sees it. */
  async #followLog() {
    const { signal } = (this.#log = new AbortController());
    const { name } = this.#service;
    while (!signal.aborted) {
      if (!document.hidden) {
        try {
          showLog(await api.logs(name, LOG_LINES, signal));
        } catch (error) {
          if (signal.aborted) return;
          showNoLog(error);
          if ([403, 404, 501].includes(error.status)) return; // that will be so next time
        }
      }
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, LOG_PAUSE);
        signal.addEventListener("abort", () => resolve(clearTimeout(timer)), { once: true });
      });
    }
  }
}

/** Why it is as it is: what woke it, said as a sentence where that was a request. */
function because({ reason, group }) {
  return group === "awake" && /^[A-Z]+ \S/.test(reason) ? `Woken by ${reason}` : reason;
}

function showLog(lines) {
  const log = $("d-log");
  show(log, lines.length > 0);
  show($("d-no-log"), lines.length === 0);
  say($("d-no-log"), "There is nothing in it.");
  const key = JSON.stringify([lines.length, lines[0], lines[lines.length - 1]]);
  if (log.dataset.shown === key) return;
  log.dataset.shown = key;
  const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
  log.replaceChildren(...lines.map(lineOf));
  if (atEnd) log.scrollTop = log.scrollHeight;
}

/** Priorities are those of syslog: 3 is an error, 4 a warning. */
function lineOf({ time, priority, text }) {
  const level = priority <= 3 ? " error" : priority === 4 ? " warning" : "";
  return make("span", { class: `line${level}` }, make("time", {}, time ? format.moment(time) : ""), ` ${text}\n`);
}

function showNoLog(error) {
  if (!$("d-log").hidden) return; // what was shown is better than nothing
  say($("d-no-log"), error.status ? `There is no log to show: ${error.message}` : "dynapm does not answer.");
}

/** [what, how it is] of a service; what is not known is left out. */
function factsOf(service, now) {
  const { data, proxied } = service;
  const { bytesReceived, bytesSent } = data;
  const waiting = service.waiting ? `, ${format.count(service.waiting)} of them waiting` : "";
  const span = (ms) => (Number.isFinite(ms) && ms > 0 ? format.span(ms) : null);
  const facts = [
    ["Idle stop", proxied ? null : idleStop(service, now).text],
    ["Open", format.count(service.open) + waiting],
    ["Last start", data.lastWakeReason !== service.reason && data.lastWakeReason ? data.lastWakeReason : null],
    ["Last request", data.lastAccessTime ? format.ago(now - data.lastAccessTime) : null],
    ["Requests", format.count(data.requests ?? 0)],
    ["Answers", classesOf(data.requestsByClass)],
    ["Memory", Number.isFinite(data.memoryCurrent) ? format.bytes(data.memoryCurrent) : null],
    ["CPU time", data.cpuUsage ? format.duration(data.cpuUsage) : null],
    ["Received, sent",
      Number.isFinite(bytesReceived) ? `${format.bytes(bytesReceived)}, ${format.bytes(bytesSent)}` : null],
    ["Starts", proxied ? null : format.count(data.startCount ?? 0)],
    ["Last start took", data.lastStartDuration ? format.duration(data.lastStartDuration) : null],
    ["Online in all", proxied ? null : span(data.totalUptime)],
    ["Idle timeout", proxied ? null : span(data.idleTimeout) ?? "never"],
    ["Start timeout", proxied ? null : span(data.startTimeout)],
    ["Listens on", data.base || null],
    ["Backend", data.backend || (proxied ? "none, proxied only" : null)],
    ["Unit", data.unit || null],
    ["Main process", data.pid ? String(data.pid) : null],
  ];
  return facts.filter(([, value]) => value !== null);
}

/** "2xx 120, 5xx 1", or null. */
function classesOf(byClass) {
  const some = Object.entries(byClass ?? {}).filter(([, n]) => n > 0).map(([name, n]) => `${name} ${format.count(n)}`);
  return some.length ? some.join(", ") : null;
}

/** Keeps the elements of facts that are there. */
function fillFacts(list, facts) {
  const kept = new Map([...list.children].map((group) => [group.dataset.fact, group]));
  let before = null;
  for (const [what, value] of facts) {
    const group = kept.get(what) ?? make("div", { "data-fact": what }, make("dt", {}, what), make("dd"));
    kept.delete(what);
    say(group.lastElementChild, value);
    attribute(group.lastElementChild, "title", value);
    const next = before ? before.nextElementSibling : list.firstElementChild;
    if (next !== group) list.insertBefore(group, next);
    before = group;
  }
  for (const group of kept.values()) group.remove();
}

function fillTransitions({ transitions }) {
  const list = $("d-transitions");
  const key = transitions.map((t) => `${t.time} ${t.before} ${t.state}`).join();
  show($("d-no-transitions"), transitions.length === 0);
  if (list.dataset.shown === key) return;
  list.dataset.shown = key;
  list.replaceChildren(...transitions.map(({ time, before, state, reason }) => make("li", {},
    make("time", { datetime: new Date(time).toISOString() }, format.moment(time)),
    make("span", {}, `${before} → ${state}`), make("span", { class: "reason" }, reason))));
}
