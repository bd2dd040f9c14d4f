import { expect, test } from 'vitest';
import { Refusals } from './refusals.ts';

const edit = (reason: string, kept = false) =>
  ({ key: 'k', at: 1, bytes: 2, state: 'refused', onDevice: true, reason, kept }) as const;

test('who has edits in quarantine is told that they are safe, once', () => {
  const refusals = new Refusals();
  expect(refusals.news([edit('')])).toBe(null);
  expect(refusals.news([edit('kept for an owner', true)])).toContain('an owner of the map decides');
  expect(refusals.news([edit('kept for an owner', true), edit('kept for an owner', true)])).toBe(null);
});

test('another refusal is told with its reason', () => {
  const refusals = new Refusals();
  expect(refusals.news([edit('you may only look')])).toBe('The server refused an edit: you may only look');
  expect(refusals.news([edit('you may only look'), edit('too large')])).toBe('The server refused an edit: too large');
});
