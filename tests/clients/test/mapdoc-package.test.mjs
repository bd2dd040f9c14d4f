// The package @mapweave/mapdoc as somebody gets it who installs it: packed, unpacked beside Yjs, and used in plain Node.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const built = fileURLToPath(new URL('../../../web/dist-mapdoc', import.meta.url));
const modules = fileURLToPath(new URL('../node_modules', import.meta.url));

/** A project with the packed package and this folder's `dependencies`. */
function project(t, dependencies) {
  const folder = mkdtempSync(join(tmpdir(), 'mapdoc-package-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const options = { encoding: 'utf8', cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] };
  const packed = JSON.parse(execFileSync('npm', ['pack', built, '--json', '--offline', '--loglevel=error'], options));
  const [{ filename, files }] = packed;
  const target = join(folder, 'node_modules/@mapweave/mapdoc');
  mkdirSync(target, { recursive: true });
  execFileSync('tar', ['-xzf', join(folder, filename), '-C', target, '--strip-components=1']);
  for (const name of dependencies) {
    mkdirSync(join(folder, 'node_modules', name, '..'), { recursive: true });
    symlinkSync(join(modules, name), join(folder, 'node_modules', name));
  }
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  const run = (code) => {
    writeFileSync(join(folder, 'main.js'), code);
    return JSON.parse(execFileSync(process.execPath, ['--preserve-symlinks', 'main.js'], options));
  };
  return { run, target, files: files.map(({ path }) => path) };
}

/** The blocks of JavaScript of the package's README. */
function readmeExamples(target) {
  return [...readFileSync(join(target, 'README.md'), 'utf8').matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code);
}

test('the packed package holds modules, types, README and licences and nothing else', (t) => {
  const { files } = project(t, []);
  for (const path of ['index.js', 'index.d.ts', 'y14.js', 'package.json', 'README.md', 'LICENSE-MIT'])
    assert.ok(files.includes(path), path);
  const surplus = files.filter((path) => !/\.(js|d\.ts)$|^package\.json$|^README\.md$|^LICENSE-/.test(path));
  assert.deepEqual(surplus, []);
  assert.ok(!files.some((path) => path.includes('test')));
});

test('the example of the README runs in plain Node with Yjs 13', (t) => {
  const { run, target } = project(t, ['yjs', 'lib0']);
  const [example] = readmeExamples(target).filter((code) => code.includes("from 'yjs'"));
  const silenced = example.replaceAll('console.log', 'void ');
  const found = run(`${silenced}
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

test('documents of Yjs 14 are written and read, and Yjs 13 reads them too', (t) => {
  const { run } = project(t, ['yjs', 'lib0', '@y/y']);
  const found = run(`
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
