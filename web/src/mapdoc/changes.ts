// What a transaction changed, gathered from its events.

import type { EntryKey, OverlayRoot } from './entry.ts';
import type { TransactionInfo } from './store.ts';

/** What of a feature changed. */
export type ChangeKind = 'record' | 'geometry' | 'properties' | 'attributes' | 'deletion';

export interface FeatureChange {
  how: ReadonlySet<ChangeKind>;
  /** Sessions that wrote what has come. Empty where things only went, as when a deletion is taken back. */
  by: ReadonlySet<string>;
}

/** One transaction that touched the map. */
export interface MapChange extends TransactionInfo {
  /** Features to read again. */
  features: ReadonlyMap<string, FeatureChange>;
  /** Layers whose fields changed. Features of a layer that came or went show another layer. */
  layers: ReadonlySet<string>;
  notes: ReadonlySet<string>;
  files: ReadonlySet<string>;
  /** Title, format or version. */
  meta: boolean;
  /** Sessions that introduced themselves. */
  sessions: ReadonlySet<string>;
}

const KIND_OF_ROOT: Record<OverlayRoot, ChangeKind> = {
  geom: 'geometry',
  part: 'geometry',
  vert: 'geometry',
  prop: 'properties',
  attr: 'attributes',
  gone: 'deletion',
};

/** Gathers until the transaction ends. */
export class ChangeCollector {
  #features = new Map<string, { how: Set<ChangeKind>; by: Set<string> }>();
  #layers = new Set<string>();
  #notes = new Set<string>();
  #files = new Set<string>();
  #sessions = new Set<string>();
  #meta = false;

  /** `sid` wrote what is there now; null where nothing has come. */
  feature(fid: string, kind: ChangeKind, sid: string | null): void {
    const change = this.#features.get(fid) ?? { how: new Set<ChangeKind>(), by: new Set<string>() };
    change.how.add(kind);
    if (sid !== null) change.by.add(sid);
    this.#features.set(fid, change);
  }

  overlay(root: OverlayRoot, { id, sid }: EntryKey, isThere: boolean): void {
    this.feature(id, KIND_OF_ROOT[root], isThere ? sid : null);
  }

  layer(lid: string): void {
    this.#layers.add(lid);
  }

  keys(root: 'note' | 'file' | 'who' | 'meta', keys: Iterable<string>): void {
    const into = { note: this.#notes, file: this.#files, who: this.#sessions, meta: new Set<string>() }[root];
    for (const key of keys) into.add(key);
    if (root === 'meta') this.#meta = true;
  }

  /** What was gathered since the last call; null if nothing. */
  take({ origin, local }: TransactionInfo): MapChange | null {
    const sets = [this.#features, this.#layers, this.#notes, this.#files, this.#sessions];
    if (!this.#meta && sets.every((set) => set.size === 0)) return null;
    const change: MapChange = {
      origin,
      local,
      features: this.#features,
      layers: this.#layers,
      notes: this.#notes,
      files: this.#files,
      sessions: this.#sessions,
      meta: this.#meta,
    };
    this.#features = new Map();
    this.#layers = new Set();
    this.#notes = new Set();
    this.#files = new Set();
    this.#sessions = new Set();
    this.#meta = false;
    return change;
  }
}
