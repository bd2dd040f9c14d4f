// What every client is put through. A scenario gets a world: a server, and peers of the client under test or of another.

import assert from 'node:assert/strict';
import { TcpProxy } from '../lib/gateway.mjs';
import { KNOWS_TOKENS, token } from '../lib/tokens.mjs';
import { AT_ONCE_MS, until } from '../lib/wait.mjs';
import { agreed, reconnected, synced } from '../lib/world.mjs';

/** The client on the other side of every scenario. */
export const COMPANION = 'y-websocket 3.1.0';

const STORM_PEERS = 20;
/** A Python process each. */
const STORM_PROCESSES = 4;
const LARGE_LETTERS = 30 << 20;
/** Large edits take a debug build some seconds. */
const LARGE_LIMIT_MS = 120_000;
/** Longer than the watchdog of every client (30 s); the proxy cuts silence twenty times as fast as usual ones (60 s). */
const IDLE_S = Number(process.env.MAPWEAVE_TEST_IDLE_S ?? 36);
/** Ten minutes are idled through as they are; less of them, with all clocks faster. */
const IN_FULL = IDLE_S >= 600;
const SILENCE_MS = IN_FULL ? 60_000 : 3_000;
const NAMES = [
  'with space',
  'folder/map',
  'deep/er/with space',
  'Žižkov',
  '地図/東京',
  "o'brien & co.+1",
  '50,5°;(a)=[b]@c',
];

/** May do everything everywhere. */
const OWNER = token({ '**': 'owner' }, { sub: 'owner' });

/** By name: `run`, what the server is started with, and the token of all who have no other. */
export const SCENARIOS = {
  'live edit': { run: liveEdit },
  'offline edit': { run: offlineEdit },
  presence: { run: presence, without: ['pycrdt-websocket'] },
  'read-only': { run: readOnly, settings: KNOWS_TOKENS, token: OWNER },
  denied: { run: denied, settings: KNOWS_TOKENS, token: OWNER },
  'reconnect storm': { run: reconnectStorm },
  'server restart': { run: (world) => serverGone(world, () => world.server.stop()) },
  'server killed': { run: (world) => serverGone(world, () => world.server.kill()) },
  '30 MB update': { run: largeUpdate },
  'odd names': { run: oddNames },
  idle: { run: idle, settings: IN_FULL ? [] : ['room.keepalive_s=1'], together: true },
};

/** Saved, where the client has a word for it. */
async function saved(peer) {
  await until('a peer shows its edits as saved', async () => (await peer.isSaved()) !== false);
}

async function liveEdit(world) {
  const [peer, other] = [await world.open('live'), await world.companion('live')];
  await synced(peer, other);
  await peer.set('mine', 1);
  await until('the other sees it', async () => (await other.get('mine')) === 1);
  await other.set('theirs', 2);
  await until('it sees the other', async () => (await peer.get('theirs')) === 2);
  await saved(peer);
  assert.deepEqual(await agreed(world.server, 'live', peer, other), { mine: 1, theirs: 2 });
}

async function offlineEdit(world) {
  const [peer, other] = [await world.open('offline'), await world.companion('offline')];
  await synced(peer, other);
  await peer.set('before', 0);
  await until('the other sees it', async () => (await other.get('before')) === 0);
  await peer.goOffline();
  for (let i = 0; i < 30; i++) {
    await peer.set(`mine ${i}`, i);
    await other.set(`theirs ${i}`, i);
  }
  await peer.set('both', 'mine');
  await other.set('both', 'theirs');
  assert.equal(await peer.get('theirs 0'), null);
  await peer.goOnline();
  await synced(peer);
  const newcomer = await world.open('offline');
  await synced(newcomer);
  const content = await agreed(world.server, 'offline', peer, other, newcomer);
  assert.equal(Object.keys(content).length, 62);
  await saved(peer);
}

async function presence(world) {
  const [peer, other] = [await world.open('here'), await world.companion('here')];
  await synced(peer, other);
  const sees = (watcher, name) => async () => (await watcher.others()).some((state) => state?.user?.name === name);
  await peer.show({ user: { name: 'Ada' } });
  await until('the other sees it', sees(other, 'Ada'));
  await other.show({ user: { name: 'Ben' } });
  await until('it sees the other', sees(peer, 'Ben'));
  await peer.show({ user: { name: 'Ada Lovelace' } });
  await until('a change is seen', sees(other, 'Ada Lovelace'));
  await peer.lose();
  await until('it is back after its connection was lost', sees(other, 'Ada Lovelace'));
  await until('and sees the other', sees(peer, 'Ben'));
  await peer.close();
  await until('who leaves is gone', async () => !(await sees(other, 'Ada Lovelace')()), AT_ONCE_MS);
}

/** One who may only look, at a map that nobody has open when it comes. */
async function readOnly(world) {
  const writer = await world.companion('seen');
  await synced(writer);
  await writer.set('before', 1);
  await agreed(world.server, 'seen', writer);
  await writer.goOffline();
  await world.server.stop();
  await world.server.restart();
  const reader = await world.open('seen', { token: token({ '**': 'viewer' }) });
  await synced(reader);
  assert.deepEqual(await reader.content(), { before: 1 });
  await writer.goOnline();
  await synced(writer);
  await reader.set('mine', 1);
  await heardOf(reader, writer);
  await writer.set('after', 2);
  await until('it sees edits', async () => (await reader.get('after')) === 2);
  assert.notEqual(await reader.isSaved(), true, 'a refused edit is not shown as saved');
  assert.deepEqual(await agreed(world.server, 'seen', writer), { before: 1, after: 2 });
}

