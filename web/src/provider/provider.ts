// A map on this device, kept in step with its server: over a socket where one works, over HTTP where none does, and with nothing
// lost where neither does. It ties the parts together and decides nothing itself:
//
//   policy        which way is tried when            socketLink, httpLink   the ways
//   editLog       how far each edit has come         uploader, download     edits up, the first state down
//   persistence   what the device keeps              tabs                   other pages of this browser
//
// docs/provider.md tells how to use it.

import { type Awareness, applyAwarenessUpdate, removeAwarenessStates } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { deviceName } from './device.ts';
import { StateDownload } from './download.ts';
import { type Counts, type Edit, EditLog, type PendingEdit, type StoredEdit } from './editLog.ts';
import { FILE_ENDING, readFile, writeFile } from './file.ts';
import { HttpLink, postBytes, statePath } from './httpLink.ts';
import type { Shared } from './link.ts';
import { type DeviceState, Persistence } from './persistence.ts';
import { type Effect, Policy, type PolicyEvent, type ProviderState, type TimerName } from './policy.ts';
import { closeCodeOf, HttpError, isFinal, reasonOf } from './problem.ts';
import { SocketLink } from './socketLink.ts';
import { Tabs } from './tabs.ts';
import { Uploader } from './uploader.ts';

export interface ProviderOptions {
  /** The server's address: `https://maps.example.org`, with a path in front of the server's own if it has one. */
  server: string;
  /** The map's name as it is, not percent-encoded. */
  map: string;
  doc: Y.Doc;
  /** A token, or where to get one: asked at the first use, and again when the server says that it expired. */
  token?: string | (() => Promise<string>);
  awareness?: Awareness;
  /** Whether edits and content are kept on the device; true where there is IndexedDB. */
  persistence?: boolean | IDBFactory;
  /** False: `connect()` starts it. */
  connect?: boolean;
  /** In the place of the platform's own, for tests and other platforms. */
  platform?: Partial<Platform>;
}

/** What is used of the platform. */
export interface Platform {
  fetch: typeof fetch;
  WebSocket: typeof WebSocket;
  indexedDB: IDBFactory | undefined;
  BroadcastChannel: typeof BroadcastChannel | undefined;
  locks: LockManager | undefined;
  /** Where `online`, `offline` and `pagehide` are heard. */
  events: EventTarget | undefined;
  random: () => number;
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
const PROGRESS_EVERY_MS = 100;

export class MapweaveProvider {
  readonly doc: Y.Doc;
  readonly map: string;
  readonly awareness: Awareness | null;
  /** Resolves once what the device has is in the document; to whether that was anything. */
  readonly loaded: Promise<boolean>;
  readonly #server: string;
  readonly #platform: Platform;
  readonly #policy: Policy;
  readonly #log = new EditLog();
  readonly #persistence: Persistence | null;
  readonly #tabs: Tabs | null;
  readonly #shared: Shared;
  readonly #uploader: Uploader;
  readonly #abort = new AbortController();
  readonly #listeners = new Map<keyof ProviderEvents, Set<(told: never) => void>>();
  readonly #timers = new Map<TimerName, ReturnType<typeof setTimeout>>();
  readonly #getToken: (() => Promise<string>) | null;
  readonly #page = pageId();
  #token: Promise<string> | null = null;
  #isTokenFresh = false;
  #socket: SocketLink | null = null;
  #isSocketWanted = false;
  #http: HttpLink | null = null;
  #lastEventId: string | null = null;
  #download: StateDownload | null = null;
  #downloadAbort: AbortController | null = null;
  #progressAt = 0;
  #epoch: string | null = null;
  #made = 0;
  #isChanged = false;
  #isLearning = false;
  #isDestroyed = false;

