import { expect, test } from 'vitest';
import { EventStream, LINE_LENGTH_MAX } from './eventStream.ts';

const STREAM = [
  'retry: 1500\n\nid: 3.a7-5\n\n',
  ': still here\n\n',
  'event: update\nid: 3.a7-6\ndata: {"seq":6}\n\n',
  'data: one\ndata: two\r\n\r\n',
].join('');

test('events come out alike however the text is cut', () => {
  for (let size = 1; size <= STREAM.length; size++) {
    const stream = new EventStream();
    const events = [];
    for (let at = 0; at < STREAM.length; at += size) events.push(...stream.push(STREAM.slice(at, at + size)));
    expect(events).toEqual([
      { name: 'update', data: '{"seq":6}' },
      { name: 'message', data: 'one\ntwo' },
    ]);
    expect(stream.lastId).toBe('3.a7-6');
  }
});

test('the place is known from an id without an event, and not before its block has ended', () => {
  const stream = new EventStream();
  stream.push('id: 3.a7-5\n');
  expect(stream.lastId).toBe(null);
  stream.push('\n');
  expect(stream.lastId).toBe('3.a7-5');
});

test('a line that never ends is given up', () => {
  const stream = new EventStream();
  expect(() => stream.push('x'.repeat(LINE_LENGTH_MAX + 1))).toThrow(RangeError);
});
