// Cases that broke other servers, with stock clients. docs/defects.md lists all of them.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cpSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import * as Y14 from '@y/y';
import WebSocket from 'ws';
import * as Y from 'yjs';
import { converged } from '../lib/clients.mjs';
import { FrameProxy } from '../lib/frame-proxy.mjs';
import { TcpProxy } from '../lib/gateway.mjs';
import { HOCUSPOCUS, HocuspocusSocket } from '../lib/hocuspocus.mjs';
import { Server } from '../lib/server.mjs';
import { KNOWS_TOKENS, token } from '../lib/tokens.mjs';
import { AT_ONCE_MS, LIMIT_MS, until } from '../lib/wait.mjs';
import { agreed, opener, reconnected, served, synced } from '../lib/world.mjs';
import { CLIENTS } from '../matrix/peers.mjs';

const LATEST = 'y-websocket 3.1.0';
const GENERATIONS = [LATEST, '@y/websocket 4', 'pycrdt-websocket'];
const WITH_PRESENCE = Object.keys(CLIENTS).filter((client) => !client.startsWith('pycrdt'));
/** Longer than the slow link takes for what the system keeps of a connection on its way. */
const SLOW_LIMIT_MS = 120_000;

test('a lost update is asked for again, also by those who join before, after a restart and a compaction', async (t) => {
  const server = await Server.start(t);
  const open = opener(t, server);
  let isBad = false;
  let lost = 0;
  // While the network is bad, the second update is lost, and so is every answer to a server that asks for it.
  const proxy = await FrameProxy.start(t, server, (message, from) => {
    const [type, kind] = message;
    const isUpdate = from === 'client' && type === 0 && kind === 2;
    const isAnswer = from === 'client' && type === 0 && kind === 1;
    if (!isBad || !(isAnswer || (isUpdate && ++lost === 2))) return message;
    return null;
  });
  const early = GENERATIONS.map((client) => open(client, 'hole'));
  const writer = open(LATEST, 'hole', { server: proxy });
  await synced(writer, ...early);
  await early.at(-1).goOffline();
  isBad = true;
  for (const key of ['one', 'two', 'three']) await writer.set(key, key);
  await until('what came through is there', async () => (await early[0].get('one')) === 'one');
  assert.equal((await early[0].content()).two, undefined);
  await until('the server has stored it', async () => (await served(server, 'hole')).one === 'one');
  const compacted = await fetch(`${server.url}/api/v1/maps/hole/compact`, { method: 'POST' });
  assert.ok(compacted.ok, await compacted.text());
  await server.kill();
  await server.restart();
  const late = GENERATIONS.map((client) => open(client, 'hole'));
  await synced(...late);
  // Nothing after the hole is lost: it shows as soon as the hole is closed.
  isBad = false;
  await writer.lose();
  await early.at(-1).goOnline();
  const content = await agreed(server, 'hole', writer, ...early, ...late);
  assert.deepEqual(content, { one: 'one', two: 'two', three: 'three' });
});

for (const client of WITH_PRESENCE)
  test(`presence of ${client}: hidden, shown, lost and back, seen by one who shows nothing`, async (t) => {
    const server = await Server.start(t);
    const open = opener(t, server);
    const [peer, other, silent] = [open(client, 'here'), open(LATEST, 'here'), open(LATEST, 'here')];
    await synced(peer, other, silent);
    await silent.show(null);
    const seesAda = async (watcher) => (await watcher.others()).some((state) => state?.user?.name === 'Ada');
    const seen = (what, watcher, is) => until(what, async () => (await seesAda(watcher)) === is, AT_ONCE_MS);
    await peer.show({ user: { name: 'Ada' } });
    await seen('it is seen', other, true);
    await seen('it is seen by one who shows nothing', silent, true);
    await peer.show(null);
    await seen('who hides is gone', other, false);
    await peer.show({ user: { name: 'Ada' } });
    await seen('who shows itself again is back', other, true);
    for (let i = 0; i < 3; i++) {
      await reconnected(() => peer.lose(), peer);
      await seen('it is back with the clock that it had', other, true);
    }
    // Others echo what they hear of it: that must keep nobody here who has left.
    await peer.close();
    await seen('who leaves is gone', other, false);
    await seen('also where nothing is shown', silent, false);
    const nobody = async () => (await other.others()).filter(Boolean).length === 0;
    await until('nobody is left', nobody, AT_ONCE_MS);
  });

