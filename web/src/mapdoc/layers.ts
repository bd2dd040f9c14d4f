// Layers: `lid/sid/field` → `[t, value]` (map document format §3).

import type * as Y from 'yjs';
import { type Entry, readEntry, splitKey, winner } from './entry.ts';

export class Layers {
  readonly #root: Y.Map<unknown>;
  #fields: Map<string, Map<string, Entry[]>> | null = null;
  readonly #observer = () => {
    this.#fields = null;
  };

  constructor(doc: Y.Doc) {
    this.#root = doc.getMap('layer');
    this.#root.observe(this.#observer);
  }

  dispose(): void {
    this.#root.unobserve(this.#observer);
  }

  /** The layer id itself, or the empty string if there is no such layer or it was removed. */
  known(lid: string): string {
    const fields = this.#read().get(lid);
    const isRemoved = winner(fields?.get('gone') ?? [])?.payload[0] === true;
    return fields && !isRemoved ? lid : '';
  }

  /** Its name, else its id; null where there is no such layer. */
  name(lid: string): string | null {
    if (this.known(lid) === '') return null;
    const name = winner(this.#read().get(lid)?.get('name') ?? [])?.payload[0];
    return typeof name === 'string' && name !== '' ? name : lid;
  }

  #read(): Map<string, Map<string, Entry[]>> {
    if (this.#fields) return this.#fields;
    const layers = new Map<string, Map<string, Entry[]>>();
    for (const [text, value] of this.#root) {
      // The keys split like those of `attr`, with the layer in the feature's place.
      const key = splitKey('attr', text);
      if (!key) continue;
      const fields = layers.get(key.fid) ?? new Map<string, Entry[]>();
      const entry = readEntry('attr', key, value);
      if (entry) fields.set(key.target, [...(fields.get(key.target) ?? []), entry]);
      layers.set(key.fid, fields);
    }
    this.#fields = layers;
    return layers;
  }
}
