// What @y-sweet/client, as it is, comes to where it is refused: the stated answer each time, and never an edit shown as
// saved that is not.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createYjsProvider } from '@y-sweet/client';
import { DocConnection, YSweetError } from '@y-sweet/sdk';
import { createDecoder, readVarString, readVarUint } from 'lib0/decoding';
import WebSocket from 'ws';
import * as Y from 'yjs';
import { Server } from '../lib/server.mjs';
import { KNOWS_TOKENS, token } from '../lib/tokens.mjs';
import { until } from '../lib/wait.mjs';
import { served } from '../lib/world.mjs';
import { documentManager } from '../matrix/ysweet.mjs';

const OWNER = token({ '**': 'owner' });

const MESSAGE_AUTH = 2;
const PERMISSION_DENIED = 0;
const EXPIRED = 4501;

/** A server with an owner's documents `m` and `other`. */
async function world(t) {
  const server = await Server.start(t, [...KNOWS_TOKENS, 'auth.leeway_s=0']);
  server.token = OWNER;
  const manager = documentManager(server.url, OWNER);
  for (const map of ['m', 'other']) await manager.createDoc(map);
  return { server, manager };
}

/** The stock client on `m` with the client tokens that `ask` gives, and what its sockets were told. */
function open(t, ask) {
  const told = { opened: 0, denied: [], closes: [], errors: [] };
  class Socket extends WebSocket {
    constructor(url) {
      super(url);
      this.on('open', () => {
        told.opened += 1;
      });
      this.on('message', (data) => {
        const decoder = createDecoder(new Uint8Array(data));
        if (readVarUint(decoder) !== MESSAGE_AUTH) return;
        assert.equal(readVarUint(decoder), PERMISSION_DENIED);
        told.denied.push(readVarString(decoder));
      });
      this.on('close', (code) => told.closes.push(code));
      this.on('error', (error) => told.errors.push(error.message));
    }
  }
  const doc = new Y.Doc();
  const provider = createYjsProvider(doc, 'm', ask, { WebSocketPolyfill: Socket, showDebuggerLink: false });
  t.after(() => {
    provider.connect = async () => {};
    provider.attemptToConnect = () => new Promise(() => {});
    provider.disconnect();
    provider.destroy();
    provider.awareness.destroy();
  });
  return { doc, provider, told, feat: doc.getMap('feat') };
}

const failsWith = (expected) => (error) => {
  assert.ok(error instanceof YSweetError, String(error));
  for (const [key, value] of Object.entries(expected)) assert.equal(error.cause[key], value);
  return true;
};

/** What the SDK makes of 401. */
const EXPIRED_TOKEN = failsWith({ code: 'InvalidAuthProvided' });
const FORBIDDEN = failsWith({ code: 'ServerError', status: 403 });

test('a viewer is told once on each connection why edits are refused, and goes on to see those of others', async (t) => {
  const { server, manager } = await world(t);
  const viewer = open(t, () => manager.getClientToken('m', { authorization: 'read-only' }));
  const writer = open(t, () => manager.getClientToken('m'));
  for (const { provider } of [viewer, writer]) await until('it is synced', () => provider.synced);
  await until('nothing is local', () => !viewer.provider.hasLocalChanges);
  viewer.feat.set('first', 1);
  viewer.feat.set('second', 2);
  viewer.provider.awareness.setLocalState({ user: 'viewer' });
  await until('the server has heard all', () => writer.provider.awareness.getStates().has(viewer.doc.clientID));
  writer.feat.set('theirs', 1);
  await until('the writer’s is saved', () => !writer.provider.hasLocalChanges);
  await until('the viewer sees it', () => viewer.feat.get('theirs') === 1);
  assert.deepEqual(viewer.told.denied, ['this connection may only read']);
  assert.deepEqual(viewer.told.closes, []);
  assert.equal(viewer.provider.hasLocalChanges, true);
  assert.deepEqual(writer.told.denied, []);
  assert.deepEqual(await served(server, 'm'), { theirs: 1 });
});

test('a document token that expires ends the session for now, is taken nowhere, and a fresh one brings the edits', async (t) => {
  const { server, manager } = await world(t);
  const given = [];
  const client = open(t, async () => {
    // The first is good for a moment only.
    const validForSeconds = given.length === 0 ? 2 : 3600;
    given.push(await manager.getClientToken('m', { validForSeconds }));
    return given.at(-1);
  });
  await until('it is synced', () => client.provider.synced);
  await until('it was told to come back', () => client.told.closes.includes(EXPIRED));
  client.feat.set('meanwhile', 1);
  assert.equal(client.provider.hasLocalChanges, true);
  const late = new DocConnection(given[0]);
  await assert.rejects(late.getAsUpdate(), EXPIRED_TOKEN);
  await assert.rejects(late.updateDoc(Y.encodeStateAsUpdate(client.doc)), EXPIRED_TOKEN);
  await until('it came back with another token', () => given.length > 1 && client.told.opened > 1);
  await until('the edit is saved', () => !client.provider.hasLocalChanges);
  assert.deepEqual(await served(server, 'm'), { meanwhile: 1 });
  // Meanwhile it tried the old one, which was turned away before the upgrade.
  assert.ok(
    client.told.errors.some((message) => message.includes('401')),
    JSON.stringify(client.told),
  );
  assert.deepEqual(client.told.denied, []);
});

test('the token of another document opens nothing, and what was edited stays local', async (t) => {
  const { server, manager } = await world(t);
  const mine = await manager.getClientToken('m');
  const wrong = { ...mine, token: (await manager.getClientToken('other')).token };
  let asked = 0;
  const client = open(t, async () => {
    asked += 1;
    return wrong;
  });
  client.feat.set('never', 1);
  await until('it was turned away, and asked for another token', () => asked > 1);
  assert.ok(client.told.errors.length > 0);
  for (const message of client.told.errors) assert.match(message, /403/);
  assert.deepEqual([client.told.opened, client.provider.synced], [0, false]);
  assert.equal(client.provider.hasLocalChanges, true);
  const elsewhere = new DocConnection(wrong);
  await assert.rejects(elsewhere.getAsUpdate(), FORBIDDEN);
  await assert.rejects(elsewhere.updateDoc(Y.encodeStateAsUpdate(client.doc)), FORBIDDEN);
  assert.deepEqual(await served(server, 'm'), {});
});
