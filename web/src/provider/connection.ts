// The page's link to its server, as a state a person can read: offline, connecting, loading, live, refused; and what is safe on disk.

import * as decoding from 'lib0/decoding';
import type { Awareness } from 'y-protocols/awareness';
import { WebsocketProvider } from 'y-websocket';
import type * as Y from 'yjs';
import { durableAck } from './durable-ack.js';

export type Link =
  /** The browser has no network, or the socket was lost and is being opened again. */
  | { kind: 'offline' }
  | { kind: 'connecting' }
  /** Connected; the server's content is still coming. */
  | { kind: 'loading' }
  | { kind: 'live' }
  /** The server will not have this page; trying again does not help. */
  | { kind: 'refused'; code: number; reason: string };

export interface ConnectionState {
  link: Link;
  /** Own edits that are not known to be on the server's disk. */
  unsaved: number;
  /** Whether the server says what it has stored. */
  acknowledges: boolean;
}

export interface Place {
  /** Of the server's sockets. */
  url: string;
  /** The percent-encoded name of the map. */
  room: string;
  token: string | null;
}

export class Connection {
  readonly #provider: WebsocketProvider;
  readonly #ack: ReturnType<typeof durableAck>;
  readonly #listeners = new Set<(state: ConnectionState) => void>();
  readonly #dispose: (() => void)[] = [];
  #link: Link = { kind: 'connecting' };
  #hasConnected = false;

  /** `denied` hears why the server refused an edit. */
  constructor(place: Place, doc: Y.Doc, awareness: Awareness, denied: (reason: string) => void) {
    // Pages of one browser talk through the server like everybody else: what one shows, all have.
    const params = place.token === null ? {} : { token: place.token };
    const options = { awareness, params, disableBc: true, connect: false };
    const provider = new WebsocketProvider(place.url, place.room, doc, options);
    this.#provider = provider;
    this.#ack = durableAck(provider);
    this.#dispose.push(this.#ack.onChange(() => this.#notify()));
    provider.messageHandlers[MESSAGE_AUTH] = (_encoder, decoder) => {
      const reason = readDenial(decoder);
      if (reason !== null) denied(reason);
    };
    provider.on('status', () => this.#update());
    provider.on('sync', () => this.#update());
    provider.on('closed', ({ code, reason }) => this.#become({ kind: 'refused', code, reason }));
    this.#listen(window, 'offline', () => this.#update());
    this.#listen(window, 'online', () => this.#reconnect());
    this.#listen(window, 'pagehide', () => awareness.setLocalState(null));
    provider.connect();
  }

  get state(): ConnectionState {
    const { local, stored, supported } = this.#ack.state;
    return { link: this.#link, unsaved: local - stored, acknowledges: supported };
  }

  onChange(listener: (state: ConnectionState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  dispose(): void {
    this.#listeners.clear();
    for (const dispose of this.#dispose.splice(0)) dispose();
    this.#ack.dispose();
    this.#provider.destroy();
  }

  #update(): void {
    const { wsconnected, synced } = this.#provider;
    this.#hasConnected ||= wsconnected;
    if (!navigator.onLine) this.#become({ kind: 'offline' });
    else if (wsconnected) this.#become(synced ? { kind: 'live' } : { kind: 'loading' });
    else this.#become(this.#hasConnected ? { kind: 'offline' } : { kind: 'connecting' });
  }

  /** While the network was away the socket may have died without a sign; a new one finds out what is missing. */
  #reconnect(): void {
    if (this.#link.kind !== 'refused') {
      this.#provider.disconnect();
      this.#provider.connect();
    }
    this.#update();
  }

  #become(link: Link): void {
    this.#link = link;
    this.#notify();
  }

  #notify(): void {
    const state = this.state;
    for (const listener of [...this.#listeners]) listener(state);
  }

  #listen(target: Window, event: string, listener: () => void): void {
    target.addEventListener(event, listener);
    this.#dispose.push(() => target.removeEventListener(event, listener));
  }
}

const MESSAGE_AUTH = 2;
const PERMISSION_DENIED = 0;

/** Auth message: varUint 0 = denied, then the reason as a string. */
function readDenial(decoder: decoding.Decoder): string | null {
  return decoding.readVarUint(decoder) === PERMISSION_DENIED ? decoding.readVarString(decoder) : null;
}
