// Conflicts decided: one of several entries is set again, or edits of what is not there are let go (map document format §7).

import { featureProblems } from '../report.ts';
import { toJson } from '../values.ts';
import { checkFeature, checkId, quote } from './check.ts';
import type { Draft } from './draft.ts';
import { EditError } from './error.ts';
import { type DismissOrphans, SETTLED_ROOTS, type Settle } from './operation.ts';

export function settle(draft: Draft, { fid, root, target, sid }: Settle): void {
  if (!SETTLED_ROOTS.includes(root)) {
    throw new EditError('bad_name', `${quote(root)} is none of ${SETTLED_ROOTS.join(', ')}`);
  }
  if (root === 'layer') checkId(fid);
  else checkFeature(draft.view, fid);
  const index = root === 'layer' ? draft.view.layers.index : draft.view.overlays.of(root);
  const chosen = index.entries(fid, target).find((entry) => entry.sid === sid);
  if (!chosen) {
    throw new EditError('unknown_entry', `the session ${quote(sid)} says nothing about ${quote(target)}; look again`);
  }
  if (root === 'geom') settleGeometry(draft, fid, target, chosen.payload);
  else draft.set(root, fid, target, root === 'part' ? chosen.payload : chosen.payload.map(toJson));
}

/** Replacements compete across generations: the chosen one becomes later than all, and the others go. */
function settleGeometry(draft: Draft, fid: string, gen: string, payload: readonly unknown[]): void {
  const gens = draft.view.overlays.targets('geom', fid);
  const latest = gens.reduce((time, other) => Math.max(time, draft.latest('geom', fid, other) ?? 0), 0);
  for (const other of gens) if (other !== gen) draft.clear('geom', fid, other);
  draft.setAfter('geom', fid, gen, latest, payload);
}

/** Takes away every entry of the targets that the report calls orphans. */
export function dismissOrphans(draft: Draft, { fid }: DismissOrphans): void {
  checkId(fid);
  for (const problem of featureProblems(draft.view, fid)) {
    if (problem[0] !== 'orphan') continue;
    const [, root, , target] = problem;
    if (root === 'text') dismissText(draft, fid, target);
    else draft.clear(root, fid, target);
  }
}

function dismissText(draft: Draft, fid: string, name: string): void {
  for (const key of draft.view.texts.keys(fid, name)) draft.delete('text', key);
}
