// SPDX-License-Identifier: ISC
// Talks to the API beside which this page is served. The token, where one is needed, lives in sessionStorage and goes
// out in a header, never in a URL. The stream of events is read with fetch() for the same reason: EventSource can send
// no header.

const TOKEN = "dynapm-token";
const SILENCE = 45000; // ms; dynapm says something more often than that, be it only that it is there
const FIRST_RETRY = 500;
const LONGEST_RETRY = 30000;

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (value) => sessionStorage.setItem(TOKEN, value),
  forget: () => sessionStorage.removeItem(TOKEN),
};

async function request(method, path, signal) {
  const headers = token.get() ? { Authorization: `Bearer ${token.get()}` } : {};
  const response = await fetch(`api/${path}`, { method, headers, signal, cache: "no-store", redirect: "error" });
  if (response.ok) return response;
  let message = `${response.status} ${response.statusText}`;
  try {
    message = (await response.json()).error ?? message;
  } catch {
    // an answer of something in between, which knows nothing of our errors
  }
  throw new ApiError(response.status, message);
}

const ofService = (name) => `services/${encodeURIComponent(name)}`;

/** Starts, stops or restarts a service; resolves when that is done. */
export async function operate(name, operation) {
  await request("POST", `${ofService(name)}/${operation}`);
}

/** The last lines of a service's log. */
export async function logs(name, lines, signal) {
  const response = await request("GET", `${ofService(name)}/logs?lines=${lines}`, signal);
  return (await response.json()).lines;
}

/** Cuts a stream of text into the objects of its events, whatever the pieces in which it comes. */
export class EventParser {
  #rest = "";

  push(text) {
    const blocks = (this.#rest + text).split(/\r?\n\r?\n/);
    this.#rest = blocks.pop();
    return blocks.map(dataOf).filter((data) => data !== "").map((data) => JSON.parse(data));
  }
}

function dataOf(block) {
  const lines = block.split(/\r?\n/).filter((line) => line.startsWith("data:"));
  return lines.map((line) => line.slice(5).trimStart()).join("\n");
}

/**
 * The events, for as long as the page is there. `onEvent(object)` is called with each, `onLink(state, details)` with
 * how it stands: "connecting", "live", "lost" {retryAt}, or, when nothing more is tried until retry(), "token" {wrong}
 * or "refused" {message}.
 */
export class Events {
  #retryDelay = FIRST_RETRY;
  #greeting = null;
  #wake = null;
  #abort = null;

  constructor({ onEvent, onLink }) {
    this.onEvent = onEvent;
    this.onLink = onLink;
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => document.hidden || this.#wake?.("soon"));
  }

  /** Tries at once what would be tried later, or anew what goes on. */
  retry() {
    this.#retryDelay = FIRST_RETRY;
    this.#abort?.abort();
    this.#wake?.("now");
  }

  async run() {
    for (;;) {
      const error = await this.#once().catch((e) => e);
      if (error.status === 401) {
        this.onLink("token", { wrong: token.get() !== null });
        await this.#pause(null);
      } else if (error.status === 403) {
        this.onLink("refused", { message: error.message });
        await this.#pause(null);
      } else {
        // Not all at the same moment when a gateway comes back that many looked at.
        const delay = this.#retryDelay * (0.75 + Math.random() / 2);
        this.#retryDelay = Math.min(this.#retryDelay * 2, LONGEST_RETRY);
        this.onLink("lost", { retryAt: Date.now() + delay });
        await this.#pause(delay);
      }
      this.onLink("connecting", {});
    }
  }

  /** Reads one stream to its end. */
  async #once() {
    const abort = (this.#abort = new AbortController());
    let watchdog = setTimeout(() => abort.abort(), SILENCE);
    try {
      const response = await request("GET", "events", abort.signal);
      const parser = new EventParser();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return new Error("it has ended");
        clearTimeout(watchdog);
        watchdog = setTimeout(() => abort.abort(), SILENCE);
        for (const event of parser.push(value)) this.#take(event);
      }
    } finally {
      clearTimeout(watchdog);
      this.#abort = null;
    }
  }

  /** A gateway greets as soon as it can; only with the snapshot that follows is what is shown true. */
  #take(event) {
    if (event.type === "connected") {
      this.#greeting = event;
    } else if (event.type === "services" && this.#greeting) {
      this.#retryDelay = FIRST_RETRY;
      this.onLink("live", this.#greeting);
      this.#greeting = null;
    }
    this.onEvent(event);
  }

  /** Waits for `ms` (null: for as long as it takes) or until somebody asks for it. */
  #pause(ms) {
    return new Promise((resolve) => {
      const timer = ms === null ? null : setTimeout(resolve, ms);
      this.#wake = (when) => {
        if (when === "soon" && ms === null) return;
        clearTimeout(timer);
        resolve();
      };
    }).finally(() => (this.#wake = null));
  }
}
