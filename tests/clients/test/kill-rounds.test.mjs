// Stock clients that tell their users what is saved, and a server that is killed at random moments: what was shown as
// saved is there. `make crash-clients` runs this a hundred times for each client.

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

/** Of the deeds of a user. */
const REMOVALS = 0.2;

/** One user: edits and removes, sometimes without a connection, and believes what the client shows. */
class Writer {
  /** How much it did: deed n sets its key n or removes an earlier one. */
  done = 0;
  /** Deeds 1 to `saved` were shown as saved. */
  saved = 0;
  /** Keys that it set, with the deed that removed each. */
  keys = new Map();

  constructor(name, peer, next) {
    Object.assign(this, { name, peer, next });
    peer.onSaved(() => {
      this.saved = this.done;
    });
  }

  edit() {
    const count = 1 + Math.floor(this.next() * BURST_MAX);
    for (let i = 0; i < count; i++) {
      this.done += 1;
      const there = [...this.keys].filter(([, removed]) => !removed).map(([key]) => key);
      if (there.length > 0 && this.next() < REMOVALS) {
        const key = there[Math.floor(this.next() * there.length)];
        this.keys.set(key, this.done);
        this.peer.remove(`${this.name}.${key}`);
      } else {
        this.keys.set(this.done, 0);
        this.peer.set(`${this.name}.${this.done}`, this.done);
      }
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

  /** What it was shown as saved and is not in `feat`, in words. */
  lost(feat) {
    const lost = [];
    for (const [key, removed] of this.keys) {
      if (key > this.saved) continue;
      const name = `${this.name}.${key}`;
      if (removed === 0 && feat.get(name) !== key) lost.push(`${name} is not there`);
      if (removed > 0 && removed <= this.saved && feat.has(name)) lost.push(`${name} is not removed`);
    }
    return lost;
  }
}

/** Writers until enough is saved, some of them offline for a moment, then SIGKILL; the writers, who do nothing any more. */
async function round(t, server, client, map, number, next) {
  const open = () => CLIENTS[client]({ server, map });
  const writers = Array.from({ length: WRITERS }, (_, i) => new Writer(`${number}.${i}`, open(), next));
  t.after(() => Promise.all(writers.map(({ peer }) => peer.close())));
  for (const { peer } of writers) await until('a writer is synced', () => peer.isSynced());
  const enough = Math.floor(next() * 120);
  let toBreak = writers.filter(() => next() < 0.5);
  await until(`${enough} edits are saved`, async () => {
    const sum = writers.reduce((sum, { saved }) => sum + saved, 0);
    if (sum > enough / 2) {
      const breaking = toBreak;
      toBreak = [];
      await Promise.all(breaking.map((writer) => writer.workOffline()));
    }
    for (const writer of writers) await writer.step();
    return sum >= enough;
  });
  await pause(next() * KILL_WITHIN_MS);
  await server.kill();
  // Gone with all that they have: nobody gives the server back what it lost.
  for (const { peer } of writers) await peer.close();
  return writers;
}

for (const client of ['hocuspocus 2.15.3', 'hocuspocus 3.4.4', 'hocuspocus 4.8.0', 'y-sweet 0.9.1']) {
  test(`${client}: nothing that was shown as saved is lost in ${ROUNDS} kills`, async (t) => {
    const next = random(client);
    const server = await Server.start(t);
    let [writers, shown, lost] = [[], 0, []];
    for (let number = 0; number < ROUNDS; number++) {
      if (number % ROUNDS_PER_MAP === 0) writers = [];
      const map = `kills-${Math.floor(number / ROUNDS_PER_MAP)}`;
      const newcomers = await round(t, server, client, map, number, next);
      writers.push(...newcomers);
      shown += newcomers.reduce((sum, { saved }) => sum + saved, 0);
      await server.restart();
      const feat = docOf(await server.state(map)).getMap('feat');
      lost.push(...writers.flatMap((writer) => writer.lost(feat)));
    }
    console.log(`# ${client}: ${ROUNDS} kills, ${shown} edits shown as saved, ${lost.length} lost`);
    assert.ok(shown > 0);
    assert.deepEqual(lost, []);
  });
}
