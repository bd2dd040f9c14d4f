// What buggy and hostile programs leave in a document: keys without their fields, values of the wrong kind.

import { DELETED } from './javascript.mjs';

const ROOTS = ['geom', 'part', 'vert', 'prop', 'attr', 'gone', 'layer', 'text'];

/** A session that none of the replicas has: its entries may be anything. */
const SID = 'litter';

export function randomLitter(chance) {
  const fid = chance.pick(['f0', 'f1', 'f2', 'nothing']);
  if (chance.percent(10)) return ['feat', chance.pick(['bad0', 'bad1']), record(chance)];
  if (chance.percent(4)) return [chance.pick(['note', 'file', 'who', 'meta']), `x${chance.below(3)}`, value(chance)];
  const key = chance.percent(30)
    ? chance.pick(['', '/', 'x', 'f0/', `f0/${SID}`, `f0/${SID}/`, 'f0//k', '/x/y', `f0/${SID}/0/0.0.U000/x`])
    : `${fid}/${SID}/${target(chance)}`;
  return [chance.pick(ROOTS), key, chance.percent(8) ? DELETED : value(chance)];
}

function target(chance) {
  const vertex = chance.pick([
    'U001',
    'U0010',
    'U00100',
    'U000V',
    '0000',
    'zzzz1',
    '!',
    'z'.repeat(200),
    'z'.repeat(300),
    'U00é',
  ]);
  const segment = chance.pick([
    '0.0',
    '0.1',
    '0.U0010abcd',
    '00.0',
    '+0.0',
    '1.0',
    'Uabcd.0',
    '0.é',
    '7abcd.0',
    '-1.0',
  ]);
  const gen = chance.pick(['0', '0', '0', 'zz', 'abc123']);
  return chance.pick([
    `${gen}/${segment}.${vertex}`,
    `${gen}/${segment}`,
    gen,
    'name',
    'crop',
    'layer',
    'text',
    'km/h',
    'gone',
  ]);
}

function nested(levels) {
  let value = 1;
  for (let i = 0; i < levels; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

function value(chance) {
  const t = chance.pick([1, 900, 1000, 1030, 2 ** 31, Number.MAX_SAFE_INTEGER]);
  return chance.pick([
    null,
    undefined,
    1,
    'x',
    true,
    [],
    [t],
    [t, 1],
    [t, 1, 2],
    [t, 1, 2, 3],
    [t, 1, 2, 3, 4],
    [t, 'x'],
    [t, null],
    [t, undefined],
    [t, NaN],
    [t, Infinity],
    [t, -0, 1],
    [t, 3n],
    [BigInt(t), 5n, 6n],
    [t, 2 ** 60, 1],
    [-1, 1],
    [1.5, 1],
    ['t', 1],
    [NaN],
    [2 ** 53, 1],
    { a: 1 },
    [t, { 10: 1, 9: 2, é: null }],
    [t, JSON.parse('{"__proto__":{"x":1},"y":2}')],
    [t, JSON.parse('{"__proto__":5}')],
    [t, nested(14)],
    [t, nested(15)],
    [t, nested(16)],
    [t, nested(30)],
    [t, Uint8Array.of(1, 2)],
    [t, [Uint8Array.of(1)]],
    Uint8Array.of(1, 2, 3),
    // Packed segments: one vertex at [2,2]; of 4 decimals; cut; with bytes left; two segments; with heights; none at all; over-long number
    [t, Uint8Array.of(0, 1, 1, 1, 4, 4)],
    [t, Uint8Array.of(4, 1, 1, 3, 4, 4, 2, 2, 9, 9)],
    [t, Uint8Array.of(0, 1, 1, 9, 4, 4)],
    [t, Uint8Array.of(0, 1, 1, 1, 4, 4, 4)],
    [t, Uint8Array.of(0, 1, 2, 1, 1, 4, 4, 6, 6)],
    [t, Uint8Array.of(16, 1, 1, 1, 4, 4, 6)],
    [t, Uint8Array.of(0, 1, 1, 0)],
    [t, Uint8Array.of(0, 0)],
    [t, Uint8Array.of(14, 1, 1, 1, 4, 4)],
    [t, Uint8Array.of(0, 1, 1, 1, 0x84, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 4)],
    [t, 3, Uint8Array.of(250)],
    [t, 3, Uint8Array.of(0, 1, 1, 3, 0, 0, 2, 0, 0, 2)],
    [t, 3, [[[1, 2], 3]]],
    [
      t,
      3,
      [
        [
          [1, 2],
          [3, 4],
          [5, 6],
          [1, 2],
        ],
      ],
    ],
    [
      t,
      2,
      [
        [1, 2],
        [3, 4, 5],
      ],
    ],
    [t, 1, [1, 2]],
    [t, 1, [1n, 2n]],
    [t, 4, []],
    [t, 7, '{"type":"Point","coordinates":[1,2]}'],
    [t, 7, '[1]'],
    [t, 9, null],
    [t, 3.5, null],
    [t, 1e300, null],
  ]);
}

function record(chance) {
  return chance.pick([
    1,
    [],
    [1, 's', 3, null, '{}', ''],
    [1, 's', 1, [1, 2], 'notjson', 5],
    [1, 's', 3, Uint8Array.of(0), '[]', 'L'],
    [
      1,
      's',
      2,
      [
        [0, 0],
        [1, 1],
      ],
      '{"x":1e400}',
      '',
    ],
    [
      1,
      's',
      2,
      [
        [0, 0],
        [1, 1],
      ],
      '{"x":"\\ud800"}',
      '',
    ],
    [
      1,
      's',
      2,
      [
        [0, 0],
        [1, 1],
      ],
      '{"__proto__":1,"b":-0,"a":1e2}',
      'fields',
      'gen1',
      'id of it',
    ],
    [
      1,
      's',
      2,
      [
        [0, 0],
        [1, 1],
      ],
      `{"x":${'['.repeat(17)}${']'.repeat(17)}}`,
      '',
    ],
    [1, 's', 9, null, '{}', ''],
    [1n, 's', 1n, [1n, 2], '{}', '', '0', 7n],
    [1, 's', 1.5, null, '{}', ''],
    [-1, 's', 1, [1, 2], '{}', ''],
    [1, 's', 0, null, '{}', '', 7, NaN],
    { a: 1 },
  ]);
}
