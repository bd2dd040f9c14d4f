// Two stock clients edit apart, the server dies in between, and in the end everybody has everything.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, converged, docOf, VERSIONS } from '../lib/clients.mjs';
import { Server } from '../lib/server.mjs';

/** An edit of every kind: new keys, a fight over one key, removals, a list and a text. */
function edit(client, name) {
  const { doc } = client;
  doc.transact(() => {
    const features = doc.getMap('feat');
    for (let i = 0; i < 20; i++) features.set(`${name}${i}`, [1795000000 + i, name, 1, [i, i / 7], '{}', '']);
    features.set('both', [1795000000, name, 1, [0, 0], '{}', '']);
    features.delete(`${name}3`);
  });
  doc.getMap('prop').set(`both/${name}/name`, [1795000001, name]);
  doc.getArray('list').push([name]);
  doc.getText('text').insert(0, `${name} was here. `);
}

for (const [version, Provider] of Object.entries(VERSIONS)) {
  test(`two clients of ${version} edit offline while the server is killed, and a third gets it all`, async (t) => {
    const server = await Server.start(t);
    const a = await Client.open(t, Provider, server, 'merge');
    const b = await Client.open(t, Provider, server, 'merge');
    edit(a, 'before');
    await converged('two clients online', a.doc, b.doc);

    await a.goOffline();
    await b.goOffline();
    edit(a, 'alice');
    edit(b, 'bob');
    await server.kill();
    edit(a, 'carol');
    await server.restart();
    await a.goOnline();
    await b.goOnline();
    const c = await Client.open(t, Provider, server, 'merge');
    await converged('two clients that were offline and a new one', a.doc, b.doc, c.doc);
    for (const name of ['before', 'alice', 'bob', 'carol'])
      assert.ok(c.doc.getMap('feat').has(`${name}7`), `edits of ${name}`);
    assert.equal(c.doc.getMap('feat').has('alice3'), false);

    await converged('a client and the server', a.doc, docOf(await server.state('merge')));
  });

  test(`clients of ${version} that stay connected recover by themselves from a kill`, async (t) => {
    const server = await Server.start(t);
    const a = await Client.open(t, Provider, server, 'kill');
    const b = await Client.open(t, Provider, server, 'kill');
    for (let round = 0; round < 3; round++) {
      edit(a, `a${round}x`);
      await server.kill();
      edit(b, `b${round}x`);
      await server.restart();
      await converged(`clients after kill ${round + 1}`, a.doc, b.doc);
    }
    const c = await Client.open(t, Provider, server, 'kill');
    await converged('clients and a new one', a.doc, c.doc);
  });
}

test('clients of both versions share one map', async (t) => {
  const server = await Server.start(t);
  const [old, recent] = await Promise.all(
    ['y-websocket 1.5', 'y-websocket 3.1'].map((version) => Client.open(t, VERSIONS[version], server, 'mixed')),
  );
  edit(old, 'old');
  edit(recent, 'recent');
  await converged('old and recent clients', old.doc, recent.doc);
  assert.deepEqual(recent.doc.getArray('list').toJSON().sort(), ['old', 'recent']);
});
