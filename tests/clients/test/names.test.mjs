// Map names in addresses: with spaces, folders and letters of other scripts, raw and percent-encoded.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, converged, docOf, VERSIONS } from '../lib/clients.mjs';
import { Server } from '../lib/server.mjs';
import { until } from '../lib/wait.mjs';

const NAMES = ['plain', 'with space', 'folder/map', 'deep/er/with space', 'Žižkov', '地図/東京', "o'brien & co.+1"];
const encoded = (name) => name.split('/').map(encodeURIComponent).join('/');

for (const [version, Provider] of Object.entries(VERSIONS)) {
  test(`${version} reaches one and the same map by its raw and its encoded name`, async (t) => {
    const server = await Server.start(t);
    for (const name of NAMES) {
      const raw = await Client.open(t, Provider, server, name);
      const quoted = await Client.open(t, Provider, server, encoded(name));
      raw.doc.getMap('feat').set('raw', name);
      quoted.doc.getMap('feat').set('quoted', name);
      await converged(`clients of “${name}”`, raw.doc, quoted.doc);
      // What others see at once can be read over HTTP as soon as it is stored.
      const stored = docOf(await until(`“${name}” is stored`, () => server.state(name)));
      assert.deepEqual(stored.getMap('feat').toJSON(), { raw: name, quoted: name });
    }
    const listed = (await server.maps()).map((map) => map.name);
    assert.deepEqual(listed.sort(), [...NAMES].sort());
  });
}

test('the page answers at every map address', async (t) => {
  const server = await Server.start(t);
  for (const path of ['/', ...NAMES.map((name) => `/m/${encoded(name)}`)]) {
    const response = await fetch(server.url + path);
    assert.equal(response.status, 200, path);
    assert.match(response.headers.get('content-type') ?? '', /text\/html/, path);
    assert.match(await response.text(), /<script type="module"[^>]*src="\/assets\//, path);
  }
});
