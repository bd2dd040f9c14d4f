// Everything that overlays features: the entries of the six overlay roots.

import { EntryIndex } from './entries.ts';
import { type Entry, type EntryKey, OVERLAY_ROOTS, type OverlayRoot, SEEN_ROOTS } from './entry.ts';
import type { Store } from './store.ts';
import { addSeen } from './values.ts';

export class Overlays {
  readonly #index: Record<OverlayRoot, EntryIndex>;

  /** `changed` hears of every entry that came, went or changed. */
  constructor(store: Store, changed: (root: OverlayRoot, key: EntryKey, isThere: boolean) => void) {
    const pairs = OVERLAY_ROOTS.map((name) => [
      name,
      new EntryIndex(store, name, (key, isThere) => changed(name, key, isThere)),
    ]);
    this.#index = Object.fromEntries(pairs) as Record<OverlayRoot, EntryIndex>;
  }

  dispose(): void {
    for (const name of OVERLAY_ROOTS) this.#index[name].dispose();
  }

  /** The entries of one root. */
  of(root: OverlayRoot): EntryIndex {
    return this.#index[root];
  }

  /** Targets that have keys, in no particular order. */
  targets(root: OverlayRoot, fid: string): string[] {
    return this.#index[root].targets(fid);
  }

  /** Keys of a target, malformed entries included. */
  keys(root: OverlayRoot, fid: string, target: string): string[] {
    return this.#index[root].keys(fid, target);
  }

  /** Well-formed entries of a target. */
  entries(root: OverlayRoot, fid: string, target: string): Entry[] {
    return this.#index[root].entries(fid, target);
  }

  winner(root: OverlayRoot, fid: string, target: string): Entry | null {
    return this.#index[root].winner(fid, target);
  }

  /** Sum of the times of the feature's well-formed edits, which a deletion must know to count. */
  seen(fid: string): number {
    let sum = 0;
    for (const root of SEEN_ROOTS) {
      for (const target of this.targets(root, fid)) {
        for (const { time } of this.entries(root, fid, target)) sum = addSeen(sum, time);
      }
    }
    return sum;
  }
}
