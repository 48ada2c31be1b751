// SPDX-License-Identifier: ISC
// What is known of the services: as the events tell it, and what follows from that. Knows nothing of the document.
// Who shows it is told which services changed; how they are is asked here when it is drawn.

import { History } from "./history.js";

const RECENT = 60000; // ms over which the figures beside the charts are taken
const TRANSITIONS = 20; // remembered of each service

/** One service. `data` is what the API says of it, all times in ms. */
export class Service {
  history = new History();
  transitions = []; // newest first: {time, before, state, reason}
  busy = null; // the operation that was asked for here and is not done

  constructor(data) {
    this.data = data;
  }

  get name() {
    return this.data.name;
  }

  get state() {
    return this.data.state ?? this.data.status;
  }

  /** "awake", "asleep" or "failed": what it is to somebody who only glances. */
  get group() {
    if (this.state === "failed") return "failed";
    return this.state === "offline" || this.state === "frozen" ? "asleep" : "awake";
  }

  /** Did its last start fail? It may be offline by now, waiting for somebody to try again. */
  get troubled() {
    return this.state === "failed" || (this.state === "offline" && Boolean(this.data.failure));
  }

  get proxied() {
    return this.data.proxyOnly === true;
  }

  get open() {
    return this.data.activeConnections ?? 0;
  }

  get waiting() {
    return this.data.waiting ?? (this.state === "starting" ? this.open : 0);
  }

  get rate() {
    return this.history.rate(RECENT / 6);
  }

  latency(q) {
    return this.history.quantile(q, RECENT);
  }

  /** Why it is as it is, in the words of whoever changed it. */
  get reason() {
    const { stateReason, failure, lastWakeReason } = this.data;
    if (this.troubled) return failure || stateReason || "";
    if (lastWakeReason && this.group === "awake" && this.state !== "stopping") return lastWakeReason;
    return stateReason || "";
  }
}

/** `on.changed(service)`, `on.membership()`: some came or went, `on.transition(service, before)`, `on.tick()`: figures
 * have changed, `on.reloaded(problems)`: the configuration was read anew. */
export class Store {
  services = new Map(); // name → Service
  total = new History(); // requests of all of them
  #requests = 0;
  #offset = 0; // ms by which the clock over there is ahead of ours
  #synced = false;

  constructor(on) {
    this.on = on;
  }

  /** The time on the other side: what deadlines are to be compared with. */
  now() {
    return Date.now() + this.#offset;
  }

  take(event) {
    const theirs = event.time ?? event.timestamp;
    if (Number.isFinite(theirs)) this.#offset = theirs - Date.now();
    switch (event.type) {
      case "services":
        return this.#takeAll(event.services);
      case "state":
        return this.#takeOne(event.service, event.before);
      case "removed":
        if (this.services.delete(event.name)) this.on.membership();
        return;
      case "reloaded": // who is new is in the snapshot that follows
        return this.on.reloaded(event.problems ?? 0);
      case "sample":
        return this.#takeSample(event.services);
    }
  }

  /** What comes next may have nothing to do with what was before. */
  interrupt() {
    this.#synced = false;
    for (const service of this.services.values()) service.history.interrupt();
    this.total.interrupt();
  }

  #takeAll(all) {
    const names = new Set(all.map((data) => data.name));
    let moved = false;
    for (const name of this.services.keys()) {
      if (!names.has(name)) moved = this.services.delete(name);
    }
    for (const data of all) {
      const known = this.services.get(data.name);
      moved ||= !known;
      this.#merge(data, known ? known.state : null, !this.#synced);
    }
    this.total.add(this.now(), { requests: this.#requests }, !this.#synced);
    this.#synced = true;
    if (moved || !names.size) this.on.membership();
    this.on.tick();
  }

  #takeOne(data, before) {
    const known = this.services.has(data.name);
    const service = this.#merge(data, before ?? this.services.get(data.name)?.state ?? null, !known);
    if (!known) this.on.membership();
    else if (before) this.on.transition(service, before);
  }

  #takeSample(changed) {
    for (const data of changed ?? []) {
      if (this.services.has(data.name)) this.#merge(data, null, false);
    }
    this.total.add(this.now(), { requests: this.#requests });
    this.on.tick();
  }

  /** Time has passed: of whom nothing was heard, nothing has changed. */
  pass() {
    if (!this.#synced) return;
    const now = this.now();
    for (const service of this.services.values()) service.history.idleUntil(now);
    this.total.idleUntil(now);
  }

  #merge(data, before, fresh) {
    let service = this.services.get(data.name);
    if (!service) {
      service = new Service(data);
      this.services.set(data.name, service);
    } else {
      service.data = { ...service.data, ...data };
    }
    if (Number.isFinite(data.requests)) {
      const now = this.now();
      this.#requests += service.history.add(now, { requests: data.requests, durations: service.data.durations }, fresh);
    }
    if (before && before !== service.state) this.#remember(service, before);
    this.on.changed(service);
    return service;
  }

  #remember(service, before) {
    const { since, stateReason } = service.data;
    service.transitions.unshift({ time: since ?? this.now(), before, state: service.state, reason: stateReason || "" });
    service.transitions.length = Math.min(service.transitions.length, TRANSITIONS);
  }

  /** Sums over all services. */
  sums() {
    const sums = { all: 0, awake: 0, asleep: 0, failed: 0, online: 0, open: 0, waiting: 0, memory: null };
    for (const service of this.services.values()) {
      sums.all++;
      sums[service.group]++;
      sums.online += service.state === "online";
      sums.open += service.open;
      sums.waiting += service.waiting;
      if (Number.isFinite(service.data.memoryCurrent)) sums.memory = (sums.memory ?? 0) + service.data.memoryCurrent;
    }
    return sums;
  }
}
