// SPDX-License-Identifier: ISC
// The last five minutes of one service: requests and a histogram of their durations in buckets of two seconds.
// Counters come in as they are on the other side, growing; what is kept is how much they grew. A bucket of which
// nothing is known (the page was not open, the connection was lost) is NaN, so that no chart shows a zero nobody saw.

export const BUCKET = 2000; // ms
export const BUCKETS = 151; // the newest is still growing
export const SPAN = BUCKET * (BUCKETS - 1);

export class History {
  #requests = new Float32Array(BUCKETS).fill(NaN);
  #durations = new Array(BUCKETS).fill(null); // of each bucket, how much each count of the histogram grew
  #newest = null; // number of the newest bucket, counted from the epoch
  #last = null; // counters as they were last
  bounds = null;

  /** Counters at `time`; returns by how many requests they grew. `fresh`: nothing is known of what was between. */
  add(time, { requests, durations }, fresh = false) {
    const slot = this.#advance(time, fresh ? NaN : 0);
    const before = fresh ? null : this.#last;
    const counts = durations?.counts ?? null;
    const grown = before ? growth(requests, before.requests) : 0;
    if (before) {
      this.#requests[slot] = (this.#requests[slot] || 0) + grown;
      if (counts && before.counts?.length === counts.length) this.#addDurations(slot, counts, before.counts);
    }
    this.bounds = durations?.bounds ?? this.bounds;
    this.#last = { requests, counts };
    return grown;
  }

  /** Nothing has changed until `time`. */
  idleUntil(time) {
    if (this.#last) this.#advance(time, 0);
  }

  /** What comes next is not connected to what was. */
  interrupt() {
    this.#last = null;
  }

  /** Requests a second in each bucket of the last `ms`, oldest first; the newest, which still grows, is left out. */
  rates(ms = SPAN) {
    return this.#inOrder(ms).map((slot) => this.#requests[slot] / (BUCKET / 1000));
  }

  /** A quantile of the durations in each bucket, ms; NaN where there were none. */
  quantiles(q, ms = SPAN) {
    const of = (counts) => (counts ? quantile(this.bounds, counts, q) : NaN);
    return this.#inOrder(ms).map((slot) => of(this.#durations[slot]));
  }

  /** Requests a second over the last `ms`, as far as they are known. */
  rate(ms) {
    const known = this.rates(ms).filter((v) => !Number.isNaN(v));
    return known.length ? known.reduce((a, b) => a + b, 0) / known.length : NaN;
  }

  /** A quantile of the durations of the last `ms`; NaN where there were none. */
  quantile(q, ms) {
    let sum = null;
    for (const slot of this.#inOrder(ms)) {
      const counts = this.#durations[slot];
      if (counts) sum = sum ? sum.map((n, i) => n + counts[i]) : [...counts];
    }
    return sum ? quantile(this.bounds, sum, q) : NaN;
  }

  #inOrder(ms) {
    if (this.#newest === null) return [];
    const n = Math.min(Math.round(ms / BUCKET), BUCKETS - 1);
    return Array.from({ length: n }, (_, i) => (this.#newest - n + i + BUCKETS) % BUCKETS);
  }

  /** Makes the bucket of `time` the newest and returns its slot; those that were passed over become `filler`. */
  #advance(time, filler) {
    const number = Math.floor(time / BUCKET);
    if (this.#newest === null) this.#newest = number - 1;
    for (let n = Math.max(this.#newest + 1, number - BUCKETS + 1); n <= number; n++) {
      this.#requests[n % BUCKETS] = filler;
      this.#durations[n % BUCKETS] = null;
    }
    this.#newest = Math.max(this.#newest, number);
    return this.#newest % BUCKETS;
  }

  #addDurations(slot, counts, before) {
    const grown = counts.map((n, i) => growth(n, before[i]));
    if (!grown.some((n) => n > 0)) return;
    const there = this.#durations[slot];
    this.#durations[slot] = there ? there.map((n, i) => n + grown[i]) : grown;
  }
}

/** A counter that went down has begun anew: what it shows now is what was counted since. */
function growth(now, before) {
  return now >= before ? now - before : now;
}

/** From a histogram whose `counts[i]` lie between `bounds[i-1]` and `bounds[i]`; the last one has no upper bound. */
export function quantile(bounds, counts, q) {
  const total = counts.reduce((a, b) => a + b, 0);
  if (!bounds?.length || total === 0) return NaN;
  const wanted = q * total;
  let passed = 0;
  for (let i = 0; i < bounds.length; i++) {
    if (counts[i] > 0 && passed + counts[i] >= wanted) {
      const from = i > 0 ? bounds[i - 1] : 0;
      return from + ((bounds[i] - from) * (wanted - passed)) / counts[i];
    }
    passed += counts[i];
  }
  return bounds[bounds.length - 1];
}
