// Segments and whole geometries: add, record, remove, replace, change.

import { decagon, GONE, given, hex, high, holed, line, lines, nothing, point, refused, square } from '../notation.mjs';

const add = (part, coordinates) => ({ op: 'add_segment', fid: 'f', part, coordinates });
const track = (coordinates) => ({ op: 'record_track', fid: 'f', coordinates });
const drop = (segment) => ({ op: 'remove_segment', fid: 'f', segment });
const replace = (geometry) => ({ op: 'replace_geometry', fid: 'f', geometry });
const change = (geometry) => ({ op: 'change_geometry', fid: 'f', geometry });
const polygon = (...rings) => ({ type: 'Polygon', coordinates: rings });
const lineOf = (...coordinates) => ({ type: 'LineString', coordinates });

const hole = [
  [2, 2],
  [4, 2],
  [4, 4],
  [2, 2],
];
const holePacked = hex('00010103 0404 0400 0004');
const squareRing = [
  [0, 0],
  [8, 0],
  [8, 8],
  [0, 8],
  [0, 0],
];

export const geometries = [
  given('a hole', {
    before: { feat: { f: square } },
    operation: add('0', hole),
    writes: { part: { 'f/kQ3ta/0/0.U000VVVVVU001': [1000, holePacked] } },
    result: { segment: '0.U000VVVVVU001' },
  }),
  given('a hole given as an open ring, with heights that the polygon has not', {
    before: { feat: { f: square } },
    operation: add('0', [
      [2, 2, 9],
      [4, 2, 9],
      [4, 4, 9],
    ]),
    writes: { part: { 'f/kQ3ta/0/0.U000VVVVVU001': [1000, holePacked] } },
    result: { segment: '0.U000VVVVVU001' },
  }),
  given('a second hole comes after the first that was added', {
    before: { feat: { f: holed }, part: { 'f/other1/0/0.U000abcdeU001': [950, holePacked] } },
    operation: add('0', hole),
    writes: { part: { 'f/kQ3ta/0/0.U001VVVVVU001': [1000, holePacked] } },
    result: { segment: '0.U001VVVVVU001' },
  }),
  given('a further polygon is a new part', {
    before: { feat: { f: square } },
    operation: add(null, hole),
    writes: { part: { 'f/kQ3ta/0/U000VVVVVU001.0': [1000, holePacked] } },
    result: { segment: 'U000VVVVVU001.0' },
  }),
  given('a hole in a part that was added', {
    before: { feat: { f: square }, part: { 'f/other1/0/U000abcdeU001.0': [950, hex('00010103 2020 1000 0010')] } },
    operation: add('U000abcdeU001', hole),
    writes: { part: { 'f/kQ3ta/0/U000abcdeU001.U000VVVVVU001': [1000, holePacked] } },
    result: { segment: 'U000abcdeU001.U000VVVVVU001' },
  }),
  given('a further line of several, whose missing heights are 0', {
    before: { feat: { f: [900, 'maker', 5, hex('10010102 000002 020002'), '{}', ''] } },
    operation: add(null, [
      [7, 7],
      [8, 8, 1],
    ]),
    writes: { part: { 'f/kQ3ta/0/U000VVVVVU001.0': [1000, hex('10010102 0e0e00 020202')] } },
    result: { segment: 'U000VVVVVU001.0' },
  }),
  refused('bad_geometry', 'a hole in a point', { before: { feat: { f: point } }, operation: add('0', hole) }),
  refused('bad_geometry', 'a ring of two positions', {
    before: { feat: { f: square } },
    operation: add('0', [
      [1, 1],
      [2, 2],
      [1, 1],
    ]),
  }),
  refused('bad_geometry', 'a line of one position', { before: { feat: { f: lines } }, operation: add(null, [[1, 1]]) }),
  refused('unknown_segment', 'a hole in a part that is not there', {
    before: { feat: { f: square } },
    operation: add('1', hole),
  }),
  refused('bad_position', 'a hole beyond the antimeridian', {
    before: { feat: { f: square } },
    operation: add('0', [
      [179, 1],
      [181, 1],
      [180, 2],
    ]),
  }),

  given('a track begins to grow', {
    before: { feat: { f: line } },
    operation: track([
      [30, 0],
      [40, 1],
    ]),
    writes: { part: { 'f/kQ3ta/0/0.U000VVVVVU001': [1000, hex('00010102 3c00 1402')] } },
    result: { segment: '0.U000VVVVVU001' },
  }),
  given("a track grows behind another session's piece, by one point with height", {
    before: { feat: { f: high }, part: { 'f/other1/0/0.U000abcdeU001': [950, hex('10010101 3c0008')] } },
    operation: track([[40, 1, 5]]),
    writes: { part: { 'f/kQ3ta/0/0.U001VVVVVU001': [1000, hex('10010101 50020a')] } },
    result: { segment: '0.U001VVVVVU001' },
  }),
  refused('bad_geometry', 'recording into a polygon', { before: { feat: { f: square } }, operation: track([[1, 1]]) }),
  refused('bad_geometry', 'recording nothing', { before: { feat: { f: line } }, operation: track([]) }),

  given('a hole of the base is removed with the edits of its vertices', {
    before: {
      feat: { f: holed },
      vert: {
        'f/other1/0/0.1.U000': [950, 3, 3],
        'f/kQ3ta/0/0.1.U000': [960, 3, 2],
        'f/other1/0/0.0.U000': [970, 1, 1],
      },
    },
    operation: drop('0.1'),
    writes: {
      vert: { 'f/other1/0/0.1.U000': GONE, 'f/kQ3ta/0/0.1.U000': GONE },
      part: { 'f/kQ3ta/0/0.1': [1000] },
    },
  }),
  given('an added hole goes with all its entries', {
    before: {
      feat: { f: square },
      part: { 'f/other1/0/0.U000abcdeU001': [950, holePacked], 'f/other2/0/0.U001abcdeU001': [950, holePacked] },
      vert: { 'f/other2/0/0.U000abcdeU001.U001': [955, 3, 2] },
    },
    operation: drop('0.U000abcdeU001'),
    writes: {
      part: { 'f/other1/0/0.U000abcdeU001': GONE },
      vert: { 'f/other2/0/0.U000abcdeU001.U001': GONE },
    },
  }),
  refused('unknown_segment', 'removing a hole twice', {
    before: { feat: { f: holed }, part: { 'f/other1/0/0.1': [950] } },
    operation: drop('0.1'),
  }),

  given('a replacement takes the edits of the generation it replaces along', {
    before: {
      feat: { f: square },
      vert: { 'f/other1/0/0.0.U001': [950, 9, 0], 'f/other1/zzz/0.0.U001': [950, 9, 0] },
      part: { 'f/other2/0/0.U000abcdeU001': [950, holePacked] },
      prop: { 'f/other1/crop': [950, 'oats'] },
    },
    operation: replace({ type: 'Point', coordinates: [1, 2] }),
    writes: {
      vert: { 'f/other1/0/0.0.U001': GONE },
      part: { 'f/other2/0/0.U000abcdeU001': GONE },
      geom: { 'f/kQ3ta/VVVVVV': [1000, 1, hex('00010101 0204')] },
    },
  }),
  given('a replacement is later than what it replaces', {
    before: {
      feat: { f: square },
      geom: { 'f/other1/abc123': [1500, 1, hex('00010101 0204')] },
      vert: { 'f/other1/abc123/0.0.U000': [1600, 5, 5] },
    },
    random: [0, 0.25, 0.5, 0.75, 0.99],
    operation: replace({ type: 'Point', coordinates: [3, 4] }),
    // Six random digits from five numbers in turn: 0, 15, 31, 46, 61, 0.
    writes: {
      geom: { 'f/other1/abc123': GONE, 'f/kQ3ta/0FVkz0': [1501, 1, hex('00010101 0608')] },
      vert: { 'f/other1/abc123/0.0.U000': GONE },
    },
  }),
  given('a replacement that lost stays for people to see', {
    before: {
      feat: { f: square },
      geom: { 'f/other1/abc123': [960, 1, hex('00010101 0204')], 'f/other2/def456': [950, 1, hex('00010101 0608')] },
    },
    operation: replace(null),
    writes: { geom: { 'f/other1/abc123': GONE, 'f/kQ3ta/VVVVVV': [1000, 0, null] } },
  }),
  given('a record from a fast clock is replaced later still', {
    before: { feat: { f: [2000, 'maker', 0, null, '{}', ''] } },
    operation: replace({ type: 'Point', coordinates: [1, 2] }),
    writes: { geom: { 'f/kQ3ta/VVVVVV': [2001, 1, hex('00010101 0204')] } },
  }),
  refused('unknown_feature', 'replacing the geometry of nothing', { operation: replace(null) }),
  refused('bad_geometry', 'replacing by no geometry at all', {
    before: { feat: { f: square } },
    operation: replace({ type: 'Polygon' }),
  }),

  given('a change to the same geometry writes nothing', {
    before: { feat: { f: square } },
    operation: change(polygon(squareRing)),
  }),
  given('vertices equal to six decimals are unchanged', {
    before: {
      feat: {
        f: [
          900,
          'maker',
          2,
          [
            [8.12345678, 47.12345678],
            [9, 48],
          ],
          '{}',
          '',
        ],
      },
    },
    operation: change(lineOf([8.123457, 47.123457], [9, 48])),
  }),
  given('a vertex at another place is moved', {
    before: { feat: { f: square } },
    operation: change(
      polygon([
        [0, 0],
        [8, 0],
        [9, 9],
        [0, 8],
        [0, 0],
      ]),
    ),
    writes: { vert: { 'f/kQ3ta/0/0.0.U002': [1000, 9, 9] } },
  }),
  given('a vertex more is inserted where it lies on its edge', {
    before: { feat: { f: square } },
    operation: change(
      polygon([
        [0, 0],
        [2, 1],
        [8, 0],
        [8, 8],
        [0, 8],
        [0, 0],
      ]),
    ),
    writes: { vert: { 'f/kQ3ta/0/0.0.U000FV': [1000, 2, 1] } },
  }),
  given('a vertex more on the closing edge of a ring', {
    before: { feat: { f: square } },
    operation: change(
      polygon([
        [0, 0],
        [8, 0],
        [8, 8],
        [0, 8],
        [-1, 4],
        [0, 0],
      ]),
    ),
    writes: { vert: { 'f/kQ3ta/0/0.0.U003V': [1000, -1, 4] } },
  }),
  given('a vertex less is removed', {
    before: { feat: { f: square } },
    operation: change(
      polygon([
        [0, 0],
        [8, 0],
        [0, 8],
        [0, 0],
      ]),
    ),
    writes: { vert: { 'f/kQ3ta/0/0.0.U002': [1000] } },
  }),
  given('a line that is longer at both ends', {
    before: { feat: { f: line } },
    operation: change(lineOf([-10, 0], [0, 0], [10, 0], [20, 0], [30, 0])),
    writes: { vert: { 'f/kQ3ta/0/0.0.TzzzVVVVVU001': [1000, -10, 0], 'f/kQ3ta/0/0.0.U003VVVVVU001': [1000, 30, 0] } },
  }),
  given('two vertices more at an end make one run', {
    before: { feat: { f: line } },
    operation: change(lineOf([0, 0], [10, 0], [20, 0], [30, 0], [40, 0])),
    writes: { vert: { 'f/kQ3ta/0/0.0.U003VVVVVU001': [1000, 30, 0], 'f/kQ3ta/0/0.0.U003VVVVVU002': [1000, 40, 0] } },
  }),
  given("others' edits of other vertices stay", {
    before: { feat: { f: square }, vert: { 'f/other1/0/0.0.U001': [950, 9, 0] } },
    operation: change(
      polygon([
        [0, 0],
        [9, 0],
        [8, 8],
        [0, 9],
        [0, 0],
      ]),
    ),
    writes: { vert: { 'f/kQ3ta/0/0.0.U003': [1000, 0, 9] } },
  }),
  given('a ring more is a hole', {
    before: { feat: { f: decagon } },
    operation: change(polygon(ringOf(10), hole)),
    writes: { part: { 'f/kQ3ta/0/0.U000VVVVVU001': [1000, holePacked] } },
  }),
  given('a ring less is a hole removed', {
    before: { feat: { f: holed }, vert: { 'f/other1/0/0.1.U002': [950, 4, 5] } },
    operation: change(polygon(squareRing)),
    writes: { part: { 'f/kQ3ta/0/0.1': [1000] }, vert: { 'f/other1/0/0.1.U002': GONE } },
  }),
  given('a line more of several', {
    before: { feat: { f: lines } },
    operation: change({
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
        [
          [7, 7],
          [8, 8],
        ],
      ],
    }),
    writes: { part: { 'f/kQ3ta/0/U000VVVVVU001.0': [1000, hex('00010102 0e0e 0202')] } },
  }),
  given('a line less of several', {
    before: { feat: { f: lines } },
    operation: change({
      type: 'MultiLineString',
      coordinates: [
        [
          [5, 5],
          [6, 6],
        ],
      ],
    }),
    writes: { part: { 'f/kQ3ta/0/0.0': [1000] } },
  }),
  given('another kind is a replacement', {
    before: { feat: { f: square } },
    operation: change({ type: 'Point', coordinates: [1, 2] }),
    writes: { geom: { 'f/kQ3ta/VVVVVV': [1000, 1, hex('00010101 0204')] } },
  }),
  given('no geometry is a replacement', {
    before: { feat: { f: square } },
    operation: change(null),
    writes: { geom: { 'f/kQ3ta/VVVVVV': [1000, 0, null] } },
  }),
  given('a geometry where there was none is a replacement', {
    before: { feat: { f: nothing } },
    operation: change({ type: 'Point', coordinates: [1, 2] }),
    writes: { geom: { 'f/kQ3ta/VVVVVV': [1000, 1, hex('00010101 0204')] } },
  }),
  given('nine of ten vertices elsewhere are a replacement', {
    before: { feat: { f: decagon } },
    operation: change(polygon(ringOf(10).map(([x, y], i) => (i % 10 === 0 ? [x, y] : [x + 1, y + 1])))),
    writes: {
      geom: {
        'f/kQ3ta/VVVVVV': [1000, 3, hex('0001010a 0000 1602 1400 1400 1400 0050 1300 1300 1300 1300')],
      },
    },
  }),
];

/** The ring of the decagon. */
function ringOf() {
  return [
    [0, 0],
    [10, 0],
    [20, 0],
    [30, 0],
    [40, 0],
    [40, 40],
    [30, 40],
    [20, 40],
    [10, 40],
    [0, 40],
    [0, 0],
  ];
}
