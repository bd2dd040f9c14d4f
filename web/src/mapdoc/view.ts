// The document as features: read one, read all, hear which changed. Shows the same as every other replica with the same content.

import type * as Y from 'yjs';
import { OVERLAY_ROOTS } from './entry.ts';
import { currentGeneration, type GeometryProblem, readGeometry } from './geometry.ts';
import { Layers } from './layers.ts';
import { Overlays } from './overlays.ts';
import { type Properties, readProperties } from './properties.ts';
import { type FeatureRecord, readRecord } from './record.ts';
import type { Geometry } from './shape.ts';
import { Texts } from './texts.ts';
import { compareBytes, isTime } from './values.ts';

/** What `meta.format` says of a map document. */
export const FORMAT = 'map';
/** The document version this program reads and may write. */
export const VERSION = 1;

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

export interface Authorship {
  /** Seconds since 1970-01-01 UTC, by the writer's clock. */
  time: number;
  sid: string;
}

export class MapView {
  readonly overlays: Overlays;
  readonly layers: Layers;
  readonly #texts: Texts;
  readonly #doc: Y.Doc;
  readonly #features: Y.Map<unknown>;
  readonly #changed = new Set<string>();
  readonly #listeners = new Set<(fids: ReadonlySet<string>) => void>();
  readonly #dispose: (() => void)[] = [];

  constructor(doc: Y.Doc) {
    this.#doc = doc;
    this.#features = doc.getMap('feat');
    const touch = (fid: string) => this.#changed.add(fid);
    this.overlays = new Overlays(doc, touch);
    this.#texts = new Texts(doc, touch);
    this.layers = new Layers(doc);
    const observer = (event: Y.YMapEvent<unknown>) => {
      for (const fid of event.keysChanged) touch(fid);
    };
    this.#features.observe(observer);
    const after = () => this.#announce();
    doc.on('afterTransaction', after);
    this.#dispose.push(
      () => this.#features.unobserve(observer),
      () => doc.off('afterTransaction', after),
      () => this.overlays.dispose(),
      () => this.#texts.dispose(),
      () => this.layers.dispose(),
    );
  }

  dispose(): void {
    this.#listeners.clear();
    for (const dispose of this.#dispose.splice(0)) dispose();
  }

  /** Calls `listener` after every transaction with the fids to read again. Returns how to stop that. */
  onChange(listener: (fids: ReadonlySet<string>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ids of all records, deleted ones included, in byte order. */
  ids(): string[] {
    return [...this.#features.keys()].sort(compareBytes);
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
    const layer = this.overlays.winner('attr', fid, 'layer')?.payload[0];
    return {
      fid,
      id: record.originalId ?? fid,
      geometry,
      properties: readProperties(this.overlays, this.#texts, fid, record),
      layer: this.layers.known(typeof layer === 'string' ? layer : record.layer),
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

  /** Targets of the feature that hold more than one value: somebody's edit shows, another's is kept. */
  concurrentValues(fid: string): { root: string; target: string; count: number }[] {
    return OVERLAY_ROOTS.filter((root) => root !== 'gone').flatMap((root) =>
      this.overlays
        .targets(root, fid)
        .map((target) => ({ root, target, count: this.overlays.entries(root, fid, target).length }))
        .filter(({ count }) => count > 1),
    );
  }

  /** The document's title, or null. */
  title(): string | null {
    const title = this.#doc.getMap('meta').get('title');
    return typeof title === 'string' && title !== '' ? title : null;
  }

  /** A document of another format or a later version may be looked at but not written. */
  isWritable(): boolean {
    const meta = this.#doc.getMap('meta');
    const [format, version] = [meta.get('format'), meta.get('version')];
    const isOurs = format === undefined || format === FORMAT;
    return isOurs && (typeof version !== 'number' || version <= VERSION);
  }

  /** The display name under which a session introduced itself, or null. */
  sessionName(sid: string): string | null {
    const value = this.#doc.getMap('who').get(sid);
    const name: unknown = Array.isArray(value) && isTime(value[0]) ? value[2] : null;
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

  #announce(): void {
    if (this.#changed.size === 0) return;
    const fids = new Set(this.#changed);
    this.#changed.clear();
    for (const listener of [...this.#listeners]) listener(fids);
  }
}
