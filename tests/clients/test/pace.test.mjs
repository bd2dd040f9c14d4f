// What one person may send, over all their clients: stock clients of every protocol are slowed down, lose nothing, and slow
// nobody else.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Server } from '../lib/server.mjs';
import { KNOWS_TOKENS, token } from '../lib/tokens.mjs';
import { until } from '../lib/wait.mjs';
import { opener, served, synced } from '../lib/world.mjs';

const EDITS = 100;

async function pauses(server) {
  const answer = await fetch(`${server.url}/metrics`, { headers: { authorization: `Bearer ${server.token}` } });
  const line = /^mapweave_person_pauses_total (\d+)/m.exec(await answer.text());
  return Number(line?.[1] ?? 0);
}

for (const client of ['y-websocket 3.1.0', 'hocuspocus 4.8.0', 'y-sweet 0.9.1']) {
  test(`${client}: two clients of a person who send too fast are slowed down together, and nobody else is`, async (t) => {
    const bounds = ['limits.user_messages_per_second=50', 'limits.user_messages_burst=150'];
    const server = await Server.start(t, [...KNOWS_TOKENS, ...bounds]);
    server.token = token({ '**': 'owner' }, { sub: 'operator' });
    const open = opener(t, server);
    const of = (sub) => open(client, 'm', { token: token({ m: 'editor' }, { sub }) });
    const [phone, laptop, other] = [of('eva'), of('eva'), of('ida')];
    await synced(phone, laptop, other);
    assert.equal(await pauses(server), 0);
    for (let number = 0; number < EDITS; number += 1) {
      await phone.set(`phone ${number}`, number);
      await laptop.set(`laptop ${number}`, number);
    }
    await until('the person is slowed down', async () => (await pauses(server)) > 0);
    await other.set('in between', 1);
    await until('the other’s edit is stored', async () => (await served(server, 'm'))['in between'] === 1);
    await until('all is stored', async () => Object.keys(await served(server, 'm')).length === 2 * EDITS + 1);
    for (const peer of [phone, laptop]) assert.equal(await peer.opened(), 1);
  });
}
