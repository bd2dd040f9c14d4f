// Single vertices: move, insert, remove (map document format §7). A point's only vertex is `0.0.U000`.

import { currentGeneration, type NamedSegment, readStructure, segmentName, vertexKey } from '../geometry.ts';
import { keyAfterRing, keyBetween, keyBeyond, type LineEnd } from '../orderkey.ts';
import { KIND_POINT, type Position } from '../shape.ts';
import { badGeometry, checkFeature, checkPosition, checkVertexCount, isRings, quote } from './check.ts';
import type { Draft } from './draft.ts';
import { EditError } from './error.ts';
import type { InsertVertex, MoveVertices, RemoveVertices } from './operation.ts';

/** A feature's geometry, ready to be edited by segments and vertices. */
export interface Editable {
  fid: string;
  gen: string;
  kind: number;
  dims: 2 | 3;
  parts: NamedSegment[][];
}

/** The geometry of a feature that shows; its parts are empty where it has no vertices. */
export function editable(draft: Draft, fid: string): Editable {
  const record = checkFeature(draft.view, fid);
  const current = currentGeneration(draft.view.overlays, fid, record);
  const structure = readStructure(draft.view.overlays, fid, current);
  return { fid, gen: current.gen, kind: current.kind, dims: structure?.dims ?? 2, parts: structure?.parts ?? [] };
}

export function findSegment({ fid, parts }: Editable, name: string): NamedSegment {
  const found = parts.flat().find((segment) => segmentName(segment) === name);
  if (found) return found;
  throw new EditError('unknown_segment', `the feature ${quote(fid)} has no segment ${quote(name)}; read it again`);
}

function findVertex(segment: NamedSegment, key: string): number {
  const found = segment.positions.findIndex((_, i) => vertexKey(segment, i) === key);
  if (found >= 0) return found;
  throw new EditError(
    'unknown_vertex',
    `the segment ${segmentName(segment)} has no vertex ${quote(key)}; read it again`,
  );
}

export function moveVertices(draft: Draft, { fid, moves }: MoveVertices): void {
  const geometry = editable(draft, fid);
  for (const { segment: name, vertex, position } of moves) {
    const segment = findSegment(geometry, name);
    const present = segment.positions[findVertex(segment, vertex)] ?? [];
    const to = checkPosition(position);
    // A place given without height keeps the vertex's own.
    const height = to.slice(2).concat(present.slice(2));
    setVertex(draft, geometry, segment, vertex, [...to.slice(0, 2), ...height].slice(0, geometry.dims));
  }
}

export function removeVertices(draft: Draft, { fid, vertices }: RemoveVertices): void {
  const geometry = editable(draft, fid);
  for (const { segment: name, vertex } of vertices) {
    const segment = findSegment(geometry, name);
    findVertex(segment, vertex);
    if (geometry.kind === KIND_POINT) throw badGeometry('a point has one vertex; delete the feature instead');
    setVertex(draft, geometry, segment, vertex, []);
  }
}

/** Returns the new vertex's key. */
export function insertVertex(draft: Draft, { fid, segment: name, after, before, position }: InsertVertex): string {
  const geometry = editable(draft, fid);
  const segment = findSegment(geometry, name);
  if (geometry.kind === KIND_POINT) throw badGeometry('a point has one vertex; move it instead');
  const to = checkPosition(position);
  const gap = findGap(segment, after, before);
  checkVertexCount(segment.positions.length + 1);
  const key = keyInGap(draft, geometry, segment, gap, to);
  setVertex(draft, geometry, segment, key, to.slice(0, geometry.dims));
  return key;
}

/** Indices of the vertices on both sides; null where there is none. On the closing edge of a ring `after` is the last one. */
interface Gap {
  after: number | null;
  before: number | null;
}

function findGap(segment: NamedSegment, afterKey: string | null, beforeKey: string | null): Gap {
  const last = segment.positions.length - 1;
  const after = afterKey === null ? null : findVertex(segment, afterKey);
  const before = beforeKey === null ? null : findVertex(segment, beforeKey);
  if (after === null && before === null) return { after: last < 0 ? null : last, before: null };
  if (after === null) return { after: before === 0 ? null : (before ?? 0) - 1, before };
  if (before === null) return { after, before: after === last ? null : after + 1 };
  if (after === last && before === 0) return { after, before: null };
  if (after < before) return { after, before };
  throw new EditError(
    'unknown_vertex',
    `there is no edge from ${quote(afterKey)} to ${quote(beforeKey)}; read it again`,
  );
}

function keyInGap(draft: Draft, geometry: Editable, segment: NamedSegment, gap: Gap, to: Position): string {
  const { random } = draft.context;
  const { positions } = segment;
  const last = positions.length - 1;
  const isOpen = gap.after === null || gap.before === null;
  if (!isOpen) {
    const [a, b] = [gap.after ?? 0, gap.before ?? 0];
    const place = projection(to, positions[a] ?? to, positions[b] ?? to);
    return mustHaveRoom(keyBetween(vertexKey(segment, a), vertexKey(segment, b), place, random));
  }
  if (isRings(geometry.kind) && last >= 0) {
    const place = projection(to, positions[last] ?? to, positions[0] ?? to);
    return mustHaveRoom(keyBetween(vertexKey(segment, last), keyAfterRing(vertexKey(segment, last)), place, random));
  }
  const end: LineEnd = gap.after === null && gap.before !== null ? 'front' : 'back';
  const outermost = last < 0 ? null : vertexKey(segment, end === 'front' ? 0 : last);
  return openEnd(draft, geometry, segment, outermost, end);
}

/** A key beyond the end of a line, remembered so that the session continues its run there. */
export function openEnd(
  draft: Draft,
  { fid, gen }: Editable,
  segment: NamedSegment,
  outermost: string | null,
  end: LineEnd,
): string {
  const target = (key: string) => `${fid}/${gen}/${segmentName(segment)}.${key}`;
  const isOwn = outermost !== null && draft.isOwnEnd(target(outermost));
  const key = mustHaveRoom(keyBeyond(outermost, end, isOwn, draft.context.random));
  draft.madeEnd(target(key));
  return key;
}

export function mustHaveRoom(key: string | null): string {
  if (key !== null) return key;
  throw new EditError('too_large', 'there is no room for another vertex here; replace the geometry');
}

/** Sets a vertex to a position, or with no numbers removes it. */
export function setVertex(
  draft: Draft,
  { fid, gen }: Editable,
  segment: NamedSegment,
  vertex: string,
  position: readonly number[],
): void {
  draft.set('vert', fid, `${gen}/${segmentName(segment)}.${vertex}`, position);
}

/** Where `p` projects on the edge from `a` to `b`: 0 at a, 1 at b, 1/2 if they coincide. */
export function projection(p: Position, a: Position, b: Position): number {
  const [[px = 0, py = 0], [ax = 0, ay = 0], [bx = 0, by = 0]] = [p, a, b];
  const [dx, dy] = [bx - ax, by - ay];
  const square = dx * dx + dy * dy;
  return square > 0 ? ((px - ax) * dx + (py - ay) * dy) / square : 0.5;
}
