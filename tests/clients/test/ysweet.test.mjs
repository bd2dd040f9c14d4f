// @y-sweet/client and @y-sweet/sdk as they are: what their users rely on.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { YSweetError } from '@y-sweet/sdk';
import * as Y from 'yjs';
import { docOf } from '../lib/clients.mjs';
import { Server } from '../lib/server.mjs';
import { until } from '../lib/wait.mjs';
import { opener, served, synced } from '../lib/world.mjs';
import { documentManager } from '../matrix/ysweet.mjs';

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
  assert.deepEqual(docOf(await manager.getDocAsUpdate(docId)).getMap('feat').toJSON(), { k: 1 });
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
