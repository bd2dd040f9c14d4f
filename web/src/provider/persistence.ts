// When what is written to the device, and what to do when the device does not let us.
//
// An edit is written at once, others' content a second later. When the database fails or is closed, edits stay in memory and the
// state says so; it is opened again until that works, and then everything is written that should be there.

import * as Y from 'yjs';
import { Backoff } from './backoff.ts';
import { type Device, deleteDevice, openDevice, type Stored } from './device.ts';
import type { Edit, EditLog } from './editLog.ts';

export type DeviceState =
  /** Nothing is kept: the program does not want it, or the browser has no IndexedDB. */
  | { kind: 'off' }
  | { kind: 'opening' }
  | { kind: 'ok' }
  /** Edits are in this page only. */
  | { kind: 'failed'; reason: string };

export interface PersistenceOptions {
  factory: IDBFactory;
  /** The database. */
  name: string;
  log: EditLog;
  doc: Y.Doc;
  /** Takes what the device has into the document. */
  apply: (stored: Stored) => void;
  changed: () => void;
  random: () => number;
}

/** Others' updates are collected for so long. */
export const CONTENT_DELAY_MS = 1_000;
/** After so many updates, or when they are larger than the content before them (and than a MiB), they become one. */
export const UPDATES_MAX = 100;
export const UPDATES_BYTES_MIN = 1 << 20;
/** How long until a database that failed is opened again. */
export const REOPEN = { minMs: 500, maxMs: 30_000 };

export class Persistence {
  readonly #options: PersistenceOptions;
  readonly #backoff: Backoff;
  #device: Device | null = null;
  #state: DeviceState = { kind: 'opening' };
  #isClosed = false;
  #isKeeper = false;
  /** The document has what the device has. */
  #isLoaded = false;
  #reopenTimer: ReturnType<typeof setTimeout> | null = null;
  /** Edits that are to be written. */
  readonly #unwritten = new Map<string, Edit>();
  #isWriting = false;
  /** Content that is to be written. */
  #content: Uint8Array[] = [];
  #contentTimer: ReturnType<typeof setTimeout> | null = null;
  #contentBytes = 0;
  #updates = 0;
  #updatesBytes = 0;
  /** The device lacks content that this page has. */
  #isBehind = false;
  #epoch: string | null = null;

  constructor(options: PersistenceOptions) {
    this.#options = options;
    this.#backoff = new Backoff(REOPEN, options.random);
  }

  get state(): DeviceState {
    return this.#state;
  }

  /** Takes what is on the device into the document; true if that was anything. False also where it cannot be read now: later, then. */
  async open(): Promise<boolean> {
    try {
      const isAnything = await this.#load(await this.#opened());
      this.#become({ kind: 'ok' });
      void this.#write();
      return isAnything;
    } catch (error) {
      this.#fail(error);
      return false;
    }
  }

