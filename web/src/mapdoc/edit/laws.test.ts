// Laws of the operations, over random geometries and edits.

import { expect, test } from 'vitest';
import * as Y from 'yjs';
import { vertexKey } from '../geometry.ts';
import { isOrderKey, keyBeyond } from '../orderkey.ts';
import { report } from '../report.ts';
import type { Geometry, Position } from '../shape.ts';
import { MapView } from '../view.ts';
import { Writer } from '../writer.ts';
import { EditError } from './error.ts';

const SEED = Number(process.env.MAPWEAVE_TEST_SEED ?? 20261121);

/** mulberry32 */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function map(random: () => number) {
  const view = new MapView(new Y.Doc());
  const clock = { now: 1000 };
  return { view, clock, writer: new Writer(view, { sid: 'annie', userId: 'a', name: 'A' }, () => clock.now++, random) };
}

const code = (edit: () => void) => {
  try {
    edit();
    return null;
  } catch (error) {
    return error instanceof EditError ? error.code : error;
  }
};

test(`a change of geometry leads to the geometry wanted, whatever it is (seed ${SEED})`, () => {
  const random = generator(SEED);
  const below = (end: number) => Math.floor(random() * end);
  const place = (): Position => [Math.round(random() * 20000 - 10000) / 100, Math.round(random() * 10000 - 5000) / 100];
  const line = (count: number) => Array.from({ length: count }, place);
  const ring = (count: number) => {
    const open = line(count);
    return [...open, ...open.slice(0, 1)];
  };
  const make: (() => Geometry)[] = [
    () => ({ type: 'Point', coordinates: place() }),
    () => ({ type: 'LineString', coordinates: line(2 + below(30)) }),
    () => ({ type: 'MultiPoint', coordinates: line(1 + below(5)) }),
    () => ({ type: 'MultiLineString', coordinates: Array.from({ length: 1 + below(4) }, () => line(2 + below(8))) }),
    () => ({ type: 'Polygon', coordinates: Array.from({ length: 1 + below(3) }, () => ring(3 + below(30))) }),
    () => ({
      type: 'MultiPolygon',
      coordinates: Array.from({ length: 1 + below(3) }, () => [ring(3 + below(12)), ring(3)].slice(0, 1 + below(2))),
    }),
  ];
  const lists = (geometry: Geometry): Position[][] => {
    if (geometry.type === 'LineString' || geometry.type === 'MultiPoint') return [geometry.coordinates];
    if (geometry.type === 'MultiLineString' || geometry.type === 'Polygon') return geometry.coordinates;
    return geometry.type === 'MultiPolygon' ? geometry.coordinates.flat() : [];
  };
  /** Some positions elsewhere, more or fewer; now and then a ring or part more or less. */
  const changed = (geometry: Geometry): Geometry => {
    const copy = structuredClone(geometry);
    const isRings = copy.type === 'Polygon' || copy.type === 'MultiPolygon';
    for (let i = below(4); i >= 0; i--) {
      const all = lists(copy);
      const list = all[below(all.length)];
      if (!list) return { type: 'Point', coordinates: place() };
      const at = below(list.length);
      if (isRings && (at === 0 || at === list.length - 1)) continue;
      if (random() < 0.4) list[at] = place();
      else if (random() < 0.6) list.splice(at, 0, place());
      else if (list.length > (isRings ? 4 : 2)) list.splice(at, 1);
    }
    if (random() < 0.2 && copy.type === 'Polygon') copy.coordinates.push(ring(4));
    if (random() < 0.2 && copy.type === 'Polygon' && copy.coordinates.length > 1)
      copy.coordinates.splice(1 + below(copy.coordinates.length - 1), 1);
    if (random() < 0.2 && copy.type === 'MultiPolygon') copy.coordinates.push([ring(5), ring(3)]);
    if (random() < 0.2 && copy.type === 'MultiLineString' && copy.coordinates.length > 1)
      copy.coordinates.splice(below(copy.coordinates.length), 1);
    return copy;
  };
  let replaced = 0;
  let edited = 0;
  for (let round = 0; round < 400; round++) {
    const { view, writer } = map(random);
    let geometry = (make[below(make.length)] as () => Geometry)();
    const fid = writer.create(geometry);
    for (let step = 0; step < 4; step++) {
      geometry = random() < 0.15 ? (make[below(make.length)] as () => Geometry)() : changed(geometry);
      const before = view.generation(fid)?.gen;
      writer.changeGeometry(fid, geometry);
      // A polygon of one part shows as such whatever was asked for.
      expect(view.feature(fid)?.geometry, `round ${round}, step ${step}`).toEqual(geometry);
      expect(report(view)).toEqual([]);
      if (view.generation(fid)?.gen === before) edited += 1;
      else replaced += 1;
    }
  }
  expect(edited).toBeGreaterThan(replaced);
});

test('a change of one vertex of a large ring writes one entry', () => {
  const { view, writer } = map(generator(1));
  const open = Array.from({ length: 20_000 }, (_, i) => [Math.cos(i / 3183) * 90, Math.sin(i / 3183) * 45]);
  const ring = [...open, ...open.slice(0, 1)];
  const fid = writer.create({ type: 'Polygon', coordinates: [ring] });
  const wanted = ring.map((position, i) => (i === 7000 ? [1.5, 2.5] : position.map((x) => Number(x.toFixed(6)))));
  writer.changeGeometry(fid, { type: 'Polygon', coordinates: [wanted] });
  expect(view.overlays.targets('vert', fid)).toEqual([
    `0/0.0.${vertexKey({ part: '0', segment: '0', isBase: true, positions: [], keys: null }, 7000)}`,
  ]);
});

