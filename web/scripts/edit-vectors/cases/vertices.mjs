// Vertices: move, insert, remove.

import { GONE, given, hex, high, holed, line, nothing, point, refused, square } from '../notation.mjs';

const move = (...moves) => ({
  op: 'move_vertices',
  fid: 'f',
  moves: moves.map(([segment, vertex, position]) => ({ segment, vertex, position })),
});
const insert = (after, before, position, segment = '0.0') => ({
  op: 'insert_vertex',
  fid: 'f',
  segment,
  after,
  before,
  position,
});
const remove = (...vertices) => ({
  op: 'remove_vertices',
  fid: 'f',
  vertices: vertices.map(([segment, vertex]) => ({ segment, vertex })),
});

export const vertices = [
  given('a point moves', {
    before: { feat: { f: point } },
    operation: move(['0.0', 'U000', [1.5, -2]]),
    writes: { vert: { 'f/kQ3ta/0/0.0.U000': [1000, 1.5, -2] } },
  }),
  given('two vertices of a ring move at once', {
    before: { feat: { f: square } },
    operation: move(['0.0', 'U001', [9, 0]], ['0.0', 'U003', [0, 9]]),
    writes: { vert: { 'f/kQ3ta/0/0.0.U001': [1000, 9, 0], 'f/kQ3ta/0/0.0.U003': [1000, 0, 9] } },
  }),
  given('a move takes the place of all entries it has seen and is later than each', {
    before: {
      feat: { f: square },
      vert: {
        'f/other1/0/0.0.U001': [1500, 9, 1],
        'f/kQ3ta/0/0.0.U001': [1400, 9, 2],
        'f/other1/0/0.0.U002': [1700, 9, 9],
      },
    },
    operation: move(['0.0', 'U001', [9, 3]]),
    writes: { vert: { 'f/other1/0/0.0.U001': GONE, 'f/kQ3ta/0/0.0.U001': [1501, 9, 3] } },
  }),
  given('a malformed entry of the target goes too, and its time counts for nothing', {
    before: { feat: { f: square }, vert: { 'f/other1/0/0.0.U001': [5000, 'x', 1] } },
    operation: move(['0.0', 'U001', [9, 3]]),
    writes: { vert: { 'f/other1/0/0.0.U001': GONE, 'f/kQ3ta/0/0.0.U001': [1000, 9, 3] } },
  }),
  given('a time cannot grow beyond 2^53 - 1', {
    before: { feat: { f: square }, vert: { 'f/other1/0/0.0.U001': [9007199254740991, 9, 1] } },
    operation: move(['0.0', 'U001', [9, 3]]),
    writes: { vert: { 'f/other1/0/0.0.U001': GONE, 'f/kQ3ta/0/0.0.U001': [9007199254740991, 9, 3] } },
  }),
  given('vertices of a replaced geometry are named by its generation', {
    before: { feat: { f: square }, geom: { 'f/other1/abc123': [950, 1, hex('00010101 0204')] } },
    operation: move(['0.0', 'U000', [7, 7]]),
    writes: { vert: { 'f/kQ3ta/abc123/0.0.U000': [1000, 7, 7] } },
  }),
  given('a vertex of an added hole moves', {
    before: { feat: { f: square }, part: { 'f/other1/0/0.U000abcdeU001': [950, hex('00010103 0404 0400 0004')] } },
    operation: move(['0.U000abcdeU001', 'U002', [5, 5]]),
    writes: { vert: { 'f/kQ3ta/0/0.U000abcdeU001.U002': [1000, 5, 5] } },
  }),
  given('a place given without height keeps the present height', {
    before: { feat: { f: high }, vert: { 'f/other1/0/0.0.U002': [950, 21, 1, 33] } },
    operation: move(['0.0', 'U001', [10, 1]], ['0.0', 'U002', [20, 1]]),
    writes: {
      vert: {
        'f/kQ3ta/0/0.0.U001': [1000, 10, 1, 2],
        'f/other1/0/0.0.U002': GONE,
        'f/kQ3ta/0/0.0.U002': [1000, 20, 1, 33],
      },
    },
  }),
  given('a height that the geometry does not have is dropped', {
    before: { feat: { f: line } },
    operation: move(['0.0', 'U001', [10, 1, 99]]),
    writes: { vert: { 'f/kQ3ta/0/0.0.U001': [1000, 10, 1] } },
  }),
  refused('unknown_feature', 'moving a vertex of nothing', { operation: move(['0.0', 'U000', [1, 1]]) }),
  refused('unknown_feature', 'moving a vertex of a deleted feature', {
    before: { feat: { f: point }, gone: { 'f/other1': [950, 0] } },
    operation: move(['0.0', 'U000', [1, 1]]),
  }),
  given('a contested feature can be edited', {
    before: { feat: { f: point }, prop: { 'f/other1/a': [960, 1] }, gone: { 'f/other2': [950, 0] } },
    operation: move(['0.0', 'U000', [1, 1]]),
    writes: { vert: { 'f/kQ3ta/0/0.0.U000': [1000, 1, 1] } },
  }),
  refused('unknown_segment', 'moving a vertex of a ring that was removed', {
    before: { feat: { f: holed }, part: { 'f/other1/0/0.1': [950] } },
    operation: move(['0.1', 'U000', [1, 1]]),
  }),
  refused('unknown_segment', 'moving a vertex where there is no geometry', {
    before: { feat: { f: nothing } },
    operation: move(['0.0', 'U000', [1, 1]]),
  }),
  refused('unknown_vertex', 'moving a vertex that was removed', {
    before: { feat: { f: square }, vert: { 'f/other1/0/0.0.U001': [950] } },
    operation: move(['0.0', 'U001', [1, 1]]),
  }),
  refused('bad_position', 'moving beyond the pole', {
    before: { feat: { f: point } },
    operation: move(['0.0', 'U000', [1, 90.5]]),
  }),
  refused('bad_position', 'a position of one number', {
    before: { feat: { f: point } },
    operation: move(['0.0', 'U000', [1]]),
  }),

  // Between U000 and U001 there are 62^7 places of 11 digits; the middle is 31 · 62^6, and 31 is V.
  given('a vertex in the middle of an edge', {
    before: { feat: { f: square } },
    operation: insert('U000', 'U001', [4, 0]),
    writes: { vert: { 'f/kQ3ta/0/0.0.U000V': [1000, 4, 0] } },
    result: { key: 'U000V' },
  }),
  // A quarter is 15.5 · 62^6: F, then half of 62.
  given('a vertex a quarter along the edge, beside which it lies', {
    before: { feat: { f: square } },
    operation: insert('U000', 'U001', [2, 1]),
    writes: { vert: { 'f/kQ3ta/0/0.0.U000FV': [1000, 2, 1] } },
    result: { key: 'U000FV' },
  }),
  // f is clamped to 63/64: z1w7kV0 of 62^7.
  given('a vertex beyond the end of the edge keeps its distance from the neighbour', {
    before: { feat: { f: square } },
    operation: insert('U000', 'U001', [20, 1]),
    writes: { vert: { 'f/kQ3ta/0/0.0.U000z1w7kV': [1000, 20, 1] } },
    result: { key: 'U000z1w7kV' },
  }),
  // floor(0.25 · 62^7 / 1024) = 859769190, to base 62 wBVF0, is added to V000000; the last 0 goes.
  given('a random number shifts a key by at most a 2048th of the gap', {
    before: { feat: { f: square } },
    random: [0.75],
    operation: insert('U000', 'U001', [4, 0]),
    writes: { vert: { 'f/kQ3ta/0/0.0.U000V0wBVF': [1000, 4, 0] } },
    result: { key: 'U000V0wBVF' },
  }),
  // From U000V000000 to U0010000000 there are 31 · 62^6 places; half is 15.5 · 62^6: 31 + 15 is k, then V.
  given('a vertex between an inserted one and the next', {
    before: { feat: { f: square }, vert: { 'f/other1/0/0.0.U000V': [950, 4, 0] } },
    operation: insert('U000V', 'U001', [6, 0]),
    writes: { vert: { 'f/kQ3ta/0/0.0.U000kV': [1000, 6, 0] } },
    result: { key: 'U000kV' },
  }),
  given('between coinciding neighbours a vertex goes to the middle', {
    before: { feat: { f: square }, vert: { 'f/other1/0/0.0.U001': [950, 0, 0] } },
    operation: insert('U000', 'U001', [7, 0]),
    writes: { vert: { 'f/kQ3ta/0/0.0.U000V': [1000, 7, 0] } },
    result: { key: 'U000V' },
  }),
  given('the closing edge of a ring goes from the last key to the next slot', {
    before: { feat: { f: square } },
    operation: insert('U003', 'U000', [0, 4]),
    writes: { vert: { 'f/kQ3ta/0/0.0.U003V': [1000, 0, 4] } },
    result: { key: 'U003V' },
  }),
  given('after the last vertex of a ring comes its closing edge', {
    before: { feat: { f: square } },
    operation: insert('U003', null, [0, 6]),
    // A quarter of the way from [0,8] to [0,0].
    writes: { vert: { 'f/kQ3ta/0/0.0.U003FV': [1000, 0, 6] } },
    result: { key: 'U003FV' },
  }),
  given('before the first vertex of a ring lies its closing edge', {
    before: { feat: { f: square } },
    operation: insert(null, 'U000', [0, 4]),
    writes: { vert: { 'f/kQ3ta/0/0.0.U003V': [1000, 0, 4] } },
    result: { key: 'U003V' },
  }),
  given('with one neighbour the other is the next one', {
    before: { feat: { f: square } },
    operation: insert('U001', null, [8, 4]),
    writes: { vert: { 'f/kQ3ta/0/0.0.U001V': [1000, 8, 4] } },
    result: { key: 'U001V' },
  }),
  given('a line grows at its end by a slot of random digits', {
    before: { feat: { f: line } },
    operation: insert('U002', null, [30, 0]),
    writes: { vert: { 'f/kQ3ta/0/0.0.U003VVVVVU001': [1000, 30, 0] } },
    result: { key: 'U003VVVVVU001' },
  }),
  given('a line grows at its beginning', {
    before: { feat: { f: line } },
    random: [0, 0.25, 0.5, 0.75, 0.99],
    operation: insert(null, 'U000', [-10, 0]),
    // 0, 15, 31, 46, 61
    writes: { vert: { 'f/kQ3ta/0/0.0.Tzzz0FVkzU001': [1000, -10, 0] } },
    result: { key: 'Tzzz0FVkzU001' },
  }),
  given("another session's run is not continued", {
    before: { feat: { f: line }, vert: { 'f/other1/0/0.0.U003abcdeU001': [950, 30, 0] } },
    operation: insert('U003abcdeU001', null, [40, 0]),
    writes: { vert: { 'f/kQ3ta/0/0.0.U004VVVVVU001': [1000, 40, 0] } },
    result: { key: 'U004VVVVVU001' },
  }),
  given('without neighbours a vertex comes last', {
    before: { feat: { f: line } },
    operation: insert(null, null, [30, 0]),
    writes: { vert: { 'f/kQ3ta/0/0.0.U003VVVVVU001': [1000, 30, 0] } },
    result: { key: 'U003VVVVVU001' },
  }),
  given('a segment without vertices starts anew', {
    before: {
      feat: { f: line },
      vert: { 'f/other1/0/0.0.U000': [950], 'f/other1/0/0.0.U001': [950], 'f/other1/0/0.0.U002': [950] },
    },
    operation: insert(null, null, [1, 1]),
    writes: { vert: { 'f/kQ3ta/0/0.0.U000VVVVVU001': [1000, 1, 1] } },
    result: { key: 'U000VVVVVU001' },
  }),
  given('a vertex inserted without height into a geometry with heights', {
    before: { feat: { f: high } },
    operation: insert('U000', 'U001', [5, 0]),
    writes: { vert: { 'f/kQ3ta/0/0.0.U000V': [1000, 5, 0] } },
    result: { key: 'U000V' },
  }),
  refused('unknown_vertex', 'inserting beside a vertex that never was', {
    before: { feat: { f: square } },
    operation: insert('U000', 'U009', [4, 0]),
  }),
  refused('unknown_vertex', 'inserting backwards', {
    before: { feat: { f: square } },
    operation: insert('U002', 'U001', [8, 4]),
  }),
  refused('bad_geometry', 'inserting into a point', {
    before: { feat: { f: point } },
    operation: insert('U000', null, [8, 4]),
  }),
  refused('unknown_segment', 'inserting into a hole that is not there', {
    before: { feat: { f: square } },
    operation: insert('U000', 'U001', [8, 4], '0.1'),
  }),
  refused('bad_position', 'inserting at no position', {
    before: { feat: { f: line } },
    operation: insert('U000', 'U001', [1, 2, 3, 4]),
  }),

  given('vertices of the base and inserted ones are removed by an empty entry', {
    before: { feat: { f: square }, vert: { 'f/other1/0/0.0.U000V': [1200, 4, 0] } },
    operation: remove(['0.0', 'U002'], ['0.0', 'U000V']),
    writes: { vert: { 'f/kQ3ta/0/0.0.U002': [1000], 'f/other1/0/0.0.U000V': GONE, 'f/kQ3ta/0/0.0.U000V': [1201] } },
  }),
  refused('bad_geometry', "removing a point's only vertex", {
    before: { feat: { f: point } },
    operation: remove(['0.0', 'U000']),
  }),
  refused('unknown_vertex', 'removing what was removed', {
    before: { feat: { f: square }, vert: { 'f/kQ3ta/0/0.0.U002': [950] } },
    operation: remove(['0.0', 'U002']),
  }),
];
