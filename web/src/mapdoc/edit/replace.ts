// A new generation of a feature's geometry (map document format §7).

import { currentGeneration } from '../geometry.ts';
import { randomDigits } from '../orderkey.ts';
import type { FeatureRecord } from '../record.ts';
import { compareBytes } from '../values.ts';
import { checkFeature, checkGeometry, type StoredGeometry } from './check.ts';
import type { Draft } from './draft.ts';
import type { ReplaceGeometry } from './operation.ts';

/** Digits of a new generation's name. */
const GENERATION_DIGITS = 6;

export function replaceGeometry(draft: Draft, { fid, geometry }: ReplaceGeometry): void {
  replace(draft, fid, checkFeature(draft.view, fid), checkGeometry(geometry));
}

/** The current generation's seen edits go, a new generation comes, later than the old one. */
export function replace(draft: Draft, fid: string, record: FeatureRecord, { kind, coords }: StoredGeometry): void {
  const { overlays } = draft.view;
  const current = currentGeneration(overlays, fid, record);
  for (const root of ['vert', 'part'] as const) {
    const targets = overlays.targets(root, fid).filter((target) => target.startsWith(`${current.gen}/`));
    for (const target of targets.sort(compareBytes)) draft.clear(root, fid, target);
  }
  draft.clear('geom', fid, current.gen);
  const gen = randomDigits(GENERATION_DIGITS, draft.context.random);
  draft.setAfter('geom', fid, gen, current.author.time, [kind, coords]);
}
