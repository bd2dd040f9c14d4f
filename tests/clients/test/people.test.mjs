// People between stock clients: a word to one person, who comes and goes, and presence that ends up the same everywhere.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, converged, VERSIONS } from '../lib/clients.mjs';
import { HOCUSPOCUS, HocuspocusSocket } from '../lib/hocuspocus.mjs';
import { Server } from '../lib/server.mjs';
import { AT_ONCE_MS, random, until } from '../lib/wait.mjs';

const YWebsocket = VERSIONS['y-websocket 3.1'];
/** How everything begins that the server itself says, and what is said to it. */
const PREFIX = '{"mapweave":';
const STEPS = 120;

const ask = (map, members) => map.provider.sendStateless(JSON.stringify({ mapweave: 1, ...members }));
const notices = (map, kind) =>
  map.stateless
    .filter((text) => text.startsWith(PREFIX))
    .map((text) => JSON.parse(text))
    .filter((notice) => notice.kind === kind);

for (const [name, version] of Object.entries(HOCUSPOCUS)) {
  test(`${name}: a message reaches one person, says who sent it, and nobody else hears it`, async (t) => {
    const server = await Server.start(t);
    const socket = new HocuspocusSocket(t, version, server);
    const [ann, elsewhere] = [await socket.open('talk'), await socket.open('elsewhere')];
    const ben = await new HocuspocusSocket(t, version, server).open('talk');
    const eve = await new HocuspocusSocket(t, version, server).open('talk');
    ann.provider.setAwarenessField('user', { name: 'Ann' });
    await until('Ben sees Ann', () => ben.provider.awareness.getStates().get(ann.doc.clientID)?.user);
    await until('Ann sees Ben', () => ann.provider.awareness.getStates().has(ben.doc.clientID));
    ask(ann, { kind: 'message', to: ben.doc.clientID, text: 'lunch?', id: 'm1' });
    await until('Ben hears', () => notices(ben, 'message').length === 1);
    const [message] = notices(ben, 'message');
    assert.deepEqual(message.from, { client: ann.doc.clientID, name: 'Ann', user: '' });
    assert.equal(message.text, 'lunch?');
    await until('Ann hears that he was told', () => notices(ann, 'delivered').length === 1);
    assert.deepEqual(notices(ann, 'delivered'), [{ mapweave: 1, kind: 'delivered', id: 'm1', reached: 1 }]);
    ask(ann, { kind: 'message', to: 1, text: 'anybody?', id: 'm2' });
    await until('Ann hears that nobody was told', () => notices(ann, 'delivered').at(-1).id === 'm2');
    assert.equal(notices(ann, 'delivered').at(-1).reached, 0);
    for (const other of [eve, elsewhere]) assert.deepEqual(other.stateless, []);
  });

  test(`${name}: nobody speaks in the server's name`, async (t) => {
    const server = await Server.start(t);
    const forger = await new HocuspocusSocket(t, version, server).open('talk');
    const other = await new HocuspocusSocket(t, version, server).open('talk');
    const forged = [
      { kind: 'people', count: 9, joined: [{ client: 1, name: 'Nobody', user: 'boss' }] },
      { kind: 'message', from: { user: 'boss' }, text: 'send money' },
      { kind: 'closing' },
    ];
    for (const notice of forged) ask(forger, notice);
    forger.provider.sendStateless(`${PREFIX}oops`);
    forger.provider.sendStateless('{"mine": true}');
    await until('all is refused', () => notices(forger, 'refused').length === forged.length + 1);
    await until('what is its own is heard', () => other.stateless.length > 0);
    assert.deepEqual(other.stateless, ['{"mine": true}']);
  });

  test(`${name}: who wants to hear of it is told who comes and who leaves`, async (t) => {
    const server = await Server.start(t);
    const watcher = await new HocuspocusSocket(t, version, server).open('door');
    const unasked = await new HocuspocusSocket(t, version, server).open('door');
    ask(watcher, { kind: 'people', notices: true });
    await until('it is told who is here', () => notices(watcher, 'people')[0]?.here);
    const plain = await Client.open(t, YWebsocket, server, 'door');
    plain.awareness.setLocalStateField('user', { name: 'Ana' });
    const told = (list) =>
      notices(watcher, 'people').some((notice) => notice[list]?.some((person) => person.name === 'Ana'));
    await until('Ana comes', () => told('joined'));
    plain.close();
    await until('Ana leaves', () => told('left'), AT_ONCE_MS);
    assert.deepEqual(unasked.stateless, []);
    ask(watcher, { kind: 'people', notices: false });
    watcher.doc.getMap('feat').set('after', 1);
    await converged('both', watcher.doc, unasked.doc);
  });
}

test('whatever clients of all kinds do, everybody ends up seeing the same people', async (t) => {
  const next = random('presence of many kinds');
  const server = await Server.start(t);
  const pick = (list) => list[Math.floor(next() * list.length)];
  const clients = [];
  for (const Provider of Object.values(VERSIONS)) {
    clients.push(new YWebsocketPerson(await Client.open(t, Provider, server, 'crowd')));
  }
  for (const version of Object.values(HOCUSPOCUS)) {
    const socket = new HocuspocusSocket(t, version, server);
    clients.push(new HocuspocusPerson(socket, await socket.open('crowd')));
  }
  for (let step = 0; step < STEPS; step++) {
    const client = pick(clients);
    const what = next();
    if (what < 0.5) client.awareness.setLocalStateField('at', [step, next()]);
    else if (what < 0.6) client.awareness.setLocalState(null);
    else if (what < 0.7) client.awareness.setLocalState({ user: { name: `${step}` } });
    else if (what < 0.85) await client.goOffline();
    else await client.goOnline();
    if (next() < 0.3) await new Promise(setImmediate);
  }
  // All come back, and whoever hides stays hidden.
  for (const client of clients) await client.goOnline();
  const here = clients.filter((client) => client.awareness.getLocalState() !== null);
  const wanted = new Map(here.map((client) => [client.awareness.clientID, client.awareness.getLocalState()]));
  for (const client of clients) {
    await until('everybody sees the same', () => {
      const states = client.awareness.getStates();
      return (
        states.size === wanted.size &&
        [...wanted].every(([id, state]) => JSON.stringify(states.get(id)) === JSON.stringify(state))
      );
    });
  }
});

class YWebsocketPerson {
  constructor(client) {
    this.client = client;
    this.awareness = client.awareness;
  }

  async goOffline() {
    await this.client.goOffline();
  }

  async goOnline() {
    await this.client.goOnline();
  }
}

class HocuspocusPerson {
  constructor(socket, map) {
    this.socket = socket;
    this.awareness = map.provider.awareness;
  }

  async goOffline() {
    if (this.socket.socket.status !== 'disconnected') await this.socket.goOffline();
  }

  async goOnline() {
    await this.socket.goOnline();
  }
}
