// HAProxy and nginx with the files of docs/deploy/ before the server: TLS there, sockets and event streams through it.

import assert from 'node:assert/strict';
import { request } from 'node:https';
import { test } from 'node:test';
import WebSocket from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';
import { certificate, PROXIES, proxied } from '../lib/reverse-proxies.mjs';
import { Server } from '../lib/server.mjs';
import { until } from '../lib/wait.mjs';

/** Where the client is, as the proxy must tell it: not where the proxy is. */
const FROM = '127.0.0.2';
const SETTINGS = ['server.trusted_proxies=127.0.0.1', 'log.filter=info,mapweave::server=debug'];
const LARGE = 30 << 20;

for (const kind of Object.keys(PROXIES)) {
  test(`${kind}: edits, presence and 30 MB pass through it both ways, and the server knows its clients`, async (t) => {
    const server = await Server.start(t, SETTINGS);
    const made = await certificate(t);
    const { url, plainUrl } = await proxied(t, kind, server, made);
    const ask = asking(url, made.ca);
    await until('the proxy finds the server', async () => (await ask('GET', '/readyz')).status === 200);

    const redirect = await fetch(`${plainUrl}/m/demo?x=1`, { redirect: 'manual' });
    assert.equal(redirect.status, 308);
    assert.match(redirect.headers.get('location'), /^https:\/\/127\.0\.0\.1.*\/m\/demo\?x=1$/);
    assert.match((await ask('GET', '/healthz')).headers['strict-transport-security'], /max-age=\d+/);

    const [ann, ben] = [open(t, url, made.ca, 'a%2Fb'), open(t, url, made.ca, 'a%2Fb')];
    await until('both are synced', () => ann.synced && ben.synced);
    ann.doc.getMap('feat').set('well', 'dry');
    ann.awareness.setLocalStateField('name', 'Ann');
    await until('the edit and who made it arrive', () => {
      const names = [...ben.awareness.getStates().values()].map(({ name }) => name);
      return ben.doc.getMap('feat').get('well') === 'dry' && names.includes('Ann');
    });
    await until('the server knows where its clients are', () => server.log().includes(`address=${FROM}:`));

    ann.doc.getMap('feat').set('by socket', 'x'.repeat(LARGE));
    await until('30 MB have come by socket', () => ben.doc.getMap('feat').get('by socket')?.length === LARGE, 60_000);
    const large = new Y.Doc();
    large.getMap('feat').set('by request', 'y'.repeat(LARGE));
    const path = '/api/v1/maps/a%2Fb/state';
    const posted = await ask('POST', path, Buffer.from(Y.encodeStateAsUpdate(large)));
    assert.equal(posted.status, 200, posted.body.toString());
    await until('30 MB have come by request', () => ben.doc.getMap('feat').get('by request')?.length === LARGE, 60_000);
    const state = await ask('GET', path);
    assert.ok(state.body.length > 2 * LARGE);
  });

  test(`${kind}: a quiet socket and a quiet event stream outlive its patience`, async (t) => {
    const server = await Server.start(t, [...SETTINGS, 'room.keepalive_s=1']);
    const made = await certificate(t);
    const { url } = await proxied(t, kind, server, made, { idle: '4s' });
    const ask = asking(url, made.ca);
    await until('the proxy finds the server', async () => (await ask('GET', '/readyz')).status === 200);
    const ann = open(t, url, made.ca, 'quiet');
    await until('the client is synced', () => ann.synced);
    ann.doc.getMap('feat').set('first', 'edit');
    const path = '/api/v1/maps/quiet';
    await until('the map is there', async () => (await ask('GET', path)).status === 200);
    const socket = ann.ws;
    let [messages, beats, text, ended] = [0, 0, '', false];
    socket.addEventListener('message', () => messages++);
    const stream = listen(t, url, made.ca, `${path}/events`, (chunk) => {
      beats++;
      text += chunk;
    });
    stream.then((end) => end.on('close', () => (ended = true)));
    // One keepalive a second: eight are twice the time that the proxy allows.
    await until('both have been quiet for long', () => messages >= 8 && beats >= 8, 60_000);
    ann.doc.getMap('feat').set('still', 'here');
    await until('the event stream tells of an edit', () => text.includes('event: update'));
    assert.equal(ann.ws, socket, 'the socket is still the first one');
    assert.equal(ended, false, 'the event stream is still the first one');
  });
}

function open(t, url, ca, map) {
  class Socket extends WebSocket {
    constructor(address, protocols) {
      super(address, protocols, { ca, localAddress: FROM });
    }
  }
  const doc = new Y.Doc();
  const provider = new WebsocketProvider(`${url.replace('https', 'wss')}/ws`, map, doc, {
    WebSocketPolyfill: Socket,
    disableBc: true,
  });
  t.after(() => {
    provider.destroy();
    provider.awareness.destroy();
    doc.destroy();
  });
  return provider;
}

function asking(url, ca) {
  return (method, path, body) =>
    new Promise((resolve, reject) => {
      const headers = body ? { 'content-type': 'application/octet-stream', 'content-length': body.length } : {};
      const asked = request(url + path, { method, ca, localAddress: FROM, headers, agent: false }, (answer) => {
        const chunks = [];
        answer.on('data', (chunk) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () =>
          resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(chunks) }),
        );
      });
      asked.on('error', reject);
      asked.end(body);
    });
}

/** Reads a stream that does not end by itself. */
function listen(t, url, ca, path, heard) {
  return new Promise((resolve, reject) => {
    const headers = { accept: 'text/event-stream' };
    const asked = request(url + path, { ca, localAddress: FROM, headers, agent: false }, (answer) => {
      assert.equal(answer.statusCode, 200);
      answer.setEncoding('utf8');
      answer.on('data', heard);
      resolve(answer);
    });
    asked.on('error', reject);
    t.after(() => asked.destroy());
    asked.end();
  });
}
