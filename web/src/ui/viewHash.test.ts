import { expect, test } from 'vitest';
import { formatHash, parseHash } from './viewHash.ts';

test('a view comes back from its address', () => {
  const view = { zoom: 7.25, lonLat: [-8.5, 47.12345] as [number, number] };
  expect(parseHash(formatHash(view))).toEqual(view);
});

test.each(['', '#', '#map', '#7/91/0', '#7/0/181', '#7/0', '#NaN/0/0', '#7/1e3/0'])('%j is no view', (hash) => {
  expect(parseHash(hash)).toBeNull();
});
