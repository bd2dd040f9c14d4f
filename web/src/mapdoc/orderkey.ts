// Order keys (map document format §5): base-62 fractions whose byte order is the order of vertices, segments and layers.

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** `U000`: the implicit key of vertex 0 of every base or added segment. */
const IMPLICIT_START = 7_149_840;

const FORM = /^(?!0000|zzzz)(?:[0-9A-Za-z]{4}|[0-9A-Za-z]{4,255}[1-9A-Za-z])$/;
const INDEX = /^(?:0|[1-9][0-9]{0,6})$/;

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
  let rest = IMPLICIT_START + index;
  let text = '';
  for (let i = 0; i < 4; i++) {
    text = DIGITS.charAt(rest % 62) + text;
    rest = Math.floor(rest / 62);
  }
  return text;
}

/** Base parts and segments by number, then added ones in byte order. */
export function compareSegmentNames(a: string, b: string): number {
  const [indexA, indexB] = [isIndex(a), isIndex(b)];
  if (indexA !== indexB) return indexA ? -1 : 1;
  if (indexA && Number(a) !== Number(b)) return Number(a) - Number(b);
  return a < b ? -1 : a > b ? 1 : 0;
}
