// Stock clients behind one face, each as its users set it up: nothing of a client is changed.
//
// A peer is one client of one map: it edits, goes offline and comes back, shows presence, and says what it knows of
// being saved, refused and disconnected. Where a client has no word for something, the peer answers null.

import { HocuspocusProvider as Hocuspocus4, HocuspocusProviderWebsocket as Socket4 } from '@hocuspocus/provider';
import { WebsocketProvider as YWebsocket4 } from '@y/websocket';
import { YSweetProvider } from '@y-sweet/client';
import { HocuspocusProvider as Hocuspocus2, HocuspocusProviderWebsocket as Socket2 } from 'hocuspocus-provider-2';
import { HocuspocusProvider as Hocuspocus3, HocuspocusProviderWebsocket as Socket3 } from 'hocuspocus-provider-3';
import { WebsocketProvider as YWebsocket3 } from 'y-websocket';
import { WebsocketProvider as YWebsocket1 } from 'y-websocket-1';
import { WebsocketProvider as YWebsocket2 } from 'y-websocket-2';
import { until } from '../lib/wait.mjs';
import { Document13, Document14 } from './documents.mjs';
import { PythonPeer } from './python.mjs';
import { countedSocket } from './socket.mjs';
import { clientTokenOf } from './ysweet.mjs';

/** All clients of the matrix, by name and version. */
export const CLIENTS = {
  'y-websocket 1.5.4': (options) => new YWebsocketPeer(YWebsocket1, Document13, options),
  'y-websocket 2.1.0': (options) => new YWebsocketPeer(YWebsocket2, Document13, options),
  'y-websocket 3.1.0': (options) => new YWebsocketPeer(YWebsocket3, Document13, options),
  '@y/websocket 4': (options) => new YWebsocketPeer(YWebsocket4, Document14, options),
  'hocuspocus 2.15.3': (options) => new HocuspocusPeer(Hocuspocus2, Socket2, options),
  'hocuspocus 3.4.4': (options) => new HocuspocusPeer(Hocuspocus3, Socket3, options),
  'hocuspocus 4.8.0': (options) => new HocuspocusPeer(Hocuspocus4, Socket4, options),
  'y-sweet 0.9.1': (options) => new YSweetPeer(options),
  'pycrdt-websocket': (options) => new PythonPeer(options),
};

/**
 * What every peer takes.
 * @typedef {object} Options
 * @property {{url: string}} server where it connects, which may be a proxy before the server
 * @property {string} map the map's name, as people write it
 * @property {string} [token]
 * @property {number} [id] of the client in its document
 */

/** What the JavaScript clients share. */
class Peer {
  constructor(Document, { server, map, token, id }) {
    Object.assign(this, { server, map, token });
    this.document = new Document(id);
    const { WebSocket, record } = countedSocket();
    this.WebSocket = WebSocket;
    this.sockets = record;
  }

  get socketUrl() {
    return this.server.url.replace(/^http/, 'ws');
  }

  async set(key, value) {
    this.document.set(key, value);
  }

  async remove(key) {
    this.document.remove(key);
  }

  /** A large edit: a text of so many letters. */
  async fill(key, letters) {
    this.document.set(key, 'x'.repeat(letters));
  }

  async get(key) {
    return this.document.get(key) ?? null;
  }

  /** How many letters a text has. */
  async letters(key) {
    return this.document.get(key)?.length ?? 0;
  }

  async content() {
    return this.document.content();
  }

  /** How many sockets it opened so far. */
  async opened() {
    return this.sockets.opened;
  }

  /** HTTP status codes with which the server refused it a socket. */
  get refused() {
    return this.sockets.refused;
  }

  /** Presence of all that it knows of, without its own. */
  async others() {
    const states = this.awareness.getStates();
    return [...states].filter(([id]) => id !== this.document.id).map(([, state]) => state);
  }

  async show(state) {
    this.awareness?.setLocalState(state);
  }

  /** No connection any more: until then it still hears of others. */
  async goOffline() {
    this.disconnect();
    await until('its sockets are closed', () => this.sockets.live.size === 0);
  }

