import { describe, expect, test } from 'vitest';
import * as Y from 'yjs';
import { pack } from './pack.ts';
import type { Geometry } from './shape.ts';
import { type Feature, MapView } from './view.ts';

const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'));

function docOf(roots: Record<string, Record<string, unknown>>): Y.Doc {
  const doc = new Y.Doc();
  doc.transact(() => {
    for (const [root, entries] of Object.entries(roots))
      for (const [key, value] of Object.entries(entries)) doc.getMap(root).set(key, value);
  });
  return doc;
}

function read(roots: Record<string, Record<string, unknown>>, fid = 'f'): Feature | null {
  const view = new MapView(docOf(roots));
  const feature = view.feature(fid);
  view.dispose();
  return feature;
}

const point = (x: number, y: number, props = '{}') => [10, 'alice', 1, [x, y], props, ''];
const square = [
  [0, 0],
  [4, 0],
  [4, 4],
  [0, 4],
  [0, 0],
];
const polygon = [10, 'alice', 3, [square], '{}', ''];

test('the example of the specification reads as it says', () => {
  const feature = read(
    {
      feat: {
        p4RkT0aa0001: [
          1795000000,
          'kQ3ta',
          3,
          bytes('01010103aa01b20702000002'),
          '{"name":"Meadow 7","crop":"hay"}',
          'fields',
        ],
      },
      part: { 'p4RkT0aa0001/kQ3ta/0/0.U000jFqiMU001': [1795000000, bytes('02010103b20df84902000002')] },
      vert: {
        'p4RkT0aa0001/kQ3ta/0/0.0.U002': [1795000000, 8.61, 47.41],
        'p4RkT0aa0001/Zt81m/0/0.0.U002': [1795003600, 8.605, 47.42],
        'p4RkT0aa0001/kQ3ta/0/0.0.U000FU11PxK': [1795000000, 8.525, 47.299],
        'p4RkT0aa0001/Zt81m/0/0.0.U000kUzkHnL': [1795003600, 8.575, 47.301],
      },
      prop: {
        'p4RkT0aa0001/kQ3ta/crop': [1795000000, 'barley'],
        'p4RkT0aa0001/Zt81m/crop': [1795003600, 'oats'],
      },
    },
    'p4RkT0aa0001',
  );
  expect([...(feature?.properties ?? [])]).toEqual([
    ['crop', 'oats'],
    ['name', 'Meadow 7'],
  ]);
  expect(feature?.geometry).toEqual({
    type: 'Polygon',
    coordinates: [
      [
        [8.5, 47.3],
        [8.525, 47.299],
        [8.575, 47.301],
        [8.6, 47.3],
        [8.605, 47.42],
        [8.5, 47.3],
      ],
      [
        [8.57, 47.32],
        [8.58, 47.32],
        [8.58, 47.33],
        [8.57, 47.32],
      ],
    ],
  });
  expect(feature?.changed).toEqual({ time: 1795003600, sid: 'Zt81m' });
});

describe('winners', () => {
  const winnerOf = (entries: Record<string, unknown>) => read({ feat: { f: point(1, 2) }, prop: entries })?.properties;

  test('the later value shows', () => {
    expect(winnerOf({ 'f/a/n': [5, 'old'], 'f/b/n': [6, 'new'] })?.get('n')).toBe('new');
  });
  test('a value shows before a later removal', () => {
    expect(winnerOf({ 'f/a/n': [5, 'kept'], 'f/b/n': [6] })?.get('n')).toBe('kept');
  });
  test('at the same time the greater session id shows', () => {
    expect(winnerOf({ 'f/b/n': [5, 'b'], 'f/a/n': [5, 'a'] })?.get('n')).toBe('b');
  });
  test('a removal alone takes the property away', () => {
    expect(read({ feat: { f: point(1, 2, '{"n":1,"m":2}') }, prop: { 'f/a/n': [5] } })?.properties).toEqual(
      new Map([['m', 2]]),
    );
  });
  test('property names may contain slashes', () => {
    expect(winnerOf({ 'f/a/km/h': [5, 30] })?.get('km/h')).toBe(30);
  });
});

describe('deleting', () => {
  test('a deletion that saw everything hides the feature', () => {
    expect(read({ feat: { f: point(1, 2) }, prop: { 'f/a/n': [5, 1] }, gone: { 'f/a': [9, 5] } })).toBeNull();
  });
  test('an edit that the deletion did not see shows it as contested', () => {
    const feature = read({
      feat: { f: point(1, 2) },
      prop: { 'f/a/n': [5, 1], 'f/b/n': [6, 2] },
      gone: { 'f/a': [9, 5] },
    });
    expect(feature?.state).toBe('contested');
  });
  test('the sum is over well-formed entries, modulo 2^31', () => {
    const entries = { 'f/a/n': [2 ** 31 - 1, 1], 'f/b/n': [3, 2], 'f/c/n': [7, 1, 'too long'], 'f/d/n': [7.5, 1] };
    expect(read({ feat: { f: point(1, 2) }, prop: entries, gone: { 'f/a': [9, 2] } })).toBeNull();
  });
});

