// Whole segments: rings, lines and pieces of lines come and go (map document format §7).

import { type NamedSegment, segmentName, withDims } from '../geometry.ts';
import { compareKeys, isIndex, keyBeyond } from '../orderkey.ts';
import { pack } from '../pack.ts';
import { KIND_OTHER, KIND_POINT, type Position } from '../shape.ts';
import { compareBytes } from '../values.ts';
import { badGeometry, checkPosition, checkVertexCount, isLines, isRings, quote } from './check.ts';
import type { Draft } from './draft.ts';
import { EditError } from './error.ts';
import type { AddSegment, RecordTrack, RemoveSegment } from './operation.ts';
import { type Editable, editable, findSegment, mustHaveRoom } from './vertices.ts';

/** Returns the new segment's name. */
export function addSegment(draft: Draft, { fid, part, coordinates }: AddSegment): string {
  const geometry = editable(draft, fid);
  if (geometry.kind <= KIND_POINT || geometry.kind >= KIND_OTHER) {
    throw badGeometry('points, collections and features without geometry have no further parts; replace it');
  }
  if (part !== null && !geometry.parts.some(([first]) => first?.part === part)) {
    throw new EditError('unknown_segment', `the feature ${quote(fid)} has no part ${quote(part)}; read it again`);
  }
  return add(draft, geometry, part, coordinates, leastPositions(geometry.kind, part));
}

/** Returns the new segment's name. */
export function recordTrack(draft: Draft, { fid, coordinates }: RecordTrack): string {
  const geometry = editable(draft, fid);
  if (!isLines(geometry.kind)) throw badGeometry('a track is recorded into a line; create one with its first points');
  return add(draft, geometry, '0', coordinates, 1);
}

function leastPositions(kind: number, part: string | null): number {
  if (isRings(kind)) return 3;
  return kind === 5 && part === null ? 2 : 1;
}

function add(draft: Draft, geometry: Editable, part: string | null, given: Position[], least: number): string {
  const { kind, dims } = geometry;
  if (!Array.isArray(given)) throw new EditError('bad_position', 'the coordinates are no array of positions');
  const positions = given.map((position) => withDims(checkPosition(position), dims));
  const open = isRings(kind) ? opened(positions) : positions;
  if (open.length < least) throw badGeometry(`it has ${open.length} positions; ${least} are needed`);
  checkVertexCount(open.length);
  return segmentName(putSegment(draft, geometry, part, open));
}

/** Adds a segment to a part, or as the exterior or line of a new one. Rings are open. */
export function putSegment(
  draft: Draft,
  geometry: Editable,
  part: string | null,
  positions: Position[],
): { part: string; segment: string } {
  const { fid, gen, dims } = geometry;
  const added: NamedSegment = {
    part: part ?? newPart(draft, geometry),
    segment: part === null ? '0' : newSegment(draft, geometry, part),
    isBase: false,
    positions,
    keys: null,
  };
  draft.set('part', fid, `${gen}/${segmentName(added)}`, [pack({ dims, parts: [[positions.flat()]] })]);
  // What is added next in this operation comes after it.
  geometry.parts.push([added]);
  return added;
}

/** Without a last position that repeats the first. */
function opened(ring: Position[]): Position[] {
  const [first, last] = [ring[0], ring.at(-1)];
  return ring.length > 1 && first?.every((x, i) => x === last?.[i]) ? ring.slice(0, -1) : ring;
}

function newPart(draft: Draft, geometry: Editable): string {
  return keyAfterAdded(
    draft,
    `${geometry.fid}/${geometry.gen}/`,
    geometry.parts.flatMap(([first]) => first?.part ?? []),
  );
}

function newSegment(draft: Draft, geometry: Editable, part: string): string {
  const names = geometry.parts.flat().filter((segment) => segment.part === part);
  return keyAfterAdded(
    draft,
    `${geometry.fid}/${geometry.gen}/${part}.`,
    names.map((segment) => segment.segment),
  );
}

/** A key after the last that was added, whose run is continued where this session made it. */
function keyAfterAdded(draft: Draft, prefix: string, names: string[]): string {
  const last = names
    .filter((name) => !isIndex(name))
    .sort(compareKeys)
    .at(-1);
  const isOwn = last !== undefined && draft.isOwnEnd(prefix + last);
  const key = mustHaveRoom(keyBeyond(last ?? null, 'back', isOwn, draft.context.random));
  draft.madeEnd(prefix + key);
  return key;
}

export function removeSegment(draft: Draft, { fid, segment: name }: RemoveSegment): void {
  const geometry = editable(draft, fid);
  dropSegment(draft, geometry, findSegment(geometry, name));
}

/** The edits of its vertices that are seen go with it. */
export function dropSegment(draft: Draft, { fid, gen }: Editable, segment: NamedSegment): void {
  const target = `${gen}/${segmentName(segment)}`;
  const vertices = draft.view.overlays.targets('vert', fid).filter((vertex) => vertex.startsWith(`${target}.`));
  for (const vertex of vertices.sort(compareBytes)) draft.clear('vert', fid, vertex);
  if (segment.isBase) draft.set('part', fid, target, []);
  else draft.clear('part', fid, target);
}
