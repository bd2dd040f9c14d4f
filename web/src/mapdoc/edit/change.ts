// From a feature's present geometry to another by the smallest edits, so that whole geometries, as generic editors and services give
// them, do not undo what others do to single vertices meanwhile. What differs too much is replaced.

import { type NamedSegment, vertexKey } from '../geometry.ts';
import { keyAfterRing, keyBetween } from '../orderkey.ts';
import type { Position, Shape } from '../shape.ts';
import { checkFeature, checkGeometry, isRings, type StoredGeometry } from './check.ts';
import { diff, type Step } from './diff.ts';
import type { Draft } from './draft.ts';
import { EditError } from './error.ts';
import type { ChangeGeometry } from './operation.ts';
import { isSamePlace, type Pairing, pairParts } from './pair.ts';
import { replace } from './replace.ts';
import { dropSegment, putSegment } from './segments.ts';
import { type Editable, editable, mustHaveRoom, openEnd, projection, setVertex } from './vertices.ts';

/** So many vertices may always be edited one by one; beyond, at most half of them. */
const EDITS_ALWAYS = 8;

export function changeGeometry(draft: Draft, { fid, geometry }: ChangeGeometry): void {
  const record = checkFeature(draft.view, fid);
  const wanted = checkGeometry(geometry);
  if (isSameText(draft, fid, wanted)) return;
  const attempt = draft.fork();
  if (wanted.shape && edit(attempt, editable(draft, fid), wanted.kind, wanted.shape)) draft.adopt(attempt);
  else replace(draft, fid, record, wanted);
}

/** For geometries without vertices of their own. */
function isSameText(draft: Draft, fid: string, wanted: StoredGeometry): boolean {
  const current = draft.view.generation(fid);
  return wanted.shape === null && current?.kind === wanted.kind && current.coords === wanted.coords;
}

/** A line, ring or group of points: the segments that make it up. */
type Line = NamedSegment[];

/** Drafts the edits; false where replacing is better. */
function edit(draft: Draft, geometry: Editable, kind: number, wanted: Shape): boolean {
  const parts = shownLines(geometry);
  if (parts === null || shownKind(geometry) !== kind || geometry.dims !== wanted.dims) return false;
  const old = parts.map((lines) => lines.map(positionsOf));
  const pairings = pairParts(old, positionsOfShape(wanted));
  const work = pairings && pairings.map((pairing) => workOf(draft, geometry, parts, pairing));
  if (!work || work.includes(null)) return false;
  const planned = work.filter((one) => one !== null);
  const edited = planned.reduce((sum, { edited }) => sum + edited, 0);
  const total = wanted.parts.flat().reduce((sum, flat) => sum + flat.length / wanted.dims, 0);
  if (edited > EDITS_ALWAYS && edited * 2 > total) return false;
  try {
    for (const { run } of planned) run();
    return true;
  } catch (error) {
    // No room for a key between two vertices.
    if (error instanceof EditError && error.code === 'too_large') return false;
    throw error;
  }
}

/** What one pairing takes: so many edited vertices, and how to draft it. Null if it cannot be done. */
interface Work {
  edited: number;
  run: () => void;
}

function workOf(draft: Draft, geometry: Editable, parts: Line[][], pairing: Pairing): Work | null {
  switch (pairing.kind) {
    case 'remove': {
      const lines = pairing.line === null ? (parts[pairing.part] ?? []) : [parts[pairing.part]?.[pairing.line] ?? []];
      const edited = lines.flatMap(positionsOf).length;
      return { edited, run: () => lines.flat().forEach((segment) => dropSegment(draft, geometry, segment)) };
    }
    case 'add': {
      const part = pairing.part === null ? null : (parts[pairing.part]?.[0]?.[0]?.part ?? null);
      return { edited: pairing.wanted.flat().length, run: () => addLines(draft, geometry, part, pairing.wanted) };
    }
    case 'edit': {
      const vertices = verticesOf(parts[pairing.part]?.[pairing.line] ?? []);
      const positions = vertices.map((vertex) => vertex.at);
      const steps = diff(positions, pairing.wanted, isSamePlace);
      if (steps === null || !hasHold(steps)) return null;
      const edited = steps.filter((step) => step.kind !== 'keep').length;
      return { edited, run: () => new LineEdit(draft, geometry, vertices, pairing.wanted, steps).run() };
    }
  }
}

/** The first line makes a new part, or all go into an old one. */
function addLines(draft: Draft, geometry: Editable, into: string | null, lines: Position[][]): void {
  let part = into;
  for (const line of lines) part = putSegment(draft, geometry, part, line).part;
}

