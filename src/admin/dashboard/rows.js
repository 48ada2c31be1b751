// SPDX-License-Identifier: ISC
// The list of services. One row a service, made once and kept: an update changes the texts that differ, and only in
// rows that are on screen, so that a thousand services cost as much as the twenty that are looked at.

import { draw, largest, usual } from "./chart.js";
import { $, attribute, copy, say, show } from "./dom.js";
import * as format from "./format.js";
import { fillActions } from "./actions.js";
import { fillRoutes } from "./routes.js";

const IN_ROW = 120000; // ms that a chart of a row shows
const COLUMNS = ["name", "state", "requests", "latency", "open", "idle", "memory", "starts", "actions"];
const BRIDGE = 5; // buckets without a request that a line of latencies passes over
const SORTS = {
  name: ["Name", (s) => s.name],
  state: ["State", (s) => ["failed", "starting", "stopping", "online", "frozen", "offline"].indexOf(s.state)],
  rate: ["Requests", (s) => -(s.rate || 0)],
  latency: ["Latency", (s) => -(s.latency(0.95) || 0)],
  open: ["Open requests", (s) => -s.open],
  idle: ["Idle stop", (s) => (s.state === "online" && s.data.idleDeadline) || Infinity],
  memory: ["Memory", (s) => -(s.data.memoryCurrent || 0)],
  starts: ["Starts", (s) => -(s.data.startCount || 0)],
};

/** A state with its shape, in an element of class `state`. */
export function fillState(element, service) {
  const { proxied, state } = service;
  attribute(element, "data-state", proxied ? "proxied" : state);
  attribute(element.querySelector("use"), "href", `#shape-${proxied ? "proxied" : state}`);
  say(element.querySelector(".word"), proxied ? "proxied" : state);
}

/** Two lines of latency over the last `ms` into `svg`; returns the value at the upper edge. */
export function drawLatency(svg, history, ms) {
  const lines = [history.quantiles(0.5, ms), history.quantiles(0.95, ms)];
  const max = Math.max(usual(lines[1]), 1);
  draw(svg, lines, max, BRIDGE);
  return max;
}

/** Requests a second over the last `ms` into `svg`; returns the value at the upper edge. */
export function drawRates(svg, history, ms) {
  const rates = history.rates(ms);
  const most = largest(rates);
  const max = Math.max(most, 1);
  draw(svg, [most > 0 ? rates : []], max, 0); // nobody asked: the base line alone says it best
  return max;
}

/** "p50 · p95" of the last minute, or "–". */
function latencyText(service) {
  const p50 = service.latency(0.5);
  return Number.isNaN(p50) ? "–" : `${format.duration(p50)} · ${format.duration(service.latency(0.95))}`;
}

/** When it will sleep: {text, left}, `left` being the share of the idle time that is left, or null. */
export function idleStop(service, now) {
  const { idleDeadline, idleTimeout, retryAt } = service.data;
  const { state } = service;
  if (state === "failed" && retryAt > now) return { text: `retry in ${format.span(retryAt - now)}`, left: null };
  if (state !== "online" || service.proxied) return { text: "–", left: null };
  if (service.open > 0) return { text: "in use", left: 1 };
  if (!idleTimeout) return { text: "never", left: null };
  if (!idleDeadline) return { text: "–", left: null };
  const left = Math.max(0, idleDeadline - now);
  return { text: format.span(Math.ceil(left / 1000) * 1000), left: Math.min(1, left / idleTimeout) };
}

class Row {
  visible = false;
  dirty = true;

  constructor(service) {
    this.service = service;
    this.element = copy("row");
    this.element.dataset.name = service.name;
    this.cells = Object.fromEntries(COLUMNS.map((name) => [name, this.element.querySelector(`.c-${name}`)]));
    say(this.cells.name.querySelector(".name"), service.name);
  }

  /** What changes only when the service does. */
  update() {
    const { service, cells } = this;
    const { data } = service;
    const value = (name, text) => say(cells[name].querySelector(".value"), text);
    const more = (name, text) => say(cells[name].querySelector(".more"), text);
    this.dirty = false;
    attribute(this.element, "data-group", service.group);
    attribute(this.element, "data-troubled", service.troubled ? "true" : null);
    attribute(this.element, "aria-busy", service.busy ? "true" : null);
    fillState(cells.state.querySelector(".state"), service);
    fillReason(cells.state.querySelector(".reason"), service);
    fillRoutes(cells.name.querySelector(".routes"), data.routes, 2);
    fillActions(cells.actions, service);
    value("open", format.count(service.open));
    more("open", service.waiting ? `${format.count(service.waiting)} waiting` : "");
    value("memory", Number.isFinite(data.memoryCurrent) ? format.bytes(data.memoryCurrent) : "–");
    value("starts", service.proxied ? "–" : format.count(data.startCount ?? 0));
    more("starts", data.lastStartDuration ? `last ${format.duration(data.lastStartDuration)}` : "");
  }

  /** What changes with time alone. */
  tick(now) {
    const { service, cells } = this;
    const { history } = service;
    const idle = idleStop(service, now);
    const meter = cells.idle.querySelector(".meter");
    const { since } = service.data;
    say(cells.state.querySelector(".since"), Number.isFinite(since) ? format.span(now - since) : "");
    say(cells.idle.querySelector(".value"), idle.text);
    show(meter, idle.left !== null);
    if (idle.left !== null) meter.firstElementChild.style.transform = `scaleX(${idle.left.toFixed(3)})`;
    say(cells.requests.querySelector(".value"), Number.isNaN(service.rate) ? "–" : `${format.rate(service.rate)}/s`);
    say(cells.latency.querySelector(".value"), latencyText(service));
    drawRates(cells.requests.querySelector("svg"), history, IN_ROW);
    drawLatency(cells.latency.querySelector("svg"), history, IN_ROW);
  }
}