for (const how of ['restored from a backup', 'wiped'])
  test(`a store that was ${how} gets back what its clients have, and nothing twice`, async (t) => {
    const server = await Server.start(t);
    const open = opener(t, server);
    const clients = [LATEST, 'hocuspocus 4.8.0', 'y-sweet 0.9.1', '@y/websocket 4'];
    const peers = clients.map((client) => open(client, 'again'));
    await synced(...peers);
    for (const [i, peer] of peers.entries()) await peer.set(`old ${i}`, i);
    await agreed(server, 'again', ...peers);
    const backup = `${server.data}.backup`;
    const backUp = async () => {
      await server.stop();
      cpSync(server.data, backup, { recursive: true });
      await server.restart();
    };
    await reconnected(backUp, ...peers);
    const offline = peers[1];
    await offline.goOffline();
    for (const [i, peer] of peers.entries()) await peer.set(`new ${i}`, i);
    await peers[0].set('old 0', 'changed');
    const [, ...online] = [offline, ...peers.filter((peer) => peer !== offline)];
    await agreed(server, 'again', ...online);
    await server.kill();
    rmSync(server.data, { recursive: true });
    if (how !== 'wiped') cpSync(backup, server.data, { recursive: true });
    await server.restart();
    await offline.goOnline();
    const newcomer = open(LATEST, 'again');
    const content = await agreed(server, 'again', newcomer, ...peers);
    assert.equal(Object.keys(content).length, 2 * clients.length);
    assert.equal(content['old 0'], 'changed');
    // What was there twice would show in the list of what its clients wrote.
    const vector = Y.decodeStateVector(Y.encodeStateVectorFromUpdate(await server.state('again')));
    assert.equal(vector.size, clients.length);
  });

test('a reader on a slow link holds nobody up and has everything in the end', async (t) => {
  const server = await Server.start(t, ['limits.session_queue_bytes_max=65536']);
  const open = opener(t, server);
  const slow = await TcpProxy.start(t, server, { bytesPerS: 150_000 });
  const [reader, ...writers] = [
    open(LATEST, 'slow', { server: slow }),
    ...Array.from({ length: 20 }, (_, i) => open(i % 2 ? LATEST : 'hocuspocus 4.8.0', 'slow')),
  ];
  await synced(reader, ...writers);
  const rounds = 30;
  for (let round = 0; round < rounds; round++)
    for (const [i, writer] of writers.entries()) await writer.set(`${i}`, `${round} ${'x'.repeat(2_000)}`);
  await until(
    'the writers have all',
    async () => {
      const contents = await Promise.all(writers.map((writer) => writer.content()));
      return contents.every((content) => writers.every((_, i) => content[`${i}`]?.startsWith(`${rounds - 1} `)));
    },
    SLOW_LIMIT_MS,
  );
  // All that was on its way to it has to go through the link first.
  await until(
    'the reader has all',
    async () => (await reader.get('19')) === (await writers[0].get('19')),
    SLOW_LIMIT_MS,
  );
  await agreed(server, 'slow', ...writers, reader);
  assert.equal(await reader.opened(), 1, 'it was caught up in place');
});

for (const client of ['y-websocket 1.5.4', 'y-websocket 2.1.0', LATEST])
  test(`${client}: an update beyond the limit is refused with a reason, and its client does not storm`, async (t) => {
    const server = await Server.start(t, ['limits.update_bytes_max=65536']);
    const open = opener(t, server);
    const peer = open(client, 'large');
    await synced(peer);
    await peer.fill('too much', 200_000);
    await until('it is closed', () => peer.sockets.closed.some(({ code }) => code === 4413));
    const { reason } = peer.sockets.closed.find(({ code }) => code === 4413);
    assert.match(reason, /more than \d+ bytes/);
    assert.equal(peer.document.get('too much').length, 200_000, 'the client keeps its edit');
    if (client === LATEST) {
      assert.equal(peer.provider.shouldConnect, false);
      return;
    }
    // Older ones come back at once, whatever the code: each time they wait for their refusal.
    await until('it was refused again', () => peer.sockets.closed.filter(({ code }) => code === 4413).length > 1);
    const other = open(LATEST, 'large');
    await synced(other);
    await other.set('fine', 1);
    await until('others go on', async () => (await served(server, 'large')).fine === 1);
  });

