import { expect, test } from 'vitest';
import { pack, unpack } from './pack.ts';
import { type Shape, shapeOfCoordinates } from './shape.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

test('the example of the specification packs to its bytes', () => {
  const ring = [
    [8.5, 47.3],
    [8.6, 47.3],
    [8.6, 47.4],
    [8.5, 47.3],
  ];
  const shape = shapeOfCoordinates(3, [ring]);
  expect(shape && hex(pack(shape))).toBe('01010103aa01b20702000002');
});

test('whatever is packed comes back exactly', () => {
  const random = generator(20261121);
  for (let round = 0; round < 500; round++) {
    const dims = random() < 0.5 ? 2 : 3;
    const decimals = Math.floor(random() * 16);
    const number = () => {
      const x = (random() - 0.5) * 360;
      return decimals > 13 ? x : Number(x.toFixed(decimals));
    };
    const segment = () => Array.from({ length: Math.floor(random() * 6) * dims }, number);
    const part = () => Array.from({ length: Math.floor(random() * 4) }, segment);
    const shape: Shape = { dims, parts: Array.from({ length: Math.floor(random() * 4) }, part) };
    expect(unpack(pack(shape))).toEqual({ ok: true, shape });
  }
});

test.each([
  ['nothing', ''],
  ['a header of a later version', '2101010100'],
  ['decimals 14', '0e01010100'],
  ['a cut vertex', '0101010104'],
  ['bytes left over', '010101010a0a0a'],
  ['a part count beyond its bytes', '01ffffffff0f'],
  ['a segment count beyond its bytes', '0101ffffffff0f'],
  ['a vertex count beyond its bytes', '010101ffffffffffff0f0a'],
  ['an endless number', '01010101ffffffffffffffffff0a'],
  ['a coordinate over 2^51', '00010101ffffffffffffff0f00'],
  ['a double that is no number', '0f010101000000000000f87f0000000000000000'],
])('%s is refused', (_, bytes) => {
  expect(unpack(Uint8Array.from(Buffer.from(bytes, 'hex'))).ok).toBe(false);
});

test('no bytes make it throw', () => {
  const random = generator(7);
  for (let round = 0; round < 20_000; round++) {
    const bytes = Uint8Array.from({ length: Math.floor(random() * 24) }, () => Math.floor(random() * 256));
    if (bytes.length > 3 && random() < 0.7) bytes.set([1, 1, 1], 0);
    unpack(bytes);
  }
});

/** A small seeded generator (mulberry32), so that a failure repeats. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
