// A map on this device, kept in step with its server: over a socket where one works, over HTTP where none does, and with nothing
// lost where neither does. It ties the parts together and decides nothing itself:
//
//   policy        which way is tried when            ways                   socketLink, httpLink, uploader, download
//   editLog       how far each edit has come         access                 addresses and tokens
//   persistence   what the device keeps              tabs                   other pages of this browser
//
// docs/provider.md tells how to use it.

import { type Awareness, applyAwarenessUpdate, removeAwarenessStates } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { Access, type GetToken } from './access.ts';
import { deviceName, type Stored } from './device.ts';
import { type Counts, type Edit, EditLog, type PendingEdit, type StoredEdit } from './editLog.ts';
import { FILE_ENDING, readFile, writeFile } from './file.ts';
import type { Shared } from './link.ts';
import { type DeviceState, Persistence } from './persistence.ts';
import { ownPlatform, type Platform, pageId } from './platform.ts';
import type { ProviderState } from './policy.ts';
import { Tabs } from './tabs.ts';
import { Ways } from './ways.ts';

export interface ProviderOptions {
  /** The server's address: `https://maps.example.org`, with a path in front of the server's own if it has one. */
  server: string;
  /** The map's name as it is, not percent-encoded. */
  map: string;
  doc: Y.Doc;
  /** A token, or where to get one: asked at the first use, and again when the server says that it expired. */
  token?: string | GetToken;
  awareness?: Awareness;
  /** Whether edits and content are kept on the device; true where there is IndexedDB. */
  persistence?: boolean | IDBFactory;
  /** False: `connect()` starts it. */
  connect?: boolean;
  /** In the place of the platform's own, for tests and other platforms. */
  platform?: Partial<Platform>;
}

export interface ProviderEvents {
  state: ProviderState;
  /** How many edits have come how far, and how the device does. */
  edits: { counts: Counts; device: DeviceState };
  /** These edits are on the server's disk now, at this place of the map's log where it was told. */
  stored: { keys: readonly string[]; seq: number | null };
  /** The server refused an edit. */
  denied: { reason: string };
}

export type ImportResult =
  | { ok: true; edits: number; unreadable: number }
  /** Nothing was taken in, and why. */
  | { ok: false; reason: string };

/** Like a close code: the map was deleted and made anew, and this device still has content of the old one. */
export const MADE_ANEW = 4410;

/** A device that is slower than this is not waited for. */
const DEVICE_MS = 5_000;

export class MapweaveProvider {
  readonly doc: Y.Doc;
  readonly map: string;
  readonly awareness: Awareness | null;
  /** Resolves once what the device has is in the document; to whether that was anything. */
  readonly loaded: Promise<boolean>;
  readonly #platform: Platform;
  readonly #access: Access;
  readonly #ways: Ways;
  readonly #log = new EditLog();
  readonly #persistence: Persistence | null;
  readonly #tabs: Tabs | null;
  readonly #listeners = new Map<keyof ProviderEvents, Set<(told: never) => void>>();
  readonly #page = pageId();
  #epoch: string | null = null;
  #made = 0;
  #isChanged = false;
  #isDestroyed = false;

