// Packed coordinates (map document format §4): a geometry as parts → segments → vertices in one byte string, without loss.

import type { Shape } from './shape.ts';
import { tidy } from './values.ts';

/** Decimals up to which numbers are stored as scaled integers. */
const DECIMALS_MAX = 13;
/** Header value of raw doubles, for numbers that no number of decimals reproduces exactly. */
const RAW_DOUBLES = 15;
/** Greatest scaled integer in magnitude. */
const SCALED_MAX = 2 ** 51;
/** Bytes of a varint, at most; more than 63 bits are malformed. */
const VARINT_BYTES_MAX = 9;

export type Unpacked = { ok: true; shape: Shape } | { ok: false; reason: string };

/** Reads packed bytes. Whatever they hold, this neither throws nor allocates more than their own length justifies. */
export function unpack(bytes: Uint8Array): Unpacked {
  const reader = new ByteReader(bytes);
  const shape = readShape(reader, bytes.length);
  return reader.failure === null && shape ? { ok: true, shape } : { ok: false, reason: reader.failure ?? 'malformed' };
}

function readShape(reader: ByteReader, length: number): Shape | null {
  const head = reader.byte();
  const decimals = head & 0x0f;
  if ((head & 0xe0) !== 0 || decimals === 14) reader.fail('unknown header');
  const dims = head & 0x10 ? 3 : 2;
  const counts = readCounts(reader, length, dims);
  if (!counts) return null;
  const previous: [number, number, number] = [0, 0, 0];
  const scale = 10 ** decimals;
  const parts = counts.map((segments) =>
    segments.map((vertices) => {
      const flat = new Array<number>(vertices * dims);
      for (let i = 0; i < flat.length && reader.failure === null; i++) {
        flat[i] = decimals === RAW_DOUBLES ? reader.double() : reader.delta(previous, i % dims) / scale;
      }
      return flat;
    }),
  );
  if (!reader.atEnd()) reader.fail('bytes left over');
  return { dims, parts };
}

/** Vertices of each segment of each part; every count is checked against the bytes there are. */
function readCounts(reader: ByteReader, length: number, dims: number): number[][] | null {
  const parts = reader.varuint();
  if (parts > length) reader.fail('more parts than bytes');
  const counts: number[][] = [];
  let numbers = 0;
  let segmentsTotal = 0;
  for (let p = 0; p < parts && reader.failure === null; p++) {
    const segments = reader.varuint();
    segmentsTotal += segments;
    if (segmentsTotal > length) reader.fail('more segments than bytes');
    const part: number[] = [];
    for (let s = 0; s < segments && reader.failure === null; s++) {
      const vertices = reader.varuint();
      numbers += vertices * dims;
      if (numbers > length) reader.fail('more vertices than bytes');
      part.push(vertices);
    }
    counts.push(part);
  }
  return reader.failure === null ? counts : null;
}

/** Writes the shortest lossless form. Numbers must be finite. */
export function pack({ dims, parts }: Shape): Uint8Array {
  const numbers = parts.flat(2);
  const decimals = decimalsFor(numbers);
  const out: number[] = [decimals | (dims === 3 ? 0x10 : 0)];
  pushVaruint(out, parts.length);
  for (const part of parts) {
    pushVaruint(out, part.length);
    for (const segment of part) pushVaruint(out, segment.length / dims);
  }
  const scale = 10 ** decimals;
  const previous: [number, number, number] = [0, 0, 0];
  for (const segment of parts.flat()) {
    for (const [i, x] of segment.entries()) {
      if (decimals === RAW_DOUBLES) {
        pushDouble(out, x);
        continue;
      }
      const n = Math.round(x * scale);
      const axis = (i % dims) as 0 | 1 | 2;
      pushZigzag(out, n - previous[axis]);
      previous[axis] = n;
    }
  }
  return Uint8Array.from(out);
}

function decimalsFor(numbers: readonly number[]): number {
  let least = 0;
  for (const x of numbers) {
    while (!isExact(x, least)) if (++least > DECIMALS_MAX) return RAW_DOUBLES;
  }
  // A number that fits fewer decimals need not fit more: its scaled value may be too great.
  for (let decimals = least; decimals <= DECIMALS_MAX; decimals++) {
    if (numbers.every((x) => isExact(x, decimals))) return decimals;
  }
  return RAW_DOUBLES;
}

function isExact(x: number, decimals: number): boolean {
  const scale = 10 ** decimals;
  const n = Math.round(x * scale);
  return n / scale === x && Math.abs(n) <= SCALED_MAX;
}

function pushVaruint(out: number[], value: number): void {
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) | 128);
  out.push(rest);
}

function pushZigzag(out: number[], value: number): void {
  pushVaruint(out, value >= 0 ? value * 2 : -value * 2 - 1);
}

function pushDouble(out: number[], value: number): void {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  out.push(...bytes);
}

/** Reads numbers one after another; after the first fault it remembers the reason and returns zeros. */
class ByteReader {
  failure: string | null = null;
  #at = 0;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  fail(reason: string): void {
    this.failure ??= reason;
  }

  atEnd(): boolean {
    return this.#at === this.#view.byteLength;
  }

  byte(): number {
    if (this.#at < this.#view.byteLength) return this.#view.getUint8(this.#at++);
    this.fail('cut short');
    return 0;
  }

  varuint(): number {
    let value = 0;
    let unit = 1;
    for (let i = 0; i < VARINT_BYTES_MAX; i++) {
      const byte = this.byte();
      value += (byte & 127) * unit;
      if (byte < 128) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      unit *= 128;
    }
    this.fail('a number is too long');
    return 0;
  }

  delta(previous: [number, number, number], axis: number): number {
    const zigzag = this.varuint();
    const k = axis as 0 | 1 | 2;
    previous[k] += zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
    if (Math.abs(previous[k]) > SCALED_MAX) this.fail('a coordinate is too large');
    return previous[k];
  }

  double(): number {
    if (this.#at + 8 > this.#view.byteLength) {
      this.fail('cut short');
      return 0;
    }
    const value = this.#view.getFloat64(this.#at, true);
    this.#at += 8;
    if (!Number.isFinite(value)) this.fail('a coordinate is not finite');
    return tidy(value);
  }
}
