import { expect, test } from 'vitest';
import type { Counts } from '../provider/editLog.ts';
import type { ConnectionState } from '../session/session.ts';
import { statusText } from './status.ts';

const live = { kind: 'live', over: 'ws', reason: '' } as const;
const offline = { kind: 'offline', reason: 'no server' } as const;

const state = (link: ConnectionState['link'], edits: Partial<Counts> = {}): ConnectionState => ({
  link,
  edits: { unsaved: 0, memory: 0, device: 0, sent: 0, refused: 0, kept: 0, ...edits },
  device: { kind: 'ok' },
});

test('"saved" is said only when nothing waits for the server’s disk', () => {
  expect(statusText(state(live)).text).toBe('Saved');
  expect(statusText(state(live, { unsaved: 2, sent: 2 })).text).toBe('Saving…');
  expect(statusText(state(live, { unsaved: 1, refused: 1 })).text).toBe('1 edit refused');
});

test('edits that wait for an owner are told apart from those that are refused', () => {
  const waiting = statusText(state(live, { unsaved: 2, refused: 2, kept: 2 }));
  expect(waiting).toMatchObject({ tone: 'busy', text: '2 edits for an owner' });
  expect(waiting.detail).toContain('safe with the server');
  expect(statusText(state(live, { unsaved: 2, refused: 2, kept: 1 })).text).toBe('2 edits refused');
});

test('offline says how many edits wait, and whether they survive this page', () => {
  expect(statusText(state(offline, { unsaved: 1, device: 1 })).text).toBe('Offline · 1 edit on this device');
  const failed = { ...state(offline, { unsaved: 2, memory: 2 }), device: { kind: 'failed', reason: 'full' } } as const;
  expect(statusText(failed).text).toBe('Offline · 2 edits in this page only');
  expect(statusText(failed).detail).toContain('full');
  expect(statusText(state(offline)).text).toBe('Offline');
});

test('without a socket the reason is told', () => {
  const http = { kind: 'live', over: 'http', reason: 'no socket can be opened' } as const;
  expect(statusText(state(http))).toMatchObject({ text: 'Saved', tone: 'good' });
  expect(statusText(state(http)).detail).toContain('no socket can be opened');
});

test('loading says how far it has come where that is known', () => {
  const loading = { kind: 'loading', receivedBytes: 5, totalBytes: 20 } as const;
  expect(statusText(state(loading)).text).toBe('Loading… 25 %');
  expect(statusText(state({ ...loading, totalBytes: null })).text).toBe('Loading…');
});

test('a refusal gives the reason the server sent', () => {
  const link = { kind: 'closed', code: 4404, reason: 'map deleted on Monday' } as const;
  expect(statusText(state(link)).detail).toContain('deleted on Monday');
  expect(statusText(state({ ...link, reason: '' })).detail).toContain('deleted');
});
