// What in a document needs a person's eye (map document format §10), computed from the document alone and equal on every replica.
// Problems of the geometry itself, such as crossings, are found elsewhere.

import { type EntryRoot, OVERLAY_ROOTS, type OverlayRoot, SEEN_ROOTS, segmentAddress, vertexAddress } from './entry.ts';
import { currentGeneration, type Generation, isBaseSegment, readGeometry, readStructure } from './geometry.ts';
import { type FeatureRecord, recordProperties } from './record.ts';
import { compareBytes } from './values.ts';
import type { MapView } from './view.ts';

/** The root of an entry that a problem is about. */
export type ProblemRoot = EntryRoot | 'text';

/** One thing to look at: an array that starts with its name, the same in every implementation. */
export type Problem =
  | ['malformed key', key: string]
  | ['malformed entry', root: ProblemRoot, id: string, target: string]
  | ['malformed feature' | 'malformed properties' | 'malformed geometry', fid: string]
  | ['concurrent values', root: EntryRoot, id: string, target: string, entries: number]
  | ['concurrent geometries', fid: string, entries: number]
  | ['orphan', root: OverlayRoot | 'text', fid: string, target: string]
  | ['contested deletion', fid: string]
  | ['degenerate' | 'rings without exterior', fid: string];

/** Everything that needs a person's eye, sorted by the bytes of its JSON text. Reads every feature. */
export function report(view: MapView): Problem[] {
  const problems: Problem[] = [...malformedKeys(view)];
  for (const fid of allFids(view)) problems.push(...featureProblems(view, fid));
  for (const lid of view.layers.index.ids()) {
    for (const field of view.layers.index.targets(lid)) problems.push(...several(view, 'layer', lid, field));
  }
  return sorted(problems);
}

/** The part of the report that one feature, shown or not, contributes; in no particular order. */
export function featureProblems(view: MapView, fid: string): Problem[] {
  const record = view.record(fid);
  const problems: Problem[] = record ? knownFeature(view, fid, record) : unknownFeature(view, fid);
  for (const name of view.texts.malformedNames(fid)) problems.push(['malformed entry', 'text', fid, name]);
  return problems;
}

/** A problem as a person would say it. */
export function describeProblem([name, ...details]: Problem): string {
  return `${name}: ${details.join(' ')}`;
}

function sorted(problems: Problem[]): Problem[] {
  return problems
    .map((problem): [string, Problem] => [JSON.stringify(problem), problem])
    .sort(([a], [b]) => compareBytes(a, b))
    .map(([, problem]) => problem);
}

function* malformedKeys(view: MapView): Generator<Problem> {
  for (const root of OVERLAY_ROOTS) {
    for (const key of view.overlays.of(root).malformedKeys()) yield ['malformed key', `${root}:${key}`];
  }
  for (const key of view.texts.malformedKeys()) yield ['malformed key', `text:${key}`];
  for (const key of view.layers.index.malformedKeys()) yield ['malformed key', `layer:${key}`];
}

/** Features that have a record or anything that overlays one. */
function allFids(view: MapView): Set<string> {
  const fids = new Set<string>(view.recordKeys());
  for (const root of OVERLAY_ROOTS) for (const fid of view.overlays.of(root).ids()) fids.add(fid);
  for (const fid of view.texts.ids()) fids.add(fid);
  return fids;
}

/** Without a record, whatever is well-formed is an orphan. */
function unknownFeature(view: MapView, fid: string): Problem[] {
  const problems: Problem[] = view.hasRecordKey(fid) ? [['malformed feature', fid]] : [];
  for (const root of OVERLAY_ROOTS) {
    for (const target of view.overlays.targets(root, fid)) {
      if (isPartlyMalformed(view, root, fid, target)) problems.push(['malformed entry', root, fid, target]);
      if (view.overlays.entries(root, fid, target).length > 0) problems.push(['orphan', root, fid, target]);
    }
  }
  for (const name of new Set(view.texts.of(fid).map((text) => text.name))) problems.push(['orphan', 'text', fid, name]);
  return problems;
}

function knownFeature(view: MapView, fid: string, record: FeatureRecord): Problem[] {
  const problems: Problem[] = [];
  if (!recordProperties(record)) problems.push(['malformed properties', fid]);
  if (view.state(fid) === 'contested') problems.push(['contested deletion', fid]);
  const current = currentGeneration(view.overlays, fid, record);
  if (current.replacements > 1) problems.push(['concurrent geometries', fid, current.replacements]);
  for (const problem of readGeometry(view.overlays, fid, current).problems) problems.push([problem, fid]);
  if (isPartlyMalformed(view, 'gone', fid, '')) problems.push(['malformed entry', 'gone', fid, '']);
  for (const root of SEEN_ROOTS) {
    for (const target of view.overlays.targets(root, fid)) problems.push(...several(view, root, fid, target));
  }
  for (const { root, target } of orphans(view, fid, current)) problems.push(['orphan', root, fid, target]);
  return problems;
}

function several(view: MapView, root: EntryRoot, id: string, target: string): Problem[] {
  const problems: Problem[] = [];
  if (isPartlyMalformed(view, root, id, target)) problems.push(['malformed entry', root, id, target]);
  const count = indexOf(view, root).entries(id, target).length;
  if (count > 1) problems.push(['concurrent values', root, id, target, count]);
  return problems;
}

function isPartlyMalformed(view: MapView, root: EntryRoot, id: string, target: string): boolean {
  const index = indexOf(view, root);
  return index.keys(id, target).length > index.entries(id, target).length;
}

function indexOf(view: MapView, root: EntryRoot) {
  return root === 'layer' ? view.layers.index : view.overlays.of(root);
}

/** Edits of segments and vertices that are not there. */
function orphans(view: MapView, fid: string, current: Generation): { root: 'part' | 'vert'; target: string }[] {
  const targets = (['part', 'vert'] as const).flatMap((root) =>
    view.overlays.targets(root, fid).map((target) => ({ root, target })),
  );
  if (targets.length === 0) return [];
  const structure = readStructure(view.overlays, fid, current);
  const present = new Set(structure?.parts.flat().map(({ part, segment }) => `${part}.${segment}`));
  return targets.filter(({ root, target }) => {
    const winner = view.overlays.winner(root, fid, target);
    if (!winner) return false;
    const address = root === 'part' ? segmentAddress(target) : vertexAddress(target);
    if (address?.gen !== current.gen) return true;
    if (present.has(`${address.part}.${address.segment}`)) return false;
    // A segment that is absent because it was removed is no surprise.
    const isRemoval =
      winner.payload.length === 0 || (structure && isBaseSegment(structure.base, address.part, address.segment));
    return root === 'vert' || !isRemoval;
  });
}
