// Properties, attributes and texts of features (map document format §§7, 9).

import type { SessionText } from '../texts.ts';
import { byteLength, compareBytes, type Json, VALUE_BYTES_MAX } from '../values.ts';
import { checkFeature, checkId, checkName, checkOrder, checkText, checkValue, quote } from './check.ts';
import type { Draft } from './draft.ts';
import { EditError } from './error.ts';
import {
  type EditText,
  SETTABLE_ATTRIBUTES,
  type SetAttributes,
  type SetProperties,
  type Values,
} from './operation.ts';

/** Values are whole: nothing is merged inside objects and arrays. */
export function setProperties(draft: Draft, { fid, values }: SetProperties): void {
  checkFeature(draft.view, fid);
  for (const [name, value] of sorted(values)) {
    checkName(name);
    emptyTexts(draft, fid, name);
    draft.set('prop', fid, name, value === null ? [] : [checkValue(value)]);
  }
}

/** Texts show over properties, so a set property needs them empty. They lose their characters, never their keys. */
function emptyTexts(draft: Draft, fid: string, name: string): void {
  const full = textsOf(draft, fid, name).filter(({ text }) => text.toString() !== '');
  for (const { key, text } of full) {
    draft.type({ kind: 'type', key, isNew: false, index: 0, delete: text.toString().length, insert: '' });
  }
  if (full.length > 0) draft.set('attr', fid, 'text', [name]);
}

export function setAttributes(draft: Draft, { fid, values }: SetAttributes): void {
  checkFeature(draft.view, fid);
  for (const [name, value] of sorted(values)) {
    draft.set('attr', fid, name, value === null ? [] : [checkAttribute(name, value)]);
  }
}

function checkAttribute(name: string, value: Json): Json {
  switch (name) {
    case 'layer':
      return value === '' ? value : checkId(value as string);
    case 'order':
      return checkOrder(value);
    case 'style':
      return checkValue(value);
    default:
      throw new EditError('bad_name', `${quote(name)} is none of ${SETTABLE_ATTRIBUTES.join(', ')}`);
  }
}

/** People type into the text that is there; who finds none starts one. */
export function editText(draft: Draft, { fid, name, index, delete: count, insert }: EditText): void {
  checkFeature(draft.view, fid);
  checkName(name);
  const typed = checkText(insert);
  const present = presentText(textsOf(draft, fid, name));
  const before = present?.text.toString() ?? '';
  const areIndices = [index, count].every((n) => Number.isSafeInteger(n) && n >= 0);
  if (!areIndices || index + count > before.length) {
    throw new EditError('bad_position', `${index} and ${count} are outside the text of ${before.length} UTF-16 units`);
  }
  if (cutsPair(before, index) || cutsPair(before, index + count)) {
    throw new EditError('bad_position', 'a character is cut into halves; move the index by one');
  }
  const after = before.slice(0, index) + typed + before.slice(index + count);
  if (byteLength(after) > VALUE_BYTES_MAX) {
    throw new EditError('too_large', `the text would have more than ${VALUE_BYTES_MAX} bytes`);
  }
  if (count === 0 && typed === '') return;
  const key = present?.key ?? `${fid}/${draft.context.sid}/${name}`;
  draft.type({ kind: 'type', key, isNew: present === null, index, delete: count, insert: typed });
  draft.set('attr', fid, 'text', [name]);
}

/** The first text with characters in the order of sessions, else the first. */
function presentText(texts: SessionText[]): SessionText | null {
  return texts.find(({ text }) => text.toString() !== '') ?? texts[0] ?? null;
}

function textsOf(draft: Draft, fid: string, name: string): SessionText[] {
  return draft.view.texts.of(fid).filter((text) => text.name === name);
}

function cutsPair(text: string, index: number): boolean {
  return /[\ud800-\udbff]/.test(text.charAt(index - 1)) && /[\udc00-\udfff]/.test(text.charAt(index));
}

/** What is written must not depend on the order of an object's members. */
export function sorted(values: Values): [string, Json][] {
  return Object.entries(values).sort(([a], [b]) => compareBytes(a, b));
}