/** Insertions need something that stays beside them; without, replacing says it more shortly. */
function hasHold(steps: Step[]): boolean {
  return steps.some((step) => step.kind === 'keep' || step.kind === 'move') || steps.every((s) => s.kind !== 'insert');
}

/** The kind that shows: a polygon with added parts is a multipolygon. */
function shownKind({ kind, parts }: Editable): number {
  return kind === 3 && parts.length > 1 ? 6 : kind;
}

/** Parts → lines as they show; null if some segment does not show. */
function shownLines({ kind, parts }: Editable): Line[][] | null {
  if (isRings(kind)) {
    const areShown = parts.every(
      (part) => part[0]?.segment === '0' && part.every((ring) => ring.positions.length >= 3),
    );
    return areShown && parts.length > 0 ? parts.map((part) => part.map((ring) => [ring])) : null;
  }
  if (kind === 5) {
    return parts.length > 0 && parts.every((part) => positionsOf(part).length >= 2)
      ? parts.map((part) => [part])
      : null;
  }
  const line = parts.flat();
  const count = positionsOf(line).length;
  const isShown = kind === 1 ? count === 1 : count >= (kind === 2 ? 2 : 1);
  return isShown ? [[line]] : null;
}

function positionsOf(line: Line): Position[] {
  return line.flatMap((segment) => segment.positions);
}

function positionsOfShape({ dims, parts }: Shape): Position[][][] {
  return parts.map((part) =>
    part.map((flat) => {
      const positions: Position[] = [];
      for (let i = 0; i < flat.length; i += dims) positions.push(flat.slice(i, i + dims));
      return positions;
    }),
  );
}

/** A vertex of the line being edited. */
interface Vertex {
  segment: NamedSegment;
  key: string;
  at: Position;
}

function verticesOf(line: Line): Vertex[] {
  return line.flatMap((segment) => segment.positions.map((at, i) => ({ segment, key: vertexKey(segment, i), at })));
}

/** Carries out the steps of one line. */
class LineEdit {
  readonly #draft: Draft;
  readonly #geometry: Editable;
  readonly #old: Vertex[];
  readonly #wanted: Position[];
  readonly #steps: Step[];

  constructor(draft: Draft, geometry: Editable, old: Vertex[], wanted: Position[], steps: Step[]) {
    this.#draft = draft;
    this.#geometry = geometry;
    this.#old = old;
    this.#wanted = wanted;
    this.#steps = steps;
  }

  run(): void {
    // Insertions before the first vertex that stays go outwards from it, so they wait.
    const front: Position[] = [];
    let last: Vertex | null = null;
    for (const [i, step] of this.#steps.entries()) {
      const to = step.kind === 'remove' ? [] : (this.#wanted[step.new] ?? []);
      const vertex = step.kind === 'insert' ? null : (this.#old[step.old] ?? null);
      if (vertex && step.kind !== 'keep') this.#set(vertex, to);
      if (vertex && step.kind !== 'remove') last = { ...vertex, at: to };
      if (step.kind !== 'insert') continue;
      if (last) last = this.#insertAfter(last, i, to);
      else front.push(to);
    }
    let inner = this.#staying(0);
    for (const to of front.reverse()) {
      if (!inner) break;
      const key = openEnd(this.#draft, this.#geometry, inner.segment, inner.key, 'front');
      inner = { segment: inner.segment, key, at: to };
      this.#set(inner, to);
    }
  }

  #insertAfter(before: Vertex, step: number, to: Position): Vertex {
    const inserted = { segment: before.segment, key: this.#keyAfter(before, step, to), at: to };
    this.#set(inserted, to);
    return inserted;
  }

  #keyAfter(before: Vertex, step: number, to: Position): string {
    const { random } = this.#draft.context;
    const after = this.#staying(step + 1);
    if (after && after.segment === before.segment) {
      const place = projection(to, before.at, after.at);
      return mustHaveRoom(keyBetween(before.key, after.key, place, random));
    }
    const first = isRings(this.#geometry.kind) ? this.#staying(0) : null;
    if (!first) return openEnd(this.#draft, this.#geometry, before.segment, before.key, 'back');
    const place = projection(to, before.at, first.at);
    return mustHaveRoom(keyBetween(before.key, keyAfterRing(before.key), place, random));
  }

  /** The first vertex that stays from a step on, where it will be. */
  #staying(from: number): Vertex | null {
    for (const step of this.#steps.slice(from)) {
      if (step.kind !== 'keep' && step.kind !== 'move') continue;
      const vertex = this.#old[step.old];
      return vertex ? { ...vertex, at: this.#wanted[step.new] ?? vertex.at } : null;
    }
    return null;
  }

  #set({ segment, key }: Vertex, to: Position): void {
    setVertex(this.#draft, this.#geometry, segment, key, to);
  }
}