test('Yjs 13, Yjs 14 and yrs share a map with an odd name, and what is no update harms nobody', async (t) => {
  const server = await Server.start(t);
  const open = opener(t, server);
  const map = 'a/b c+&é';
  // Yjs 14 has client ids of 53 bits.
  const peers = GENERATIONS.map((client, i) => open(client, map, i === 1 ? { id: 2 ** 52 + 12_345 } : {}));
  await synced(...peers);
  for (const [i, peer] of peers.entries()) {
    await peer.set(`${i}`, i);
    await peer.set('all', i);
  }
  const socket = await rawSocket(t, `${server.url.replace(/^http/, 'ws')}/ws/a/b%20c+&%C3%A9`);
  const doc = new Y.Doc();
  const [first, second] = updatesOf(doc, ['packed 1', 'packed 2']);
  // Two messages in one frame, as yrs packs them.
  socket.send(Buffer.concat([frame(0, 2, first), frame(0, 2, second)]));
  await until('the packed updates are in', async () => 'packed 2' in (await served(server, map)));
  const content = await agreed(server, map, ...peers);
  assert.deepEqual(Object.keys(content).sort(), ['0', '1', '2', 'all', 'packed 1', 'packed 2']);
  const edited = new Y.Doc();
  edited.getMap('feat').set('never', 1);
  for (const [what, bytes] of [
    ['an update of the second format', Y.encodeStateAsUpdateV2(edited)],
    ['one by Yjs 14', Y14.encodeStateAsUpdateV2(editedBy14())],
    ['bytes after an update', Buffer.concat([Y.encodeStateAsUpdate(edited), Buffer.from([0, 1, 2])])],
  ]) {
    const bad = await rawSocket(t, `${server.url.replace(/^http/, 'ws')}/ws/a%2Fb%20c+&%C3%A9`);
    bad.send(frame(0, 2, bytes));
    const [code] = await once(bad, 'close', { signal: AbortSignal.timeout(LIMIT_MS) });
    assert.equal(code, 4422, what);
  }
  assert.deepEqual(await agreed(server, map, ...peers), content);
  for (const peer of peers) assert.equal(await peer.opened(), 1);
});

for (const [name, version] of Object.entries(HOCUSPOCUS))
  test(`${name}: one socket with fifty maps, some denied and then allowed, one read-only, some left and taken up again`, async (t) => {
    const server = await Server.start(t, KNOWS_TOKENS);
    server.token = token({ '**': 'owner' });
    const editor = token({ 'crew/**': 'editor' });
    const socket = new HocuspocusSocket(t, version, server);
    const other = new HocuspocusSocket(t, HOCUSPOCUS['provider 4.8'], server);
    const names = Array.from({ length: 50 }, (_, i) => `crew/map ${i}`);
    const maps = await Promise.all(names.map((name) => socket.open(name, { token: editor })));
    // Providers before 3.0 take a denial for the end of their whole socket.
    if (version.attaches) {
      let given = 'no token';
      const late = socket.map('crew/late', { token: () => given });
      await until('it is denied', () => late.denials.length === 1);
      given = editor;
      late.provider.detach();
      late.provider.attach();
      await late.synced();
      const foreign = socket.map('office/secret', { token: editor });
      await until('it is denied, too', () => foreign.denials.length === 1);
      maps.push(late);
    }
    const reader = await socket.open('office/plan', { token: token({ 'office/*': 'viewer' }) });
    reader.doc.getMap('feat').set('mine', 1);
    for (const [i, map] of maps.entries()) map.doc.getMap('feat').set('i', i);
    for (const map of maps) await map.synced();
    assert.ok(reader.unsynced > 0, 'the reader’s edit is not shown as synced');
    const twin = await other.open('crew/map 7', { token: editor, sessionAwareness: true });
    const again = await other.open('crew/map 7', { token: editor, sessionAwareness: true });
    if (version.attaches) maps[7].provider.detach();
    maps[7].doc.getMap('feat').set('detached', 1);
    twin.doc.getMap('feat').set('meanwhile', 1);
    if (version.attaches) maps[7].provider.attach();
    await converged('three on one map', maps[7].doc, twin.doc, again.doc);
    for (const [i, map] of maps.entries()) {
      map.doc.getMap('feat').set('still', i);
      await map.synced();
      assert.equal(map.closes, 0, 'no map was closed for what happened to others');
    }
    assert.deepEqual(await served(server, 'crew/map 7'), { i: 7, detached: 1, meanwhile: 1, still: 7 });
    assert.deepEqual(await served(server, 'office/plan'), {});
  });

function editedBy14() {
  const doc = new Y14.Doc();
  doc.get('feat').setAttr('never', 1);
  return doc;
}

/** One update for each key. */
function updatesOf(doc, keys) {
  const updates = [];
  doc.on('update', (update) => updates.push(update));
  for (const key of keys) doc.getMap('feat').set(key, 1);
  return updates;
}

function frame(type, kind, bytes) {
  const length = [];
  for (let rest = bytes.length; ; rest >>>= 7) {
    length.push(rest < 0x80 ? rest : (rest & 0x7f) | 0x80);
    if (rest < 0x80) break;
  }
  return Buffer.concat([Buffer.from([type, kind, ...length]), bytes]);
}

async function rawSocket(t, url) {
  const socket = new WebSocket(url);
  t.after(() => socket.terminate());
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  return socket;
}
