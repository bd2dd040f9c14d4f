// Presence between stock clients: seen, changed, gone, and back at once after a reconnect.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, VERSIONS } from '../lib/clients.mjs';
import { Server } from '../lib/server.mjs';
import { AT_ONCE_MS, until } from '../lib/wait.mjs';

const seenBy = (watcher, client) => watcher.awareness.getStates().get(client.doc.clientID);

for (const [version, Provider] of Object.entries(VERSIONS)) {
  test(`clients of ${version} see each other come, move and leave`, async (t) => {
    const server = await Server.start(t);
    const a = await Client.open(t, Provider, server, 'presence');
    a.awareness.setLocalState({ user: { name: 'Ana' }, cursor: [8.5, 47.3] });
    const b = await Client.open(t, Provider, server, 'presence');
    await until('a newcomer sees who is there', () => seenBy(b, a)?.user.name === 'Ana');
    a.awareness.setLocalStateField('cursor', [9, 48]);
    await until('a pointer moves', () => seenBy(b, a)?.cursor[0] === 9);
    a.close();
    await until('one who left is gone', () => !seenBy(b, a), AT_ONCE_MS);
  });

  test(`a client of ${version} that reconnects is visible again at once`, async (t) => {
    const server = await Server.start(t);
    const a = await Client.open(t, Provider, server, 'presence');
    const b = await Client.open(t, Provider, server, 'presence');
    a.awareness.setLocalState({ user: { name: 'Ana' } });
    await until('it is seen', () => seenBy(b, a));
    await a.goOffline();
    await until('it is gone', () => !seenBy(b, a), AT_ONCE_MS);
    await a.goOnline();
    await until('it is back', () => seenBy(b, a)?.user.name === 'Ana', AT_ONCE_MS);
  });

  test(`presence of ${version} ends with a killed client, whose socket just breaks`, async (t) => {
    const server = await Server.start(t);
    const a = await Client.open(t, Provider, server, 'presence');
    const b = await Client.open(t, Provider, server, 'presence');
    a.awareness.setLocalState({ user: { name: 'Ana' } });
    await until('it is seen', () => seenBy(b, a));
    a.provider.shouldConnect = false;
    a.provider.ws.terminate();
    await until('it is gone', () => !seenBy(b, a), AT_ONCE_MS);
    assert.equal(b.provider.wsconnected, true);
  });
}
