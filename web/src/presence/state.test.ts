import { expect, test } from 'vitest';
import { readPresence } from './state.ts';

const user = { name: 'Ana', colour: '#1d4ed8' };

test('a full state reads as it was sent', () => {
  expect(readPresence(7, { user, cursor: [8.5, 47.3], view: [8, 47, 9, 48], selected: 'abc' })).toEqual({
    client: 7,
    person: user,
    cursor: [8.5, 47.3],
    view: [8, 47, 9, 48],
    selected: 'abc',
  });
});

test.each([null, 5, {}, { user: 'Ana' }, { user: { name: '' } }, { user: { name: 7 } }])('%j is nobody', (state) => {
  expect(readPresence(7, state)).toBeNull();
});

test('what is wrong in a state is left out', () => {
  expect(
    readPresence(7, {
      user: { name: `${'x'.repeat(99)}\u0000`, colour: 'url(//elsewhere)' },
      cursor: [200, 0],
      view: [1, 2, 3],
      selected: '../..',
    }),
  ).toEqual({
    client: 7,
    person: { name: 'x'.repeat(40), colour: '#0e7490' },
    cursor: null,
    view: null,
    selected: null,
  });
});
