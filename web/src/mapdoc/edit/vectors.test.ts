// The edits that every writer must make alike.

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import * as Y from 'yjs';
import { MapView } from '../view.ts';
import { carryOut } from './draft.ts';
import { EditError } from './error.ts';
import type { Operation } from './operation.ts';
import { plan } from './run.ts';

interface Vector {
  name: string;
  doc: string;
  session: { sid: string; user: string; name: string };
  now: number;
  random: number[];
  operation: Operation;
  entries: { [root: string]: { [key: string]: unknown } };
  result?: unknown;
  error?: string;
}

const file = new URL('../../../../tests/fixtures/map-document/edits.json', import.meta.url);
const vectors = JSON.parse(readFileSync(file, 'utf8')) as Vector[];

test.each(vectors.map((vector) => [vector.name, vector] as const))('%s', (_, vector) => {
  const doc = new Y.Doc();
  Y.applyUpdate(doc, Buffer.from(vector.doc, 'base64'));
  let updates = 0;
  doc.on('update', () => {
    updates += 1;
  });
  const found = run(doc, vector);
  expect(found).toEqual(vector.error ? { error: vector.error } : { result: vector.result });
  expect(entriesOf(doc)).toEqual(vector.entries);
  expect(updates).toBeLessThanOrEqual(1);
});

function run(doc: Y.Doc, { session, now, random, operation }: Vector): { result: unknown } | { error: string } {
  const view = new MapView(doc);
  let drawn = 0;
  const next = () => random[drawn++ % random.length] ?? 0;
  const context = {
    sid: session.sid,
    userId: session.user,
    name: session.name,
    now,
    random: next,
    ownEnds: new Set<string>(),
  };
  try {
    const planned = plan(view, context, operation);
    carryOut(view, planned, null);
    return { result: planned.result };
  } catch (error) {
    if (error instanceof EditError) return { error: error.code };
    throw error;
  }
}

function entriesOf(doc: Y.Doc): Vector['entries'] {
  const roots = [...doc.share.keys()].map((root) => [root, Object.fromEntries(doc.getMap(root).entries())] as const);
  return Object.fromEntries(
    roots
      .filter(([, entries]) => Object.keys(entries).length > 0)
      .map(([root, entries]) => [
        root,
        Object.fromEntries(Object.entries(entries).map(([key, value]) => [key, json(value)])),
      ]),
  );
}

function json(value: unknown): unknown {
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') };
  if (value instanceof Y.Text) return { $text: value.toString() };
  return Array.isArray(value) ? value.map(json) : value;
}
