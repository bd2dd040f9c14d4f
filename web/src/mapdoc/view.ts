// The document as features: read one, read all, hear which changed. Shows the same as every other replica with the same content.

import type * as Y from 'yjs';
import type { Authorship } from './blame.ts';
import { ChangeCollector, type MapChange } from './changes.ts';
import { OVERLAY_ROOTS, SEEN_ROOTS } from './entry.ts';
import {
  currentGeneration,
  type Generation,
  type GeometryProblem,
  readGeometry,
  readStructure,
  type Structure,
} from './geometry.ts';
import { Layers } from './layers.ts';
import { type Attachment, type Note, readAll, readAttachment, readNote } from './notes.ts';
import { Overlays } from './overlays.ts';
import { type Properties, readProperties } from './properties.ts';
import { type FeatureRecord, readRecord } from './record.ts';
import type { Geometry } from './shape.ts';
import type { RootMap, Store } from './store.ts';
import { Texts } from './texts.ts';
import { asNumber, asTime, compareBytes, type Json, parseJson } from './values.ts';
import { storeOf } from './yjs.ts';

/** What `meta.format` says of a map document. */
export const FORMAT = 'map';
/** The document version this program reads and may write. */
export const VERSION = 1;

/** Features of one document, at most (map document format §12). */
export const FEATURES_MAX = 200_000;

export type FeatureState = 'live' | 'contested' | 'deleted';

export interface Feature {
  fid: string;
  /** The id to show and export: the one it was imported under, else the fid. */
  id: string | number;
  geometry: Geometry | null;
  properties: Properties;
  /** Layer id; the empty string where it has none. */
  layer: string;
  /** `contested`: somebody edited what another deleted. It is shown until people decide. */
  state: FeatureState;
  created: Authorship;
  changed: Authorship;
  problems: GeometryProblem[];
}

export type { Authorship } from './blame.ts';

/** Hears after every transaction which features to read again, and what exactly changed. */
export type ChangeListener = (fids: ReadonlySet<string>, change: MapChange) => void;

export class MapView {
  readonly store: Store;
  readonly overlays: Overlays;
  readonly layers: Layers;
  readonly texts: Texts;
  readonly #features: RootMap;
  #recordsAtMost: number;
  readonly #changes = new ChangeCollector();
  readonly #listeners = new Set<ChangeListener>();
  readonly #dispose: (() => void)[] = [];

