// Maps that a stock Yjs client can write and no sensible program would.

import * as Y from 'yjs';

const ROOTS = ['feat', 'geom', 'part', 'vert', 'prop', 'attr', 'gone', 'layer', 'text', 'note', 'file', 'who', 'meta'];
const MEGABYTE = 2 ** 20;
/** The room refuses deeper ones; readers must survive what reaches them by other ways. */
const NESTED_TYPES = 60;
const NESTED_VALUES = 60;

const point = [1000, 'maker', 1, [1, 2], '{"name":"tap"}', ''];
const square = [
  1000,
  'maker',
  3,
  [
    [
      [0, 0],
      [8, 0],
      [8, 8],
      [0, 8],
      [0, 0],
    ],
  ],
  '{}',
  '',
];

/** Key shapes per root: what should be there, and what should not. */
const KEYS = {
  feat: ['f', 'f/g', '', '/', 'é'],
  geom: ['f/liar1/gen1', 'f/liar1', 'f/liar1/a/b', 'nothing/liar1/gen1'],
  part: ['f/liar1/0/0.0', 'f/liar1/0/0.U000abcdeU001', 'f/liar1/0/0', 'f/liar1/0/00.0', 'nothing/liar1/0/0.0'],
  vert: ['f/liar1/0/0.0.U000', 'f/liar1/0/0.0.U0000', 'f/liar1/0/9.9.U000', 'f/liar1/0', 'nothing/liar1/0/0.0.U000'],
  prop: ['f/liar1/name', 'f/liar1/__proto__', 'f/liar1/constructor', 'f/liar1/', 'f//name', 'nothing/liar1/name'],
  attr: ['f/liar1/layer', 'f/liar1/from', 'f/liar1/into', 'f/liar1/members', 'f/liar1/text', 'f/liar1'],
  gone: ['f/liar1', 'f/liar1/x', 'f', 'nothing/liar1'],
  layer: ['roads/liar1/name', 'roads/liar1/gone', 'roads', '__proto__/liar1/name', 'empty/liar1/name'],
  text: ['f/liar1/remark', 'f/liar2/remark', 'f/liar1', 'nothing/liar1/remark'],
  note: ['n1', ''],
  file: ['a1', ''],
  who: ['liar1', ''],
  meta: ['title', 'format', 'version'],
};

const nested = (levels, wrap) => {
  let value = 1;
  for (let i = 0; i < levels; i++) value = wrap(value);
  return value;
};

/** Values of every kind that Yjs can store under a key; functions make shared types, which may be set only once. */
const VALUES = {
  null: null,
  undefined: undefined,
  true: true,
  'a number': 7,
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  '-0': -0,
  'a bigint': 12345678901234567n,
  'a string': 'x',
  'an empty string': '',
  bytes: Uint8Array.of(1, 2, 3),
  'an object': { t: 1 },
  'an empty array': [],
  'a time alone': [1000],
  'a time that is none': [1.5, 1],
  'a time of NaN': [Number.NaN, 1],
  'a negative time': [-1, 1],
  'the greatest time': [Number.MAX_SAFE_INTEGER, 1],
  'a time beyond': [2 ** 53, 1],
  'a bigint time': [1000n, 1n, 2n],
  'a time and NaN': [1000, Number.NaN],
  'a time and two NaN': [1000, Number.NaN, Number.NaN],
  'a time and undefined': [1000, undefined],
  'a time and an object with a prototype': [1000, JSON.parse('{"__proto__":{"a":1},"constructor":2,"toString":3}')],
  'a time and bytes': [1000, Uint8Array.of(0, 1, 1, 1, 4, 4)],
  'a time, a kind and bytes': [1000, 3, Uint8Array.of(0, 255, 255, 255, 127)],
  'a time, a kind and numbers': [
    1000,
    3,
    [
      [
        [0, 0],
        [1, 0],
        [1, 1e308],
      ],
    ],
  ],
  'a time, a kind and NaN': [1000, 1, [Number.NaN, 1]],
  'a time, a text and a text': [1000, 'a', 'b'],
  'a time and values 16 levels deep': [1000, nested(15, (x) => [x])],
  'a time and values 17 levels deep': [1000, nested(16, (x) => [x])],
  'a time and objects as deep as the door allows': [1000, nested(NESTED_VALUES, (x) => ({ a: x }))],
  'many items': [1000, ...Array.from({ length: 1000 }, (_, i) => i)],
  'a record': point,
  'a record of kind NaN': [1000, 's', Number.NaN, null, '{}', ''],
  'a record of kind 1e300': [1000, 's', 1e300, null, '{}', ''],
  'a record whose properties overflow': [1000, 's', 0, null, '{"a":1e999}', ''],
  'a map': () => new Y.Map([['a', 1]]),
  'an array of types': () => Y.Array.from([1, new Y.Map()]),
  'a text': () => new Y.Text('typed'),
  'an empty text': () => new Y.Text(),
  'a formatted text': () => {
    const text = new Y.Text();
    text.applyDelta([{ insert: 'bold', attributes: { bold: true } }, { insert: { image: 'x' } }, { insert: ' end' }]);
    return text;
  },
  'an XML text': () => new Y.XmlText('xml'),
  'an XML element': () => new Y.XmlElement('b'),
  'types in types': () => nestedTypes(NESTED_TYPES),
};