  constructor(options: ProviderOptions) {
    const { server, map, doc, token, awareness, persistence = true } = options;
    this.doc = doc;
    this.map = map;
    this.awareness = awareness ?? null;
    this.#platform = { ...ownPlatform(), ...options.platform };
    this.#access = new Access(server, map, token, this.#platform.fetch);
    this.#ways = new Ways(this.#access, this.#platform, this.#makeShared(), {
      state: (state) => this.#became(state),
      denied: (reason) => this.#emit('denied', { reason }),
      epoch: (epoch) => this.#meet(epoch),
    });
    const factory = typeof persistence === 'object' ? persistence : persistence ? this.#platform.indexedDB : undefined;
    const name = deviceName(this.#access.server, map);
    this.#persistence = factory ? this.#makePersistence(factory, name) : null;
    // What the document has already is an edit like any other.
    if (hasContent(doc)) this.#edited(Y.encodeStateAsUpdate(doc));
    doc.on('update', this.#onUpdate);
    this.#tabs = this.#persistence ? this.#makeTabs(name) : null;
    this.loaded = this.#persistence?.open() ?? Promise.resolve(false);
    for (const event of ['online', 'offline', 'pagehide']) this.#platform.events?.addEventListener(event, this);
    if (options.connect !== false) void this.#connectOnceLoaded();
  }

  get state(): ProviderState {
    return this.#ways.state;
  }

  get device(): DeviceState {
    return this.#persistence?.state ?? { kind: 'off' };
  }

  get counts(): Counts {
    return this.#log.counts();
  }

  /** The edits that are not known to be on the server's disk, each with its state, oldest first. */
  pending(): PendingEdit[] {
    return this.#log.pending();
  }

  /** Gives back what ends it. */
  on<K extends keyof ProviderEvents>(event: K, listener: (told: ProviderEvents[K]) => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners);
    listeners.add(listener as (told: never) => void);
    return () => listeners.delete(listener as (told: never) => void);
  }

  connect(): void {
    if (!this.#isDestroyed) this.#ways.tell({ on: 'start' });
  }

  disconnect(): void {
    this.#ways.tell({ on: 'stop' });
  }

  /** A file of all edits that are not known to be on the server's disk (docs/unsent-edits.md), and a name for it. */
  exportUnsent(who = '', now = Date.now()): { name: string; bytes: Uint8Array<ArrayBuffer> } {
    const edits = this.#log.all().map(({ at, update }) => ({ at, update }));
    const bytes = writeFile({ map: this.map, origin: this.#access.server, who, writtenAt: now, edits });
    const day = new Date(now).toISOString().slice(0, 19).replaceAll(':', '-');
    return { name: `${this.map.replaceAll('/', '_')} ${day}${FILE_ENDING}`, bytes };
  }

  /** Takes in such a file; its edits are unsent ones of this device from then on. */
  importUnsent(bytes: Uint8Array): ImportResult {
    const read = readFile(bytes);
    if (!read.ok) return read;
    const { map, edits } = read.file;
    if (map !== this.map) return { ok: false, reason: `These edits were made in the map “${map}”; open that one.` };
    let unreadable = 0;
    for (const { at, update } of edits) {
      try {
        // What cannot be read must not reach the document.
        Y.decodeUpdate(update);
      } catch {
        unreadable += 1;
        continue;
      }
      const edit = this.#log.add({ key: this.#nextKey(), at, update }, false);
      if (edit) this.#begin(edit);
      Y.applyUpdate(this.doc, update, IMPORT);
    }
    return { ok: true, edits: edits.length - unreadable, unreadable };
  }

  /** Removes everything of this map from this device, unsent edits too, and ends the provider. */
  async forget(): Promise<void> {
    this.#detach();
    await this.#persistence?.forget();
  }

  /** Ends it; what waits is written to the device first. */
  async destroy(): Promise<void> {
    this.#detach();
    await this.#persistence?.close();
  }

  /** For the platform's events. */
  handleEvent({ type }: Event): void {
    if (type === 'offline') this.#ways.tell({ on: 'networkGone' });
    else if (type === 'online') this.#ways.tell({ on: 'networkBack' });
    else {
      this.awareness?.setLocalState(null);
      void this.#persistence?.flush();
    }
  }

  // --- the parts ---

  #makeShared(): Shared {
    return {
      doc: this.doc,
      awareness: this.awareness,
      log: this.#log,
      apply: (update) => Y.applyUpdate(this.doc, update, this),
      applyAwareness: (update) => {
        if (this.awareness) applyAwarenessUpdate(this.awareness, update, this);
      },
      storedUpto: (number) => this.#stored(this.#log.storedUpto(number), null),
      stored: (keys, seq) => this.#stored(this.#log.stored(keys), seq),
      changed: () => this.#changed(),
    };
  }

  #makePersistence(factory: IDBFactory, name: string): Persistence {
    const { random } = this.#platform;
    const apply = (stored: Stored) => this.#applyStored(stored);
    const changed = () => this.#changed();
    return new Persistence({ factory, name, log: this.#log, doc: this.doc, apply, changed, random });
  }

  #makeTabs(name: string): Tabs {
    const { BroadcastChannel: Channel, locks } = this.#platform;
    return new Tabs(
      { name, Channel, locks },
      {
        edit: (edit) => this.#adopt(edit, TAB),
        stored: (keys) => {
          if (this.#log.stored(keys).length > 0) this.#changed();
        },
        keeper: () => this.#persistence?.keep(),
      },
    );
  }

  #applyStored({ content, edits, about }: Stored): void {
    if (this.#isDestroyed) return;
    this.#epoch ??= about.epoch;
    this.doc.transact(() => {
      for (const update of content) Y.applyUpdate(this.doc, update, DEVICE);
    }, DEVICE);
    for (const edit of edits) this.#adopt(edit, DEVICE);
  }

  async #connectOnceLoaded(): Promise<void> {
    const limit = new Promise((resolve) => setTimeout(resolve, DEVICE_MS));
    await Promise.race([this.loaded, limit]);
    this.connect();
  }

  // --- edits ---

  readonly #onUpdate = (update: Uint8Array, origin: unknown): void => {
    if (origin === this) this.#persistence?.remember(update);
    else if (origin !== DEVICE && origin !== TAB && origin !== IMPORT) this.#edited(update);
  };

  /** An edit of this page. */
  #edited(update: Uint8Array): void {
    const edit = this.#log.add({ key: this.#nextKey(), at: Date.now(), update }, false);
    if (edit) this.#begin(edit);
  }

  #begin(edit: Edit): void {
    this.#persistence?.writeEdit(edit);
    this.#tabs?.tellEdit(edit);
    this.#ways.send(edit);
    this.#changed();
  }

  /** An edit that another page made, or an earlier one. It is sent like our own. */
  #adopt(stored: StoredEdit, from: symbol): void {
    const edit = this.#log.add(stored, true);
    if (!edit) return;
    // Before anything that its content may lead to: what is acknowledged goes by the order of numbers.
    this.#ways.send(edit);
    Y.applyUpdate(this.doc, edit.update, from);
    this.#changed();
  }

  #stored(edits: Edit[], seq: number | null): void {
    if (edits.length === 0) return;
    const keys = edits.map(({ key }) => key);
    this.#persistence?.settle(edits);
    this.#tabs?.tellStored(keys, seq);
    this.#emit('stored', { keys, seq });
    this.#changed();
    if (this.#epoch === null && this.#persistence) void this.#ways.learnEpoch();
  }

  #nextKey(): string {
    this.#made += 1;
    return `${this.#page}.${`${this.#made}`.padStart(8, '0')}`;
  }

  // --- the server ---

  #became(state: ProviderState): void {
    if (state.kind === 'offline' || state.kind === 'closed') this.#forgetOthers();
    this.#emit('state', state);
  }

  /** A map that was made anew under its old name must not get the content of the old one. */
  #meet(epoch: string): boolean {
    const mapOf = (epoch: string) => epoch.slice(epoch.indexOf('.') + 1);
    if (this.#epoch !== null && mapOf(epoch) !== mapOf(this.#epoch)) {
      const reason = 'This map was deleted and made anew; this device has content of the one before.';
      this.#ways.tell({ on: 'refused', code: MADE_ANEW, reason });
      return false;
    }
    this.#epoch = epoch;
    this.#persistence?.setEpoch(epoch);
    return true;
  }

  #forgetOthers(): void {
    const { awareness } = this;
    if (!awareness) return;
    const others = [...awareness.getStates().keys()].filter((client) => client !== awareness.clientID);
    removeAwarenessStates(awareness, others, this);
  }

  // --- telling ---

  /** Several changes of one moment are told once. */
  #changed(): void {
    if (this.#isChanged) return;
    this.#isChanged = true;
    queueMicrotask(() => {
      this.#isChanged = false;
      this.#emit('edits', { counts: this.counts, device: this.device });
    });
  }

  #emit<K extends keyof ProviderEvents>(event: K, told: ProviderEvents[K]): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])])
      (listener as (told: ProviderEvents[K]) => void)(told);
  }

  #detach(): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    this.#ways.close();
    this.#listeners.clear();
    for (const event of ['online', 'offline', 'pagehide']) this.#platform.events?.removeEventListener(event, this);
    this.doc.off('update', this.#onUpdate);
    this.#tabs?.close();
  }
}

/** Origins of transactions that are no new edits of this page. */
const DEVICE = Symbol('from the device');
const TAB = Symbol('from another page');
const IMPORT = Symbol('from a file');

function hasContent(doc: Y.Doc): boolean {
  return Y.encodeStateVector(doc).length > 1;
}
