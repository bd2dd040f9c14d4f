// Reads changed features a little at a time, so that a document of a hundred thousand opens without freezing the page.

import type { Feature, MapView } from '../mapdoc/view.ts';

/** Longest stretch of reading between two frames. */
const SLICE_MS = 12;
/** Features handed on first while more are being read; then three times as many as before, since each batch redraws all before it. */
const FIRST_BATCH = 5_000;
const BATCH_GROWTH = 3;
/** Between slices of a page that is not shown and so gets no frames. */
const HIDDEN_MS = 100;

export type Batch = ReadonlyMap<string, Feature | null>;

export class Feed {
  readonly #view: MapView;
  readonly #deliver: (batch: Batch, left: number) => void;
  readonly #pending = new Set<string>();
  #ready = new Map<string, Feature | null>();
  #batchMax = FIRST_BATCH;
  #isScheduled = false;
  #isDisposed = false;
  readonly #stop: () => void;

  /** `deliver` gets features as they now are (null: no longer shown) and how many are still to be read. */
  constructor(view: MapView, deliver: (batch: Batch, left: number) => void) {
    this.#view = view;
    this.#deliver = deliver;
    this.#stop = view.onChange((fids) => this.#enqueue(fids));
    this.#enqueue(view.ids());
  }

  dispose(): void {
    this.#isDisposed = true;
    this.#stop();
  }

  #enqueue(fids: Iterable<string>): void {
    for (const fid of fids) this.#pending.add(fid);
    if (this.#pending.size > 0) this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isDisposed) return;
    this.#isScheduled = true;
    if (document.hidden) setTimeout(() => this.#slice(), HIDDEN_MS);
    else requestAnimationFrame(() => this.#slice());
  }

  #slice(): void {
    this.#isScheduled = false;
    if (this.#isDisposed) return;
    const end = performance.now() + SLICE_MS;
    for (const fid of this.#pending) {
      this.#pending.delete(fid);
      this.#ready.set(fid, this.#view.feature(fid));
      if (this.#ready.size >= this.#batchMax || performance.now() > end) break;
    }
    const isLast = this.#pending.size === 0;
    if (isLast || this.#ready.size >= this.#batchMax) {
      this.#batchMax = isLast ? FIRST_BATCH : this.#batchMax * BATCH_GROWTH;
      const batch = this.#ready;
      this.#ready = new Map();
      this.#deliver(batch, this.#pending.size);
    }
    if (!isLast) this.#schedule();
  }
}
