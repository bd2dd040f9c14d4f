// Whatever a stock Yjs client writes into a map, the server keeps answering: features, problems and exports are what
// the document says, and other maps go on.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import * as Y from 'yjs';
import { readingOf } from '../converge/javascript.mjs';
import { mapdoc } from '../converge/mapdoc.mjs';
import { hostileDocuments } from '../hostile/documents.mjs';
import { Client, VERSIONS } from '../lib/clients.mjs';
import { BINARY, Server } from '../lib/server.mjs';
import { until } from '../lib/wait.mjs';

const run = promisify(execFile);
const EXPORT_BYTES_MAX = 256 << 20;
const PAGE = 10_000;

async function json(server, path) {
  const response = await fetch(`${server.url}/api/v1/maps/${path}`);
  assert.equal(response.status, 200, `${path}: ${await response.clone().text()}`);
  return response.json();
}

/** The report of the whole map as `/problems` tells it, in the order of the document's own. */
async function reportOf(server, map) {
  const lines = [];
  let after = null;
  do {
    const page = await json(server, `${map}/problems${after === null ? '' : `?after=${encodeURIComponent(after)}`}`);
    if (after === null) lines.push(...page.map.map(({ problem }) => problem));
    for (const { report } of page.features) lines.push(...report.map(({ problem }) => problem));
    after = page.next;
  } while (after !== null);
  return lines.map((line) => JSON.stringify(line)).sort();
}

test('features, problems and exports of hostile maps are what their documents say', async (t) => {
  const server = await Server.start(t);
  let number = 0;
  for (const [name, hostile] of hostileDocuments()) {
    const map = `hostile-${number++}`;
    await t.test(name, async (t) => {
      const client = new Client(t, VERSIONS['y-websocket 3.1'], server, map);
      Y.applyUpdate(client.doc, Y.encodeStateAsUpdate(hostile));
      const empty = client.doc.store.clients.size === 0;
      if (!empty) await until('the map is stored', async () => (await server.state(map)) !== null);
      else return;
      const expected = readingOf(new mapdoc.MapView(client.doc));
      const page = await json(server, `${map}/features?limit=${PAGE}`);
      assert.deepEqual(
        page.features.map(({ mapweave }) => mapweave.fid),
        expected.features.map(({ fid }) => fid),
      );
      assert.deepEqual(
        await reportOf(server, map),
        expected.report.map((line) => JSON.stringify(line)).sort(),
      );
      for (const { mapweave } of page.features)
        await json(server, `${map}/features/${encodeURIComponent(mapweave.fid)}`);
      const world = await json(server, `${map}/features?bbox=-180,-90,180,90&limit=${PAGE}`);
      assert.ok(world.numberMatched <= page.numberMatched);
      const exported = await run(BINARY, ['export', map, '--server', server.url, '--format', 'geojsonseq'], {
        maxBuffer: EXPORT_BYTES_MAX,
      });
      const lines = exported.stdout.split('\u001e').filter((line) => line !== '');
      assert.equal(lines.length, expected.features.length);
      for (const line of lines) JSON.parse(line);
    });
  }
  const readiness = await fetch(`${server.url}/readyz`);
  assert.equal(readiness.status, 200);
});
