// A client that asks for a subprotocol gives up unless the answer names one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import WebSocket from 'ws';
import { Client, VERSIONS } from '../lib/clients.mjs';
import { Server } from '../lib/server.mjs';

test('y-websocket with subprotocols is connected, and the first of them is named', async (t) => {
  const server = await Server.start(t);
  const client = new Client(t, VERSIONS['y-websocket 3.1'], server, 'm');
  client.provider.disconnect();
  client.provider.protocols = ['yjs.v1', 'other'];
  client.provider.connect();
  await client.synced();
  assert.equal(client.provider.ws.protocol, 'yjs.v1');
});

test('every socket names the first subprotocol and none that was not asked for', async (t) => {
  const server = await Server.start(t);
  for (const path of ['ws/m', 'hocuspocus', 'd/m/ws/m'])
    for (const [asked, named] of [
      [['one', 'two'], 'one'],
      [[], ''],
    ]) {
      const socket = new WebSocket(`${server.url.replace(/^http/, 'ws')}/${path}`, asked);
      t.after(() => socket.terminate());
      await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
      assert.equal(socket.protocol, named, path);
    }
});
