import { expect, test } from 'vitest';
import { readList, readLook, readStanding, touchedText } from './kept.ts';

const point = (name: string) => ({
  type: 'Feature',
  geometry: { type: 'Point', coordinates: [8, 47] },
  properties: { name },
});
const kept = { id: 41, user: 'ana', arrived: '2026-11-21T18:04:11.250Z', summary: 'adds 1 feature', waits: false };
const nameOf = ({ properties }: { properties: ReadonlyMap<string, unknown> }) => `${properties.get('name') ?? ''}`;

test('an edit that waits says whose it is, since when, and what it would change', () => {
  const [read] = readList({ quarantine: [kept] });
  expect(read).toEqual({ ...kept, arrived: new Date('2026-11-21T18:04:11.250Z') });
});

test('what is not as it should be is left out and never thrown at the page', () => {
  for (const odd of [null, 7, [], {}, { quarantine: 1 }]) expect(readList(odd)).toEqual([]);
  expect(readList({ quarantine: [null, { id: '1' }, { id: 2 }] })).toMatchObject([{ id: 2, user: '', summary: '' }]);
  expect(readLook({ id: 1 })).toBe(null);
  expect(readLook({ id: 1, features: [null, { fid: 'a', what: [1], before: 3 }] })?.features).toEqual([
    { fid: 'a', what: [], before: null, after: null },
  ]);
  expect(readStanding('no')).toEqual({ role: '', quarantined: 0 });
});

test('what happens to a feature is said with its name, its kind, or its id', () => {
  const look = readLook({
    ...kept,
    features: [
      { fid: 'a', what: ['added'], before: null, after: point('Meadow') },
      { fid: 'b', what: ['deleted'], before: point(''), after: null },
      { fid: 'x', what: ['deleted'], before: null, after: null },
      { fid: 'c', what: ['geometry', 'properties'], before: point('Well'), after: point('Old well') },
    ],
  });
  expect(look?.features.map((touched) => touchedText(touched, nameOf))).toEqual([
    'adds Meadow',
    'deletes a point',
    'deletes x',
    'changes Old well (geometry, properties)',
  ]);
});
