// Stock y-websocket clients of the versions in use, on one test's server.

import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { WebsocketProvider as Provider3 } from 'y-websocket';
import { WebsocketProvider as Provider1 } from 'y-websocket-1';
import * as Y from 'yjs';
import { until } from './wait.mjs';

export const VERSIONS = { 'y-websocket 3.1': Provider3, 'y-websocket 1.5': Provider1 };

export class Client {
  doc = new Y.Doc();

  /** `room` goes into the address as it is, as the provider does with what a program gives it. */
  constructor(t, Provider, server, room) {
    this.provider = new Provider(server.socketUrl, room, this.doc, { WebSocketPolyfill: WebSocket, disableBc: true });
    t.after(() => this.close());
  }

  static async open(t, Provider, server, room) {
    const client = new Client(t, Provider, server, room);
    await client.synced();
    return client;
  }

  get awareness() {
    return this.provider.awareness;
  }

  async synced() {
    await until('the client is synced', () => this.provider.synced);
    return this;
  }

  /** Until its socket is closed it still hears of others, and takes itself to be synced. */
  async goOffline() {
    const { ws } = this.provider;
    this.provider.disconnect();
    await until('the socket is closed', () => !ws || ws.readyState === WebSocket.CLOSED);
  }

  async goOnline() {
    this.provider.connect();
    await this.synced();
  }

  close() {
    this.provider.destroy();
    this.awareness.destroy();
    this.doc.destroy();
  }
}

/** Waits until all documents have the same content, then says in detail what they have in common. */
export async function converged(what, ...docs) {
  const [first, ...others] = docs;
  await until(`${what} have the same content`, () =>
    others.every((doc) => Y.equalSnapshots(Y.snapshot(first), Y.snapshot(doc))),
  );
  for (const doc of others) assertSame(first, doc);
}

/** Equal state vectors, equal normalised delete sets, equal JSON. */
export function assertSame(a, b) {
  assert.deepEqual(vector(a), vector(b), 'state vectors differ');
  assert.deepEqual(deletions(a), deletions(b), 'delete sets differ');
  assert.deepEqual(json(a), json(b), 'contents differ');
}

export function docOf(update) {
  const doc = new Y.Doc();
  if (update) Y.applyUpdate(doc, update);
  return doc;
}

function vector(doc) {
  return [...Y.decodeStateVector(Y.encodeStateVector(doc))].sort(([a], [b]) => a - b);
}

function deletions(doc) {
  const { clients } = Y.snapshot(doc).ds;
  return [...clients]
    .map(([client, ranges]) => [client, ranges.map(({ clock, len }) => [clock, len])])
    .sort(([a], [b]) => a - b);
}

/** Roots that a replica has only heard of have no type yet: read all as what the tests use. */
function json(doc) {
  const roots = ['feat', 'prop', 'list', 'text'];
  return Object.fromEntries(
    roots.map((root) => [
      root,
      root === 'list'
        ? doc.getArray(root).toJSON()
        : root === 'text'
          ? doc.getText(root).toString()
          : doc.getMap(root).toJSON(),
    ]),
  );
}
