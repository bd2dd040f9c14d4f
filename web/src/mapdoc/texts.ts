// Properties edited together letter by letter: `text` holds a Y.Text per `fid/sid/name` (map document format §9).

import { splitKey } from './entry.ts';
import type { RootMap, SharedText, Store } from './store.ts';
import { compareBytes } from './values.ts';

/** One session's text of a property. */
export interface SessionText {
  key: string;
  sid: string;
  name: string;
  text: SharedText;
}

export class Texts {
  readonly #store: Store;
  readonly #root: RootMap;
  readonly #byFid = new Map<string, Set<string>>();
  readonly #malformed = new Set<string>();
  readonly #stop: () => void;

  /** `changed` hears of features whose texts came, went or were typed in, and of the session under whose key they are. */
  constructor(store: Store, changed: (fid: string) => void) {
    this.#store = store;
    this.#root = store.root('text');
    for (const key of this.#root.keys()) this.#update(key);
    this.#stop = store.observe('text', (keys) => {
      for (const key of keys) {
        const fid = this.#update(key);
        if (fid !== null) changed(fid);
      }
    });
  }

  dispose(): void {
    this.#stop();
  }

  /** Features that have keys here. */
  ids(): Iterable<string> {
    return this.#byFid.keys();
  }

  /** All texts of a feature, empty ones too, by name and then by session. */
  of(fid: string): SessionText[] {
    const found: SessionText[] = [];
    for (const key of this.#byFid.get(fid) ?? []) {
      const fields = splitKey('text', key);
      const text = this.#store.text(this.#root.get(key));
      if (fields && text) found.push({ key, sid: fields.sid, name: fields.target, text });
    }
    return found.sort((a, b) => compareBytes(a.name, b.name) || compareBytes(a.sid, b.sid));
  }

  /** Name → the non-empty texts of that name in order of session id, joined by a blank line. */
  read(fid: string): Map<string, string> {
    const out = new Map<string, string>();
    for (const { name, text } of this.of(fid)) {
      const [typed, before] = [text.toString(), out.get(name)];
      if (typed !== '') out.set(name, before === undefined ? typed : `${before}\n\n${typed}`);
    }
    return out;
  }

  /** Keys of a feature's property, those of malformed entries included. */
  keys(fid: string, name: string): string[] {
    return [...(this.#byFid.get(fid) ?? [])].filter((key) => splitKey('text', key)?.target === name);
  }

  /** Names under which something other than a text lies here. */
  malformedNames(fid: string): Set<string> {
    const names = new Set<string>();
    for (const key of this.#byFid.get(fid) ?? []) {
      const name = splitKey('text', key)?.target;
      if (name !== undefined && !this.#store.text(this.#root.get(key))) names.add(name);
    }
    return names;
  }

  /** Keys that do not have their fields. */
  malformedKeys(): Iterable<string> {
    return this.#malformed;
  }

  #update(key: string): string | null {
    const isThere = this.#root.has(key);
    const fields = splitKey('text', key);
    if (!fields) {
      if (isThere) this.#malformed.add(key);
      else this.#malformed.delete(key);
      return null;
    }
    const keys = this.#byFid.get(fields.id) ?? new Set<string>();
    if (isThere) keys.add(key);
    else keys.delete(key);
    if (keys.size === 0) this.#byFid.delete(fields.id);
    else this.#byFid.set(fields.id, keys);
    return fields.id;
  }
}
