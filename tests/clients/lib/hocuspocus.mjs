// Stock Hocuspocus providers of the versions in use: several maps on one socket.

import { HocuspocusProvider as Provider4, HocuspocusProviderWebsocket as Socket4 } from '@hocuspocus/provider';
import { HocuspocusProvider as Provider2, HocuspocusProviderWebsocket as Socket2 } from 'hocuspocus-provider-2';
import { HocuspocusProvider as Provider3, HocuspocusProviderWebsocket as Socket3 } from 'hocuspocus-provider-3';
import WebSocket from 'ws';
import * as Y from 'yjs';
import { until } from './wait.mjs';

export const HOCUSPOCUS = {
  'provider 2.15': { Provider: Provider2, Socket: Socket2, attaches: false },
  'provider 3.4': { Provider: Provider3, Socket: Socket3, attaches: true },
  'provider 4.8': { Provider: Provider4, Socket: Socket4, attaches: true },
};

/** One socket of one version; its maps share it. */
export class HocuspocusSocket {
  #maps = [];

  constructor(t, version, server, query = '') {
    this.version = version;
    this.socket = new version.Socket({
      url: `ws://127.0.0.1:${server.port}/hocuspocus${query}`,
      WebSocketPolyfill: WebSocket,
      delay: 20,
      minDelay: 20,
      maxDelay: 200,
    });
    t.after(() => this.close());
  }

  /** A map on this socket. `configuration` is the provider's. */
  map(name, configuration = {}) {
    const map = new HocuspocusMap(this, name, configuration);
    this.#maps.push(map);
    return map;
  }

  async open(name, configuration) {
    const map = this.map(name, configuration);
    await map.synced();
    return map;
  }

  async goOffline() {
    this.socket.disconnect();
    await until('the socket is closed', () => this.socket.status === 'disconnected');
  }

  async goOnline() {
    this.socket.connect();
    for (const map of this.#maps) await map.synced();
  }

  close() {
    for (const map of this.#maps) map.close();
    // A provider that is destroyed while it waits to connect again would go on for ever.
    this.socket.connect = async () => {};
    this.socket.destroy();
  }
}

export class HocuspocusMap {
  stateless = [];
  denials = [];
  closes = 0;

  constructor(socket, name, { document = new Y.Doc(), token = 'any', ...configuration }) {
    this.doc = document;
    this.provider = new socket.version.Provider({
      websocketProvider: socket.socket,
      name,
      document,
      token,
      broadcast: false,
      onStateless: ({ payload }) => this.stateless.push(payload),
      onAuthenticationFailed: ({ reason }) => this.denials.push(reason),
      onClose: () => {
        this.closes += 1;
      },
      ...configuration,
    });
    if (socket.version.attaches) this.provider.attach();
  }

  get unsynced() {
    return this.provider.unsyncedChanges;
  }

  /** Everything that this client has is durable. */
  async synced() {
    await until(
      `${this.provider.configuration.name} is synced`,
      () => this.provider.synced && !this.provider.hasUnsyncedChanges,
    );
    return this;
  }

  close() {
    this.provider.destroy();
    this.doc.destroy();
  }
}
