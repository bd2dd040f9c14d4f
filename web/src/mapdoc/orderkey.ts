// Order keys (map document format §5): base-62 fractions whose byte order is the order of vertices, segments and layers.

/** Digits 0–61 in byte order. */
export const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** `U000`: the implicit key of vertex 0 of every base or added segment. */
const IMPLICIT_START = 7_149_840;
/** Four digits count to here. */
const FOUR_DIGITS = 62 ** 4;
/** Vertices of one segment that can have an implicit key, those from `U000` to `zzzy`. */
export const IMPLICIT_KEYS_MAX = FOUR_DIGITS - 1 - IMPLICIT_START;
/** Digits of a key, at most. */
const KEY_DIGITS_MAX = 256;
/** More candidates than this lie between two neighbours before a place is chosen. */
const ROOM = 62 ** 6;
/** A key that `keyEnd` made: 4 digits, 5 random ones and a counter of 4. */
const RUN_DIGITS_MIN = 13;
const COUNTER_DIGITS = 4;
const RANDOM_DIGITS = 5;

const FORM = /^(?!0000|zzzz)(?:[0-9A-Za-z]{4}|[0-9A-Za-z]{4,255}[1-9A-Za-z])$/;
const INDEX = /^(?:0|[1-9][0-9]{0,6})$/;

/** Numbers from 0 up to but not including 1. */
export type Random = () => number;

export function isOrderKey(text: string): boolean {
  return FORM.test(text);
}

/** A base part or segment is called by its index, an added one by an order key. */
export function isSegmentName(text: string): boolean {
  return isIndex(text) || (/^[A-Za-z]/.test(text) && isOrderKey(text));
}

export function isIndex(text: string): boolean {
  return INDEX.test(text);
}

/** The key that vertex number `index` of a stored segment has without its being stored. */
export function implicitKey(index: number): string {
  return fourDigits(IMPLICIT_START + index);
}

/** Base parts and segments by number, then added ones in byte order. */
export function compareSegmentNames(a: string, b: string): number {
  const [indexA, indexB] = [isIndex(a), isIndex(b)];
  if (indexA !== indexB) return indexA ? -1 : 1;
  if (indexA && Number(a) !== Number(b)) return Number(a) - Number(b);
  return compareKeys(a, b);
}

/** Order of keys, all of whose digits are one byte. */
export function compareKeys(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** So many random digits. */
export function randomDigits(count: number, random: Random): string {
  let text = '';
  for (let i = 0; i < count; i++) text += DIGITS.charAt(Math.floor(random() * DIGITS.length));
  return text;
}

/**
 * `keyAt`: a key between neighbours `a` < `b`, at `fraction` of the way (0 = at a, 1 = at b). Null where there is no room within
 * the digits that a key may have, or `a` is not before `b`.
 */
export function keyBetween(a: string, b: string, fraction: number, random: Random): string | null {
  let [gap, width] = [0, 0];
  while (gap <= ROOM) {
    gap = gap * 62 + digitAt(b, width) - digitAt(a, width);
    width += 1;
    if (gap < 0 || width > KEY_DIGITS_MAX) return null;
  }
  const place = Math.floor(clamp(fraction, 1 / 64, 63 / 64) * gap) + Math.floor((random() - 0.5) * (gap / 1024));
  let carry = clamp(place, 1, gap - 1);
  const digits = new Array<string>(width);
  for (let i = width - 1; i >= 0; i--) {
    const sum = digitAt(a, i) + carry;
    digits[i] = DIGITS.charAt(sum % 62);
    carry = Math.floor(sum / 62);
  }
  const key = digits.join('').replace(/0+$/, '').padEnd(4, '0');
  return isOrderKey(key) ? key : null;
}

/** Which end of a line grows. */
export type LineEnd = 'front' | 'back';

/**
 * `keyEnd`: a key beyond the open end of a line whose outermost key is `outermost` (null: the segment is empty). `isOwn` says that
 * this session made that key here, whose run is then continued. Null at the end of the key space.
 */
export function keyBeyond(outermost: string | null, end: LineEnd, isOwn: boolean, random: Random): string | null {
  const step = end === 'back' ? 1 : -1;
  const next = outermost !== null && isOwn ? nextOfRun(outermost, step) : null;
  if (next !== null) return next;
  const slot = outermost === null ? IMPLICIT_START : leadingNumber(outermost) + step;
  if (slot < 0 || slot >= FOUR_DIGITS) return null;
  const key = `${fourDigits(slot)}${randomDigits(RANDOM_DIGITS, random)}U001`;
  return isOrderKey(key) ? key : null;
}

function nextOfRun(key: string, step: number): string | null {
  if (key.length < RUN_DIGITS_MIN) return null;
  const [head, counter] = [key.slice(0, -COUNTER_DIGITS), leadingNumber(key.slice(-COUNTER_DIGITS))];
  let next = counter + step;
  // Every 62nd number ends in 0, which no long key may.
  if (next % 62 === 0) next += step;
  if (next < 1 || next >= FOUR_DIGITS) return null;
  const text = head + fourDigits(next);
  return isOrderKey(text) ? text : null;
}

/** The key just after the slot of a ring's last key; between the two lies the closing edge. */
export function keyAfterRing(last: string): string {
  return fourDigits(Math.min(leadingNumber(last) + 1, FOUR_DIGITS - 1));
}

/** The number that the first four digits are; missing digits count as 0. */
function leadingNumber(key: string): number {
  let number = 0;
  for (let i = 0; i < 4; i++) number = number * 62 + digitAt(key, i);
  return number;
}

function fourDigits(number: number): string {
  let rest = number;
  let text = '';
  for (let i = 0; i < 4; i++) {
    text = DIGITS.charAt(rest % 62) + text;
    rest = Math.floor(rest / 62);
  }
  return text;
}

function digitAt(key: string, index: number): number {
  return Math.max(0, DIGITS.indexOf(key.charAt(index) || '0'));
}

/** A number that is none counts as the least. */
function clamp(value: number, least: number, greatest: number): number {
  return value >= least ? Math.min(value, greatest) : least;
}
