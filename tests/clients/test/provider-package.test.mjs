// The package @mapweave/provider as somebody gets it who installs it, in plain Node against a server.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { docOf } from '../lib/clients.mjs';
import { project as projectOf, readmeExamples, surplus } from '../lib/package.mjs';
import { Middlebox } from '../lib/proxy.mjs';
import { Server } from '../lib/server.mjs';

const project = (t) => projectOf(t, 'provider', ['yjs', 'lib0', 'y-protocols', 'ws']);

/** The example of the README with this server and socket, and what comes behind it. */
function program(target, server, code) {
  const [example] = readmeExamples(target);
  const local = example
    .replaceAll('console.log', 'void ')
    .replace("server: 'https://maps.example.org'", `server: '${server.url}', platform: { WebSocket }`);
  return `import WebSocket from 'ws';
    ${local}
    const until = (condition) => new Promise((resolve) => {
      const look = () => (condition() ? resolve() : setTimeout(look, 10));
      look();
    });
    ${code}
    await provider.destroy();
  `;
}

test('the packed package holds modules, types, README and licences and nothing else', (t) => {
  const { files } = project(t);
  for (const path of ['index.js', 'index.d.ts', 'package.json', 'README.md', 'LICENSE-MIT'])
    assert.ok(files.includes(path), path);
  assert.deepEqual(surplus(files), []);
});

for (const mode of ['open', 'no-upgrade']) {
  test(`the example of the README reaches the server's disk (sockets: ${mode})`, async (t) => {
    const { run, target } = project(t);
    const server = await Server.start(t);
    const proxy = await Middlebox.start(t, server);
    proxy.mode = mode;
    const found = await run(
      program(
        target,
        proxy,
        `const states = [];
        provider.on('state', ({ kind, over }) => states.push(over ?? kind));
        const before = provider.counts.unsaved;
        await until(() => provider.state.kind === 'live' && provider.counts.unsaved === 0);
        console.log(JSON.stringify({ before, states, device: provider.device.kind }));`,
      ),
    );
    assert.deepEqual([found.before, found.device], [1, 'off']);
    assert.equal(found.states.at(-1), mode === 'open' ? 'ws' : 'http');
    const stored = docOf(await server.state('fields/north')).getMap('notes');
    assert.equal(stored.get('today'), 'wet');
  });
}

test('a map that was deleted ends the provider with the reason, and the edits can be taken out', async (t) => {
  const { run, target } = project(t);
  const server = await Server.start(t);
  const post = (path, body) =>
    fetch(server.url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  await post('/api/v1/maps', JSON.stringify({ name: 'fields/north' }));
  await fetch(`${server.url}/api/v1/maps/fields%2Fnorth`, { method: 'DELETE' });
  const found = await run(
    program(
      target,
      server,
      `import { readFile } from '@mapweave/provider';
      await until(() => provider.state.kind === 'closed');
      const { file } = readFile(provider.exportUnsent('Ann').bytes);
      console.log(JSON.stringify({ state: provider.state, map: file.map, who: file.who, edits: file.edits.length }));`,
    ),
  );
  assert.equal(found.state.code, 4404);
  assert.match(found.state.reason, /deleted/);
  assert.deepEqual([found.map, found.who, found.edits], ['fields/north', 'Ann', 1]);
});
