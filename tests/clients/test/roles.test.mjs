// What stock clients of people with different roles may write, and how they hear that they may not.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, converged, docOf, VERSIONS } from '../lib/clients.mjs';
import { HOCUSPOCUS, HocuspocusSocket } from '../lib/hocuspocus.mjs';
import { Server } from '../lib/server.mjs';
import { KNOWS_TOKENS, token } from '../lib/tokens.mjs';
import { until } from '../lib/wait.mjs';

const MAP = 'roles';
const as = (sub, role) => token({ [MAP]: role }, { sub });
const roomOf = (sub, role) => `${MAP}?token=${as(sub, role)}`;

async function guarded(t) {
  const server = await Server.start(t, KNOWS_TOKENS);
  server.token = token({ '**': 'owner' }, { sub: 'root' });
  return server;
}

async function stored(server, root) {
  const doc = docOf(await server.state(MAP));
  return doc.getMap(root).toJSON();
}

/** What a stock y-websocket client says to its page's console when an edit is refused. */
function denials(t) {
  const warn = t.mock.method(console, 'warn', () => {});
  return () => warn.mock.calls.map(({ arguments: [text] }) => `${text}`).filter((text) => text.includes('denied'));
}

for (const [name, Provider] of Object.entries(VERSIONS)) {
  test(`${name}: a commenter writes notes, a viewer nothing, and both hear why`, async (t) => {
    const server = await guarded(t);
    const heard = denials(t);
    const editor = await Client.open(t, Provider, server, roomOf('eva', 'editor'));
    editor.doc.getMap('feat').set('well', 1);
    const commenter = await Client.open(t, Provider, server, roomOf('ida', 'commenter'));
    commenter.doc.getMap('note').set('n1', [1, 'idaIda', 'dry?', 'well', null, null]);
    await converged('editor and commenter', editor.doc, commenter.doc);
    // Who comes back with nothing new is not told of anything.
    await commenter.goOffline();
    await commenter.goOnline();
    assert.deepEqual(heard(), []);
    commenter.doc.getMap('feat').set('mine', 1);
    await until('the commenter hears why', () => heard().some((text) => text.includes('notes only')));
    const viewer = await Client.open(t, Provider, server, roomOf('ina', 'viewer'));
    viewer.doc.getMap('note').set('n2', [1, 'inaIna', 'me too', null, null, null]);
    await until('the viewer hears why', () => heard().some((text) => text.includes('may only read')));
    editor.doc.getMap('feat').set('last', 1);
    await until('the viewer reads on', () => viewer.doc.getMap('feat').get('last') === 1);
    assert.deepEqual(await stored(server, 'feat'), { well: 1, last: 1 });
    assert.deepEqual(Object.keys(await stored(server, 'note')), ['n1']);
  });
}

for (const [name, version] of Object.entries(HOCUSPOCUS)) {
  test(`${name}: a commenter's notes are saved, other edits never shown as saved, and the reason is told once`, async (t) => {
    const server = await guarded(t);
    const open = (sub, role) => new HocuspocusSocket(t, version, server).open(MAP, { token: as(sub, role) });
    const editor = await open('eva', 'editor');
    editor.doc.getMap('feat').set('well', 1);
    await editor.synced();
    const commenter = await open('ida', 'commenter');
    assert.equal(commenter.provider.authorizedScope, 'read-write');
    commenter.doc.getMap('note').set('n1', [1, 'idaIda', 'dry?', 'well', null, null]);
    await commenter.synced();
    assert.deepEqual(commenter.stateless, []);
    commenter.doc.getMap('feat').set('mine', 1);
    commenter.doc.getMap('feat').set('mine too', 1);
    await until('the commenter hears why', () => commenter.stateless.length > 0);
    const why = JSON.parse(commenter.stateless[0]);
    assert.equal(why.kind, 'denied');
    assert.equal(why.kept, false);
    assert.match(why.reason, /notes only/);
    assert.ok(commenter.unsynced > 0);
    assert.deepEqual(commenter.denials, []);
    assert.deepEqual(await stored(server, 'feat'), { well: 1 });
    assert.deepEqual(Object.keys(await stored(server, 'note')), ['n1']);
  });
}

test('late edits of somebody who may only read by now are kept for an owner, who admits them', async (t) => {
  const server = await guarded(t);
  const version = HOCUSPOCUS['provider 4.8'];
  let role = 'editor';
  const socket = new HocuspocusSocket(t, version, server);
  const eva = await socket.open(MAP, { token: () => as('eva', role) });
  eva.doc.getMap('feat').set('early', 1);
  await eva.synced();
  await socket.goOffline();
  eva.doc.getMap('feat').set('late', 1);
  role = 'viewer';
  socket.socket.connect();
  await until('she hears that it is kept', () => eva.stateless.some((text) => JSON.parse(text).kept));
  assert.deepEqual(await stored(server, 'feat'), { early: 1 });
  const ask = async (rest, method = 'GET') => {
    const headers = { authorization: `Bearer ${server.token}` };
    const answer = await fetch(`${server.url}/api/v1/maps/${MAP}/quarantine${rest}`, { method, headers });
    return answer.json();
  };
  const { quarantine } = await ask('');
  assert.deepEqual(
    quarantine.map(({ user }) => user),
    ['eva'],
  );
  assert.equal((await ask(`/${quarantine[0].id}/admit`, 'POST')).durable, true);
  assert.deepEqual(await stored(server, 'feat'), { early: 1, late: 1 });
});
