import { expect, test } from 'vitest';
import { checkName, namePath, route } from './names.ts';

test.each(['demo', 'Fields 2026/north block', 'Žižkov', 'a'.repeat(200), '日本/地図', "o'brien & co."])(
  '%s is a map name',
  (name) => {
    expect(checkName(name)).toEqual({ ok: true, name });
    expect(route(`/m/${namePath(name)}`)).toEqual({ page: 'map', name });
  },
);

test.each([
  '',
  ' a',
  'a ',
  'a//b',
  '/a',
  'a/',
  'a/../b',
  '.',
  'a?b',
  'a#b',
  'a%b',
  'a\\b',
  'a\u0000b',
  'a\u0085b',
  'ž'.repeat(101),
  '\ud800',
])('%j is no map name, and the reason is given', (name) => {
  const check = checkName(name);
  expect(check.ok).toBe(false);
  if (!check.ok) expect(check.reason).toMatch(/\.$/);
});

test('names that look alike are one name', () => {
  expect(checkName('Z\u030cizkov')).toEqual({ ok: true, name: 'Žizkov' });
});

test('addresses lead to their pages', () => {
  expect(route('/')).toEqual({ page: 'home' });
  expect(route('/m/')).toEqual({ page: 'home' });
  expect(route('/m/a%20b/c')).toEqual({ page: 'map', name: 'a b/c' });
  expect(route('/m/%zz').page).toBe('invalid');
  expect(route('/elsewhere').page).toBe('invalid');
});
