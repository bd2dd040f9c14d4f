// Layers: `lid/sid/field` → `[t, value]` (map document format §3).

import { EntryIndex } from './entries.ts';
import type { EntryKey } from './entry.ts';
import type { Store } from './store.ts';
import { compareBytes, type Json, toJson } from './values.ts';

/** A layer that was not removed. */
export interface Layer {
  lid: string;
  /** The name somebody gave it, or null. */
  name: string | null;
  /** Order key for drawing and lists, or null. */
  order: string | null;
  /** Whether it is drawn unless a viewer decides otherwise. */
  visible: boolean;
  /** As their writer left them; null where there are none. */
  style: Json;
  columns: Json;
}

export class Layers {
  readonly index: EntryIndex;

  constructor(store: Store, changed: (key: EntryKey, isThere: boolean) => void = () => {}) {
    this.index = new EntryIndex(store, 'layer', changed);
  }

  dispose(): void {
    this.index.dispose();
  }

  /** The layer id itself, or the empty string if there is no such layer or it was removed. */
  known(lid: string): string {
    const isThere = this.index.targets(lid).some((field) => this.index.entries(lid, field).length > 0);
    return isThere && this.#value(lid, 'gone') !== true ? lid : '';
  }

  /** Its name, else its id; null where there is no such layer. */
  name(lid: string): string | null {
    if (this.known(lid) === '') return null;
    const name = this.#value(lid, 'name');
    return typeof name === 'string' && name !== '' ? name : lid;
  }

  /** One layer, or null where there is no such layer or it was removed. */
  get(lid: string): Layer | null {
    if (this.known(lid) === '') return null;
    const [name, order] = [this.#value(lid, 'name'), this.#value(lid, 'order')];
    return {
      lid,
      name: typeof name === 'string' ? name : null,
      order: typeof order === 'string' ? order : null,
      visible: this.#value(lid, 'visible') !== false,
      style: toJson(this.#value(lid, 'style')),
      columns: toJson(this.#value(lid, 'columns')),
    };
  }

  /** All layers that were not removed, by id. */
  all(): Layer[] {
    return [...this.index.ids()].sort(compareBytes).flatMap((lid) => this.get(lid) ?? []);
  }

  #value(lid: string, field: string): unknown {
    return this.index.winner(lid, field)?.payload[0];
  }
}
