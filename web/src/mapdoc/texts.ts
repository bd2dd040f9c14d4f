// Properties edited together letter by letter: `text` holds a Y.Text per `fid/sid/name` (map document format §9).

import * as Y from 'yjs';
import { splitKey } from './entry.ts';
import { compareBytes } from './values.ts';

type DeepObserver = Parameters<Y.Map<unknown>['observeDeep']>[0];

export class Texts {
  readonly #root: Y.Map<unknown>;
  readonly #keys = new Map<string, Set<string>>();
  readonly #observer: DeepObserver;

  constructor(doc: Y.Doc, changed: (fid: string) => void) {
    this.#root = doc.getMap('text');
    for (const key of this.#root.keys()) this.#update(key);
    this.#observer = (events) => {
      for (const event of events) {
        for (const key of touchedKeys(event)) {
          const fid = this.#update(key);
          if (fid !== null) changed(fid);
        }
      }
    };
    this.#root.observeDeep(this.#observer);
  }

  dispose(): void {
    this.#root.unobserveDeep(this.#observer);
  }

  /** Name → the non-empty texts of that name in order of session id, joined by a blank line. */
  read(fid: string): Map<string, string> {
    const found: { name: string; sid: string; text: string }[] = [];
    for (const key of this.#keys.get(fid) ?? []) {
      const parts = splitKey('text', key);
      const value = this.#root.get(key);
      const text = value instanceof Y.Text ? value.toString() : '';
      if (parts && text !== '') found.push({ name: parts.target, sid: parts.sid, text });
    }
    found.sort((a, b) => compareBytes(a.sid, b.sid));
    const out = new Map<string, string>();
    for (const { name, text } of found) {
      const before = out.get(name);
      out.set(name, before === undefined ? text : `${before}\n\n${text}`);
    }
    return out;
  }

  #update(key: string): string | null {
    const parts = splitKey('text', key);
    if (!parts) return null;
    const keys = this.#keys.get(parts.fid) ?? new Set<string>();
    if (this.#root.has(key)) keys.add(key);
    else keys.delete(key);
    if (keys.size === 0) this.#keys.delete(parts.fid);
    else this.#keys.set(parts.fid, keys);
    return parts.fid;
  }
}

function touchedKeys(event: Parameters<DeepObserver>[0][number]): string[] {
  const [key] = event.path;
  if (typeof key === 'string') return [key];
  return event instanceof Y.YMapEvent ? [...(event.keysChanged as Set<string>)] : [];
}
