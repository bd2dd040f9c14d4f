import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import * as awarenessProtocol from 'y-protocols/awareness';
import * as Y from 'yjs';
import * as wire from './wire.ts';

const fixture = (name: string) =>
  new Uint8Array(readFileSync(new URL(`../../../tests/fixtures/wire/${name}.bin`, import.meta.url)));

test('the bytes that the server’s tests read are read here too', () => {
  expect(wire.readMessage(fixture('frame-auth-denied'))).toMatchObject({ kind: 'denied' });
  expect(wire.readMessage(fixture('frame-durable-ack'))).toMatchObject({ kind: 'stored' });
  expect(wire.readMessage(fixture('frame-keepalive'))).toEqual({ kind: 'awareness', update: new Uint8Array([0]) });
  expect(wire.readMessage(fixture('frame-awareness'))).toMatchObject({ kind: 'awareness' });
});

test('what is written is read back', () => {
  const bytes = new Uint8Array([1, 2, 3]);
  expect(wire.readMessage(wire.step1(bytes))).toEqual({ kind: 'step1', vector: bytes });
  expect(wire.readMessage(wire.step2(bytes))).toEqual({ kind: 'step2', update: bytes });
  expect(wire.readMessage(wire.update(bytes))).toEqual({ kind: 'update', update: bytes });
  expect(wire.readMessage(wire.askStored(300))).toEqual({ kind: 'stored', token: 300 });
});

test('bytes that are no message are none, cut anywhere', () => {
  const frame = wire.step2(new Uint8Array(200));
  for (let length = 0; length < frame.length; length++) expect(wire.readMessage(frame.subarray(0, length))).toBe(null);
  expect(wire.readMessage(new Uint8Array([99]))).toEqual({ kind: 'other' });
});

test('presence told by events is presence', () => {
  const awareness = new awarenessProtocol.Awareness(new Y.Doc());
  const state = { user: { name: 'Ann' } };
  awarenessProtocol.applyAwarenessUpdate(awareness, wire.awarenessOf([{ client: 7, clock: 2, state }]), 'test');
  expect(awareness.getStates().get(7)).toEqual(state);
  const gone = wire.awarenessOf([{ client: 7, clock: 3, state: null }]);
  awarenessProtocol.applyAwarenessUpdate(awareness, gone, 'test');
  expect(awareness.getStates().has(7)).toBe(false);
  awareness.destroy();
});
