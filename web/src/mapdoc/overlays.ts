// Finds a feature's overlay entries without walking the whole document: an index fid → target → keys, kept up by observe events.

import type * as Y from 'yjs';
import {
  type Entry,
  type EntryKey,
  OVERLAY_ROOTS,
  type OverlayRoot,
  readEntry,
  SEEN_ROOTS,
  splitKey,
  winner,
} from './entry.ts';
import { addSeen } from './values.ts';

type Targets = Map<string, Map<string, EntryKey>>;

export class Overlays {
  readonly #roots: Record<OverlayRoot, Y.Map<unknown>>;
  readonly #index: Record<OverlayRoot, Map<string, Targets>>;
  readonly #dispose: (() => void)[] = [];

  /** `changed` hears the fid of every entry that came, went or changed. */
  constructor(doc: Y.Doc, changed: (fid: string) => void) {
    const roots = {} as Record<OverlayRoot, Y.Map<unknown>>;
    const index = {} as Record<OverlayRoot, Map<string, Targets>>;
    for (const name of OVERLAY_ROOTS) {
      const root = doc.getMap<unknown>(name);
      roots[name] = root;
      index[name] = new Map();
      const observer = (event: Y.YMapEvent<unknown>) => {
        for (const key of event.keysChanged) {
          const fid = this.#update(name, key);
          if (fid !== null) changed(fid);
        }
      };
      root.observe(observer);
      this.#dispose.push(() => root.unobserve(observer));
    }
    this.#roots = roots;
    this.#index = index;
    for (const name of OVERLAY_ROOTS) for (const key of roots[name].keys()) this.#update(name, key);
  }

  dispose(): void {
    for (const dispose of this.#dispose.splice(0)) dispose();
  }

  /** Targets that have or had entries, in no particular order. */
  targets(root: OverlayRoot, fid: string): string[] {
    return [...(this.#index[root].get(fid)?.keys() ?? [])];
  }

  /** Keys of a target, malformed entries included. */
  keys(root: OverlayRoot, fid: string, target: string): string[] {
    return [...(this.#index[root].get(fid)?.get(target)?.keys() ?? [])];
  }

  /** Well-formed entries of a target. */
  entries(root: OverlayRoot, fid: string, target: string): Entry[] {
    const found: Entry[] = [];
    for (const [key, parts] of this.#index[root].get(fid)?.get(target) ?? []) {
      const entry = readEntry(root, parts, this.#roots[root].get(key));
      if (entry) found.push(entry);
    }
    return found;
  }

  winner(root: OverlayRoot, fid: string, target: string): Entry | null {
    return winner(this.entries(root, fid, target));
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

  #update(name: OverlayRoot, key: string): string | null {
    const parts = splitKey(name, key);
    if (!parts) return null;
    const index = this.#index[name];
    const targets = index.get(parts.fid) ?? new Map<string, Map<string, EntryKey>>();
    const keys = targets.get(parts.target) ?? new Map<string, EntryKey>();
    if (this.#roots[name].has(key)) {
      keys.set(key, parts);
      targets.set(parts.target, keys);
      index.set(parts.fid, targets);
    } else {
      keys.delete(key);
      if (keys.size === 0) targets.delete(parts.target);
      if (targets.size === 0) index.delete(parts.fid);
    }
    return parts.fid;
  }
}
