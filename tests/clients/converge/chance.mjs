// Chance from a seed: the same seed gives the same choices on every machine.

export class Chance {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0;
    // Neighbouring seeds must not begin alike.
    for (let i = 0; i < 4; i++) this.unit();
  }

  /** From 0 up to but not including 1 (mulberry32). */
  unit = () => {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };

  below(end) {
    return Math.floor(this.unit() * end);
  }

  between(low, high) {
    return low + this.below(high - low + 1);
  }

  pick(items) {
    return items[this.below(items.length)];
  }

  percent(chance) {
    return this.unit() * 100 < chance;
  }

  shuffled(items) {
    const out = [...items];
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [out[i], out[j]] = [out[j], out[i]];
    }
    return out;
  }
}
