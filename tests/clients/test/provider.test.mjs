// Our own provider against the built server: tokens, refusals, presence, first content; over sockets and without them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IDBFactory, isSaved, open, readFile, Y } from '../lib/provider.mjs';
import { Middlebox } from '../lib/proxy.mjs';
import { Server } from '../lib/server.mjs';
import { KNOWS_TOKENS, token } from '../lib/tokens.mjs';
import { until } from '../lib/wait.mjs';

/** How long a token of a test holds, in seconds: the server looks at whole ones. */
const SHORT_S = 3;

/** Whether the device knows in which log the map `m` lies. */
async function knows(indexedDB, { url }) {
  const asked = indexedDB.open(`mapweave:${url}:m`);
  await new Promise((resolve) => {
    asked.onsuccess = resolve;
  });
  const epoch = asked.result.transaction('about').objectStore('about').get('epoch');
  await new Promise((resolve) => {
    epoch.onsuccess = resolve;
  });
  asked.result.close();
  return epoch.result !== undefined;
}

const soon = () => Math.floor(Date.now() / 1000) + SHORT_S;

async function boxed(t, mode, settings) {
  const server = await Server.start(t, settings);
  server.token = token({ '**': 'owner' });
  const box = await Middlebox.start(t, server);
  box.mode = mode;
  return { server, box };
}

for (const [how, mode, over] of [
  ['over a socket', 'open', 'ws'],
  ['without sockets', 'no-upgrade', 'http'],
]) {
  test(`${how}, a token that expires is renewed, and edits go on`, async (t) => {
    const { box } = await boxed(t, mode, [...KNOWS_TOKENS, 'auth.leeway_s=0']);
    let asked = 0;
    const fresh = async () => {
      asked += 1;
      return token({ m: 'editor' }, { exp: soon() });
    };
    const provider = open(t, box, 'm', { token: fresh });
    await until('it is live', () => provider.state.kind === 'live');
    assert.equal(provider.state.over, over);
    await until('another token was asked for', () => asked >= 2);
    provider.doc.getMap('feat').set('later', 1);
    await until('the edit is stored', () => isSaved(provider));
  });

  test(`${how}, a token that is not good for the map ends it, with the reason`, async (t) => {
    const { box } = await boxed(t, mode, KNOWS_TOKENS);
    const stranger = open(t, box, 'm', { token: token({ other: 'editor' }) });
    await until('it is told so', () => stranger.state.kind === 'closed');
    assert.equal(stranger.state.code, 4403);
    const forger = open(t, box, 'm', { token: `${token({ m: 'editor' })}x` });
    await until('it is told so', () => forger.state.kind === 'closed');
    assert.equal(forger.state.code, 4401);
  });

  test(`${how}, the edits of somebody who may only look are refused with the reason and kept on the device`, async (t) => {
    const { server, box } = await boxed(t, mode, KNOWS_TOKENS);
    const editor = open(t, server, 'm', { token: token({ m: 'editor' }) });
    editor.doc.getMap('feat').set('seen', 1);
    await until('the map is there', () => isSaved(editor));
    // Somebody who never edited the map: late edits of one who did are kept.
    const vera = token({ m: 'viewer' }, { sub: 'vera' });
    const viewer = open(t, box, 'm', { token: vera, indexedDB: new IDBFactory() });
    await until('the viewer sees it', () => viewer.doc.getMap('feat').get('seen') === 1);
    viewer.doc.getMap('feat').set('mine', 1);
    await until('it is refused', () => viewer.counts.refused === 1);
    const [edit] = viewer.pending();
    await until('it is on the device', () => viewer.pending()[0].onDevice);
    assert.deepEqual([edit.kept, viewer.counts.kept], [false, 0]);
    assert.notEqual(edit.reason, '');
    editor.doc.getMap('feat').set('seen', 2);
    await until('the viewer goes on seeing', () => viewer.doc.getMap('feat').get('seen') === 2);
    assert.equal(editor.doc.getMap('feat').get('mine'), undefined);
    // Whoever may edit can take it in.
    const carried = viewer.exportUnsent('Vera').bytes;
    assert.equal(readFile(carried).file.edits.length, 1);
    assert.deepEqual(editor.importUnsent(carried), { ok: true, edits: 1, unreadable: 0 });
    await until('it is stored', () => isSaved(editor));
    await until('the viewer hears of it', () => viewer.state.kind === 'live');
  });

  test(`${how}, an edit made before anybody knew the map makes it`, async (t) => {
    const { server, box } = await boxed(t, mode);
    const first = open(t, box, 'new map');
    const second = open(t, box, 'new map');
    await until('both are live', () => [first, second].every(({ state }) => state.kind === 'live'));
    assert.deepEqual(await server.maps(), []);
    first.doc.getMap('feat').set('a', 1);
    await until('the second sees it', () => second.doc.getMap('feat').get('a') === 1);
    await until('it is stored', () => isSaved(first));
  });
}