test('a run at the end of a line is continued by who began it, past every key that would end in 0', () => {
  const { view, writer } = map(generator(2));
  const fid = writer.create({
    type: 'LineString',
    coordinates: [
      [0, 0],
      [1, 0],
    ],
  });
  let after = 'U001';
  for (let i = 0; i < 200; i++) after = writer.insertVertex(fid, '0.0', { after }, [2 + i / 100, 0]);
  const keys = view.overlays.targets('vert', fid).map((target) => target.slice('0/0.0.'.length));
  expect(new Set(keys.map((key) => key.slice(0, 9))).size).toBe(1);
  expect(keys.every(isOrderKey)).toBe(true);
  const line = view.feature(fid)?.geometry;
  const xs = line?.type === 'LineString' ? line.coordinates.map(([x = 0]) => x) : [];
  expect(xs).toEqual([...xs].sort((a, b) => a - b));
});

test('at the end of the key space there is no key', () => {
  expect(keyBeyond('zzzy', 'back', false, () => 0.5)).toBeNull();
  expect(keyBeyond('0001', 'front', false, () => 0.5)).toBeNull();
});

test('a thousand vertices inserted into one gap have short keys in their order', () => {
  const { view, writer } = map(generator(3));
  const fid = writer.create({
    type: 'LineString',
    coordinates: [
      [0, 0],
      [10, 0],
    ],
  });
  let after = 'U000';
  for (let i = 1; i <= 1000; i++) after = writer.insertVertex(fid, '0.0', { after, before: 'U001' }, [i / 1000, 0]);
  expect(after.length).toBeLessThanOrEqual(40);
  const line = view.feature(fid)?.geometry;
  const xs = line?.type === 'LineString' ? line.coordinates.map(([x = 0]) => x) : [];
  expect(xs.length).toBe(1002);
  expect(xs).toEqual([...xs].sort((a, b) => a - b));
});

test('what is beyond the limits of the format is refused and nothing is written', () => {
  const { view, writer } = map(generator(4));
  const fid = writer.createPoint([1, 2]);
  const before = JSON.stringify(view.feature(fid));
  const long = 'x'.repeat(256 * 1024);
  expect(code(() => writer.setProperties(fid, { long }))).toBe('too_large');
  expect(code(() => writer.create(null, { a: long.slice(9), b: 'y' }))).toBe('too_large');
  expect(code(() => writer.editText(fid, 'remark', 0, 0, `${long}x`))).toBe('too_large');
  expect(code(() => writer.addNote(`${long}x`))).toBe('too_large');
  expect(code(() => writer.setTitle(`${long}x`))).toBe('too_large');
  expect(code(() => writer.setProperties(fid, { 'x\ud800': 1 }))).toBe('bad_name');
  expect(code(() => writer.createPoint([Number.NaN, 1]))).toBe('bad_geometry');
  expect(code(() => writer.run({ op: 'nonsense' } as never))).toBeInstanceOf(TypeError);
  expect(JSON.stringify(view.feature(fid))).toBe(before);
  expect(view.ids()).toEqual([fid]);
});

test('a map holds 200,000 features and no more', () => {
  const doc = new Y.Doc();
  doc.transact(() => {
    const features = doc.getMap('feat');
    for (let i = 1; i < 200_000; i++) features.set(`f${i}`, [1, 'x', 0, null, '{}', '']);
  });
  const writer = new Writer(new MapView(doc), { sid: 'annie', userId: 'a', name: 'A' });
  const last = writer.create(null);
  expect(code(() => writer.create(null))).toBe('too_large');
  expect(
    code(() =>
      writer.split(last, [
        { type: 'Point', coordinates: [1, 1] },
        { type: 'Point', coordinates: [2, 2] },
      ]),
    ),
  ).toBe('too_large');
});

test('half a surrogate pair in a value is stored as what others would read', () => {
  const { view, writer } = map(generator(5));
  const fid = writer.createPoint([1, 2], { a: 'x\ud800' });
  writer.setProperties(fid, { b: ['\udc00y', { '\ud800': -0 }] });
  expect(Object.fromEntries(view.feature(fid)?.properties ?? [])).toEqual({
    a: 'x\ufffd',
    b: ['\ufffdy', { '\ufffd': 0 }],
  });
});

test('a conflict is settled with what everybody reads, not with what cannot be written', () => {
  const { view, writer } = map(generator(7));
  const fid = writer.createPoint([1, 2]);
  const odd = Object.setPrototypeOf({ y: [Number.NaN, 5n] }, { x: 1 });
  view.store.root('prop').set(`${fid}/other1/name`, [5000, odd]);
  writer.settle(fid, 'prop', 'name', 'other1');
  expect(view.store.root('prop').get(`${fid}/annie/name`)).toEqual([5001, { y: [null, 5] }]);
  expect(view.store.root('prop').has(`${fid}/other1/name`)).toBe(false);
});

test('a document of another copy of Yjs is refused with the reason', () => {
  expect(() => new MapView({} as Y.Doc)).toThrow(/another copy of Yjs/);
});

test('a character is not cut into halves by typing', () => {
  const { view, writer } = map(generator(6));
  const fid = writer.createPoint([1, 2]);
  writer.editText(fid, 'remark', 0, 0, 'a🌲b');
  expect(code(() => writer.editText(fid, 'remark', 2, 0, 'x'))).toBe('bad_position');
  expect(code(() => writer.editText(fid, 'remark', 0, 2, ''))).toBe('bad_position');
  writer.editText(fid, 'remark', 1, 2, '');
  expect(view.feature(fid)?.properties.get('remark')).toBe('ab');
});
