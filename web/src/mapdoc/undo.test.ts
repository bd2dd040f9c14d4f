import { expect, test } from 'vitest';
import * as Y from 'yjs';
import { report } from './report.ts';
import { mapUndo } from './undo.ts';
import { MapView } from './view.ts';
import { Writer } from './writer.ts';

function peer(sid: string, clientId: number) {
  const doc = new Y.Doc();
  doc.clientID = clientId;
  const view = new MapView(doc);
  const clock = { now: 1000 };
  const writer = new Writer(view, { sid, userId: sid, name: sid }, () => clock.now++);
  return { doc, view, writer, undo: mapUndo(view, writer) };
}

function merge(...docs: Y.Doc[]) {
  for (const from of docs) for (const to of docs) if (from !== to) Y.applyUpdate(to, Y.encodeStateAsUpdate(from));
}

/** Two people in both orders of their client ids. */
const orders = [
  [1, 2],
  [2, 1],
] as const;

const crop = (view: MapView, fid: string) => view.feature(fid)?.properties.get('crop');

test.each(orders)(
  "what another wrote meanwhile is not lost by an undo of one's own edit (ids %i, %i)",
  (first, second) => {
    const [ann, bob] = [peer('annie', first), peer('bobby', second)];
    const fid = ann.writer.createPoint([1, 2]);
    merge(ann.doc, bob.doc);
    bob.writer.setProperties(fid, { crop: 'oats' });
    merge(ann.doc, bob.doc);
    ann.writer.setProperties(fid, { crop: 'rye' });
    ann.undo.undo();
    expect(crop(ann.view, fid)).toBe('oats');
    bob.writer.setProperties(fid, { crop: 'barley' });
    merge(ann.doc, bob.doc);
    expect(crop(ann.view, fid)).toBe('barley');
    expect(crop(bob.view, fid)).toBe('barley');
  },
);

test.each(orders)(
  'where another has set the same since, that stays and nothing of the own edit does (ids %i, %i)',
  (first, second) => {
    const [ann, bob] = [peer('annie', first), peer('bobby', second)];
    const fid = ann.writer.createPoint([1, 2]);
    ann.writer.setProperties(fid, { crop: 'rye' });
    merge(ann.doc, bob.doc);
    bob.writer.setProperties(fid, { crop: 'oats' });
    merge(ann.doc, bob.doc);
    ann.undo.undo();
    expect(crop(ann.view, fid)).toBe('oats');
    ann.undo.redo();
    merge(ann.doc, bob.doc);
    expect([crop(ann.view, fid), crop(bob.view, fid)]).toEqual(['oats', 'oats']);
    expect(report(ann.view)).toEqual([]);
  },
);

test('an undo takes the own side of a conflict back, a redo does not bring it again', () => {
  const [ann, bob] = [peer('annie', 1), peer('bobby', 2)];
  const fid = ann.writer.createPoint([1, 2]);
  merge(ann.doc, bob.doc);
  ann.writer.setProperties(fid, { crop: 'rye' });
  bob.writer.setProperties(fid, { crop: 'oats' });
  merge(ann.doc, bob.doc);
  ann.undo.undo();
  expect(crop(ann.view, fid)).toBe('oats');
  expect(report(ann.view)).toEqual([]);
  ann.undo.redo();
  expect(crop(ann.view, fid)).toBe('oats');
});

test('every operation is undone and redone exactly', () => {
  const { view, writer, undo } = peer('annie', 1);
  const ring = [
    [0, 0],
    [8, 0],
    [8, 8],
    [0, 8],
    [0, 0],
  ];
  const fid = writer.create({ type: 'Polygon', coordinates: [ring] }, { name: 'Meadow' });
  const other = writer.createPoint([1, 1]);
  const steps = [
    () => writer.moveVertices(fid, [{ segment: '0.0', vertex: 'U001', position: [9, 0] }]),
    () => void writer.insertVertex(fid, '0.0', { after: 'U000', before: 'U001' }, [4, -1]),
    () => writer.removeVertices(fid, [{ segment: '0.0', vertex: 'U003' }]),
    () =>
      void writer.addSegment(
        fid,
        '0',
        ring.map(([x = 0, y = 0]) => [x / 4 + 1, y / 4 + 1]),
      ),
    () => writer.setProperties(fid, { name: 'Field', crop: 'hay' }),
    () => writer.setAttributes(fid, { style: { fill: 'red' } }),
    () => writer.replaceGeometry(fid, { type: 'Point', coordinates: [5, 5] }),
    () => writer.deleteFeatures([fid]),
    () => writer.restoreFeatures([fid]),
    () =>
      void writer.split(
        fid,
        [
          { type: 'Point', coordinates: [5, 6] },
          { type: 'Point', coordinates: [7, 7] },
        ],
        ['piece'],
      ),
    () => writer.merge(fid, [other], { type: 'Point', coordinates: [6, 6] }),
    () => writer.setLayer('roads', { name: 'Roads' }),
  ];
  const look = () =>
    JSON.stringify([
      [...view.features()].map(({ changed, ...feature }) => ({ ...feature, properties: [...feature.properties] })),
      view.layers.all(),
    ]);
  const seen = [look()];
  for (const step of steps) {
    step();
    seen.push(look());
  }
  for (let i = steps.length - 1; i >= 0; i--) {
    undo.undo();
    expect(look()).toBe(seen[i]);
  }
  for (let i = 1; i <= steps.length; i++) {
    undo.redo();
    expect(look()).toBe(seen[i]);
  }
});

test('typing, notes and titles are nothing to undo', () => {
  const { writer, undo } = peer('annie', 1);
  writer.addNote('Hello');
  writer.setTitle('Fields');
  expect(undo.canUndo()).toBe(false);
});