  /** The connection breaks without a word, and the client does what it does then. */
  async lose() {
    for (const socket of this.sockets.live) socket.terminate();
  }

  async close() {
    this.provider.destroy();
    this.awareness?.destroy();
    this.document.destroy();
    for (const socket of this.sockets.live) socket.terminate();
  }
}

class YWebsocketPeer extends Peer {
  constructor(Provider, Document, options) {
    super(Document, options);
    this.provider = new Provider(`${this.socketUrl}/ws`, this.map, this.document.doc, {
      WebSocketPolyfill: this.WebSocket,
      disableBc: true,
      params: this.token ? { token: this.token } : {},
    });
  }

  get awareness() {
    return this.provider.awareness;
  }

  async isSynced() {
    return this.provider.synced;
  }

  /** The protocol has no word for it. */
  async isSaved() {
    return null;
  }

  disconnect() {
    this.provider.disconnect();
  }

  async goOnline() {
    this.provider.connect();
  }

  /** Neither live nor trying: refused before the upgrade, or told by a code that its version understands. */
  async isDenied() {
    return !this.provider.wsconnected && this.refused.some((status) => status === 401 || status === 403);
  }
}

class HocuspocusPeer extends Peer {
  denials = [];

  /** With `presence: false` it has no awareness at all. */
  constructor(Provider, Socket, { presence = true, ...options }) {
    super(Document13, options);
    this.socket = new Socket({
      url: `${this.socketUrl}/hocuspocus`,
      WebSocketPolyfill: this.WebSocket,
      delay: 100,
      minDelay: 100,
      maxDelay: 1000,
    });
    this.provider = new Provider({
      websocketProvider: this.socket,
      name: this.map,
      document: this.document.doc,
      token: this.token ?? 'none',
      broadcast: false,
      ...(presence ? {} : { awareness: null }),
      onAuthenticationFailed: ({ reason }) => this.denials.push(reason),
    });
    // Providers before 3.0 attach themselves.
    this.provider.attach?.();
  }

  get awareness() {
    return this.provider.awareness;
  }

  async isSynced() {
    return this.provider.synced;
  }

  async isSaved() {
    return !this.provider.hasUnsyncedChanges;
  }

  /** Calls back whenever the client begins to show everything as saved. */
  onSaved(listener) {
    this.provider.on('unsyncedChanges', (event) => (event.number ?? event) === 0 && listener());
  }

  disconnect() {
    this.socket.disconnect();
  }

  async goOffline() {
    await super.goOffline();
    await until('the client knows', () => this.socket.status === 'disconnected');
  }

  async goOnline() {
    this.socket.connect();
  }

  async isDenied() {
    return this.denials.length > 0;
  }

  async close() {
    this.provider.destroy();
    // A socket that is destroyed while it waits to connect again would go on for ever.
    this.socket.connect = async () => {};
    this.socket.destroy();
    await super.close();
  }
}

class YSweetPeer extends Peer {
  constructor(options) {
    super(Document13, options);
    const { server, map, token } = this;
    this.provider = new YSweetProvider(() => clientTokenOf(server.url, map, token), map, this.document.doc, {
      WebSocketPolyfill: this.WebSocket,
      showDebuggerLink: false,
    });
  }

  get awareness() {
    return this.provider.awareness;
  }

  async isSynced() {
    return this.provider.status === 'connected';
  }

  async isSaved() {
    return !this.provider.hasLocalChanges;
  }

  /** Calls back whenever the client begins to show everything as saved. */
  onSaved(listener) {
    this.provider.on('local-changes', (hasChanges) => hasChanges || listener());
  }

  /** It connects again as soon as its socket has closed, whatever it was told: offline is what is done right after this. */
  async goOffline() {
    this.provider.disconnect();
  }

  async goOnline() {
    this.provider.connect();
  }

  async isDenied() {
    return this.provider.status !== 'connected' && this.refused.some((status) => status === 401 || status === 403);
  }

  async close() {
    // Once it waits to connect again it goes on for ever, whatever it is told.
    this.provider.connect = async () => {};
    this.provider.attemptToConnect = () => new Promise(() => {});
    this.provider.disconnect();
    await super.close();
  }
}