function nestedTypes(levels) {
  const top = new Y.Array();
  let inner = top;
  for (let i = 0; i < levels; i++) {
    const next = new Y.Array();
    inner.push([next]);
    inner = next;
  }
  return top;
}

/** A document with a good feature `f` and these entries. */
function documentWith(entries) {
  const doc = new Y.Doc();
  doc.clientID = 7;
  doc.getMap('feat').set('f', square);
  doc.transact(() => {
    for (const [root, key, value] of entries) doc.getMap(root).set(key, typeof value === 'function' ? value() : value);
  });
  return doc;
}

/** Name → document. Every value under every kind of key, and some larger mischief. */
export function* hostileDocuments() {
  for (const [what, value] of Object.entries(VALUES)) {
    yield [
      `${what} under every key`,
      documentWith(ROOTS.flatMap((root) => KEYS[root].map((key) => [root, key, value]))),
    ];
  }
  for (const root of ROOTS) {
    const entries = Object.values(VALUES).flatMap((value, i) =>
      KEYS[root].map((key) => [root, `${key}${i % 2 ? i : ''}`, value]),
    );
    yield [`every value in ${root}`, documentWith(entries)];
  }
  yield ['features that come from and go into each other', cycles()];
  yield [
    'features in layers in features',
    documentWith([
      ['attr', 'f/liar1/layer', [1000, 'f']],
      ['layer', 'f/liar1/name', [1000, 'f']],
    ]),
  ];
  yield [
    'a note that answers itself',
    documentWith([
      ['note', 'n1', [1000, 'liar1', 'x', 'f', 'n1', [Number.NaN, 1]]],
      ['note', 'n2', [1000, 'liar1', 'x', 'n3', 'n2', 'here']],
    ]),
  ];
  yield ['strings of ten megabytes', longStrings()];
  yield ['a thousand sessions that disagree', crowd()];
  yield ['a geometry of many tiny parts', documentWith([['geom', 'f/liar1/gen1', [1000, 6, manyParts(50_000)]]])];
  yield ['a vertex overlaid at every base-62 place', documentWith(overlaid(5000))];
  yield ['roots of other types', otherRoots()];
  yield ['everything deleted again', deleted()];
}

function cycles() {
  const entries = [];
  for (let i = 0; i < 50; i++) {
    entries.push(['feat', `c${i}`, point]);
    entries.push(['attr', `c${i}/liar1/from`, [1000, `c${(i + 1) % 50}`]]);
    entries.push(['attr', `c${i}/liar1/into`, [1000, `c${i}`]]);
    entries.push(['gone', `c${i}/liar1`, [1000, 2000]]);
  }
  return documentWith(entries);
}

function longStrings() {
  const long = 'ab'.repeat(5 * MEGABYTE);
  return documentWith([
    ['prop', 'f/liar1/long', [1000, long]],
    ['prop', `f/liar1/${long.slice(0, MEGABYTE)}`, [1000, 1]],
    ['feat', 'g', [1000, 's', 7, `{"type":"Point","coordinates":[1,2],"a":"${long}"}`, `{"a":"${long}"}`, long]],
    ['text', 'f/liar1/remark', () => new Y.Text(long)],
    ['vert', `f/liar1/0/0.0.${'z'.repeat(MEGABYTE)}`, [1000, 1, 2]],
    ['meta', 'title', long],
  ]);
}

function crowd() {
  const entries = [];
  for (let i = 0; i < 1000; i++) {
    const sid = `crowd${i}`;
    entries.push(['prop', `f/${sid}/name`, [1000 + (i % 7), i]], ['vert', `f/${sid}/0/0.0.U000`, [1000, i % 90, 0]]);
    entries.push(['geom', `f/${sid}/gen${i % 10}`, [500, 1, [1, 1]]], ['gone', `f/${sid}`, [1000, i]]);
  }
  return documentWith(entries);
}

/** One ring without vertices per part. */
function manyParts(count) {
  const varuint = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...varuint(Math.floor(n / 128))]);
  return Uint8Array.from([0, ...varuint(count), ...Array.from({ length: count }, () => [1, 0]).flat()]);
}

function overlaid(count) {
  const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
  return Array.from({ length: count }, (_, i) => {
    const tail = `${digits[i % 62]}${digits[Math.floor(i / 62) % 62]}${digits[1 + (Math.floor(i / 3844) % 61)]}`;
    return ['vert', `f/liar1/0/0.0.U000${tail}`, i % 3 === 0 ? [1000] : [1000, i % 90, i % 45, i]];
  });
}

/** What a client gets who takes a root for an array or a text. */
function otherRoots() {
  const doc = new Y.Doc();
  doc.clientID = 7;
  doc.getArray('prop').push([[1000, 1], 'x']);
  doc.getText('vert').insert(0, 'not a map');
  doc.getXmlFragment('geom').insert(0, [new Y.XmlElement('b')]);
  const whole = new Y.Doc();
  Y.applyUpdate(whole, Y.encodeStateAsUpdate(doc));
  Y.applyUpdate(whole, Y.encodeStateAsUpdate(documentWith([['layer', 'roads/liar1/name', [1000, 'Roads']]])));
  return whole;
}

function deleted() {
  const doc = documentWith(ROOTS.flatMap((root) => KEYS[root].map((key) => [root, key, [1000, 1]])));
  doc.transact(() => {
    for (const root of ROOTS) for (const key of [...doc.getMap(root).keys()]) doc.getMap(root).delete(key);
  });
  return doc;
}
