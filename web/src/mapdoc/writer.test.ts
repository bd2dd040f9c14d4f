import { expect, test } from 'vitest';
import * as Y from 'yjs';
import { pack } from './pack.ts';
import { mapUndo } from './undo.ts';
import { MapView } from './view.ts';
import { Writer } from './writer.ts';

function peer(sid: string, now = 1000) {
  const doc = new Y.Doc();
  const view = new MapView(doc);
  const clock = { now };
  const writer = new Writer(view, { sid, userId: sid, name: sid.toUpperCase() }, () => clock.now);
  return { doc, view, writer, clock };
}

function merge(...docs: Y.Doc[]) {
  for (const from of docs) for (const to of docs) if (from !== to) Y.applyUpdate(to, Y.encodeStateAsUpdate(from));
}

test('a created point reads back and introduces its session', () => {
  const { doc, view, writer } = peer('alice');
  const fid = writer.createPoint([8.5, -0], { kind: 'hydrant' });
  expect(fid).toMatch(/^[0-9A-Za-z]{12}$/);
  expect(doc.getMap('feat').get(fid)).toEqual([
    1000,
    'alice',
    1,
    pack({ dims: 2, parts: [[[8.5, 0]]] }),
    '{"kind":"hydrant"}',
    '',
  ]);
  expect(view.feature(fid)?.geometry).toEqual({ type: 'Point', coordinates: [8.5, 0] });
  expect(view.sessionName('alice')).toBe('ALICE');
  expect(doc.getMap('meta').toJSON()).toEqual({ format: 'map', version: 1 });
});

test('one edit is one update', () => {
  const { doc, writer } = peer('alice');
  let updates = 0;
  doc.on('update', () => {
    updates += 1;
  });
  const fid = writer.createPoint([1, 2]);
  writer.movePoint(fid, [3, 4]);
  expect(updates).toBe(2);
});

test('a move replaces the entries it has seen and is later than each of them', () => {
  const [a, b] = [peer('alice', 2000), peer('bobby', 1000)];
  const fid = a.writer.createPoint([1, 2]);
  a.writer.movePoint(fid, [3, 4]);
  merge(a.doc, b.doc);
  expect(b.writer.movePoint(fid, [5, 6])).toBe(true);
  merge(a.doc, b.doc);
  expect(a.doc.getMap('vert').toJSON()).toEqual({ [`${fid}/bobby/0/0.0.U000`]: [2001, 5, 6] });
  expect(a.view.feature(fid)?.geometry).toEqual({ type: 'Point', coordinates: [5, 6] });
});

test('concurrent moves are both kept and both sides show the same', () => {
  const [a, b] = [peer('alice'), peer('bobby')];
  const fid = a.writer.createPoint([1, 2]);
  merge(a.doc, b.doc);
  a.writer.movePoint(fid, [3, 4]);
  b.writer.movePoint(fid, [5, 6]);
  merge(a.doc, b.doc);
  expect(a.view.feature(fid)).toEqual(b.view.feature(fid));
  expect(a.view.concurrentValues(fid)).toEqual([{ root: 'vert', target: '0/0.0.U000', count: 2 }]);
});

test('a deletion hides, and a concurrent edit brings the feature back as contested', () => {
  const [a, b] = [peer('alice'), peer('bobby')];
  const fid = a.writer.createPoint([1, 2]);
  merge(a.doc, b.doc);
  a.writer.delete(fid);
  expect(a.view.feature(fid)).toBeNull();
  b.writer.movePoint(fid, [3, 4]);
  merge(a.doc, b.doc);
  expect(a.view.feature(fid)?.state).toBe('contested');
  a.writer.restore(fid);
  expect(a.view.feature(fid)?.state).toBe('live');
});

test('what is not a point cannot be moved as one', () => {
  const { doc, writer } = peer('alice');
  doc.getMap('feat').set('line', [
    1,
    'x',
    2,
    [
      [0, 0],
      [1, 1],
    ],
    '{}',
    '',
  ]);
  expect(writer.movePoint('line', [1, 2])).toBe(false);
  expect(writer.movePoint('nothing', [1, 2])).toBe(false);
});

test('undoing a creation writes a deletion and keeps the record; redoing restores it', () => {
  const { doc, view, writer } = peer('alice');
  const undo = mapUndo(view, writer);
  const fid = writer.createPoint([1, 2]);
  undo.undo();
  expect(view.feature(fid)).toBeNull();
  expect(doc.getMap('feat').has(fid)).toBe(true);
  expect(undo.canUndo()).toBe(false);
  undo.redo();
  expect(view.feature(fid)?.state).toBe('live');
});

test('undo goes back step by step and does not reach into the edits of others', () => {
  const [a, b] = [peer('alice'), peer('bobby')];
  const undo = mapUndo(a.view, a.writer);
  const fid = a.writer.createPoint([1, 2]);
  a.writer.movePoint(fid, [3, 4]);
  merge(a.doc, b.doc);
  const other = b.writer.createPoint([9, 9]);
  merge(a.doc, b.doc);
  undo.undo();
  expect(a.view.feature(fid)?.geometry).toEqual({ type: 'Point', coordinates: [1, 2] });
  undo.undo();
  expect(a.view.feature(fid)).toBeNull();
  expect(a.view.feature(other)).not.toBeNull();
  undo.redo();
  undo.redo();
  expect(a.view.feature(fid)?.geometry).toEqual({ type: 'Point', coordinates: [3, 4] });
});

test('a deletion can be undone', () => {
  const { view, writer } = peer('alice');
  const undo = mapUndo(view, writer);
  const fid = writer.createPoint([1, 2]);
  writer.delete(fid);
  undo.undo();
  expect(view.feature(fid)?.state).toBe('live');
});
