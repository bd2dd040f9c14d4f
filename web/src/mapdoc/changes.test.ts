// What a transaction changed, and who did what when.

import { expect, test } from 'vitest';
import * as Y from 'yjs';
import { blameProperties, blameVertices, versionsOf } from './blame.ts';
import type { MapChange } from './changes.ts';
import { MapView } from './view.ts';
import { Writer } from './writer.ts';

function peer(sid: string, now = 1000) {
  const doc = new Y.Doc();
  const view = new MapView(doc);
  const clock = { now };
  const writer = new Writer(view, { sid, userId: sid, name: sid }, () => clock.now);
  const heard: MapChange[] = [];
  view.onChange((_, change) => heard.push(change));
  return { doc, view, writer, clock, heard };
}

const merge = (from: Y.Doc, to: Y.Doc) => Y.applyUpdate(to, Y.encodeStateAsUpdate(from));
const said = (change: MapChange | undefined) =>
  Object.fromEntries([...(change?.features ?? [])].map(([fid, { how, by }]) => [fid, { how: [...how], by: [...by] }]));

test('one operation is one change that says which features, how and by whom', () => {
  const { writer, heard } = peer('annie');
  const fid = writer.createPoint([1, 2]);
  writer.movePoint(fid, [3, 4]);
  writer.setProperties(fid, { name: 'tap' });
  writer.setAttributes(fid, { layer: 'water' });
  writer.deleteFeatures([fid]);
  writer.restoreFeatures([fid]);
  writer.editText(fid, 'remark', 0, 0, 'wet');
  expect(heard.map(said)).toEqual([
    { [fid]: { how: ['record'], by: ['annie'] } },
    { [fid]: { how: ['geometry'], by: ['annie'] } },
    { [fid]: { how: ['properties'], by: ['annie'] } },
    { [fid]: { how: ['attributes'], by: ['annie'] } },
    { [fid]: { how: ['deletion'], by: ['annie'] } },
    { [fid]: { how: ['deletion'], by: [] } },
    expect.objectContaining({ [fid]: { how: expect.arrayContaining(['properties', 'attributes']), by: ['annie'] } }),
  ]);
  expect(heard.every(({ local, origin }) => local && origin === writer)).toBe(true);
  expect(heard[0]?.sessions).toEqual(new Set(['annie']));
});

test('what is received is one change that is not local and names those who wrote it', () => {
  const [ann, bob] = [peer('annie'), peer('bobby')];
  const fid = ann.writer.createPoint([1, 2]);
  merge(ann.doc, bob.doc);
  bob.heard.length = 0;
  ann.writer.setProperties(fid, { a: 1 });
  const other = ann.writer.createPoint([5, 6]);
  merge(ann.doc, bob.doc);
  expect(bob.heard.map(said)).toEqual([
    { [fid]: { how: ['properties'], by: ['annie'] }, [other]: { how: ['record'], by: ['annie'] } },
  ]);
  expect(bob.heard[0]?.local).toBe(false);
});

test('layers, notes, attachments and the title are announced beside features', () => {
  const { writer, heard } = peer('annie');
  writer.setLayer('roads', { name: 'Roads' });
  const nid = writer.addNote('Hello');
  writer.setTitle('Fields');
  const fid = writer.createPoint([1, 2]);
  const aid = writer.addFile(fid, { name: 'a.jpg', mediaType: 'image/jpeg', bytes: 5, sha256: '0'.repeat(64) });
  expect([...(heard[0]?.layers ?? [])]).toEqual(['roads']);
  expect([...(heard[1]?.notes ?? [])]).toEqual([nid]);
  expect(heard[2]?.meta).toBe(true);
  expect([...(heard[4]?.files ?? [])]).toEqual([aid]);
});

test('a transaction that touches no root of the map is not announced', () => {
  const { doc, heard } = peer('annie');
  doc.getMap('something else').set('a', 1);
  expect(heard).toEqual([]);
});

test('every vertex knows who put it where it is', () => {
  const [ann, bob] = [peer('annie', 1000), peer('bobby', 2000)];
  const fid = ann.writer.create({
    type: 'LineString',
    coordinates: [
      [0, 0],
      [10, 0],
    ],
  });
  ann.clock.now = 1100;
  const track = ann.writer.recordTrack(fid, [[20, 0]]);
  merge(ann.doc, bob.doc);
  bob.writer.moveVertices(fid, [{ segment: '0.0', vertex: 'U001', position: [11, 0] }]);
  ann.clock.now = 1200;
  ann.writer.moveVertices(fid, [{ segment: '0.0', vertex: 'U001', position: [12, 0] }]);
  merge(bob.doc, ann.doc);
  expect(blameVertices(ann.view, fid)).toEqual([
    { segment: '0.0', vertex: 'U000', position: [0, 0], set: { time: 1000, sid: 'annie' }, versions: [] },
    {
      segment: '0.0',
      vertex: 'U001',
      position: [11, 0],
      set: { time: 2000, sid: 'bobby' },
      versions: [
        { time: 2000, sid: 'bobby', value: [11, 0] },
        { time: 1200, sid: 'annie', value: [12, 0] },
      ],
    },
    { segment: track, vertex: 'U000', position: [20, 0], set: { time: 1100, sid: 'annie' }, versions: [] },
  ]);
});

test('every property knows who set it, typing included', () => {
  const [ann, bob] = [peer('annie', 1000), peer('bobby', 2000)];
  const fid = ann.writer.createPoint([1, 2], { name: 'tap', kind: 'old' });
  merge(ann.doc, bob.doc);
  bob.writer.setProperties(fid, { kind: 'new' });
  ann.clock.now = 1100;
  ann.writer.setProperties(fid, { kind: null });
  merge(bob.doc, ann.doc);
  ann.clock.now = 3000;
  ann.writer.editText(fid, 'remark', 0, 0, 'wet');
  expect(blameProperties(ann.view, fid)).toEqual([
    {
      name: 'kind',
      value: 'new',
      set: { time: 2000, sid: 'bobby' },
      versions: [
        { time: 2000, sid: 'bobby', value: 'new' },
        { time: 1100, sid: 'annie' },
      ],
    },
    { name: 'name', value: 'tap', set: { time: 1000, sid: 'annie' }, versions: [] },
    { name: 'remark', value: 'wet', set: { time: 3000, sid: 'annie' }, versions: [] },
  ]);
  expect(versionsOf(ann.view, 'prop', fid, 'kind').length).toBe(2);
  expect([blameVertices(ann.view, 'nothing'), blameProperties(ann.view, 'nothing')]).toEqual([[], []]);
});
