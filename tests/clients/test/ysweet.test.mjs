// @y-sweet/client and @y-sweet/sdk as they are: what their users rely on.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createYjsProvider } from '@y-sweet/client';
import { DocConnection, YSweetError } from '@y-sweet/sdk';
import WebSocket from 'ws';
import * as Y from 'yjs';
import { docOf } from '../lib/clients.mjs';
import { Server } from '../lib/server.mjs';
import { KNOWS_TOKENS, token } from '../lib/tokens.mjs';
import { until } from '../lib/wait.mjs';
import { opener, served, synced } from '../lib/world.mjs';
import { documentManager } from '../matrix/ysweet.mjs';

const OWNER = token({ '**': 'owner' });

const CLIENT = 'y-sweet 0.9.1';

function updateWith(key, value) {
  const doc = new Y.Doc();
  doc.getMap('feat').set(key, value);
  return Y.encodeStateAsUpdate(doc);
}

const failsWith = (expected) => (error) => {
  assert.ok(error instanceof YSweetError, String(error));
  for (const [key, value] of Object.entries(expected)) assert.equal(error.cause[key], value);
  return true;
};

test('the SDK makes documents, writes and reads them, and asks how the store is', async (t) => {
  const server = await Server.start(t);
  const manager = documentManager(server.url);
  assert.deepEqual(await manager.checkStore(), { ok: true });
  const { docId } = await manager.createDoc();
  assert.match(docId, /^[A-Za-z0-9_-]{20,}$/);
  assert.notEqual((await manager.createDoc()).docId, docId);
  await manager.updateDoc(docId, updateWith('k', 1));
  assert.deepEqual(
    docOf(await manager.getDocAsUpdate(docId))
      .getMap('feat')
      .toJSON(),
    { k: 1 },
  );
  const filled = await manager.createDocWithContent(updateWith('initial', 'content'));
  assert.deepEqual(await served(server, filled.docId), { initial: 'content' });
  const connection = await manager.getDocConnection(filled.docId);
  await connection.updateDoc(updateWith('more', 1));
  assert.equal(docOf(await connection.getAsUpdate()).getMap('feat').size, 2);
  await server.kill();
  await server.restart();
  assert.deepEqual(await served(server, docId), { k: 1 });
});

test('the SDK is told what is wrong', async (t) => {
  const server = await Server.start(t);
  const manager = documentManager(server.url);
  await assert.rejects(manager.getClientToken('nobody'), failsWith({ code: 'ServerError', status: 404 }));
  await assert.rejects(manager.createDoc('no?name'), failsWith({ code: 'ServerError', status: 400 }));
  await manager.createDoc('gone');
  await fetch(`${server.url}/api/v1/maps/gone`, { method: 'DELETE' });
  await assert.rejects(manager.getOrCreateDocAndToken('gone'), failsWith({ code: 'ServerError', status: 410 }));
  await server.stop();
  await assert.rejects(manager.createDoc(), failsWith({ code: 'ServerRefused', port: server.port }));
});

test('a client shows every edit as local until the server has it on disk, and keeps quiet connections', async (t) => {
  const server = await Server.start(t);
  const open = opener(t, server);
  const peer = open(CLIENT, 'light');
  const changes = [];
  peer.provider.on('local-changes', (hasChanges) => changes.push(hasChanges));
  await synced(peer);
  await until('nothing is local', () => peer.isSaved());
  await peer.set('k', 1);
  assert.equal(await peer.isSaved(), false);
  await until('it is saved', () => peer.isSaved());
  assert.deepEqual(await served(server, 'light'), { k: 1 });
  // The first acknowledgement of a client without edits shows as a change of state, too.
  assert.deepEqual(changes.slice(-2), [true, false]);
  assert.equal(await peer.opened(), 1);
});

test('a client that loses its connection comes back with what it did meanwhile', async (t) => {
  const server = await Server.start(t);
  const open = opener(t, server);
  const peer = open(CLIENT, 'lost');
  await synced(peer);
  await server.kill();
  await peer.set('meanwhile', 1);
  assert.equal(await peer.isSaved(), false);
  await server.restart();
  await until('it is saved', () => peer.isSaved());
  assert.deepEqual(await served(server, 'lost'), { meanwhile: 1 });
});

test('the SDK gives out tokens where the server knows users, and only owners get them', async (t) => {
  const server = await Server.start(t, KNOWS_TOKENS);
  server.token = OWNER;
  const refused = (status) => failsWith({ code: 'ServerError', status });
  await assert.rejects(documentManager(server.url).createDoc('m'), failsWith({ code: 'NoAuthProvided' }));
  await assert.rejects(
    documentManager(server.url, 'no token').createDoc('m'),
    failsWith({ code: 'InvalidAuthProvided' }),
  );
  const editor = documentManager(server.url, token({ m: 'editor' }));
  await editor.createDoc('m');
  await assert.rejects(editor.getClientToken('m'), refused(403));
  await assert.rejects(editor.createDoc('other'), refused(403));
  const manager = documentManager(server.url, OWNER);
  await manager.createDoc('other');
  const full = await manager.getDocConnection('m', { userId: 'ada' });
  await full.updateDoc(updateWith('k', 1));
  const reader = await manager.getDocConnection('m', { authorization: 'read-only' });
  assert.equal(
    docOf(await reader.getAsUpdate())
      .getMap('feat')
      .get('k'),
    1,
  );
  await assert.rejects(reader.updateDoc(updateWith('never', 1)), refused(403));
  assert.deepEqual(await served(server, 'm'), { k: 1 });
  // A token is for its map alone.
  const clientToken = await manager.getClientToken('m');
  assert.equal(clientToken.authorization, 'full');
  const elsewhere = new DocConnection({ ...clientToken, baseUrl: clientToken.baseUrl.replace('/d/m', '/d/other') });
  await assert.rejects(elsewhere.getAsUpdate(), refused(403));
});

test('a client with a read-only token sees edits, and its own are refused and never shown as saved', async (t) => {
  const server = await Server.start(t, KNOWS_TOKENS);
  server.token = OWNER;
  const manager = documentManager(server.url, OWNER);
  await manager.createDoc('m');
  const open = (authorization) => {
    const doc = new Y.Doc();
    const provider = createYjsProvider(doc, 'm', () => manager.getClientToken('m', { authorization }), {
      WebSocketPolyfill: WebSocket,
      showDebuggerLink: false,
    });
    t.after(() => {
      provider.connect = async () => {};
      provider.attemptToConnect = () => new Promise(() => {});
      provider.disconnect();
      provider.destroy();
      provider.awareness.destroy();
    });
    return { doc, provider, feat: doc.getMap('feat') };
  };
  const [writer, reader] = [open('full'), open('read-only')];
  for (const { provider } of [writer, reader]) await until('it is synced', () => provider.synced);
  assert.equal(reader.provider.clientToken.authorization, 'read-only');
  await until('nothing is local', () => !reader.provider.hasLocalChanges);
  reader.feat.set('mine', 1);
  reader.provider.awareness.setLocalState({ user: 'reader' });
  await until('the server has heard it', () => writer.provider.awareness.getStates().has(reader.doc.clientID));
  writer.feat.set('theirs', 1);
  await until('it sees edits', () => reader.feat.get('theirs') === 1);
  await until('the writer’s are saved', () => !writer.provider.hasLocalChanges);
  assert.equal(reader.provider.hasLocalChanges, true);
  assert.deepEqual(await served(server, 'm'), { theirs: 1 });
});