  constructor(options: ProviderOptions) {
    const { server, map, doc, token, awareness, persistence = true } = options;
    this.doc = doc;
    this.map = map;
    this.awareness = awareness ?? null;
    this.#server = server.replace(/\/+$/, '');
    this.#platform = { ...ownPlatform(), ...options.platform };
    this.#policy = new Policy(this.#platform.random);
    this.#getToken = typeof token === 'string' ? () => Promise.resolve(token) : (token ?? null);
    this.#shared = this.#makeShared();
    const post = (body: Uint8Array<ArrayBuffer>, signal: AbortSignal) =>
      postBytes((path, init) => this.#request(path, init), 'state', body, signal);
    this.#uploader = new Uploader(post, this.#shared);
    const factory = typeof persistence === 'object' ? persistence : persistence ? this.#platform.indexedDB : undefined;
    const name = deviceName(this.#server, map);
    this.#persistence = factory ? this.#makePersistence(factory, name) : null;
    // What the document has already is an edit like any other.
    if (hasContent(doc)) this.#edited(Y.encodeStateAsUpdate(doc));
    doc.on('update', this.#onUpdate);
    this.#tabs = this.#persistence ? this.#makeTabs(name) : null;
    this.loaded = this.#load();
    for (const event of ['online', 'offline', 'pagehide']) this.#platform.events?.addEventListener(event, this);
    if (options.connect !== false) void this.#connectOnceLoaded();
  }

  get state(): ProviderState {
    return this.#policy.state;
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
    if (!this.#isDestroyed) this.#tell({ on: 'start' });
  }

  disconnect(): void {
    this.#tell({ on: 'stop' });
  }

  /** A file of all edits that are not known to be on the server's disk (docs/unsent-edits.md), and a name for it. */
  exportUnsent(who = '', now = Date.now()): { name: string; bytes: Uint8Array<ArrayBuffer> } {
    const edits = this.#log.all().map(({ at, update }) => ({ at, update }));
    const bytes = writeFile({ map: this.map, origin: this.#server, who, writtenAt: now, edits });
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
      Y.applyUpdate(this.doc, update, IMPORT);
      if (edit) this.#begin(edit);
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
    if (type === 'offline') this.#tell({ on: 'networkGone' });
    else if (type === 'online') this.#tell({ on: 'networkBack' });
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
    return new Persistence({ factory, name, log: this.#log, doc: this.doc, random, changed: () => this.#changed() });
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

  async #load(): Promise<boolean> {
    const stored = await this.#persistence?.open();
    if (!stored || this.#isDestroyed) return false;
    this.#epoch = stored.about.epoch;
    this.doc.transact(() => {
      for (const update of stored.content) Y.applyUpdate(this.doc, update, DEVICE);
    }, DEVICE);
    for (const edit of stored.edits) this.#adopt(edit, DEVICE);
    return stored.content.length > 0 || stored.edits.length > 0;
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
    this.#send(edit);
    this.#changed();
  }

  /** An edit that another page made, or an earlier one. It is sent like our own. */
  #adopt(stored: StoredEdit, from: symbol): void {
    const edit = this.#log.add(stored, true);
    if (!edit) return;
    Y.applyUpdate(this.doc, edit.update, from);
    this.#send(edit);
    this.#changed();
  }

  #send(edit: Edit): void {
    this.#socket?.send(edit);
    if (this.#socket && !this.#socket.isAcknowledging) this.#askOneByOne();
    this.#http?.send();
  }

  #stored(edits: Edit[], seq: number | null): void {
    if (edits.length === 0) return;
    const keys = edits.map(({ key }) => key);
    this.#persistence?.settle(edits);
    this.#tabs?.tellStored(keys, seq);
    this.#emit('stored', { keys, seq });
    this.#changed();
    if (this.#epoch === null) void this.#learnEpoch();
  }

  /** A map that was not there when we came has a log by now: which, the device has to know when it comes back. */
  async #learnEpoch(): Promise<void> {
    if (this.#isLearning || !this.#persistence) return;
    this.#isLearning = true;
    try {
      const { signal } = this.#abort;
      const answer = await this.#request('state', { method: 'HEAD', cache: 'no-store', signal });
      this.#isMadeAnew(answer.headers.get('mapweave-epoch'));
    } catch {
      // The next edit that is stored asks again.
    } finally {
      this.#isLearning = false;
    }
  }

  /** The socket says that an edit was refused, not which: POST says that of each. */
  #askOneByOne(): void {
    this.#uploader.run(this.#abort.signal).catch(() => {
      // The socket is there all the same; the next edit or connection asks again.
    });
  }

  #nextKey(): string {
    this.#made += 1;
    return `${this.#page}.${`${this.#made}`.padStart(8, '0')}`;
  }

  // --- the ways ---

  #tell(event: PolicyEvent): void {
    for (const effect of this.#policy.on(event)) this.#carryOut(effect);
  }

  #carryOut(effect: Effect): void {
    switch (effect.do) {
      case 'download':
        return void this.#fetchState();
      case 'cancelDownload':
        return this.#downloadAbort?.abort();
      case 'openSocket':
        return void this.#openSocket();
      case 'closeSocket':
        return this.#closeSocket();
      case 'openHttp':
        return this.#openHttp();
      case 'closeHttp':
        return this.#closeHttp();
      case 'renewToken':
        this.#token = null;
        return;
      case 'setTimer':
        return this.#setTimer(effect.name, effect.ms);
      case 'clearTimer':
        return clearTimeout(this.#timers.get(effect.name));
      case 'tell':
        return this.#became(effect.state);
    }
  }

  #setTimer(name: TimerName, ms: number): void {
    clearTimeout(this.#timers.get(name));
    this.#timers.set(
      name,
      setTimeout(() => this.#tell({ on: 'timer', name }), ms),
    );
  }

  #became(state: ProviderState): void {
    if (state.kind === 'live') {
      this.#isTokenFresh = false;
      this.#download = null;
      if (state.over === 'ws') this.#lastEventId = null;
    }
    if (state.kind === 'offline' || state.kind === 'closed') this.#forgetOthers();
    this.#emit('state', state);
  }

  async #fetchState(): Promise<void> {
    this.#download ??= this.#newDownload();
    const download = this.#download;
    const abort = new AbortController();
    this.#downloadAbort = abort;
    const before = download.receivedBytes;
    try {
      const { update, epoch } = await download.attempt(abort.signal);
      if (abort.signal.aborted) return;
      this.#download = null;
      if (this.#isMadeAnew(epoch)) return;
      this.#shared.apply(update);
      this.#tell({ on: 'downloaded' });
    } catch (error) {
      if (abort.signal.aborted) return;
      const gained = download.receivedBytes > before;
      const kept = download.receivedBytes > 0;
      if (!this.#isAnswered(error)) this.#tell({ on: 'downloadFailed', reason: reasonOf(error), gained, kept });
    }
  }

  #newDownload(): StateDownload {
    const path = statePath(Y.encodeStateVector(this.doc));
    return new StateDownload(
      (headers, signal) => this.#request(path, { headers, signal, cache: 'no-store' }),
      ({ receivedBytes, totalBytes }) => {
        const now = Date.now();
        if (now - this.#progressAt < PROGRESS_EVERY_MS) return;
        this.#progressAt = now;
        this.#tell({ on: 'progress', receivedBytes, totalBytes });
      },
    );
  }

  /** Whether the error says more than that it did not work, and that was dealt with. */
  #isAnswered(error: unknown): boolean {
    if (!(error instanceof HttpError)) return false;
    const { problem } = error;
    if (problem.name === '') {
      if (problem.status !== 404 && problem.status !== 405) return false;
      this.#tell({ on: 'downloadUnsupported' });
    } else if (problem.status === 401) {
      if (this.#mayRenew()) this.#tell({ on: 'downloadFailed', reason: problem.reason, gained: true, kept: false });
      else this.#tell({ on: 'refused', code: 4401, reason: problem.reason });
    } else if (isFinal(problem)) {
      this.#tell({ on: 'refused', code: closeCodeOf(problem), reason: problem.reason });
    } else return false;
    return true;
  }

  /** A map that was made anew under its old name must not get the content of the old one. */
  #isMadeAnew(epoch: string | null): boolean {
    const mapOf = (epoch: string) => epoch.slice(epoch.indexOf('.') + 1);
    if (epoch !== null && this.#epoch !== null && mapOf(epoch) !== mapOf(this.#epoch)) {
      const reason = 'This map was deleted and made anew; this device has content of the one before.';
      this.#tell({ on: 'refused', code: MADE_ANEW, reason });
      return true;
    }
    if (epoch !== null) {
      this.#epoch = epoch;
      this.#persistence?.setEpoch(epoch);
    }
    return false;
  }

  async #openSocket(): Promise<void> {
    this.#isSocketWanted = true;
    let token: string | null;
    try {
      token = await this.#currentToken();
    } catch {
      return this.#tell({ on: 'socketLost', reason: 'no token can be had', code: 0, stage: 'opening' });
    }
    if (!this.#isSocketWanted || this.#socket) return;
    const path = this.map.split('/').map(encodeURIComponent).join('/');
    const query = token === null ? '' : `?token=${encodeURIComponent(token)}`;
    const url = `${this.#server.replace(/^http/, 'ws')}/ws/${path}${query}`;
    const socket = new SocketLink(url, this.#platform.WebSocket, this.#shared, {
      live: () => this.#tell({ on: 'socketLive' }),
      lost: (end) => {
        this.#closeSocket();
        this.#tell({ on: 'socketLost', ...end });
      },
      denied: (reason) => {
        this.#log.forgive();
        this.#emit('denied', { reason });
        this.#askOneByOne();
      },
    });
    this.#socket = socket;
  }

  #closeSocket(): void {
    this.#isSocketWanted = false;
    this.#socket?.close();
    this.#socket = null;
    this.#unsend();
  }

  #openHttp(): void {
    this.#log.forgive();
    this.#http = new HttpLink((path, init) => this.#request(path, init), this.#lastEventId, this.#shared, {
      live: () => this.#tell({ on: 'httpLive' }),
      lost: (reason) => {
        this.#closeHttp();
        this.#tell({ on: 'httpLost', reason });
      },
      refused: (code, reason) => this.#tell({ on: 'refused', code, reason }),
      unauthorized: (reason) => {
        this.#closeHttp();
        if (this.#mayRenew()) this.#tell({ on: 'httpLost', reason });
        else this.#tell({ on: 'refused', code: 4401, reason });
      },
    });
  }

