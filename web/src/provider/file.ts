// Files of unsent edits (docs/unsent-edits.md): what this device kept, for somebody to bring to a server. Pure.

import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import { crc32c } from './crc32c.ts';

export interface UnsentEdits {
  /** The map that the edits were made in. */
  map: string;
  /** The address of the server that this device knows the map by. */
  origin: string;
  /** What the person is called; may be empty. */
  who: string;
  /** When the file was written, in milliseconds since 1970. */
  writtenAt: number;
  /** Oldest first. */
  edits: { at: number; update: Uint8Array }[];
}

export type ReadResult = { ok: true; file: UnsentEdits } | { ok: false; reason: string };

export const FILE_ENDING = '.mapweave-edits';
export const MEDIA_TYPE = 'application/vnd.mapweave.edits';
/** A server takes no larger file. */
export const FILE_BYTES_MAX = 64 << 20;
/** Most bytes of a text. */
export const TEXT_BYTES_MAX = 1 << 10;

const NAME = new TextEncoder().encode('MWEDITS');
const VERSION = 1;
const CHECKSUM_BYTES = 4;

export function writeFile(file: UnsentEdits): Uint8Array<ArrayBuffer> {
  const encoder = encoding.createEncoder();
  encoding.writeUint8Array(encoder, NAME);
  encoding.writeUint8(encoder, VERSION);
  encoding.writeVarString(encoder, file.map);
  encoding.writeVarString(encoder, cut(file.origin));
  encoding.writeVarString(encoder, cut(file.who));
  encoding.writeVarUint(encoder, file.writtenAt);
  encoding.writeVarUint(encoder, file.edits.length);
  for (const { at, update } of file.edits) {
    encoding.writeVarUint(encoder, at);
    encoding.writeVarUint8Array(encoder, update);
  }
  const body = encoding.toUint8Array(encoder);
  const bytes = new Uint8Array(body.length + CHECKSUM_BYTES);
  bytes.set(body);
  new DataView(bytes.buffer).setUint32(body.length, crc32c(body), true);
  return bytes;
}

export function readFile(bytes: Uint8Array): ReadResult {
  const fault = (reason: string): ReadResult => ({ ok: false, reason });
  if (NAME.some((byte, i) => bytes[i] !== byte)) return fault('This is no file of unsent edits.');
  const version = bytes[NAME.length];
  if (version !== VERSION) return fault(`The file has version ${version}, this page reads version ${VERSION}.`);
  const end = bytes.length - CHECKSUM_BYTES;
  const damaged = 'The file is damaged or not whole; copy it from the device again.';
  if (end <= NAME.length) return fault(damaged);
  const checksum = new DataView(bytes.buffer, bytes.byteOffset + end, CHECKSUM_BYTES).getUint32(0, true);
  if (crc32c(bytes.subarray(0, end)) !== checksum) return fault(damaged);
  try {
    return { ok: true, file: readBody(bytes.subarray(NAME.length + 1, end)) };
  } catch {
    return fault('The file cannot be read.');
  }
}

function readBody(body: Uint8Array): UnsentEdits {
  const decoder = decoding.createDecoder(body);
  const map = decoding.readVarString(decoder);
  const origin = decoding.readVarString(decoder);
  const who = decoding.readVarString(decoder);
  const writtenAt = decoding.readVarUint(decoder);
  const count = decoding.readVarUint(decoder);
  const edits: UnsentEdits['edits'] = [];
  for (let i = 0; i < count; i++) {
    const at = decoding.readVarUint(decoder);
    edits.push({ at, update: decoding.readVarUint8Array(decoder).slice() });
  }
  if (decoding.hasContent(decoder)) throw new RangeError('bytes follow the last edit');
  return { map, origin, who, writtenAt, edits };
}

/** At most so many bytes, without half a character. */
function cut(text: string): string {
  let short = text;
  while (new TextEncoder().encode(short).length > TEXT_BYTES_MAX) short = [...short].slice(0, -1).join('');
  return short;
}