/** Waits until the server has taken in all that `peer` sent so far: presence comes behind it, or a new connection. */
async function heardOf(peer, watcher) {
  if (peer.show) {
    await peer.show({ user: { name: 'Vi' } });
    await until('it is seen', async () => (await watcher.others()).some((state) => state?.user?.name === 'Vi'));
    return;
  }
  await reconnected(() => peer.lose(), peer);
}

/** One who may have one map and asks for another. */
async function denied(world) {
  const secret = await world.companion('secret');
  await synced(secret);
  await secret.set('k', 1);
  const one = token({ 'open/*': 'editor' });
  for (const bad of [one, `${one}x`, 'no token at all']) {
    const peer = await world.open('secret', { token: bad });
    await peer.set('mine', 1);
    await until('it is told', () => peer.isDenied());
    assert.equal(await peer.isSynced(), false);
    assert.deepEqual(await peer.content(), { mine: 1 });
    await peer.close();
  }
  const peer = await world.open('open/map', { token: one });
  await synced(peer);
  await peer.set('mine', 1);
  await until('its own map takes its edits', async () => (await agreed(world.server, 'open/map', peer)).mine === 1);
  assert.deepEqual(await agreed(world.server, 'secret', secret), { k: 1 });
}

async function reconnectStorm(world) {
  const count = world.client.startsWith('pycrdt') ? STORM_PROCESSES : STORM_PEERS;
  const peers = await Promise.all(Array.from({ length: count }, () => world.open('storm')));
  await synced(...peers);
  for (const [i, peer] of peers.entries()) await peer.set(`${i}`, i);
  await agreed(world.server, 'storm', ...peers);
  const written = await updates(world, 'storm');
  const killAndRestart = async () => {
    await world.server.kill();
    await world.server.restart();
  };
  await reconnected(killAndRestart, ...peers);
  await agreed(world.server, 'storm', ...peers);
  for (const peer of peers) await saved(peer);
  assert.equal(await updates(world, 'storm'), written, 'coming back adds nothing to the log');
}

async function updates(world, map) {
  const maps = await world.server.maps();
  return maps.find(({ name }) => name === map).updates;
}

/** The server goes, comes back on the same address, and the peer comes back by itself. */
async function serverGone(world, go) {
  const [peer, other] = [await world.open('gone'), await world.companion('gone')];
  await synced(peer, other);
  await peer.set('before', 1);
  await agreed(world.server, 'gone', peer, other);
  await go();
  await peer.set('meanwhile', 2);
  await other.set('theirs meanwhile', 2);
  await world.server.restart();
  await until('the edit has arrived', async () => (await other.get('meanwhile')) === 2);
  await until('the other edit has arrived', async () => (await peer.get('theirs meanwhile')) === 2);
  await peer.set('after', 3);
  await until('edits go on', async () => (await other.get('after')) === 3);
  await saved(peer);
  assert.equal(Object.keys(await agreed(world.server, 'gone', peer, other)).length, 4);
}

async function largeUpdate(world) {
  const [peer, other] = [await world.open('large'), await world.companion('large')];
  await synced(peer, other);
  const arrived = (watcher, key) => async () => (await watcher.letters(key)) === LARGE_LETTERS;
  await peer.fill('mine', LARGE_LETTERS);
  await until('the other has it', arrived(other, 'mine'), LARGE_LIMIT_MS);
  await other.fill('theirs', LARGE_LETTERS);
  await until('it has the other', arrived(peer, 'theirs'), LARGE_LIMIT_MS);
  await until('it is saved', async () => (await peer.isSaved()) !== false, LARGE_LIMIT_MS);
  const newcomer = await world.open('large');
  for (const key of ['mine', 'theirs']) await until('a newcomer has all', arrived(newcomer, key), LARGE_LIMIT_MS);
  assert.equal(await peer.opened(), 1, 'no connection was lost on the way');
}

async function oddNames(world) {
  for (const name of NAMES) {
    const [peer, other] = [await world.open(name), await world.companion(name)];
    await synced(peer, other);
    await peer.set('name', name);
    await until(`“${name}” is one map`, async () => (await other.get('name')) === name);
    await agreed(world.server, name, peer, other);
    await peer.close();
  }
}

/** Nothing happens for longer than clients and proxies bear; then an edit, on the connection that there was. */
async function idle(world) {
  const proxy = await TcpProxy.start(world.t, world.server, { silenceMs: SILENCE_MS });
  const map = `idle ${world.client}`;
  const [peer, other] = [await world.open(map, { server: proxy, presence: false }), await world.companion(map)];
  await synced(peer, other);
  await peer.show?.(null);
  const end = Date.now() + IDLE_S * 1000;
  await until('the time is over', () => Date.now() > end, IDLE_S * 2000);
  assert.deepEqual([proxy.cutForSilence, await peer.opened()], [0, 1], 'cut for silence, sockets opened');
  await other.set('at last', 1);
  await until('the edit comes', async () => (await peer.get('at last')) === 1);
  await peer.set('answer', 2);
  await until('the answer comes', async () => (await other.get('answer')) === 2);
  assert.equal(await peer.opened(), 1);
}
