// Writes tests/fixtures/map-document/edits.json from the cases beside this file, after checking that this package's operations do what
// each case says. `npm run vectors` builds the package first. With `--check` it writes nothing and fails if the file differs.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import * as Y from 'yjs';
import { carryOut, MapView, plan } from '../../dist-mapdoc/index.js';
import { features } from './cases/features.mjs';
import { geometries } from './cases/geometries.mjs';
import { properties } from './cases/properties.mjs';
import { rest } from './cases/rest.mjs';
import { vertices } from './cases/vertices.mjs';
import { ANN, GONE, Text } from './notation.mjs';

const file = new URL('../../../tests/fixtures/map-document/edits.json', import.meta.url);
const FORMAT_ENTRIES = { format: 'map', version: 1 };

const cases = [...features, ...vertices, ...geometries, ...properties, ...rest];
const vectors = cases.map(vectorOf);
const lines = `[\n${vectors.map((vector) => JSON.stringify(vector)).join(',\n')}\n]\n`;

if (process.argv.includes('--check'))
  assert.equal(readFileSync(file, 'utf8'), lines, 'edits.json is not what the cases say');
else writeFileSync(file, lines);
console.log(`${vectors.length} cases`);

function vectorOf({ name, before, now, random, operation, writes, result = {}, error }) {
  const doc = documentOf(before);
  const vector = {
    name,
    doc: Buffer.from(Y.encodeStateAsUpdate(doc)).toString('base64'),
    session: ANN,
    now,
    random,
    operation,
  };
  const expected = error ? before : after(before, writes, now);
  const found = run(doc, { now, random, operation });
  assert.deepEqual(found.error, error, name);
  if (!error) assert.deepEqual(found.result, result, name);
  assert.deepEqual(entriesOf(doc), encoded(expected), name);
  return error ? { ...vector, entries: encoded(expected), error } : { ...vector, entries: encoded(expected), result };
}

function run(doc, { now, random, operation }) {
  const view = new MapView(doc);
  let drawn = 0;
  const { sid, user, name } = ANN;
  const next = () => random[drawn++ % random.length];
  const context = { sid, userId: user, name, now, random: next, ownEnds: new Set() };
  try {
    const planned = plan(view, context, operation);
    carryOut(view, planned, null);
    return { result: planned.result };
  } catch (error) {
    if (!error.code) throw error;
    return { error: error.code };
  } finally {
    view.dispose();
  }
}

/** A document with these entries, the same bytes every time. */
function documentOf(roots) {
  const doc = new Y.Doc();
  doc.clientID = 1;
  doc.transact(() => {
    for (const [root, entries] of Object.entries(roots)) {
      for (const [key, value] of Object.entries(entries)) {
        doc.getMap(root).set(key, value instanceof Text ? new Y.Text(value.text) : value);
      }
    }
  });
  return doc;
}

/** The entries before with what the case says is written; whoever writes says first who they are and what the document is. */
function after(before, writes, now) {
  const out = Object.fromEntries(Object.entries(before).map(([root, entries]) => [root, { ...entries }]));
  if (!writes) return out;
  out.meta = { ...FORMAT_ENTRIES, ...out.meta };
  out.who = { [ANN.sid]: [now, ANN.user, ANN.name], ...out.who };
  for (const [root, entries] of Object.entries(writes)) {
    out[root] ??= {};
    for (const [key, value] of Object.entries(entries)) {
      if (value === GONE) {
        assert.ok(key in out[root], `${key} is not there to be deleted`);
        delete out[root][key];
      } else out[root][key] = value;
    }
  }
  return out;
}

/** Roots without entries are left out; keys are sorted. */
function encoded(roots) {
  const pairs = Object.entries(roots).filter(([, entries]) => Object.keys(entries).length > 0);
  return sorted(
    pairs.map(([root, entries]) => [root, sorted(Object.entries(entries).map(([key, value]) => [key, json(value)]))]),
  );
}

function entriesOf(doc) {
  const roots = [...doc.share.keys()].map((root) => [root, Object.fromEntries(doc.getMap(root).entries())]);
  return encoded(Object.fromEntries(roots));
}

function sorted(pairs) {
  return Object.fromEntries(pairs.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function json(value) {
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') };
  if (value instanceof Text) return { $text: value.text };
  if (value instanceof Y.Text) return { $text: value.toString() };
  return Array.isArray(value) ? value.map(json) : value;
}
