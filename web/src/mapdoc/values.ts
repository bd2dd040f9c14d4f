// Values as every replica reads them alike: narrow numbers, bounded nesting, byte order.

/** How many levels may lie below an entry or below an object of properties. */
export const NESTING_MAX = 16;
/** Bytes of JSON text of a feature's properties, of one value, or of a text, at most (map document format §12). */
export const VALUE_BYTES_MAX = 256 * 1024;
/** Bytes of a property's name, at most (map document format §3). */
export const NAME_BYTES_MAX = 256;
/** The greatest edit time. */
export const TIME_MAX = Number.MAX_SAFE_INTEGER;
const SEEN_MODULUS = 2 ** 31;
/** Assigning to a member of this name, as decoders do, sets an object's prototype: such members of stored objects are not read. */
const UNREADABLE_MEMBER = '__proto__';

/** A property value: plain JSON. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** The finite number that a stored value is; integers may be stored in a wider form, which JavaScript decodes as `bigint`. */
export function asNumber(value: unknown): number | null {
  const number = typeof value === 'bigint' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? tidy(number) : null;
}

/** Without −0, which is the same place and time as 0. */
export function tidy(number: number): number {
  return number === 0 ? 0 : number;
}

/** Integer seconds since 1970-01-01 UTC, 0 to 2^53−1; null if the value is none. */
export function asTime(value: unknown): number | null {
  const time = asNumber(value);
  return Number.isSafeInteger(time) && time !== null && time >= 0 ? time : null;
}

/** Adds one edit time to the sum that a deletion remembers. */
export function addSeen(sum: number, time: number): number {
  return (sum + (time % SEEN_MODULUS)) % SEEN_MODULUS;
}

/** Takes one edit time out of the sum. */
export function subtractSeen(sum: number, time: number): number {
  return (sum + SEEN_MODULUS - (time % SEEN_MODULUS)) % SEEN_MODULUS;
}

/** Order of UTF-8 bytes. It differs from JavaScript's own only where surrogates meet characters above U+D7FF. */
export function compareBytes(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    let [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x === y) continue;
    if (isSurrogate(x)) x += 0x10000;
    if (isSurrogate(y)) y += 0x10000;
    return x - y;
  }
  return a.length - b.length;
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff;
}

/** Size in UTF-8. Half a surrogate pair counts as the replacement character that it becomes. */
export function byteLength(text: string): number {
  let bytes = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return bytes;
}

/** Whether the text is the same after a trip over the wire: it holds no half of a surrogate pair. */
export function isWellFormed(text: string): boolean {
  return !/[\ud800-\udfff]/u.test(text);
}

/** Bytes, and not an object that somebody gave the prototype of bytes. */
export function isBytes(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value);
}

/** Whether nothing lies more than `levels` levels below the value and no bytes are in it. Takes no stack from the value. */
export function nestsWithin(value: unknown, levels: number): boolean {
  const todo: { value: unknown; left: number }[] = [{ value, left: levels }];
  for (let item = todo.pop(); item; item = todo.pop()) {
    if (typeof item.value !== 'object' || item.value === null) continue;
    if (isBytes(item.value)) return false;
    const inner = Array.isArray(item.value) ? item.value : members(item.value).map(([, value]) => value);
    if (inner.length > 0 && item.left === 0) return false;
    for (const value of inner) todo.push({ value, left: item.left - 1 });
  }
  return true;
}

function members(value: object): [string, unknown][] {
  return Object.entries(value).filter(([name]) => name !== UNREADABLE_MEMBER);
}

/**
 * A stored value as JSON: what JSON cannot express becomes null, −0 becomes 0, members are sorted. Call it on values that nest within
 * bounds: it recurses as deep as they do.
 */
export function toJson(value: unknown): Json {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
    case 'bigint':
      return asNumber(value);
    case 'object':
      if (value === null || isBytes(value)) return null;
      if (Array.isArray(value)) return value.map(toJson);
      return objectOf(members(value).map(([name, inner]) => [name, toJson(inner)]));
    default:
      return null;
  }
}

/** An object with its members in the order of their bytes, as far as JavaScript lets them have one. */
function objectOf(members: [string, Json][]): Json {
  return Object.fromEntries(members.sort(([a], [b]) => compareBytes(a, b)));
}

/** JSON text → value; undefined if it is no JSON, overflows a double, holds half a surrogate pair or nests too deeply. */
export function parseJson(text: string, levels = NESTING_MAX): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return nestsWithin(value, levels) && isExact(value) ? parsed(value as Json) : undefined;
  } catch {
    return undefined;
  }
}

/** As [`toJson`], for what a JSON text says, where every member's name is as good as another. */
function parsed(value: Json): Json {
  if (typeof value === 'number') return tidy(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(parsed);
  return objectOf(Object.entries(value).map(([name, inner]) => [name, parsed(inner)]));
}

/** Whether readers in other languages take the text's numbers and strings for the same values. */
function isExact(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value === 'string') return isWellFormed(value);
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([name, inner]) => isExact(name) && isExact(inner));
}

/** JSON text with members in byte order, so that equal values have equal texts. Call it on values that nest within bounds. */
export function canonicalText(value: Json): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(',')}]`;
  const texts = Object.entries(value)
    .sort(([a], [b]) => compareBytes(a, b))
    .map(([name, inner]) => `${JSON.stringify(name)}:${canonicalText(inner)}`);
  return `{${texts.join(',')}}`;
}
