// What this package needs of a Yjs document. Both generations of Yjs have it under other names; `yjs.ts` and `y14.ts` translate.

/** The root maps of a map document (map document format §3). */
export const ROOTS = [
  'meta',
  'feat',
  'geom',
  'part',
  'vert',
  'prop',
  'attr',
  'gone',
  'layer',
  'text',
  'note',
  'file',
  'who',
] as const;
export type RootName = (typeof ROOTS)[number];

/** One root map. Values are JSON, bytes or shared types. */
export interface RootMap {
  readonly size: number;
  get(key: string): unknown;
  has(key: string): boolean;
  keys(): Iterable<string>;
  set(key: string, value: unknown): void;
  delete(key: string): void;
}

/** A text that several people edit letter by letter. Positions count UTF-16 units. */
export interface SharedText {
  toString(): string;
  insert(index: number, text: string): void;
  delete(index: number, length: number): void;
}

/** A transaction that has ended. */
export interface TransactionInfo {
  /** Whatever the writer gave as origin; null where it gave none. */
  origin: unknown;
  /** Made in this process, not received. */
  local: boolean;
}

/** A document as this package sees it. */
export interface Store {
  root(name: RootName): RootMap;
  /**
   * Hears the keys of a root that a transaction set, deleted or, in `text`, typed below. Values are to be read from the root.
   * Returns how to stop that.
   */
  observe(name: RootName, listener: (keys: Iterable<string>) => void): () => void;
  /** Called after the listeners of every transaction, also of one that touched nothing. Returns how to stop that. */
  afterTransaction(listener: (info: TransactionInfo) => void): () => void;
  /** The text that a value is; null if it is none. */
  text(value: unknown): SharedText | null;
  /** A new empty text, to be set under a key and only then filled. */
  createText(): unknown;
  /** Runs `edit` as one transaction. */
  transact(edit: () => void, origin: unknown): void;
}
