// Values as every replica reads them alike: narrow numbers, bounded nesting, byte order.

/** How many levels may lie below an entry or below an object of properties. */
export const NESTING_MAX = 16;
const SEEN_MODULUS = 2 ** 31;

/** A property value: plain JSON. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** Integer seconds since 1970-01-01 UTC, 0 to 2^53−1. */
export function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Adds one edit time to the sum that a deletion remembers. */
export function addSeen(sum: number, time: number): number {
  return (sum + (time % SEEN_MODULUS)) % SEEN_MODULUS;
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

/** Whether nothing lies more than `levels` levels below the value and no bytes or shared types are in it. Takes no stack from the value. */
export function nestsWithin(value: unknown, levels: number): boolean {
  const todo: { value: unknown; left: number }[] = [{ value, left: levels }];
  for (let item = todo.pop(); item; item = todo.pop()) {
    if (typeof item.value !== 'object' || item.value === null) continue;
    if (!isPlain(item.value)) return false;
    const inner = Object.values(item.value);
    if (inner.length > 0 && item.left === 0) return false;
    for (const value of inner) todo.push({ value, left: item.left - 1 });
  }
  return true;
}

function isPlain(value: object): boolean {
  return Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
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
      return Number.isFinite(value) ? value + 0 : null;
    case 'bigint':
      return Number(value);
    case 'object':
      if (value === null || value instanceof Uint8Array) return null;
      if (Array.isArray(value)) return value.map(toJson);
      return Object.fromEntries(
        Object.entries(value)
          .sort(([a], [b]) => compareBytes(a, b))
          .map(([name, inner]) => [name, toJson(inner)]),
      );
    default:
      return null;
  }
}

/** JSON text → value; undefined if it is no JSON, overflows a double, holds half a surrogate pair or nests too deeply. */
export function parseJson(text: string, levels = NESTING_MAX): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return nestsWithin(value, levels) && isExact(value) ? toJson(value) : undefined;
  } catch {
    return undefined;
  }
}

/** Whether readers in other languages take the text's numbers and strings for the same values. */
function isExact(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value === 'string') return !/[\ud800-\udfff]/u.test(value);
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([name, inner]) => isExact(name) && isExact(inner));
}
