// What a device keeps of one map in IndexedDB: its content as last heard of, and the edits that no server has acknowledged.
//
// Thin: each method is one transaction. An unsent edit is on the device once its transaction is complete and flushed ('strict').
// Start at `openDevice`; `persistence.ts` decides what is written when, and what to do when it fails.

import type { StoredEdit } from './editLog.ts';

export interface About {
  /** In which log the map lay when this device last heard of it. */
  epoch: string | null;
}

export interface Stored {
  /** Yjs updates: the content, then what came since. */
  content: Uint8Array[];
  edits: StoredEdit[];
  about: About;
}

const VERSION = 1;
const EDITS = 'edits';
const CONTENT = 'content';
const ABOUT = 'about';
const EPOCH = 'epoch';

export class Device {
  readonly #db: IDBDatabase;
  #isLost = false;

  /** `lost` hears that the database was closed under us: by the browser, or for somebody who deletes it. */
  constructor(db: IDBDatabase, lost: (why: string) => void) {
    this.#db = db;
    const lose = (why: string) => {
      if (this.#isLost) return;
      this.#isLost = true;
      lost(why);
    };
    db.onclose = () => lose('the browser closed this device’s storage');
    db.onversionchange = () => {
      db.close();
      lose('this device’s storage was deleted or changed elsewhere');
    };
  }

  load(): Promise<Stored> {
    return this.#run([CONTENT, EDITS, ABOUT], 'readonly', 'default', (stores) => {
      const content = stores(CONTENT).getAll() as IDBRequest<Uint8Array[]>;
      const edits = stores(EDITS).getAll() as IDBRequest<StoredEdit[]>;
      const epoch = stores(ABOUT).get(EPOCH) as IDBRequest<string | undefined>;
      return () => ({ content: content.result, edits: edits.result, about: { epoch: epoch.result ?? null } });
    });
  }

  /** Resolves once they are on the disk. */
  writeEdits(edits: readonly StoredEdit[]): Promise<void> {
    return this.#run([EDITS], 'readwrite', 'strict', (stores) => {
      for (const { key, at, update } of edits) stores(EDITS).put({ key, at, update });
      return () => {};
    });
  }

  /** These are on the server's disk: they move to the content, where they are kept as an update of all of them. */
  settle(keys: readonly string[], update: Uint8Array | null): Promise<void> {
    return this.#run([EDITS, CONTENT], 'readwrite', 'relaxed', (stores) => {
      for (const key of keys) stores(EDITS).delete(key);
      if (update) stores(CONTENT).add(update);
      return () => {};
    });
  }

  /** What others did. */
  append(update: Uint8Array): Promise<void> {
    return this.#run([CONTENT], 'readwrite', 'relaxed', (stores) => {
      stores(CONTENT).add(update);
      return () => {};
    });
  }

  /** One update that has all of the content in the place of all others. */
  compact(state: Uint8Array): Promise<void> {
    return this.#run([CONTENT], 'readwrite', 'relaxed', (stores) => {
      stores(CONTENT).clear();
      stores(CONTENT).add(state);
      return () => {};
    });
  }

  setAbout({ epoch }: About): Promise<void> {
    return this.#run([ABOUT], 'readwrite', 'relaxed', (stores) => {
      stores(ABOUT).put(epoch, EPOCH);
      return () => {};
    });
  }

  close(): void {
    this.#isLost = true;
    this.#db.close();
  }

  #run<T>(
    names: string[],
    mode: IDBTransactionMode,
    durability: IDBTransactionDurability,
    work: (stores: (name: string) => IDBObjectStore) => () => T,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      // Throws where the database is closed.
      const transaction = this.#db.transaction(names, mode, { durability });
      const result = work((name) => transaction.objectStore(name));
      const fail = () => reject(transaction.error ?? new DOMException('the transaction was aborted', 'AbortError'));
      transaction.oncomplete = () => resolve(result());
      transaction.onabort = fail;
      transaction.onerror = fail;
    });
  }
}

/** Opens a map's database, and makes it where there is none. Rejects where the browser does not let us. */
export function openDevice(factory: IDBFactory, name: string, lost: (why: string) => void): Promise<Device> {
  return new Promise((resolve, reject) => {
    const request = factory.open(name, VERSION);
    request.onupgradeneeded = () => {
      const db = request.result;
      db.createObjectStore(EDITS, { keyPath: 'key' });
      db.createObjectStore(CONTENT, { autoIncrement: true });
      db.createObjectStore(ABOUT);
    };
    request.onsuccess = () => resolve(new Device(request.result, lost));
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new DOMException('another page holds an older version', 'AbortError'));
  });
}

/** Removes everything that this device keeps of a map. */
export function deleteDevice(factory: IDBFactory, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = factory.deleteDatabase(name);
    request.onsuccess = () => resolve();
    request.onerror = () => reject(request.error);
  });
}

/** The name of the database of one map of one server. */
export function deviceName(server: string, map: string): string {
  return `mapweave:${server}:${map}`;
}
