// Stock clients that tell their users what is saved, and a server that is killed at random moments: what was shown as
// saved is there. `make crash-clients` runs this a hundred times for each client.
//
// Hocuspocus providers before 3.0 are left out: after a reconnect their own count can fall below zero, and they then show
// as saved what they have not even sent.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { docOf } from '../lib/clients.mjs';
import { Server } from '../lib/server.mjs';
import { random, until } from '../lib/wait.mjs';
import { CLIENTS } from '../matrix/peers.mjs';

const ROUNDS = Number(process.env.KILL_ROUNDS ?? 4);
const WRITERS = 4;
/** Maps are left behind after so many rounds, so that long runs do not slow down. */
const ROUNDS_PER_MAP = 10;
/** A kill comes up to so long after enough was saved. */
const KILL_WITHIN_MS = 4;
/** A burst of edits each time everything is saved, and one now and then while it is not. */
const BURST_MAX = 5;

/** One user: edits, sometimes without a connection, and believes what the client shows. */
class Writer {
  written = 0;
  /** Edits 1 to `saved` were shown as saved. */
  saved = 0;

  constructor(name, peer, next) {
    Object.assign(this, { name, peer, next });
    peer.onSaved(() => {
      this.saved = this.written;
    });
  }

  edit() {
    const count = 1 + Math.floor(this.next() * BURST_MAX);
    for (let i = 0; i < count; i++) {
      this.written += 1;
      this.peer.set(`${this.name}.${this.written}`, this.written);
    }
  }

  async step() {
    if ((await this.peer.isSaved()) || this.next() < 0.1) this.edit();
  }

  async workOffline() {
    await this.peer.goOffline();
    this.edit();
    await this.peer.goOnline();
  }
}

/** Writers until enough is saved, then SIGKILL; what each was shown. */
async function round(t, server, client, map, number, next) {
  const open = () => CLIENTS[client]({ server, map });
  const writers = Array.from({ length: WRITERS }, (_, i) => new Writer(`${number}.${i}`, open(), next));
  t.after(() => Promise.all(writers.map(({ peer }) => peer.close())));
  for (const { peer } of writers) await until('a writer is synced', () => peer.isSynced());
  const enough = Math.floor(next() * 120);
  const offline = writers[Math.floor(next() * WRITERS)];
  let isOffline = next() < 0.5;
  await until(`${enough} edits are saved`, async () => {
    const sum = writers.reduce((sum, { saved }) => sum + saved, 0);
    if (isOffline && sum > enough / 2) {
      isOffline = false;
      await offline.workOffline();
    }
    for (const writer of writers) await writer.step();
    return sum >= enough;
  });
  await pause(next() * KILL_WITHIN_MS);
  await server.kill();
  const promised = writers.map(({ name, saved }) => ({ name, saved }));
  // Gone with all that they have: nobody gives the server back what it lost.
  for (const { peer } of writers) await peer.close();
  return promised;
}

for (const client of ['hocuspocus 3.4.4', 'hocuspocus 4.8.0', 'y-sweet 0.9.1']) {
  test(`${client}: nothing that was shown as saved is lost in ${ROUNDS} kills`, async (t) => {
    const next = random(client);
    const server = await Server.start(t);
    let [promises, shown, lost] = [[], 0, []];
    for (let number = 0; number < ROUNDS; number++) {
      if (number % ROUNDS_PER_MAP === 0) promises = [];
      const map = `kills-${Math.floor(number / ROUNDS_PER_MAP)}`;
      const promised = await round(t, server, client, map, number, next);
      promises.push(...promised);
      shown += promised.reduce((sum, { saved }) => sum + saved, 0);
      await server.restart();
      const feat = docOf(await server.state(map)).getMap('feat');
      for (const { name, saved } of promises)
        for (let i = 1; i <= saved; i++) if (feat.get(`${name}.${i}`) !== i) lost.push(`${name}.${i}`);
    }
    console.log(`# ${client}: ${ROUNDS} kills, ${shown} edits shown as saved, ${lost.length} lost`);
    assert.ok(shown > 0);
    assert.deepEqual(lost, []);
  });
}
