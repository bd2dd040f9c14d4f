// Documents of Yjs 13.

import * as Y from 'yjs';
import type { RootMap, RootName, SharedText, Store } from './store.ts';

const stores = new WeakMap<Y.Doc, Store>();

/** The store of a document; the same one each time. A store is its own. */
export function storeOf(doc: Y.Doc | Store): Store {
  if (!(doc instanceof Y.Doc)) {
    if (typeof doc.root === 'function') return doc;
    throw new TypeError(
      'this document is of another copy of Yjs than this package found; see to it that there is one only',
    );
  }
  let store = stores.get(doc);
  if (!store) {
    store = new YjsStore(doc);
    stores.set(doc, store);
  }
  return store;
}

class YjsStore implements Store {
  readonly #doc: Y.Doc;

  constructor(doc: Y.Doc) {
    this.#doc = doc;
  }

  root(name: RootName): RootMap {
    return this.#doc.getMap(name);
  }

  observe(name: RootName, listener: (keys: Iterable<string>) => void): () => void {
    const root = this.#doc.getMap(name);
    if (name === 'text') {
      const deep: Parameters<typeof root.observeDeep>[0] = (events) => listener(events.flatMap(touchedKeys));
      root.observeDeep(deep);
      return () => root.unobserveDeep(deep);
    }
    const shallow: Parameters<typeof root.observe>[0] = (event) => listener(event.keysChanged);
    root.observe(shallow);
    return () => root.unobserve(shallow);
  }

  afterTransaction(listener: (info: { origin: unknown; local: boolean }) => void): () => void {
    const hear = ({ origin, local }: Y.Transaction) => listener({ origin, local });
    this.#doc.on('afterTransaction', hear);
    return () => this.#doc.off('afterTransaction', hear);
  }

  text(value: unknown): SharedText | null {
    // An XML text is a subclass, but another type to every other reader.
    return value instanceof Y.Text && !(value instanceof Y.XmlText) ? value : null;
  }

  createText(): unknown {
    return new Y.Text();
  }

  transact(edit: () => void, origin: unknown): void {
    this.#doc.transact(edit, origin);
  }
}

/** The keys of the root that an event at it or below it is about. */
function touchedKeys(event: Y.YEvent<Y.AbstractType<unknown>>): string[] {
  const [key] = event.path;
  if (typeof key === 'string') return [key];
  return event instanceof Y.YMapEvent ? [...(event.keysChanged as Set<string>)] : [];
}