test('a map that was made anew does not get the content of the one before', async (t) => {
  const server = await Server.start(t);
  const box = await Middlebox.start(t, server);
  const indexedDB = new IDBFactory();
  const before = open(t, box, 'm', { indexedDB });
  before.doc.getMap('feat').set('old', 1);
  await until('it is stored', () => isSaved(before));
  await until('the device knows the log', () => knows(indexedDB, box));
  await before.destroy();
  const map = `${server.url}/api/v1/maps/m`;
  await fetch(map, { method: 'DELETE' });
  const made = await fetch(`${server.url}/api/v1/maps`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"name":"m"}',
  });
  assert.equal(made.status, 201);

  const after = open(t, box, 'm', { indexedDB });
  after.doc.getMap('feat').set('unsent', 1);
  await until('it is told so', () => after.state.kind === 'closed');
  assert.equal(after.state.code, 4410);
  assert.equal(after.counts.unsaved, 1);
  await after.forget();
  const anew = open(t, box, 'm', { indexedDB });
  await until('it is live', () => anew.state.kind === 'live');
  assert.deepEqual(anew.doc.getMap('feat').toJSON(), {});
});

test('a document that has content already brings it to the server', async (t) => {
  const { server, box } = await boxed(t, 'no-upgrade');
  const doc = new Y.Doc();
  doc.getMap('feat').set('was', 'there');
  const provider = open(t, box, 'm', { doc });
  await until('it is stored', () => isSaved(provider));
  const stored = new Y.Doc();
  Y.applyUpdate(stored, await server.state('m'));
  assert.equal(stored.getMap('feat').get('was'), 'there');
});

test('late edits of somebody who may only look by now are kept apart, and the device says so and keeps them', async (t) => {
  const { server, box } = await boxed(t, 'open', KNOWS_TOKENS);
  const indexedDB = new IDBFactory();
  const ana = (role) => ({ indexedDB, token: token({ m: role }, { sub: 'ana' }) });
  const before = open(t, box, 'm', ana('editor'));
  before.doc.getMap('feat').set('a', 1);
  await until('it is stored', () => isSaved(before));
  box.become('dead');
  await until('it is offline', () => before.state.kind === 'offline');
  before.doc.getMap('feat').set('late', 1);
  await until('it is on the device', () => before.pending()[0]?.onDevice);
  await before.destroy();

  box.become('open');
  const after = open(t, box, 'm', ana('viewer'));
  await until('it is kept apart', () => after.counts.kept === 1);
  assert.equal(after.counts.refused, 1);
  const [{ reason, onDevice }] = after.pending();
  assert.deepEqual([reason !== '', onDevice], [true, true]);
  const headers = { authorization: `Bearer ${server.token}` };
  const { quarantine } = await (await fetch(`${server.url}/api/v1/maps/m/quarantine`, { headers })).json();
  assert.deepEqual(
    quarantine.map(({ user }) => user),
    ['ana'],
  );
  const admitted = await fetch(`${server.url}/api/v1/maps/m/quarantine/${quarantine[0].id}/admit`, {
    method: 'POST',
    headers,
  });
  assert.equal(admitted.status, 200, await admitted.text());
  // Whoever comes again hears that it is there.
  await after.destroy();
  const again = open(t, box, 'm', ana('viewer'));
  await until('nothing waits any more', () => isSaved(again));
  assert.equal(again.doc.getMap('feat').get('late'), 1);
});
