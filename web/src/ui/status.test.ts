import { expect, test } from 'vitest';
import type { ConnectionState } from '../provider/connection.ts';
import { statusText } from './status.ts';

const state = (part: Partial<ConnectionState>): ConnectionState => ({
  link: { kind: 'live' },
  unsaved: 0,
  acknowledges: true,
  ...part,
});

test('"saved" is said only of what the server has acknowledged', () => {
  expect(statusText(state({})).text).toBe('Saved');
  expect(statusText(state({ unsaved: 2 })).text).toBe('Saving…');
  expect(statusText(state({ acknowledges: false })).text).toBe('Synced');
});

test('offline says how many edits wait', () => {
  expect(statusText(state({ link: { kind: 'offline' }, unsaved: 1 })).text).toBe('Offline · 1 edit waiting');
  expect(statusText(state({ link: { kind: 'offline' } })).text).toBe('Offline');
});

test('a refusal gives the reason the server sent', () => {
  const link = { kind: 'refused', code: 4404, reason: 'map deleted on Monday' } as const;
  expect(statusText(state({ link })).detail).toContain('deleted on Monday');
  expect(statusText(state({ link: { ...link, reason: '' } })).detail).toContain('deleted');
});
