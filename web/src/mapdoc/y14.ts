// Documents of Yjs 14 (`@y/y`), whose shared types are one class with attributes and children. This file knows that class by its
// methods alone, so that nobody needs the package who does not use it.

import type { RootMap, RootName, SharedText, Store, TransactionInfo } from './store.ts';

/** How Yjs 13 and all that is compatible with it call a text on the wire. */
const TEXT_TYPE_REF = 2;

/** What is used of `Y.Type`. */
export interface Y14Type {
  /** Number of the type on the wire, from the time when there were several classes. */
  _legacyTypeRef: number;
  readonly attrSize: number;
  readonly length: number;
  getAttr(key: string): unknown;
  hasAttr(key: string): boolean;
  attrKeys(): Iterable<string>;
  setAttr(key: string, value: unknown): unknown;
  deleteAttr(key: string): void;
  readonly _item: { readonly parent: unknown; readonly parentSub: string | null } | null;
  insert(index: number, text: string): void;
  delete(index: number, length: number): void;
  toArray(): unknown[];
  observeDeep(listener: (event: Y14Event) => void): unknown;
  unobserveDeep(listener: (event: Y14Event) => void): void;
  observe(listener: (event: Y14Event) => void): unknown;
  unobserve(listener: (event: Y14Event) => void): void;
}

export interface Y14Event {
  readonly keysChanged: Iterable<string>;
  readonly target: Y14Type;
  readonly transaction: { readonly changedParentTypes: ReadonlyMap<unknown, readonly Y14Event[]> };
}

/** What is used of `Y.Doc`. */
export interface Y14Doc {
  get(name: string): Y14Type;
  transact(edit: () => void, origin?: unknown): void;
  on(name: 'afterTransaction', listener: (transaction: TransactionInfo) => void): unknown;
  off(name: 'afterTransaction', listener: (transaction: TransactionInfo) => void): void;
}

const stores = new WeakMap<Y14Doc, Store>();

/** The store of a Yjs 14 document; the same one each time. */
export function storeOfY14(doc: Y14Doc): Store {
  let store = stores.get(doc);
  if (!store) {
    store = new Y14Store(doc);
    stores.set(doc, store);
  }
  return store;
}

class Y14Store implements Store {
  readonly #doc: Y14Doc;

  constructor(doc: Y14Doc) {
    this.#doc = doc;
  }

  root(name: RootName): RootMap {
    const root = this.#doc.get(name);
    return {
      get size() {
        return root.attrSize;
      },
      get: (key) => root.getAttr(key),
      has: (key) => root.hasAttr(key),
      keys: () => root.attrKeys(),
      set: (key, value) => void root.setAttr(key, value),
      delete: (key) => root.deleteAttr(key),
    };
  }

  observe(name: RootName, listener: (keys: Iterable<string>) => void): () => void {
    const root = this.#doc.get(name);
    if (name === 'text') {
      // One event stands for all below the root; the transaction knows the others.
      const deep = ({ transaction }: Y14Event) =>
        listener((transaction.changedParentTypes.get(root) ?? []).flatMap((event) => touchedKeys(root, event)));
      root.observeDeep(deep);
      return () => root.unobserveDeep(deep);
    }
    const shallow = (event: Y14Event) => listener(event.keysChanged);
    root.observe(shallow);
    return () => root.unobserve(shallow);
  }

  afterTransaction(listener: (info: TransactionInfo) => void): () => void {
    const hear = ({ origin, local }: TransactionInfo) => listener({ origin, local });
    this.#doc.on('afterTransaction', hear);
    return () => this.#doc.off('afterTransaction', hear);
  }

  text(value: unknown): SharedText | null {
    if (!isType(value) || value._legacyTypeRef !== TEXT_TYPE_REF) return null;
    return {
      toString: () =>
        value
          .toArray()
          .filter((item) => typeof item === 'string')
          .join(''),
      insert: (index, text) => value.insert(index, text),
      delete: (index, length) => value.delete(index, length),
    };
  }

  createText(): unknown {
    const Type = this.#doc.get('text').constructor as new () => Y14Type;
    const text = new Type();
    text._legacyTypeRef = TEXT_TYPE_REF;
    return text;
  }

  transact(edit: () => void, origin: unknown): void {
    this.#doc.transact(edit, origin);
  }
}

function isType(value: unknown): value is Y14Type {
  return typeof value === 'object' && value !== null && '_legacyTypeRef' in value && 'toArray' in value;
}

/** The keys of the root that an event at it or below it is about. */
function touchedKeys(root: Y14Type, { target, keysChanged }: Y14Event): string[] {
  if (target === root) return [...keysChanged];
  let item = target._item;
  while (item && item.parent !== root) item = (item.parent as Y14Type)._item;
  return typeof item?.parentSub === 'string' ? [item.parentSub] : [];
}
