// What Hocuspocus promises its users of the provider's events and flags, version by version, against our server: the behaviour
// that the provider's own tests describe, told anew.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as Y from 'yjs';
import { HOCUSPOCUS, HocuspocusSocket } from '../lib/hocuspocus.mjs';
import { Server } from '../lib/server.mjs';
import { KNOWS_TOKENS, token } from '../lib/tokens.mjs';
import { AT_ONCE_MS, until } from '../lib/wait.mjs';

const feat = (map) => map.doc.getMap('feat');

/** Of one person's presence. */
const CHANGES = 20;
/** What each of two shows when it comes. */
const GREETINGS = 2;

const EDITOR = token({ '**': 'editor' });
const VIEWER = token({ '**': 'viewer' });
const guarded = (t) => Server.start(t, KNOWS_TOKENS);
/** A map that may be edited, or only read, on a socket of its own. */
const writes = (t, version, server, name) => new HocuspocusSocket(t, version, server).open(name, { token: EDITOR });
const reads = (t, version, server, name, configuration) =>
  new HocuspocusSocket(t, version, server).map(name, { token: VIEWER, ...configuration });

/** Puts the names of events into a list, in their order. */
const record = (names) =>
  Object.fromEntries(
    ['Open', 'Connect', 'Authenticated', 'AuthenticationFailed', 'Close', 'Disconnect', 'Destroy', 'Message'].map(
      (name) => [`on${name}`, () => names.push(name)],
    ),
  );

