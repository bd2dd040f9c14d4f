// The provider on networks and servers that come and go at random: nothing that it calls safe is lost, and everything arrives in the end.
//
// Two devices, each with storage of its own that outlives its pages. What a page said of an edit when it died is compared with what is found
// afterwards: "on this device" means that the next page has it, "stored" that the server has it after SIGKILL.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IDBFactory, isSaved, open, Y } from '../lib/provider.mjs';
import { Middlebox } from '../lib/proxy.mjs';
import { Server } from '../lib/server.mjs';
import { random, until } from '../lib/wait.mjs';

const ROUNDS = Number(process.env.MAPWEAVE_TEST_ROUNDS ?? 60);
const MODES = ['open', 'open', 'no-upgrade', 'stall', 'dead'];
const RETURN_MS = 120_000;

class Device {
  #t;
  #factory = new IDBFactory();
  #made = 0;
  /** What was promised, by the key in the map. */
  onServer = new Set();
  #keys = new Map();

  constructor(t, name, box) {
    this.#t = t;
    this.name = name;
    this.box = box;
  }

  /** A page begins; the one before is gone. */
  open() {
    this.provider = open(this.#t, this.box, 'chaos', { indexedDB: this.#factory });
    this.doc = this.provider.doc;
    this.provider.on('stored', ({ keys }) => {
      for (const key of keys) if (this.#keys.has(key)) this.onServer.add(this.#keys.get(key));
    });
    return this.provider.loaded;
  }

  edit() {
    const name = `${this.name}${++this.#made}`;
    this.doc.getMap('feat').set(name, this.#made);
    this.#keys.set(this.provider.pending().at(-1).key, name);
  }

  /** The page dies: nothing more is written but what has begun. Gives what was on the device by its word. */
  die() {
    const kept = this.provider.pending().filter(({ onDevice }) => onDevice);
    void this.provider.destroy();
    return kept.map(({ key }) => this.#keys.get(key));
  }
}

test('over bad networks, dying pages and killed servers nothing that was called safe is lost', async (t) => {
  const next = random('provider chaos');
  const pick = (list) => list[Math.floor(next() * list.length)];
  const server = await Server.start(t);
  const devices = [];
  for (const name of ['a', 'b']) {
    const device = new Device(t, name, await Middlebox.start(t, server));
    devices.push(device);
    await device.open();
  }
  let kills = 0;
  let deaths = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const device = pick(devices);
    const what = next();
    if (what < 0.5) for (let i = 0; i <= next() * 4; i++) device.edit();
    else if (what < 0.75) device.box.become(pick(MODES));
    else if (what < 0.85) {
      kills += 1;
      await server.kill();
      await server.restart();
    } else {
      deaths += 1;
      const kept = device.die();
      await device.open();
      const found = device.doc.getMap('feat');
      for (const name of kept) assert.ok(found.has(name), `${name} was on the device`);
    }
    await new Promise((resolve) => setTimeout(resolve, next() * 150));
  }
  // The promise was made; the server may die right after it.
  const promised = devices.flatMap(({ onServer }) => [...onServer]);
  await server.kill();
  await server.restart();
  const survived = new Y.Doc();
  Y.applyUpdate(survived, (await server.state('chaos')) ?? new Uint8Array([0, 0]));
  for (const name of promised) assert.ok(survived.getMap('feat').has(name), `${name} was stored`);

  for (const { box } of devices) box.become('open');
  await until('everything is stored', () => devices.every(({ provider }) => isSaved(provider)), RETURN_MS);
  const [a, b] = devices;
  const content = ({ doc }) => JSON.stringify(Object.entries(doc.getMap('feat').toJSON()).sort());
  await until('both devices have the same', () => content(a) === content(b), RETURN_MS);
  const last = new Y.Doc();
  Y.applyUpdate(last, await server.state('chaos'));
  assert.equal(content({ doc: last }), content(a));
  console.log(
    `# ${last.getMap('feat').size} edits, ${promised.length} stored midway, ${kills} kills, ${deaths} pages died`,
  );
});