describe('geometry', () => {
  const geometryOf = (roots: Record<string, Record<string, unknown>>): Geometry | null | undefined =>
    read(roots)?.geometry;

  test('a moved vertex, a removed one and an inserted one', () => {
    const geometry = geometryOf({
      feat: { f: polygon },
      vert: {
        'f/a/0/0.0.U001': [20, 5, 0],
        'f/a/0/0.0.U002': [20],
        'f/a/0/0.0.U001V': [20, 5, 5],
      },
    });
    expect(geometry).toEqual({
      type: 'Polygon',
      coordinates: [
        [
          [0, 0],
          [5, 0],
          [5, 5],
          [0, 4],
          [0, 0],
        ],
      ],
    });
  });

  test('a replacement shows and edits of the old geometry do not', () => {
    const geometry = geometryOf({
      feat: { f: polygon },
      geom: { 'f/a/newgen': [20, 1, [7, 8]] },
      vert: { 'f/b/0/0.0.U000': [30, 9, 9] },
    });
    expect(geometry).toEqual({ type: 'Point', coordinates: [7, 8] });
  });

  test('of two replacements the later shows', () => {
    const geometry = geometryOf({
      feat: { f: polygon },
      geom: { 'f/a/gen1': [20, 1, [1, 1]], 'f/b/gen2': [21, 1, [2, 2]] },
    });
    expect(geometry).toEqual({ type: 'Point', coordinates: [2, 2] });
  });

  test('a removed exterior takes its part with it', () => {
    const feature = read({ feat: { f: polygon }, part: { 'f/a/0/0.0': [20] } });
    expect(feature?.geometry).toBeNull();
  });

  test('a polygon with an added part becomes a multipolygon', () => {
    const added = pack({ dims: 2, parts: [[[10, 10, 11, 10, 11, 11]]] });
    const geometry = geometryOf({ feat: { f: polygon }, part: { 'f/a/0/U000abcdeU001.0': [20, added] } });
    expect(geometry?.type).toBe('MultiPolygon');
  });

  test('segments added to a line follow it in the order of their keys', () => {
    const line = [
      10,
      'alice',
      2,
      [
        [0, 0],
        [1, 1],
      ],
      '{}',
      '',
    ];
    const run = (x: number) => pack({ dims: 2, parts: [[[x, x]]] });
    const geometry = geometryOf({
      feat: { f: line },
      part: { 'f/a/0/0.U001bbbbbU001': [20, run(3)], 'f/a/0/0.U000aaaaaU001': [20, run(2)] },
    });
    expect(geometry?.type === 'LineString' && geometry.coordinates).toEqual([
      [0, 0],
      [1, 1],
      [2, 2],
      [3, 3],
    ]);
  });

  test('a ring with two vertices left is left out and reported', () => {
    const feature = read({ feat: { f: polygon }, vert: { 'f/a/0/0.0.U001': [20], 'f/a/0/0.0.U002': [20] } });
    expect(feature?.geometry).toBeNull();
    expect(feature?.problems).toEqual(['degenerate']);
  });

  test('missing heights are 0, surplus ones are dropped', () => {
    const high = { feat: { f: [10, 'a', 1, [1, 2, 3], '{}', ''] }, vert: { 'f/a/0/0.0.U000': [20, 5, 6] } };
    expect(geometryOf(high)).toEqual({ type: 'Point', coordinates: [5, 6, 0] });
    const flat = { feat: { f: point(1, 2) }, vert: { 'f/a/0/0.0.U000': [20, 5, 6, 7] } };
    expect(geometryOf(flat)).toEqual({ type: 'Point', coordinates: [5, 6] });
  });
});

