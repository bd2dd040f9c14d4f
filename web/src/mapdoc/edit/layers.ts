// Layers and the title (map document format §3).

import type { Json } from '../values.ts';
import { checkId, checkOrder, checkText, checkValue, quote } from './check.ts';
import type { Draft } from './draft.ts';
import { EditError } from './error.ts';
import { LAYER_FIELDS, type SetLayer, type SetTitle } from './operation.ts';
import { sorted } from './properties.ts';

/** A layer is there as soon as one of its fields is set. */
export function setLayer(draft: Draft, { lid, values }: SetLayer): void {
  checkId(lid);
  for (const [field, value] of sorted(values)) {
    draft.set('layer', lid, field, value === null ? [] : [checkField(field, value)]);
  }
}

function checkField(field: string, value: Json): Json {
  switch (field) {
    case 'name':
      return checkText(value as string);
    case 'order':
      return checkOrder(value);
    case 'visible':
    case 'gone':
      if (typeof value === 'boolean') return value;
      throw new EditError('bad_name', `the field ${field} of a layer is true or false, not ${quote(value)}`);
    case 'style':
    case 'columns':
      return checkValue(value);
    default:
      throw new EditError('bad_name', `${quote(field)} is none of ${LAYER_FIELDS.join(', ')}`);
  }
}

export function setTitle(draft: Draft, { title }: SetTitle): void {
  draft.put('meta', 'title', checkText(title));
}
