// Tokens of stock Hocuspocus providers: bad and good on one socket, renewed, changed, expired, and the maps beside them untouched.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { HOCUSPOCUS, HocuspocusSocket } from '../lib/hocuspocus.mjs';
import { Server } from '../lib/server.mjs';
import { KNOWS_TOKENS, token } from '../lib/tokens.mjs';
import { until } from '../lib/wait.mjs';

const EDITOR = token({ '**': 'editor' });
const VIEWER = token({ '**': 'viewer' });
const BAD = 'not a token';
const feat = (map) => map.doc.getMap('feat');
const inSeconds = (s) => Math.floor(Date.now() / 1000) + s;

/** Clocks need no leeway on one machine, so that a token ends when it says. */
const EXACT = [...KNOWS_TOKENS, 'auth.leeway_s=0'];

for (const [name, version] of Object.entries(HOCUSPOCUS)) {
  test(`${name}: a map that is denied leaves its neighbours on the socket alone`, async (t) => {
    const server = await Server.start(t, KNOWS_TOKENS);
    const socket = new HocuspocusSocket(t, version, server);
    const good = await socket.open('good', { token: EDITOR });
    const other = await new HocuspocusSocket(t, version, server).open('good', { token: EDITOR });
    const denied = socket.map('elsewhere', { token: token({ good: 'editor' }) });
    await until('it is denied', () => denied.denials.length > 0);
    assert.equal(denied.provider.synced, false);
    // Providers before 3.0 take that for the end of the whole socket.
    if (!version.attaches) return;
    feat(good).set('k', 1);
    await until('the neighbour goes on', () => feat(other).get('k') === 1);
    await good.synced();
  });

  if (version.attaches) {
    test(`${name}: a bad token and then a good one at the same address let the client in`, async (t) => {
      const server = await Server.start(t, KNOWS_TOKENS);
      const socket = new HocuspocusSocket(t, version, server);
      let asked = 0;
      const map = socket.map('retried', {
        token: () => {
          asked += 1;
          return asked === 1 ? BAD : EDITOR;
        },
        onAuthenticationFailed: async () => {
          await map.provider.sendToken();
          map.provider.startSync();
        },
      });
      feat(map).set('k', 1);
      await map.synced();
      assert.equal(asked, 2);
    });

    test(`${name}: a token is asked for anew before it expires, and nothing is interrupted`, async (t) => {
      const server = await Server.start(t, EXACT);
      const socket = new HocuspocusSocket(t, version, server);
      const other = await new HocuspocusSocket(t, version, server).open('long', { token: EDITOR });
      let asked = 0;
      const map = await socket.open('long', {
        token: () => {
          asked += 1;
          return token({ '**': 'editor' }, { exp: inSeconds(8) });
        },
      });
      // Twice: what the second one grants is a new life again.
      await until('two more tokens were fetched', () => asked >= 3);
      assert.deepEqual([map.closes, map.denials], [0, []]);
      feat(map).set('k', 1);
      await map.synced();
      await until('the other has it', () => feat(other).get('k') === 1);
    });

    test(`${name}: another role takes effect without a new connection`, async (t) => {
      const server = await Server.start(t, KNOWS_TOKENS);
      const writer = await new HocuspocusSocket(t, version, server).open('role', { token: EDITOR });
      const scopes = [];
      let current = EDITOR;
      const map = await new HocuspocusSocket(t, version, server).open('role', {
        token: () => current,
        onAuthenticated: ({ scope }) => scopes.push(scope),
      });
      feat(map).set('as editor', 1);
      await map.synced();
      current = VIEWER;
      await map.provider.sendToken();
      await until('it may only read', () => scopes.at(-1) === 'readonly');
      feat(map).set('as viewer', 1);
      map.provider.sendStateless('the edit has arrived by now');
      await until('the server has heard it', () => writer.stateless.length > 0);
      assert.equal(map.provider.hasUnsyncedChanges, true);
      assert.deepEqual(feat(writer).toJSON(), { 'as editor': 1 });
      current = EDITOR;
      await map.provider.sendToken();
      await until('it may write again', () => scopes.at(-1) === 'read-write');
      map.provider.forceSync();
      await until('the other has it', () => feat(writer).get('as viewer') === 1);
      assert.equal(map.closes, 0);
    });

    test(`${name}: a new token that is not good ends the map and no other`, async (t) => {
      const server = await Server.start(t, KNOWS_TOKENS);
      const socket = new HocuspocusSocket(t, version, server);
      let current = EDITOR;
      const [map, stays] = [
        await socket.open('ends', { token: () => current }),
        await socket.open('stays', { token: EDITOR }),
      ];
      current = BAD;
      await map.provider.sendToken();
      await until('it is denied', () => map.denials.length > 0);
      feat(stays).set('k', 1);
      await stays.synced();
      current = EDITOR;
      await map.provider.sendToken();
      map.provider.startSync();
      feat(map).set('again', 1);
      await map.synced();
    });
  }

  test(`${name}: who lets its token expire comes back with a fresh one, or is told`, async (t) => {
    const server = await Server.start(t, EXACT);
    const socket = new HocuspocusSocket(t, version, server);
    // A provider that has no better token yet when it is asked for one in time.
    const first = token({ '**': 'editor' }, { exp: inSeconds(6) });
    const ended = () => map.denials.length > 0 || map.closes > 0;
    const map = socket.map('short', { token: () => (ended() ? EDITOR : first) });
    await map.synced();
    await until('the token has expired', ended);
    if (map.denials.length > 0) {
      await map.provider.sendToken();
      map.provider.startSync();
    }
    feat(map).set('k', 1);
    await map.synced();
  });
}

test('a slow judge of tokens holds up its own map and no other', async (t) => {
  // A service that answers for the map `slow` only when it is told to.
  const waiting = [];
  const service = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const { map } = JSON.parse(body);
      const answer = () => response.end(JSON.stringify({ user: 'ann', role: 'editor' }));
      if (map === 'slow') waiting.push(answer);
      else answer();
    });
  });
  await new Promise((resolve) => service.listen(0, '127.0.0.1', resolve));
  t.after(() => service.closeAllConnections());
  t.after(() => service.close());
  const url = `http://127.0.0.1:${service.address().port}/`;
  const server = await Server.start(t, [`auth.webhook_url=${url}`]);
  const socket = new HocuspocusSocket(t, HOCUSPOCUS['provider 4.8'], server);
  const slow = socket.map('slow');
  feat(slow).set('said before it was let in', 1);
  await until('the judge is asked', () => waiting.length === 1);
  const quick = await socket.open('quick');
  feat(quick).set('k', 1);
  await quick.synced();
  assert.equal(slow.provider.synced, false);
  waiting[0]();
  await slow.synced();
});
