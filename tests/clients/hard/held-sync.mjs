// Stock clients that show what is saved, before a server whose disk is held by the test that runs this program
// (tests/e2e/hard_cases/held_sync.rs): offline edits first, and after SIGUSR2 one edit on live connections.
//
// Says “waits” when nothing is saved after a time in which y-sweet's client asks twice and is answered, and “saved”.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { until } from '../lib/wait.mjs';
import { CLIENTS } from '../matrix/peers.mjs';

const OFFLINE_EDITS = 20;
/** y-sweet's client asks after 2 s of silence and gives up 3 s later. */
const PATIENCE_MS = 6_000;

const url = process.argv[2];
const next = once(process, 'SIGUSR2');
const names = ['y-sweet 0.9.1', 'hocuspocus 3.4.4', 'hocuspocus 4.8.0'];
const peers = names.map((name) => CLIENTS[name]({ server: { url }, map: 'held' }));
const each = (edit) => Promise.all(peers.map((peer, i) => edit(peer, names[i])));

// Before any of them has connected: these edits travel in their SyncStep2.
await each(async (peer, name) => {
  for (let i = 0; i < OFFLINE_EDITS; i++) await peer.set(`${name} ${i}`, i);
});
await each((peer) => until('a client is connected', () => peer.isSynced()));
await waits();
await saved();
await next;
await each((peer, name) => peer.set(`${name} live`, 1));
await waits();
await saved();
await each((peer) => peer.close());

async function waits() {
  const end = Date.now() + PATIENCE_MS;
  await until('time has passed', async () => {
    await each(async (peer, name) => assert.equal(await peer.isSaved(), false, `${name} shows an edit as saved`));
    return Date.now() > end;
  });
  await each(async (peer, name) => assert.equal(await peer.opened(), 1, `${name} gave its connection up`));
  console.log('waits');
}

async function saved() {
  await each((peer, name) => until(`${name} shows its edits as saved`, () => peer.isSaved()));
  await each(async (peer) => assert.equal(await peer.opened(), 1));
  console.log('saved');
}
