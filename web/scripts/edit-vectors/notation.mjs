// How the cases are written down. What a case expects is worked out by hand from the format, not from what the code does.

/** Stands for an entry that the operation deletes. */
export const GONE = Symbol('gone');
/** A `Y.Text` in a document before or after. */
export class Text {
  constructor(text) {
    this.text = text;
  }
}
export const text = (characters) => new Text(characters);

/** Bytes from hexadecimal digits; blanks are for the eye. */
export const hex = (digits) => Uint8Array.from(Buffer.from(digits.replaceAll(' ', ''), 'hex'));

export const NOW = 1000;
export const ANN = { sid: 'kQ3ta', user: 'u1', name: 'Ann' };

/** One case. `before` and `writes` are roots → keys → values; without `writes` the operation must write nothing at all. */
export function given(name, { before = {}, now = NOW, random = [0.5], ...rest }) {
  return { name, before, now, random, ...rest };
}

/** A case that must fail with a code. */
export function refused(code, name, { before = {}, operation }) {
  return given(`${name} is refused (${code})`, { before, operation, error: code });
}

// --- features to start from, all made at 900 by somebody who is long gone ---

export const point = [900, 'maker', 1, hex('00010101 0204'), '{"name":"tap"}', ''];
/** [0,0] [10,0] [20,0] */
export const line = [900, 'maker', 2, hex('00010103 0000 1400 1400'), '{"name":"road"}', ''];
/** The same with heights 1, 2, 3. */
export const high = [900, 'maker', 2, hex('10010103 000002 140002 140002'), '{}', ''];
/** [0,0] [8,0] [8,8] [0,8] */
export const square = [
  900,
  'maker',
  3,
  hex('00010104 0000 1000 0010 0f00'),
  '{"crop":"hay","name":"Meadow"}',
  'fields',
];
/** The square with the hole [2,2] [4,2] [4,4]. */
export const holed = [900, 'maker', 3, hex('00010204 03 0000 1000 0010 0f00 040b 0400 0004'), '{}', ''];
/** Lines [0,0] [1,0] and [5,5] [6,6]. */
export const lines = [900, 'maker', 5, hex('00020102 0102 0000 0200 080a 0202'), '{}', ''];
export const nothing = [900, 'maker', 0, null, '{}', ''];
/** A polygon of 10 vertices on a circle-like path, x then y: 0,0 10,0 20,0 30,0 40,0 40,40 30,40 20,40 10,40 0,40 */
export const decagon = [900, 'maker', 3, hex('0001010a 0000 1400 1400 1400 1400 0050 1300 1300 1300 1300'), '{}', ''];