  #closeHttp(): void {
    this.#lastEventId = this.#http?.lastId ?? this.#lastEventId;
    this.#http?.close();
    this.#http = null;
    this.#unsend();
  }

  /** What was on a way that is gone is on the device only, unless there is another way. */
  #unsend(): void {
    if (this.#socket || this.#http) return;
    this.#log.unsend();
    this.#changed();
  }

  async #request(path: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    const token = await this.#currentToken();
    if (token !== null) headers.set('authorization', `Bearer ${token}`);
    const { fetch } = this.#platform;
    return fetch(`${this.#server}/api/v1/maps/${encodeURIComponent(this.map)}/${path}`, { ...init, headers });
  }

  async #currentToken(): Promise<string | null> {
    if (!this.#getToken) return null;
    this.#token ??= this.#getToken();
    const token = this.#token;
    try {
      return await token;
    } catch (error) {
      // The next attempt asks again.
      if (this.#token === token) this.#token = null;
      throw error;
    }
  }

  /** Whether another token may help: once, until something worked. */
  #mayRenew(): boolean {
    if (!this.#getToken || this.#isTokenFresh) return false;
    this.#isTokenFresh = true;
    this.#token = null;
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
    this.disconnect();
    this.#listeners.clear();
    this.#abort.abort();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    for (const event of ['online', 'offline', 'pagehide']) this.#platform.events?.removeEventListener(event, this);
    this.doc.off('update', this.#onUpdate);
    this.#tabs?.close();
  }
}

/** Origins of transactions that are no new edits of this page. */
const DEVICE = Symbol('from the device');
const TAB = Symbol('from another page');
const IMPORT = Symbol('from a file');

const PAGE_ID_LENGTH = 12;

function hasContent(doc: Y.Doc): boolean {
  return Y.encodeStateVector(doc).length > 1;
}

/** Random; sorts pages by when they began, roughly. */
function pageId(): string {
  const random = crypto.getRandomValues(new Uint8Array(PAGE_ID_LENGTH));
  const digits = Array.from(random, (byte) => (byte % 36).toString(36)).join('');
  return `${Date.now().toString(36).padStart(9, '0')}${digits}`;
}

function ownPlatform(): Platform {
  const { indexedDB, BroadcastChannel, navigator } = globalThis as Partial<typeof globalThis>;
  const canListen = typeof globalThis.addEventListener === 'function';
  return {
    fetch: (...request) => globalThis.fetch(...request),
    WebSocket: globalThis.WebSocket,
    indexedDB,
    BroadcastChannel,
    locks: navigator?.locks,
    events: canListen ? globalThis : undefined,
    random: Math.random,
  };
}
