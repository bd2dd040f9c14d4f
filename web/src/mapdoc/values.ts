// Values as every replica reads them alike: narrow numbers, bounded nesting, byte order.

/** Nesting that a property value may have. */
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

/** A JSON value that may be shown: no bytes, no infinite number, no lone surrogate, no deep nesting. Takes no stack from the value. */
export function isJson(value: unknown, nestingMax = NESTING_MAX): value is Json {
  const todo: { value: unknown; left: number }[] = [{ value, left: nestingMax }];
  for (let item = todo.pop(); item; item = todo.pop()) {
    if (typeof item.value === 'object' && item.value !== null) {
      if (item.left === 0 || !isPlain(item.value)) return false;
      for (const [name, inner] of Object.entries(item.value)) {
        if (!isWellFormed(name)) return false;
        todo.push({ value: inner, left: item.left - 1 });
      }
    } else if (!isJsonScalar(item.value)) return false;
  }
  return true;
}

function isPlain(value: object): boolean {
  return Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
}

function isJsonScalar(value: unknown): boolean {
  if (typeof value === 'string') return isWellFormed(value);
  return value === null || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value));
}

function isWellFormed(text: string): boolean {
  return !/[\ud800-\udfff]/u.test(text);
}

/** JSON text → value, or undefined if it is not acceptable. */
export function parseJson(text: string, nestingMax = NESTING_MAX): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isJson(value, nestingMax) ? value : undefined;
  } catch {
    return undefined;
  }
}