describe('malformed content', () => {
  test.each<[string, Record<string, Record<string, unknown>>]>([
    ['a record that is too short', { feat: { f: [1, 'a', 1] } }],
    ['a record with a fractional time', { feat: { f: [1.5, 'a', 1, [1, 2], '{}', ''] } }],
    ['a record that is a map', { feat: { f: { t: 1 } } }],
  ])('%s is no feature', (_, roots) => {
    expect(read(roots)).toBeNull();
  });

  test.each<[string, string]>([
    ['no object', '[1]'],
    ['no JSON', '{"a":'],
    ['an overflowing number', '{"a":1e999}'],
    ['a lone surrogate', '{"a":"\\ud800"}'],
    ['nesting of 17', `{"a":${'['.repeat(17)}${']'.repeat(17)}}`],
  ])('properties with %s count as none', (_, props) => {
    expect(read({ feat: { f: point(1, 2, props) } })?.properties.size).toBe(0);
  });

  test.each<[string, Record<string, Record<string, unknown>>]>([
    ['a bad order key', { vert: { 'f/a/0/0.0.U0': [20, 9, 9] } }],
    ['a position with one number', { vert: { 'f/a/0/0.0.U000': [20, 9] } }],
    ['a position that is not finite', { vert: { 'f/a/0/0.0.U000': [20, 9, Number.NaN] } }],
    ['a key without its fields', { vert: { f: [20, 9, 9], 'f/a': [20, 9, 9] } }],
    ['a value that is no entry', { vert: { 'f/a/0/0.0.U000': 'moved' } }],
    ['a removed segment of another generation', { part: { 'f/a/zz/0.0': [20] } }],
  ])('%s changes nothing', (_, roots) => {
    expect(read({ feat: { f: point(1, 2) }, ...roots })?.geometry).toEqual({ type: 'Point', coordinates: [1, 2] });
  });

  test('cut packed bytes give no geometry and a problem', () => {
    const feature = read({ feat: { f: [10, 'a', 3, bytes('01010103aa'), '{"n":1}', ''] } });
    expect(feature?.geometry).toBeNull();
    expect(feature?.problems).toEqual(['malformed geometry']);
    expect(feature?.properties.get('n')).toBe(1);
  });
});

test('a plain ring may be closed or open', () => {
  const open = [10, 'alice', 3, [square.slice(0, -1)], '{}', ''];
  expect(read({ feat: { f: open } })?.geometry).toEqual(read({ feat: { f: polygon } })?.geometry);
});

test('what JSON cannot express is shown as null', () => {
  const properties = read({
    feat: { f: point(1, 2) },
    prop: { 'f/a/n': [5, [Number.NaN, undefined, -0]] },
  })?.properties;
  expect(properties?.get('n')).toEqual([null, null, 0]);
});

test('a document of another format or a later version is not written', () => {
  const isWritable = (meta: Record<string, unknown>) => new MapView(docOf({ meta })).isWritable();
  expect(isWritable({})).toBe(true);
  expect(isWritable({ format: 'map', version: 1 })).toBe(true);
  expect(isWritable({ format: 'map', version: 2 })).toBe(false);
  expect(isWritable({ format: 'drawing' })).toBe(false);
});

test('texts of one name are joined in the order of their sessions and shown over the property', () => {
  const doc = docOf({ feat: { f: point(1, 2, '{"note":"old"}') } });
  const view = new MapView(doc);
  for (const [sid, value] of [
    ['zoe', 'second'],
    ['amy', 'first'],
  ] as const) {
    doc.getMap('text').set(`f/${sid}/note`, new Y.Text(value));
  }
  expect(view.feature('f')?.properties.get('note')).toBe('first\n\nsecond');
  const changed: string[] = [];
  view.onChange((fids) => changed.push(...fids));
  (doc.getMap('text').get('f/amy/note') as Y.Text).insert(5, '!');
  expect(changed).toEqual(['f']);
  expect(view.feature('f')?.properties.get('note')).toBe('first!\n\nsecond');
});

test('a removed or unknown layer counts as none', () => {
  const feature = { f: [10, 'a', 1, [1, 2], '{}', 'roads'] };
  expect(read({ feat: feature })?.layer).toBe('');
  expect(read({ feat: feature, layer: { 'roads/a/name': [5, 'Roads'] } })?.layer).toBe('roads');
  expect(read({ feat: feature, layer: { 'roads/a/name': [5, 'Roads'], 'roads/a/gone': [6, true] } })?.layer).toBe('');
});

test('only the features that an update touches are announced', () => {
  const doc = docOf({ feat: { f: point(1, 2), g: point(3, 4), h: point(5, 6) } });
  const view = new MapView(doc);
  const heard: string[][] = [];
  view.onChange((fids) => heard.push([...fids].sort()));
  doc.transact(() => {
    doc.getMap('prop').set('f/a/n', [5, 1]);
    doc.getMap('vert').set('g/a/0/0.0.U000', [5, 7, 8]);
  });
  doc.getMap('prop').delete('f/a/n');
  doc.getMap('unknown root').set('h', 1);
  expect(heard).toEqual([['f', 'g'], ['f']]);
  view.dispose();
  doc.getMap('prop').set('f/a/n', [5, 1]);
  expect(heard.length).toBe(2);
});