  /** In which log the map lies. */
  setEpoch(epoch: string): void {
    if (epoch === this.#epoch) return;
    this.#epoch = epoch;
    void this.#try((device) => device.setAbout({ epoch }));
  }

  /** An edit of this page. */
  writeEdit(edit: Edit): void {
    this.#unwritten.set(edit.key, edit);
    void this.#write();
  }

  /** These are on the server's disk. */
  settle(edits: readonly Edit[]): void {
    for (const { key } of edits) this.#unwritten.delete(key);
    const keys = edits.map(({ key }) => key);
    const update = edits.length === 0 ? null : merge(edits.map((edit) => edit.update));
    if (update) void this.#settle(keys, update);
  }

  /** Others' content. */
  remember(update: Uint8Array): void {
    if (!this.#isKeeper) {
      this.#isBehind = true;
      return;
    }
    this.#content.push(update);
    this.#contentTimer ??= setTimeout(() => void this.flush(), CONTENT_DELAY_MS);
  }

  /** From now on this page keeps the content. */
  keep(): void {
    this.#isKeeper = true;
    void this.#catchUp();
  }

  /** Writes what waits. */
  async flush(): Promise<void> {
    if (this.#contentTimer !== null) clearTimeout(this.#contentTimer);
    this.#contentTimer = null;
    if (this.#content.length === 0) return;
    const update = merge(this.#content.splice(0));
    if (await this.#try((device) => device.append(update))) await this.#added(update);
    else this.#isBehind = true;
  }

  /** Lets go of the device; what waits is written first. */
  async close(): Promise<void> {
    await this.flush();
    this.#isClosed = true;
    if (this.#reopenTimer !== null) clearTimeout(this.#reopenTimer);
    // Transactions that have begun are completed.
    this.#device?.close();
    this.#device = null;
  }

  /** Removes everything of this map from the device, and lets go of it. */
  async forget(): Promise<void> {
    this.#content = [];
    await this.close();
    await deleteDevice(this.#options.factory, this.#options.name);
  }

  /** Writes edits until none waits. One transaction at a time, with all that came during the one before. */
  async #write(): Promise<void> {
    if (this.#isWriting) return;
    this.#isWriting = true;
    const { log, changed } = this.#options;
    while (this.#device && this.#unwritten.size > 0) {
      const batch = [...this.#unwritten.values()];
      if (!(await this.#try((device) => device.writeEdits(batch)))) break;
      for (const edit of batch) {
        if (this.#unwritten.get(edit.key) !== edit) continue;
        this.#unwritten.delete(edit.key);
      }
      log.onDevice(
        batch.map(({ key }) => key),
        true,
      );
      changed();
    }
    this.#isWriting = false;
  }

  async #settle(keys: readonly string[], update: Uint8Array): Promise<void> {
    if (await this.#try((device) => device.settle(keys, update))) await this.#added(update);
  }

  /** There is more content on the device than before. */
  async #added(update: Uint8Array): Promise<void> {
    this.#count(update.length);
    const isMany = this.#updates > UPDATES_MAX;
    const isMuch = this.#updatesBytes > Math.max(UPDATES_BYTES_MIN, this.#contentBytes);
    if (isMany || isMuch) this.#isBehind = true;
    await this.#catchUp();
  }

  /** Writes the content as one update in the place of all that there is, if that is due and ours to do. */
  async #catchUp(): Promise<void> {
    // A document that lacks what the device has must not take its place.
    if (!this.#isBehind || !this.#isKeeper || !this.#isLoaded) return;
    const state = Y.encodeStateAsUpdate(this.#options.doc);
    this.#isBehind = !(await this.#try((device) => device.compact(state)));
    if (this.#isBehind) return;
    this.#contentBytes = state.length;
    this.#updates = 0;
    this.#updatesBytes = 0;
  }

  /** The first is the content as a whole. */
  #count(bytes: number): void {
    if (this.#contentBytes === 0) {
      this.#contentBytes = bytes;
      return;
    }
    this.#updates += 1;
    this.#updatesBytes += bytes;
  }

  /** True where it worked. */
  async #try(work: (device: Device) => Promise<void>): Promise<boolean> {
    const device = this.#device;
    if (!device) return false;
    try {
      await work(device);
      return true;
    } catch (error) {
      if (device === this.#device) this.#fail(error);
      return false;
    }
  }

  async #load(device: Device): Promise<boolean> {
    const stored = await device.load();
    this.#epoch ??= stored.about.epoch;
    for (const update of stored.content) this.#count(update.length);
    this.#options.apply(stored);
    this.#isLoaded = true;
    void this.#catchUp();
    return stored.content.length > 0 || stored.edits.length > 0;
  }

  async #opened(): Promise<Device> {
    const { factory, name } = this.#options;
    const device: Device = await openDevice(factory, name, (why) => {
      if (this.#device === device) this.#fail(new Error(why));
    });
    if (this.#isClosed) {
      device.close();
      throw new Error('this page lets go of the device');
    }
    this.#device = device;
    return device;
  }

  #fail(error: unknown): void {
    this.#device?.close();
    this.#device = null;
    if (this.#isClosed) return;
    // What was deleted cannot be told from what was closed.
    const { log } = this.#options;
    log.onDevice(
      log.all().map(({ key }) => key),
      false,
    );
    this.#become({ kind: 'failed', reason: failure(error) });
    if (this.#reopenTimer !== null) clearTimeout(this.#reopenTimer);
    this.#reopenTimer = setTimeout(() => void this.#reopen(), this.#backoff.next());
  }

  /** What is there by now may be nothing: all that should be is written again. */
  async #reopen(): Promise<void> {
    const { log } = this.#options;
    try {
      const device = await this.#opened();
      if (!this.#isLoaded) await this.#load(device);
      const all = log.all();
      for (const edit of all) this.#unwritten.set(edit.key, edit);
      await device.writeEdits(all);
      for (const edit of all) this.#unwritten.delete(edit.key);
      log.onDevice(
        all.map(({ key }) => key),
        true,
      );
      if (this.#epoch !== null) await device.setAbout({ epoch: this.#epoch });
      this.#backoff.reset();
      this.#become({ kind: 'ok' });
      this.#isBehind = true;
      await this.#catchUp();
      void this.#write();
    } catch (error) {
      this.#fail(error);
    }
  }

  #become(state: DeviceState): void {
    this.#state = state;
    this.#options.changed();
  }
}

function merge(updates: Uint8Array[]): Uint8Array {
  const [first] = updates;
  return updates.length === 1 && first ? first : Y.mergeUpdates(updates);
}

function failure(error: unknown): string {
  if (error instanceof DOMException && error.name === 'QuotaExceededError') return 'this device’s storage is full';
  if (error instanceof Error && error.message !== '') return error.message;
  return 'this device’s storage cannot be used';
}
