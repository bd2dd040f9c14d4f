// What the durable acknowledgement promises: an edit that was acknowledged survives SIGKILL at any moment.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { durableAck } from '../../../web/src/provider/durable-ack.js';
import { Client, docOf, VERSIONS } from '../lib/clients.mjs';
import { Server } from '../lib/server.mjs';
import { random, until } from '../lib/wait.mjs';

const ROUNDS = 6;

function openWithAck(t, Provider, server, room) {
  const client = new Client(t, Provider, server, room);
  client.ack = durableAck(client.provider);
  return client;
}

for (const [version, Provider] of Object.entries(VERSIONS)) {
  test(`everything acknowledged to ${version} is there after SIGKILL`, async (t) => {
    const next = random(version);
    const server = await Server.start(t);
    const promised = new Map();
    for (let round = 0; round < ROUNDS; round++) {
      const client = openWithAck(t, Provider, server, 'acks');
      await client.synced();
      const edits = client.doc.getMap('feat');
      const burst = 1 + Math.floor(next() * 8);
      const enough = Math.floor(next() * 60);
      let written = 0;
      await until(`${enough} edits are acknowledged`, () => {
        for (let i = 0; i < burst; i++) edits.set(`${round}.${++written}`, written);
        return client.ack.state.stored >= enough;
      });
      const { stored } = client.ack.state;
      await server.kill();
      client.close();
      for (let i = 1; i <= stored; i++) promised.set(`${round}.${i}`, i);
      await server.restart();
      const survived = docOf(await server.state('acks')).getMap('feat');
      for (const [key, value] of promised) assert.equal(survived.get(key), value, `edit ${key} was acknowledged`);
    }
    assert.ok(promised.size > 0);
  });

  test(`edits made offline with ${version} are acknowledged only after the reconnect, and then hold`, async (t) => {
    const server = await Server.start(t);
    const client = openWithAck(t, Provider, server, 'offline');
    await client.synced();
    await client.goOffline();
    for (let i = 0; i < 50; i++) client.doc.getMap('feat').set(`offline${i}`, i);
    assert.equal(client.ack.state.stored, 0);
    client.provider.connect();
    await until('all is acknowledged', () => client.ack.state.stored === client.ack.state.local);
    await server.kill();
    client.close();
    await server.restart();
    const survived = docOf(await server.state('offline')).getMap('feat');
    assert.equal(survived.size, 50);
  });
}