/** The reason without what stands beside it anyway: the service's name, or its only host. */
function shortReason({ name, reason, data }) {
  const failed = `${name} could not be started: `;
  if (reason.startsWith(failed)) return reason.slice(failed.length);
  const host = data.routes?.length === 1 ? data.routes[0].route.split("/")[0] : "";
  const [method, ...rest] = reason.split(" ");
  return host && rest[0]?.startsWith(`${host}/`) ? [method, rest.join(" ").slice(host.length)].join(" ") : reason;
}

function fillReason(element, service) {
  say(element, shortReason(service));
  attribute(element, "title", service.reason || null);
}

export class Rows {
  #rows = new Map(); // name → Row
  #sort = { key: "name", reverse: false };
  #filter = { words: [], group: "all" };
  #seen = new IntersectionObserver((entries) => this.#look(entries), { rootMargin: "200px" });

  constructor(store) {
    this.store = store;
    for (const [key, [title]] of Object.entries(SORTS)) $("sort").append(new Option(title, key));
    $("sort").addEventListener("change", () => this.sortBy($("sort").value, false));
    for (const header of document.querySelectorAll("[data-key]")) {
      header.firstElementChild.addEventListener("click", () => this.#clickHeader(header.dataset.key));
    }
    this.sortBy("name", false);
  }

  sortBy(key, reverse) {
    this.#sort = { key, reverse };
    $("sort").value = key;
    for (const header of document.querySelectorAll("[data-key]")) {
      attribute(header, "aria-sort", header.dataset.key === key ? (reverse ? "descending" : "ascending") : null);
    }
    this.arrange();
  }

  #clickHeader(key) {
    this.sortBy(key, this.#sort.key === key && !this.#sort.reverse);
  }

  filterBy(text, group) {
    this.#filter = { words: text.toLowerCase().split(/\s+/).filter(Boolean), group };
    this.arrange();
  }

  /** A service has changed: its row is drawn with the next frame, if somebody sees it. */
  changed(service) {
    const row = this.#rows.get(service.name);
    if (row) row.dirty = true;
  }

  /** Services came or went. */
  membership() {
    for (const [name, row] of this.#rows) {
      if (this.store.services.get(name) === row.service) continue;
      this.#seen.unobserve(row.element);
      row.element.remove();
      this.#rows.delete(name);
    }
    for (const service of this.store.services.values()) {
      if (this.#rows.has(service.name)) continue;
      const row = new Row(service);
      this.#rows.set(service.name, row);
      row.update();
      $("rows").append(row.element);
      this.#seen.observe(row.element);
    }
    this.arrange();
  }

  /** Draws what is on screen; `time` has passed, or only what changed. */
  draw(timePassed) {
    const now = this.store.now();
    for (const row of this.#rows.values()) {
      if (!row.visible) continue;
      const changed = row.dirty;
      if (changed) row.update();
      if (changed || timePassed) row.tick(now);
    }
  }

  #look(entries) {
    for (const { target, isIntersecting } of entries) {
      const row = this.#rows.get(target.dataset.name);
      if (!row || row.element !== target) continue;
      row.visible = isIntersecting;
      if (!isIntersecting) continue;
      row.update();
      row.tick(this.store.now());
    }
  }

  /** Would moving rows now take one from below a finger or the keyboard? */
  get inUse() {
    return $("rows").matches(":hover, :focus-within");
  }

  /** Puts the rows in order and hides those that the filter leaves out. Moves as few as possible. */
  arrange() {
    const value = SORTS[this.#sort.key][1];
    const direction = this.#sort.reverse ? -1 : 1;
    const sorted = [...this.#rows.values()].map((row) => [value(row.service), row]);
    sorted.sort(([a, x], [b, y]) => direction * compare(a, b) || compare(x.service.name, y.service.name));
    const focused = document.activeElement;
    let shown = 0;
    let before = null;
    for (const [, row] of sorted) {
      const next = before ? before.nextElementSibling : $("rows").firstElementChild;
      if (next !== row.element) $("rows").insertBefore(row.element, next);
      before = row.element;
      const matches = this.#matches(row.service);
      show(row.element, matches);
      shown += matches;
    }
    if (focused !== document.activeElement && $("rows").contains(focused)) focused.focus({ preventScroll: true });
    show($("no-match"), shown === 0 && this.#rows.size > 0);
    show($("services"), shown > 0);
  }

  #matches(service) {
    if (this.#filter.group !== "all" && service.group !== this.#filter.group) return false;
    if (!this.#filter.words.length) return true;
    const { data } = service;
    const routes = (data.routes ?? []).map((route) => route.route);
    const texts = [service.name, service.state, service.reason, data.unit, data.backend, ...routes];
    const text = texts.join(" ").toLowerCase();
    return this.#filter.words.every((word) => text.includes(word));
  }

  /** Moves the focus from one service's name to another's: by `step` rows, from the first if there is none. */
  move(step) {
    const names = [...$("rows").querySelectorAll(".row:not([hidden]) .name")];
    const at = names.indexOf(document.activeElement?.closest(".row")?.querySelector(".name"));
    names[at < 0 ? (step > 0 ? 0 : names.length - 1) : Math.max(0, Math.min(names.length - 1, at + step))]?.focus();
  }
}

function compare(a, b) {
  return typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a < b ? -1 : a > b ? 1 : 0;
}
