// The package @mapweave/mapdoc as somebody gets it who installs it: packed, unpacked beside Yjs, and used in plain Node.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { project as projectOf, readmeExamples, surplus } from '../lib/package.mjs';

const project = (t, dependencies) => projectOf(t, 'mapdoc', dependencies);

test('the packed package holds modules, types, README and licences and nothing else', (t) => {
  const { files } = project(t, []);
  for (const path of ['index.js', 'index.d.ts', 'y14.js', 'package.json', 'README.md', 'LICENSE-MIT'])
    assert.ok(files.includes(path), path);
  assert.deepEqual(surplus(files), []);
});

test('the example of the README runs in plain Node with Yjs 13', async (t) => {
  const { run, target } = project(t, ['yjs', 'lib0']);
  const [example] = readmeExamples(target).filter((code) => code.includes("from 'yjs'"));
  const silenced = example.replaceAll('console.log', 'void ');
  const found = await run(`${silenced}
    console.log(JSON.stringify({ ...view.feature(meadow), properties: Object.fromEntries(view.feature(meadow).properties), report: report(view) }));
  `);
  assert.deepEqual(found.geometry.coordinates, [
    [
      [8.5, 47.3],
      [8.55, 47.29],
      [8.6, 47.3],
      [8.61, 47.41],
      [8.5, 47.3],
    ],
  ]);
  assert.deepEqual(found.properties, { crop: 'oats', name: 'Meadow 7' });
  assert.deepEqual([found.state, found.report], ['live', []]);
});

test('documents of Yjs 14 are written and read, and Yjs 13 reads them too', async (t) => {
  const { run } = project(t, ['yjs', 'lib0', '@y/y']);
  const found = await run(`
    import * as Y14 from '@y/y';
    import * as Y from 'yjs';
    import { MapView, Writer } from '@mapweave/mapdoc';
    import { storeOfY14 } from '@mapweave/mapdoc/y14';
    const doc = new Y14.Doc();
    const view = new MapView(storeOfY14(doc));
    const writer = new Writer(view, { sid: 'kQ3ta', userId: 'ann', name: 'Ann' });
    const heard = [];
    view.onChange((_, change) => heard.push(...[...change.features.values()].flatMap(({ how }) => [...how])));
    const fid = writer.createPoint([1, 2], { name: 'tap' });
    writer.editText(fid, 'remark', 0, 0, 'wet');
    writer.editText(fid, 'remark', 3, 0, ' and cold');
    const other = new Y.Doc();
    Y.applyUpdate(other, Y14.encodeStateAsUpdate(doc));
    const read = (view) => [view.feature(fid).geometry.coordinates, ...view.feature(fid).properties.values()];
    console.log(JSON.stringify({ y14: read(view), y13: read(new MapView(other)), heard }));
  `);
  const expected = [[1, 2], 'tap', 'wet and cold'];
  assert.deepEqual([found.y14, found.y13], [expected, expected]);
  assert.deepEqual(new Set(found.heard), new Set(['record', 'properties', 'attributes']));
});
