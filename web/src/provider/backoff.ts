// How long to wait before the next attempt: twice as long each time, within bounds, and never at the same moment as everybody else.

export interface Bounds {
  minMs: number;
  maxMs: number;
}

export class Backoff {
  readonly #bounds: Bounds;
  readonly #random: () => number;
  #attempts = 0;

  /** `random` gives numbers from 0 up to 1. */
  constructor(bounds: Bounds, random: () => number) {
    this.#bounds = bounds;
    this.#random = random;
  }

  /** The next wait in milliseconds: from half of what is due up to all of it. */
  next(): number {
    const { minMs, maxMs } = this.#bounds;
    const due = Math.min(maxMs, minMs * 2 ** this.#attempts);
    this.#attempts += 1;
    return Math.max(minMs, Math.round(due * (0.5 + this.#random() / 2)));
  }

  reset(): void {
    this.#attempts = 0;
  }
}