for (const [name, version] of Object.entries(HOCUSPOCUS)) {
  test(`${name}: events of a connection come in their order, and again after it was lost`, async (t) => {
    const server = await Server.start(t);
    const socket = new HocuspocusSocket(t, version, server);
    const names = [];
    const onSynced = (event) => event?.state !== false && names.push('Synced');
    const map = await socket.open('events', { ...record(names), onSynced });
    const first = (event) => names.indexOf(event);
    assert.ok(first('Open') < first('Authenticated') && first('Authenticated') < first('Synced'), `${names}`);
    assert.ok(first('Open') < first('Message') && first('Message') < first('Synced'), `${names}`);
    assert.equal(names.filter((event) => event === 'Synced').length, 1);
    assert.ok(!names.includes('AuthenticationFailed'));
    await socket.goOffline();
    await until('the end is told', () => names.includes('Close') && names.includes('Disconnect'));
    assert.equal(map.provider.isSynced ?? map.provider.synced, false);
    await socket.goOnline();
    await until('it is synced again', () => names.filter((event) => event === 'Synced').length === 2);
  });

  test(`${name}: the token's scope is told, and every observer hears what others write`, async (t) => {
    const server = await guarded(t);
    const scopes = [];
    const writer = await writes(t, version, server, 'observed');
    const reader = reads(t, version, server, 'observed', {
      onAuthenticated: (event) => scopes.push(event?.scope ?? 'told'),
    });
    await reader.synced();
    await until('the scope is told', () => scopes.length > 0);
    assert.equal(reader.provider.authorizedScope, 'readonly');
    assert.equal(writer.provider.authorizedScope, 'read-write');
    const [seen, deep] = [[], []];
    feat(reader).observe((event) => seen.push(...event.keysChanged));
    feat(reader).observeDeep((events) => deep.push(...events.map((event) => event.path.join('.'))));
    feat(writer).set('k', new Y.Map([['inner', 1]]));
    await until('the new entry is observed', () => seen.includes('k'));
    feat(writer).get('k').set('inner', 2);
    await until('the change inside is observed', () => deep.includes('k'));
    assert.deepEqual(feat(reader).toJSON(), { k: { inner: 2 } });
  });

  test(`${name}: an edit is unsynced from the moment it is made until it is on disk`, async (t) => {
    const server = await Server.start(t);
    const map = await new HocuspocusSocket(t, version, server).open('flag');
    assert.equal(map.provider.hasUnsyncedChanges, false);
    feat(map).set('k', 1);
    assert.equal(map.provider.hasUnsyncedChanges, true);
    await map.synced();
    const early = new HocuspocusSocket(t, version, server).map('early');
    feat(early).set('before the connection', 1);
    await early.synced();
    const stored = new Y.Doc();
    Y.applyUpdate(stored, await server.state('early'));
    assert.deepEqual(stored.getMap('feat').toJSON(), { 'before the connection': 1 });
  });

  test(`${name}: a reader without edits of its own has nothing unsynced`, async (t) => {
    const server = await guarded(t);
    const writer = await writes(t, version, server, 'reading');
    feat(writer).set('k', 1);
    await writer.synced();
    const reader = await reads(t, version, server, 'reading').synced();
    // Its own copy is nothing new, also when it comes back with it.
    const again = await reads(t, version, server, 'reading', { document: copyOf(reader.doc) }).synced();
    feat(writer).set('later', 1);
    await until('the reader has it', () => feat(again).get('later') === 1);
    assert.equal(again.provider.hasUnsyncedChanges, false);
  });

  for (const [what, change] of Object.entries({
    'an edit': (doc) => doc.getMap('feat').set('mine', 1),
    'a deletion': (doc) => doc.getMap('feat').delete('k'),
  })) {
    test(`${name}: a reader who comes with ${what} of its own stays unsynced for ever`, async (t) => {
      const server = await guarded(t);
      const writer = await writes(t, version, server, 'stays');
      feat(writer).set('k', 1);
      await writer.synced();
      const document = copyOf(writer.doc);
      change(document);
      const reader = reads(t, version, server, 'stays', { document });
      feat(writer).set('theirs', 1);
      await until('it hears others', () => feat(reader).get('theirs') === 1);
      reader.provider.sendStateless('everything that it had was judged by now');
      await until('the server has heard it', () => writer.stateless.length > 0);
      assert.equal(reader.provider.hasUnsyncedChanges, true);
      assert.deepEqual(feat(writer).toJSON(), { k: 1, theirs: 1 });
    });
  }

  test(`${name}: awareness events tell who came, changed and left, and a client goes with its provider`, async (t) => {
    const server = await Server.start(t);
    const watcher = await new HocuspocusSocket(t, version, server).open('people');
    const events = [];
    watcher.provider.on('awarenessChange', ({ states }) => events.push(states));
    const other = await new HocuspocusSocket(t, version, server).open('people');
    other.provider.setAwarenessField('foo', 'bar');
    const has = (states) => states.some((state) => state.clientId === other.doc.clientID && state.foo === 'bar');
    await until('it is seen', () => events.some(has));
    other.close();
    await until('it is gone', () => !has(events.at(-1)), AT_ONCE_MS);
  });

  test(`${name}: what a client hears of others it does not keep sending back`, async (t) => {
    const server = await Server.start(t);
    const [first, second] = [
      await new HocuspocusSocket(t, version, server).open('echo'),
      await new HocuspocusSocket(t, version, server).open('echo'),
    ];
    let sent = 0;
    second.provider.on('outgoingMessage', ({ message }) => {
      if (message.description === 'Awareness states update') sent += 1;
    });
    for (let i = 1; i <= CHANGES; i++) first.provider.setAwarenessField('n', i);
    const seen = () => second.provider.awareness.getStates().get(first.doc.clientID)?.n === CHANGES;
    await until('the last is seen', seen);
    // Versions that send back what they hear do it once for each message, and the server does not answer that.
    assert.ok(sent <= CHANGES + GREETINGS, `${sent} messages`);
    feat(first).set('quiet', 1);
    await until('it goes on', () => feat(second).get('quiet') === 1);
  });

  test(`${name}: a provider that is destroyed leaves its map, and its socket's other maps stay`, async (t) => {
    const server = await Server.start(t);
    const socket = new HocuspocusSocket(t, version, server);
    const [gone, stays] = [await socket.open('gone'), await socket.open('stays')];
    const watcher = await new HocuspocusSocket(t, version, server).open('gone');
    gone.provider.setAwarenessField('here', true);
    const seen = () => watcher.provider.awareness.getStates().get(gone.doc.clientID)?.here;
    await until('it is seen', seen);
    gone.close();
    await until('it is gone', () => !seen(), AT_ONCE_MS);
    feat(stays).set('k', 1);
    await stays.synced();
  });
}

test('provider 4.8: edits of a moment that are sent together count as one, and arrive', async (t) => {
  const server = await Server.start(t);
  const version = HOCUSPOCUS['provider 4.8'];
  let updates = 0;
  const map = await new HocuspocusSocket(t, version, server).open('together', {
    flushDelay: 50,
    onOutgoingMessage: ({ message }) => {
      if (message.description === 'A document update') updates += 1;
    },
  });
  for (const key of ['a', 'b', 'c']) feat(map).set(key, 1);
  assert.deepEqual([updates, map.provider.hasUnsyncedChanges], [0, true]);
  await map.synced();
  assert.equal(updates, 1);
  const other = await new HocuspocusSocket(t, version, server).open('together');
  assert.deepEqual(feat(other).toJSON(), { a: 1, b: 1, c: 1 });
});

function copyOf(doc) {
  const copy = new Y.Doc();
  Y.applyUpdate(copy, Y.encodeStateAsUpdate(doc));
  return copy;
}
