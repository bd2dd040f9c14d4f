// The frames of `/ws/{map}` as the server sends and takes them (docs/protocol.md). Pure.

import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';

export type ServerMessage =
  /** What the server has: it wants the rest. */
  | { kind: 'step1'; vector: Uint8Array }
  /** The answer to our own question. */
  | { kind: 'step2'; update: Uint8Array }
  | { kind: 'update'; update: Uint8Array }
  | { kind: 'awareness'; update: Uint8Array }
  /** An edit was refused; said once a connection. */
  | { kind: 'denied'; reason: string }
  /** Everything up to this token of ours is on the server's disk. */
  | { kind: 'stored'; token: number }
  | { kind: 'other' };

const SYNC = 0;
const AWARENESS = 1;
const AUTH = 2;
const DURABLE_ACK = 102;
const DENIED = 0;

/** The message of a frame; null for bytes that are none. The server sends one a frame. */
export function readMessage(frame: Uint8Array): ServerMessage | null {
  try {
    const decoder = decoding.createDecoder(frame);
    switch (decoding.readVarUint(decoder)) {
      case SYNC:
        return readSync(decoder);
      case AWARENESS:
        return { kind: 'awareness', update: decoding.readVarUint8Array(decoder) };
      case AUTH:
        return decoding.readVarUint(decoder) === DENIED
          ? { kind: 'denied', reason: decoding.readVarString(decoder) }
          : { kind: 'other' };
      case DURABLE_ACK: {
        const token = decoding.createDecoder(decoding.readVarUint8Array(decoder));
        return { kind: 'stored', token: decoding.readVarUint(token) };
      }
      default:
        return { kind: 'other' };
    }
  } catch {
    return null;
  }
}

function readSync(decoder: decoding.Decoder): ServerMessage {
  const kind = decoding.readVarUint(decoder);
  const body = decoding.readVarUint8Array(decoder);
  if (kind === 0) return { kind: 'step1', vector: body };
  if (kind === 1) return { kind: 'step2', update: body };
  return kind === 2 ? { kind: 'update', update: body } : { kind: 'other' };
}

export const step1 = (vector: Uint8Array): Frame => frame([SYNC, 0], vector);
export const step2 = (update: Uint8Array): Frame => frame([SYNC, 1], update);
export const update = (update: Uint8Array): Frame => frame([SYNC, 2], update);
export const awareness = (update: Uint8Array): Frame => frame([AWARENESS], update);

/** Asks to be told when everything that was sent before is on the server's disk. */
export function askStored(token: number): Frame {
  const body = encoding.createEncoder();
  encoding.writeVarUint(body, token);
  return frame([DURABLE_ACK], encoding.toUint8Array(body));
}

/** Bytes that a socket takes. */
export type Frame = Uint8Array<ArrayBuffer>;

function frame(head: number[], body: Uint8Array): Frame {
  const encoder = encoding.createEncoder();
  for (const number of head) encoding.writeVarUint(encoder, number);
  encoding.writeVarUint8Array(encoder, body);
  return encoding.toUint8Array(encoder);
}

/** One person's presence as an event of the HTTP transport tells it. */
export interface PresenceEntry {
  client: number;
  clock: number;
  state: unknown;
}

/** Presence as the awareness protocol has it, from what an event tells. */
export function awarenessOf(entries: readonly PresenceEntry[]): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, entries.length);
  for (const { client, clock, state } of entries) {
    encoding.writeVarUint(encoder, client);
    encoding.writeVarUint(encoder, clock);
    encoding.writeVarString(encoder, JSON.stringify(state ?? null));
  }
  return encoding.toUint8Array(encoder);
}
