import { expect, test } from 'vitest';
import { Backoff } from './backoff.ts';

test('waits grow to a bound, are never shorter than the least, and begin anew after a reset', () => {
  const longest = new Backoff({ minMs: 1_000, maxMs: 30_000 }, () => 1);
  expect(Array.from({ length: 7 }, () => longest.next())).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  const shortest = new Backoff({ minMs: 1_000, maxMs: 30_000 }, () => 0);
  expect(Array.from({ length: 4 }, () => shortest.next())).toEqual([1_000, 1_000, 2_000, 4_000]);
  longest.reset();
  expect(longest.next()).toBe(1_000);
});
