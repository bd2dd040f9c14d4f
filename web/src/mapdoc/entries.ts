// The entries of one root by feature (or layer) and target, kept up by observe events, so that nobody walks the whole document.

import { type Entry, type EntryKey, type EntryRoot, readEntry, splitKey, winner } from './entry.ts';
import type { RootMap, Store } from './store.ts';

type Targets = Map<string, Map<string, EntryKey>>;

export class EntryIndex {
  readonly name: EntryRoot;
  readonly #root: RootMap;
  readonly #byId = new Map<string, Targets>();
  readonly #malformed = new Set<string>();
  readonly #stop: () => void;

  /** `changed` hears of every well-formed key whose entry came, went or changed; its `sid` is not always who did it. */
  constructor(store: Store, name: EntryRoot, changed: (key: EntryKey, isThere: boolean) => void) {
    this.name = name;
    this.#root = store.root(name);
    this.#stop = store.observe(name, (keys) => {
      for (const key of keys) {
        const fields = this.#update(key);
        if (fields) changed(fields, this.#root.has(key));
      }
    });
    for (const key of this.#root.keys()) this.#update(key);
  }

  dispose(): void {
    this.#stop();
  }

  /** Features or layers that have keys here. */
  ids(): Iterable<string> {
    return this.#byId.keys();
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  /** Targets that have keys, in no particular order. */
  targets(id: string): string[] {
    return [...(this.#byId.get(id)?.keys() ?? [])];
  }

  /** Keys of a target, those of malformed entries included. */
  keys(id: string, target: string): string[] {
    return [...(this.#byId.get(id)?.get(target)?.keys() ?? [])];
  }

  /** Well-formed entries of a target. */
  entries(id: string, target: string): Entry[] {
    const found: Entry[] = [];
    for (const [key, fields] of this.#byId.get(id)?.get(target) ?? []) {
      const entry = readEntry(this.name, fields, this.#root.get(key));
      if (entry) found.push(entry);
    }
    return found;
  }

  winner(id: string, target: string): Entry | null {
    return winner(this.entries(id, target));
  }

  /** The well-formed entry under a key, or null. */
  entry(key: string): Entry | null {
    const fields = splitKey(this.name, key);
    return fields && readEntry(this.name, fields, this.#root.get(key));
  }

  /** Keys that do not have their fields. */
  malformedKeys(): Iterable<string> {
    return this.#malformed;
  }

  #update(key: string): EntryKey | null {
    const isThere = this.#root.has(key);
    const fields = splitKey(this.name, key);
    if (!fields) {
      if (isThere) this.#malformed.add(key);
      else this.#malformed.delete(key);
      return null;
    }
    if (isThere) this.#add(key, fields);
    else this.#remove(key, fields);
    return fields;
  }

  #add(key: string, fields: EntryKey): void {
    const targets: Targets = this.#byId.get(fields.id) ?? new Map();
    const keys = targets.get(fields.target) ?? new Map<string, EntryKey>();
    keys.set(key, fields);
    targets.set(fields.target, keys);
    this.#byId.set(fields.id, targets);
  }

  #remove(key: string, { id, target }: EntryKey): void {
    const targets = this.#byId.get(id);
    const keys = targets?.get(target);
    keys?.delete(key);
    if (keys?.size === 0) targets?.delete(target);
    if (targets?.size === 0) this.#byId.delete(id);
  }
}
