// Features as wholes: create, delete, restore, split, merge (map document format §§7, 8).

import type { FeatureRecord } from '../record.ts';
import { canonicalText, compareBytes, type Json } from '../values.ts';
import {
  badGeometry,
  checkFeature,
  checkGeometry,
  checkId,
  checkNewFeature,
  checkProperties,
  checkRecord,
  quote,
  type StoredGeometry,
} from './check.ts';
import type { Draft } from './draft.ts';
import { EditError } from './error.ts';
import type { Create, Delete, Merge, Restore, Split } from './operation.ts';
import { replace } from './replace.ts';

export function create(draft: Draft, { fid, geometry, properties, layer }: Create): void {
  checkNewFeature(draft.view, fid);
  if (layer !== '') checkId(layer);
  putRecord(draft, fid, checkGeometry(geometry), checkProperties(properties), layer);
}

function putRecord(draft: Draft, fid: string, { kind, coords }: StoredGeometry, props: string, layer: string): void {
  draft.put('feat', fid, [draft.context.now, draft.context.sid, kind, coords, props, layer]);
}

/** Marks features as deleted. Edits that this one has not seen bring a feature back as contested. */
export function deleteFeatures(draft: Draft, { fids }: Delete): void {
  for (const fid of new Set(fids)) {
    checkRecord(draft.view, fid);
    if (draft.view.state(fid) !== 'deleted') markDeleted(draft, fid);
  }
}

function markDeleted(draft: Draft, fid: string): void {
  draft.set('gone', fid, '', [draft.seen(fid)]);
}

export function restore(draft: Draft, { fids }: Restore): void {
  for (const fid of new Set(fids)) {
    checkRecord(draft.view, fid);
    draft.clear('gone', fid, '');
  }
}

export function split(draft: Draft, { fid, geometries, fids }: Split): void {
  const record = checkFeature(draft.view, fid);
  const [first, ...others] = geometries.map(checkGeometry);
  if (!first || others.length !== fids.length || others.length === 0) {
    throw badGeometry(`a split into ${geometries.length} geometries needs one new id less`);
  }
  for (const [i, other] of fids.entries()) {
    checkNewFeature(draft.view, other);
    if (fids.indexOf(other) !== i) throw new EditError('feature_exists', `the new id ${quote(other)} comes twice`);
  }
  replace(draft, fid, record, first);
  const [props, layer] = [shownProperties(draft, fid), draft.view.layerOf(fid, record)];
  for (const [i, geometry] of others.entries()) {
    const other = fids[i] ?? '';
    putRecord(draft, other, geometry, props, layer);
    draft.set('attr', other, 'from', [fid]);
  }
}

function shownProperties(draft: Draft, fid: string): string {
  const properties = [...(draft.view.properties(fid) ?? [])].sort(([a], [b]) => compareBytes(a, b));
  return canonicalText(Object.fromEntries(properties) as Json);
}

export function merge(draft: Draft, { fid, others, geometry }: Merge): void {
  const record: FeatureRecord = checkFeature(draft.view, fid);
  const merged = new Set(others);
  if (merged.has(fid)) throw new EditError('bad_name', `the feature ${quote(fid)} cannot be merged into itself`);
  for (const other of merged) checkFeature(draft.view, other);
  replace(draft, fid, record, checkGeometry(geometry));
  for (const other of merged) {
    draft.set('attr', other, 'into', [fid]);
    // After the attribute, whose time the deletion must know.
    markDeleted(draft, other);
  }
}
