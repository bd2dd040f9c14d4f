// Whatever a stock Yjs client writes into a map, every reader reads it without failing and reports the same.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import * as Y14 from '@y/y';
import * as Y from 'yjs';
import { readingOf } from '../converge/javascript.mjs';
import { mapdoc, y14 } from '../converge/mapdoc.mjs';
import { RustProcess } from '../converge/rust.mjs';
import { hostileDocuments } from '../hostile/documents.mjs';
import { docOf } from '../lib/clients.mjs';
import { servedFeatures, servedProblems } from '../lib/served.mjs';
import { BINARY, Server } from '../lib/server.mjs';

const { MapView, Writer } = mapdoc;

const EXPORT_BYTES_MAX = 256 << 20;

/** As a replica reads it that got the document over the wire. */
function readWithYjs13(update) {
  const doc = new Y.Doc();
  Y.applyUpdate(doc, update);
  return readingOf(new MapView(doc));
}

function readWithYjs14(update) {
  const doc = new Y14.Doc();
  Y14.applyUpdate(doc, update);
  return readingOf(new MapView(y14.storeOfY14(doc)));
}

/** The map as `mapweave export` writes it. */
async function exported(server, map) {
  const command = ['export', map, '--server', server.url, '--format', 'geojsonseq'];
  const { stdout } = await promisify(execFile)(BINARY, command, { maxBuffer: EXPORT_BYTES_MAX });
  return stdout;
}

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value === 'number') return value + 0;
  if (typeof value !== 'object' || value === null) return value ?? null;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((name) => [name, sorted(value[name])]),
  );
}

test('readers in TypeScript and Rust survive every hostile document and show the same', async (t) => {
  const rust = new RustProcess();
  t.after(() => rust.close());
  let r = 0;
  for (const [name, doc] of hostileDocuments()) {
    await t.test(name, async () => {
      const update = Y.encodeStateAsUpdate(doc);
      const first = sorted(readWithYjs13(update));
      assert.ok(Array.isArray(first.report));
      assert.deepEqual(sorted(readWithYjs14(update)), first, 'Yjs 14 reads otherwise');
      await rust.ask({ c: 'new', r, client: 9, sid: 'reader', seed: 1, u: Buffer.from(update).toString('base64') });
      assert.deepEqual(sorted(await rust.ask({ c: 'read', r })), first, 'Rust reads otherwise');
      await rust.ask({ c: 'drop', r });
    });
    r += 1;
  }
});

test('a server that is given hostile documents refuses them with a reason or serves what every reader shows', async (t) => {
  const server = await Server.start(t);
  let accepted = 0;
  for (const [name, doc] of hostileDocuments()) {
    const update = Y.encodeStateAsUpdate(doc);
    const map = `map${accepted}`;
    const url = `${server.url}/api/v1/maps/${map}`;
    const headers = { 'content-type': 'application/octet-stream' };
    const answer = await fetch(`${url}/state`, { method: 'POST', headers, body: update });
    const said = await answer.text();
    if (answer.status >= 400 && answer.status < 500) {
      assert.match(said, /"detail":"[^"]{10,}/, name);
      continue;
    }
    assert.equal(answer.status, 200, `${name}: ${said}`);
    accepted += 1;
    const view = new MapView(docOf(update));
    const shown = [...view.features()].map(({ fid, geometry, properties }) => ({
      fid,
      geometry,
      properties: Object.fromEntries(properties),
    }));
    assert.deepEqual(sorted(await servedFeatures(url)), sorted(shown), name);
    assert.deepEqual(sorted(await servedProblems(url)), sorted(mapdoc.report(view)), name);
    const placed = await fetch(`${url}/features?bbox=-180,-90,180,90`);
    assert.ok((await placed.json()).numberMatched <= shown.length, name);
    const lines = (await exported(server, map)).split('\u001e').filter((line) => line !== '');
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).type),
      shown.map(() => 'Feature'),
      name,
    );
  }
  assert.ok(accepted > 50, `only ${accepted} were accepted`);
});

test('a hostile document can be edited, and its conflicts and orphans be done with', () => {
  for (const [name, doc] of hostileDocuments()) {
    const view = new MapView(doc);
    if (!view.isWritable() || !view.record('f')) continue;
    const writer = new Writer(view, { sid: 'mender', userId: 'm', name: 'M' }, () => 2000);
    if (view.state('f') !== 'live') writer.restoreFeatures(['f']);
    for (const { root, target } of view.concurrentValues('f')) {
      const entries = view.overlays.entries(root, 'f', target);
      if (entries.length > 1) writer.settle('f', root, target, entries[0].sid);
    }
    writer.replaceGeometry('f', { type: 'Point', coordinates: [5, 5] });
    for (const fid of ['f', 'nothing']) writer.dismissOrphans(fid);
    const kinds = new Set(mapdoc.featureProblems(view, 'f').map(([kind]) => kind));
    assert.deepEqual(view.feature('f').geometry, { type: 'Point', coordinates: [5, 5] }, name);
    for (const kind of ['orphan', 'concurrent values', 'contested deletion'])
      assert.ok(!kinds.has(kind), `${name}: ${kind}`);
  }
});
