// Features as wholes: create, delete, restore, split, merge.

import { GONE, given, hex, point, refused, square, text } from '../notation.mjs';

const create = (fields) => ({ op: 'create', fid: 'new', geometry: null, properties: {}, layer: '', ...fields });
const polygon = (...rings) => ({ type: 'Polygon', coordinates: rings });
const nested = (levels) => (levels === 0 ? 1 : [nested(levels - 1)]);

const left = [
  [0, 0],
  [4, 0],
  [4, 8],
  [0, 8],
  [0, 0],
];
const right = [
  [4, 0],
  [8, 0],
  [8, 8],
  [4, 8],
  [4, 0],
];
/** 0,0 4,0 4,8 0,8 */
const leftPacked = hex('00010104 0000 0800 0010 0700');
/** 4,0 8,0 8,8 4,8 */
const rightPacked = hex('00010104 0800 0800 0010 0700');

export const features = [
  given('a point with properties, which are sorted, in a layer', {
    operation: create({
      geometry: { type: 'Point', coordinates: [8.5, 47.25] },
      properties: { b: 1, a: 'x' },
      layer: 'roads',
    }),
    // 850 and 4725 as zigzag varints
    writes: { feat: { new: [1000, 'kQ3ta', 1, hex('02010101 a40d ea49'), '{"a":"x","b":1}', 'roads'] } },
  }),
  given('a feature without geometry', {
    operation: create({}),
    writes: { feat: { new: [1000, 'kQ3ta', 0, null, '{}', ''] } },
  }),
  given('a polygon, whose ring is stored open', {
    operation: create({
      geometry: polygon([
        [0, 0],
        [8, 0],
        [8, 8],
        [0, 8],
        [0, 0],
      ]),
    }),
    writes: { feat: { new: [1000, 'kQ3ta', 3, hex('00010104 0000 1000 0010 0f00'), '{}', ''] } },
  }),
  given('a line with heights', {
    operation: create({
      geometry: {
        type: 'LineString',
        coordinates: [
          [1, 2, 3],
          [4, 5, 6],
        ],
      },
    }),
    writes: { feat: { new: [1000, 'kQ3ta', 2, hex('10010102 020406 060606'), '{}', ''] } },
  }),
  given('several lines are several parts', {
    operation: create({
      geometry: {
        type: 'MultiLineString',
        coordinates: [
          [
            [0, 0],
            [1, 0],
          ],
          [
            [5, 5],
            [6, 6],
          ],
        ],
      },
    }),
    writes: { feat: { new: [1000, 'kQ3ta', 5, hex('00020102 0102 0000 0200 080a 0202'), '{}', ''] } },
  }),
  given('a collection is kept as text with sorted members', {
    operation: create({
      geometry: { type: 'GeometryCollection', geometries: [{ type: 'Point', coordinates: [1, 2.5] }] },
    }),
    writes: {
      feat: {
        new: [
          1000,
          'kQ3ta',
          7,
          '{"geometries":[{"coordinates":[1,2.5],"type":"Point"}],"type":"GeometryCollection"}',
          '{}',
          '',
        ],
      },
    },
  }),
  given('an empty geometry is kept as text', {
    operation: create({ geometry: { type: 'MultiPoint', coordinates: [] } }),
    writes: { feat: { new: [1000, 'kQ3ta', 7, '{"coordinates":[],"type":"MultiPoint"}', '{}', ''] } },
  }),
  given('positions with and without height are kept as text', {
    operation: create({
      geometry: {
        type: 'LineString',
        coordinates: [
          [1, 2],
          [3, 4, 5],
        ],
      },
    }),
    writes: { feat: { new: [1000, 'kQ3ta', 7, '{"coordinates":[[1,2],[3,4,5]],"type":"LineString"}', '{}', ''] } },
  }),
  given('a document that says what it is and knows the session is not introduced again', {
    before: { meta: { format: 'map', version: 1 }, who: { kQ3ta: [5, 'u1', 'Annie'] } },
    operation: create({}),
    writes: { feat: { new: [1000, 'kQ3ta', 0, null, '{}', ''] } },
  }),
  refused('feature_exists', 'creating under an id in use', { before: { feat: { new: point } }, operation: create({}) }),
  refused('feature_exists', 'creating under the id of a deleted feature', {
    before: { feat: { new: point }, gone: { 'new/other1': [950, 0] } },
    operation: create({}),
  }),
  refused('bad_name', 'an id with a slash', { operation: create({ fid: 'a/b' }) }),
  refused('bad_name', 'a property without name', { operation: create({ properties: { '': 1 } }) }),
  refused('too_large', 'a value nested 16 levels deep', { operation: create({ properties: { deep: nested(16) } }) }),
  given('a value nested 15 levels deep', {
    operation: create({ properties: { deep: nested(15) } }),
    writes: { feat: { new: [1000, 'kQ3ta', 0, null, `{"deep":${'['.repeat(15)}1${']'.repeat(15)}}`, ''] } },
  }),
  refused('bad_geometry', 'a ring that is not closed', {
    operation: create({
      geometry: polygon([
        [0, 0],
        [8, 0],
        [8, 8],
        [0, 8],
      ]),
    }),
  }),
  refused('bad_geometry', 'a line of one position', {
    operation: create({ geometry: { type: 'LineString', coordinates: [[1, 2]] } }),
  }),
  refused('bad_geometry', 'a latitude of 91', {
    operation: create({ geometry: { type: 'Point', coordinates: [0, 91] } }),
  }),
  refused('bad_geometry', 'an unknown type', {
    operation: create({ geometry: { type: 'Circle', coordinates: [0, 1] } }),
  }),
  refused('newer_version', 'writing to a later version', {
    before: { meta: { format: 'map', version: 2 } },
    operation: create({}),
  }),
  refused('not_a_map', 'writing to another kind of document', {
    before: { meta: { format: 'drawing' } },
    operation: create({}),
  }),

  given('deleting what nobody edited', {
    before: { feat: { f: point } },
    operation: { op: 'delete', fids: ['f'] },
    writes: { gone: { 'f/kQ3ta': [1000, 0] } },
  }),
  given('a deletion remembers the sum of the times of all well-formed edits', {
    before: {
      feat: { f: square },
      vert: { 'f/other1/0/0.0.U001': [910, 9, 0], 'f/other2/0/0.0.U001': [920, 9, 1], 'f/other1/0/0.0.U0': [7, 9, 0] },
      prop: { 'f/other1/crop': [930, 'oats'], 'f/other2/crop': ['soon', 'rye'] },
      attr: { 'f/other1/layer': [40] },
      text: { 'f/other1/note': text('seen by attr only') },
    },
    operation: { op: 'delete', fids: ['f'] },
    // 910 + 920 + 930 + 40
    writes: { gone: { 'f/kQ3ta': [1000, 2800] } },
  }),
  given('the sum is taken modulo 2^31', {
    before: { feat: { f: point }, prop: { 'f/other1/a': [2147483647, 1], 'f/other1/b': [5, 1] } },
    operation: { op: 'delete', fids: ['f'] },
    writes: { gone: { 'f/kQ3ta': [1000, 4] } },
  }),
  given('deleting a contested feature again settles it', {
    before: { feat: { f: point }, prop: { 'f/other1/a': [960, 1] }, gone: { 'f/other2': [1200, 0] } },
    operation: { op: 'delete', fids: ['f'] },
    writes: { gone: { 'f/other2': GONE, 'f/kQ3ta': [1201, 960] } },
  }),
  given('deleting several, one of them deleted already', {
    before: { feat: { f: point, g: point, h: point }, gone: { 'g/other1': [950, 0] } },
    operation: { op: 'delete', fids: ['f', 'g', 'h'] },
    writes: { gone: { 'f/kQ3ta': [1000, 0], 'h/kQ3ta': [1000, 0] } },
  }),
  given('deleting what is deleted writes nothing', {
    before: { feat: { f: point }, gone: { 'f/other1': [950, 0] } },
    operation: { op: 'delete', fids: ['f'] },
  }),
  refused('unknown_feature', 'deleting what is not there', {
    before: { feat: { f: point } },
    operation: { op: 'delete', fids: ['f', 'g'] },
  }),

  given('restoring takes away every deletion', {
    before: { feat: { f: point }, gone: { 'f/other1': [950, 0], 'f/kQ3ta': [960, 0] } },
    operation: { op: 'restore', fids: ['f'] },
    writes: { gone: { 'f/other1': GONE, 'f/kQ3ta': GONE } },
  }),
  given('restoring what is live writes nothing', {
    before: { feat: { f: point } },
    operation: { op: 'restore', fids: ['f'] },
  }),
  refused('unknown_feature', 'restoring what is not there', { operation: { op: 'restore', fids: ['f'] } }),

  given('a split replaces one geometry and makes the other a feature with the same properties and layer', {
    before: {
      feat: { f: square },
      prop: { 'f/other1/crop': [930, 'oats'] },
      text: { 'f/other1/remark': text('wet') },
      vert: { 'f/other1/0/0.0.U001': [940, 9, 0] },
    },
    operation: { op: 'split', fid: 'f', geometries: [polygon(left), polygon(right)], fids: ['g'] },
    writes: {
      vert: { 'f/other1/0/0.0.U001': GONE },
      geom: { 'f/kQ3ta/VVVVVV': [1000, 3, leftPacked] },
      feat: { g: [1000, 'kQ3ta', 3, rightPacked, '{"crop":"oats","name":"Meadow","remark":"wet"}', 'fields'] },
      attr: { 'g/kQ3ta/from': [1000, 'f'] },
    },
  }),
  given('what is split from a feature that was put into another layer is there too', {
    before: { feat: { f: square }, attr: { 'f/other1/layer': [930, 'forests'] } },
    operation: { op: 'split', fid: 'f', geometries: [polygon(left), polygon(right)], fids: ['g'] },
    writes: {
      geom: { 'f/kQ3ta/VVVVVV': [1000, 3, leftPacked] },
      feat: { g: [1000, 'kQ3ta', 3, rightPacked, '{"crop":"hay","name":"Meadow"}', 'forests'] },
      attr: { 'g/kQ3ta/from': [1000, 'f'] },
    },
  }),
  refused('bad_geometry', 'a split with an id too few', {
    before: { feat: { f: square } },
    operation: { op: 'split', fid: 'f', geometries: [polygon(left), polygon(right)], fids: [] },
  }),
  refused('feature_exists', 'a split into an id in use', {
    before: { feat: { f: square, g: point } },
    operation: { op: 'split', fid: 'f', geometries: [polygon(left), polygon(right)], fids: ['g'] },
  }),
  refused('unknown_feature', 'a split of a deleted feature', {
    before: { feat: { f: square }, gone: { 'f/other1': [950, 0] } },
    operation: { op: 'split', fid: 'f', geometries: [polygon(left), polygon(right)], fids: ['g'] },
  }),

  given('a merge replaces one geometry and deletes the other, knowing the attribute that says why', {
    before: { feat: { f: square, g: square }, prop: { 'g/other1/crop': [930, 'oats'] } },
    operation: { op: 'merge', fid: 'f', others: ['g'], geometry: polygon(left) },
    writes: {
      geom: { 'f/kQ3ta/VVVVVV': [1000, 3, leftPacked] },
      attr: { 'g/kQ3ta/into': [1000, 'f'] },
      // 930 + 1000
      gone: { 'g/kQ3ta': [1000, 1930] },
    },
  }),
  given('a merge over an earlier attribute of the same name counts the new time only', {
    before: { feat: { f: square, g: square }, attr: { 'g/other1/into': [1500, 'h'], 'g/kQ3ta/style': [50, { a: 1 }] } },
    operation: { op: 'merge', fid: 'f', others: ['g'], geometry: polygon(left) },
    writes: {
      geom: { 'f/kQ3ta/VVVVVV': [1000, 3, leftPacked] },
      attr: { 'g/other1/into': GONE, 'g/kQ3ta/into': [1501, 'f'] },
      // 1501 + 50
      gone: { 'g/kQ3ta': [1000, 1551] },
    },
  }),
  refused('unknown_feature', 'merging what is deleted', {
    before: { feat: { f: square, g: square }, gone: { 'g/other1': [950, 0] } },
    operation: { op: 'merge', fid: 'f', others: ['g'], geometry: polygon(left) },
  }),
];