  constructor(doc: Y.Doc | Store) {
    const store = storeOf(doc);
    const changes = this.#changes;
    this.store = store;
    this.#features = store.root('feat');
    this.#recordsAtMost = this.#features.size;
    this.overlays = new Overlays(store, (root, key, isThere) => changes.overlay(root, key, isThere));
    this.texts = new Texts(store, (fid) => changes.feature(fid, 'properties', null));
    this.layers = new Layers(store, (key) => changes.layer(key.id));
    this.#dispose.push(
      store.observe('feat', (keys) => {
        for (const fid of keys) {
          this.#recordsAtMost += 1;
          changes.feature(fid, 'record', this.record(fid)?.sid ?? null);
        }
      }),
      ...(['note', 'file', 'who', 'meta'] as const).map((root) =>
        store.observe(root, (keys) => changes.keys(root, keys)),
      ),
      store.afterTransaction((info) => {
        const change = changes.take(info);
        if (change) this.#announce(change);
      }),
      () => this.overlays.dispose(),
      () => this.texts.dispose(),
      () => this.layers.dispose(),
    );
  }

  dispose(): void {
    this.#listeners.clear();
    for (const dispose of this.#dispose.splice(0)) dispose();
  }

  /** Calls `listener` after every transaction that touched features, layers, notes, attachments or the title. Returns how to stop that. */
  onChange(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ids of all records, deleted ones included, in byte order. */
  ids(): string[] {
    return [...this.#features.keys()].sort(compareBytes);
  }

  /** As [`ids`], in no particular order. */
  recordKeys(): Iterable<string> {
    return this.#features.keys();
  }

  /** Whether there is something under the feature's key, be it a record or not. */
  hasRecordKey(fid: string): boolean {
    return this.#features.has(fid);
  }

  record(fid: string): FeatureRecord | null {
    return readRecord(this.#features.get(fid));
  }

  state(fid: string): FeatureState {
    const entries = this.overlays.entries('gone', fid, '');
    if (entries.length === 0) return 'live';
    const seen = this.overlays.seen(fid);
    return entries.some((entry) => entry.payload[0] === seen) ? 'deleted' : 'contested';
  }

  /** A feature that is shown; null for one that is deleted, unknown or malformed. */
  feature(fid: string): Feature | null {
    const record = this.record(fid);
    if (!record) return null;
    const state = this.state(fid);
    if (state === 'deleted') return null;
    const { geometry, problems } = readGeometry(this.overlays, fid, currentGeneration(this.overlays, fid, record));
    return {
      fid,
      id: record.originalId ?? fid,
      geometry,
      properties: readProperties(this.overlays, this.texts, fid, record),
      layer: this.layers.known(this.layerOf(fid, record)),
      state,
      created: { time: record.time, sid: record.sid },
      changed: this.#lastChange(fid, record),
      problems,
    };
  }

  /** All features that are shown, by fid. */
  *features(): Generator<Feature> {
    for (const fid of this.ids()) {
      const feature = this.feature(fid);
      if (feature) yield feature;
    }
  }

  /** The properties of a feature, deleted or not; null for an unknown one. */
  properties(fid: string): Properties | null {
    const record = this.record(fid);
    return record && readProperties(this.overlays, this.texts, fid, record);
  }

  /** Foreign members of the GeoJSON feature that it was imported from, sorted by name; none for an unknown one. */
  members(fid: string): { [name: string]: Json } {
    const text = this.overlays.winner('attr', fid, 'members')?.payload[0];
    const value = typeof text === 'string' && this.record(fid) ? parseJson(text) : null;
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
  }

  /** How many records there are, deleted features included. */
  recordCount(): number {
    // Records are written once, so the estimate is exact unless two people created one feature.
    if (this.#recordsAtMost >= FEATURES_MAX) this.#recordsAtMost = this.#features.size;
    return this.#recordsAtMost;
  }

  /** The geometry in force of a feature, deleted or not; null for an unknown one. */
  generation(fid: string): Generation | null {
    const record = this.record(fid);
    return record && currentGeneration(this.overlays, fid, record);
  }

  /** A feature's segments and vertices with their names; null for unknown features and geometries that have none. */
  structure(fid: string): Structure | null {
    const generation = this.generation(fid);
    return generation && readStructure(this.overlays, fid, generation);
  }

  /** The layer that a feature says it is in, known or not. */
  layerOf(fid: string, record: FeatureRecord): string {
    const layer = this.overlays.winner('attr', fid, 'layer')?.payload[0];
    return typeof layer === 'string' ? layer : record.layer;
  }

  /** Targets of the feature that hold more than one value: somebody's edit shows, another's is kept. */
  concurrentValues(fid: string): { root: string; target: string; count: number }[] {
    return SEEN_ROOTS.flatMap((root) =>
      this.overlays
        .targets(root, fid)
        .map((target) => ({ root, target, count: this.overlays.entries(root, fid, target).length }))
        .filter(({ count }) => count > 1),
    );
  }

  /** The notes that show, by id. */
  notes(): Note[] {
    return readAll(this.store.root('note'), readNote);
  }

  note(nid: string): Note | null {
    return readNote(this.store.root('note'), nid);
  }

  /** The attachments that show, by id. */
  attachments(): Attachment[] {
    return readAll(this.store.root('file'), readAttachment);
  }

  attachment(aid: string): Attachment | null {
    return readAttachment(this.store.root('file'), aid);
  }

  /** The document's title, or null. */
  title(): string | null {
    const title = this.store.root('meta').get('title');
    return typeof title === 'string' && title !== '' ? title : null;
  }

  /** Whether the document says that it is something else than a map. */
  isMap(): boolean {
    const format = this.store.root('meta').get('format');
    return format === undefined || format === FORMAT;
  }

  /** The version that the document says it has, 1 if it says none. */
  version(): number {
    return asNumber(this.store.root('meta').get('version')) ?? VERSION;
  }

  /** A document of another format or a later version may be looked at but not written. */
  isWritable(): boolean {
    return this.isMap() && this.version() <= VERSION;
  }

  /** The display name under which a session introduced itself, or null. */
  sessionName(sid: string): string | null {
    const value = this.store.root('who').get(sid);
    const name: unknown = Array.isArray(value) && asTime(value[0]) !== null ? value[2] : null;
    return typeof name === 'string' && name !== '' ? name : null;
  }

  #lastChange(fid: string, record: FeatureRecord): Authorship {
    let last: Authorship = { time: record.time, sid: record.sid };
    for (const root of OVERLAY_ROOTS) {
      for (const target of this.overlays.targets(root, fid)) {
        for (const { time, sid } of this.overlays.entries(root, fid, target)) {
          if (time > last.time || (time === last.time && compareBytes(sid, last.sid) > 0)) last = { time, sid };
        }
      }
    }
    return last;
  }

  #announce(change: MapChange): void {
    const fids = new Set(change.features.keys());
    for (const listener of [...this.#listeners]) listener(fids, change);
  }
}
