// Which line or ring of an old geometry became which of a new one.

import type { Position } from '../shape.ts';
import { diff } from './diff.ts';

/** Decimals of a degree (about 0.1 m) to which positions are compared, since other programs round them. */
const COMPARED = 1e6;

/** `part` and `line` are indices into the old geometry. */
export type Pairing =
  | { kind: 'edit'; part: number; line: number; wanted: Position[] }
  /** Without a line: the whole part. */
  | { kind: 'remove'; part: number; line: number | null }
  /** Further lines of a part, or without one a new part. */
  | { kind: 'add'; part: number | null; wanted: Position[][] };

/** Parts → lines → positions. */
type Lines = Position[][][];

/** Whether two positions are one, as far as programs that round can tell. */
export function isSamePlace(a: Position, b: Position): boolean {
  return a.length === b.length && a.every((x, i) => x === b[i] || rounded(x) === rounded(b[i] ?? 0));
}

/**
 * How the old parts and lines become the wanted ones. Null where what stays would change its order or something new belongs before
 * it: added lines always come last.
 */
export function pairParts(old: Lines, wanted: Lines): Pairing[] | null {
  const steps = pair(old, wanted, (a, b) => areAlike(a[0], b[0]));
  if (steps === null) return null;
  const out: Pairing[] = [];
  for (const step of steps) {
    if (step.kind === 'remove') out.push({ kind: 'remove', part: step.old, line: null });
    else if (step.kind === 'insert') out.push({ kind: 'add', part: null, wanted: wanted[step.new] ?? [] });
    else {
      const lines = pairLines(step.old, old[step.old] ?? [], wanted[step.new] ?? []);
      if (lines === null) return null;
      out.push(...lines);
    }
  }
  return out;
}

/** The first line of a part, the exterior of a polygon, stays the first. */
function pairLines(part: number, [exterior = [], ...holes]: Position[][], wanted: Position[][]): Pairing[] | null {
  const [wantedExterior = [], ...wantedHoles] = wanted;
  const steps = exterior.length === 0 ? null : pair(holes, wantedHoles, areAlike);
  if (steps === null) return null;
  const out: Pairing[] = [{ kind: 'edit', part, line: 0, wanted: wantedExterior }];
  const added: Position[][] = [];
  for (const step of steps) {
    if (step.kind === 'remove') out.push({ kind: 'remove', part, line: step.old + 1 });
    else if (step.kind === 'insert') added.push(wantedHoles[step.new] ?? []);
    else out.push({ kind: 'edit', part, line: step.old + 1, wanted: wantedHoles[step.new] ?? [] });
  }
  if (added.length > 0) out.push({ kind: 'add', part, wanted: added });
  return out;
}

function pair<T>(old: T[], wanted: T[], alike: (a: T, b: T) => boolean) {
  const steps = diff(old, wanted, alike);
  const firstAdded = steps?.findIndex((step) => step.kind === 'insert') ?? -1;
  const isInOrder =
    firstAdded < 0 || steps?.slice(firstAdded).every((step) => step.kind !== 'keep' && step.kind !== 'move');
  return steps && isInOrder ? steps : null;
}

/** Whether two lines share at least half of the shorter one's places. */
function areAlike(a: Position[] = [], b: Position[] = []): boolean {
  const places = placesOf(b);
  const shared = a.filter((position) => places.has(placeOf(position))).length;
  return shared > 0 && shared * 2 >= Math.min(a.length, b.length);
}

const known = new WeakMap<Position[], Set<string>>();

function placesOf(line: Position[]): Set<string> {
  const places = known.get(line) ?? new Set(line.map(placeOf));
  known.set(line, places);
  return places;
}

function placeOf(position: Position): string {
  return position.map(rounded).join();
}

function rounded(x: number): number {
  return Math.round(x * COMPARED);
}
