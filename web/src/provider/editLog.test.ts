import { expect, test } from 'vitest';
import { EditLog } from './editLog.ts';

const edit = (key: string) => ({ key, at: 1, update: new Uint8Array([0, 0]) });
const states = (log: EditLog) => log.pending().map(({ key, state }) => `${key} ${state}`);

test('an edit goes from this page to the device, to the server, to its disk', () => {
  const log = new EditLog();
  log.add(edit('a'), false);
  expect(states(log)).toEqual(['a memory']);
  log.onDevice(['a'], true);
  expect(states(log)).toEqual(['a device']);
  log.sent(log.newest);
  expect(states(log)).toEqual(['a sent']);
  expect(log.storedUpto(1).map(({ key }) => key)).toEqual(['a']);
  expect(log.counts()).toEqual({ unsaved: 0, memory: 0, device: 0, sent: 0, refused: 0, kept: 0 });
});

test('what the server says of one number holds for all before it and for none behind', () => {
  const log = new EditLog();
  for (const key of ['a', 'b', 'c']) log.add(edit(key), true);
  log.sent(2);
  log.storedUpto(2);
  expect(states(log)).toEqual(['c device']);
});

test('an edit that is known is not taken in twice, but may be on the device by now', () => {
  const log = new EditLog();
  log.add(edit('a'), false);
  expect(log.add(edit('a'), true)).toBe(null);
  expect(states(log)).toEqual(['a device']);
});

test('what was sent on a way that is lost is unsent', () => {
  const log = new EditLog();
  log.add(edit('a'), true);
  log.sent(1);
  log.unsend();
  expect(states(log)).toEqual(['a device']);
});

test('a refused edit says why and stays until somebody asks again', () => {
  const log = new EditLog();
  log.add(edit('a'), true);
  log.add(edit('b'), true);
  log.refuse('a', 'you may only look');
  expect(log.pending()[0]).toMatchObject({ state: 'refused', reason: 'you may only look', onDevice: true });
  expect(log.counts()).toMatchObject({ unsaved: 2, refused: 1, device: 1 });
  log.refuse('b', 'an owner decides', true);
  expect(log.counts()).toMatchObject({ refused: 2, kept: 1 });
  expect(log.pending().map(({ kept }) => kept)).toEqual([false, true]);
  log.forgive();
  expect(log.counts()).toMatchObject({ refused: 0, kept: 0 });
  expect(states(log)).toEqual(['a device', 'b device']);
});
