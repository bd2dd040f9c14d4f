// A feature's geometry: the current generation's base, its segments and vertices with their overlays (map document format §6, 2–5).

import type { Authorship } from './blame.ts';
import { segmentAddress, vertexAddress } from './entry.ts';
import {
  compareKeys,
  compareSegmentNames,
  IMPLICIT_KEYS_MAX,
  implicitKey,
  isOrderKey,
  isSegmentName,
} from './orderkey.ts';
import type { Overlays } from './overlays.ts';
import { unpack } from './pack.ts';
import type { FeatureRecord } from './record.ts';
import {
  type Geometry,
  KIND_OTHER,
  KIND_POINT,
  KINDS,
  type Position,
  type Shape,
  shapeOfCoordinates,
} from './shape.ts';
import { compareBytes, isBytes, parseJson, tidy } from './values.ts';

export type GeometryProblem = 'malformed geometry' | 'degenerate' | 'rings without exterior';

export interface GeometryReading {
  geometry: Geometry | null;
  problems: GeometryProblem[];
}

/** Which geometry is in force: the record's own, or a replacement. */
export interface Generation {
  gen: string;
  author: Authorship;
  kind: number;
  coords: unknown;
  /** How many replacements there are; more than one is a conflict. */
  replacements: number;
}

export function currentGeneration(overlays: Overlays, fid: string, record: FeatureRecord): Generation {
  let best: { gen: string; kind: number; coords: unknown; time: number; sid: string } | null = null;
  let replacements = 0;
  for (const gen of overlays.targets('geom', fid)) {
    for (const { time, sid, payload } of overlays.entries('geom', fid, gen)) {
      replacements += 1;
      const candidate = { gen, kind: payload[0] as number, coords: payload[1], time, sid };
      if (best === null || isLater(candidate, best)) best = candidate;
    }
  }
  const { gen, kind, coords, time, sid } = best ?? record;
  return { gen, kind, coords, author: { time, sid }, replacements };
}

function isLater(
  a: { time: number; gen: string; sid: string },
  b: { time: number; gen: string; sid: string },
): boolean {
  if (a.time !== b.time) return a.time > b.time;
  if (a.gen !== b.gen) return compareBytes(a.gen, b.gen) > 0;
  return compareBytes(a.sid, b.sid) > 0;
}

export function readGeometry(overlays: Overlays, fid: string, current: Generation): GeometryReading {
  if (current.kind === 0) return { geometry: null, problems: [] };
  if (current.kind === KIND_OTHER) return readOther(current.coords);
  const structure = readStructure(overlays, fid, current);
  return structure ? assemble(current.kind, structure.parts) : malformed();
}

/** A geometry while it can still be edited: its segments and vertices with their names. */
export interface Structure {
  /** Numbers per vertex. */
  dims: 2 | 3;
  base: Shape;
  /** In order, each a non-empty list of segments in order. */
  parts: NamedSegment[][];
}

/** A ring, line or group of points, or a piece of one. */
export interface NamedSegment {
  /** Index of a base part or key of an added one. */
  part: string;
  /** Index of a base segment or key of an added one. */
  segment: string;
  isBase: boolean;
  /** Rings are open: the first position is not repeated. */
  positions: Position[];
  /** One order key per position; null where they are exactly the implicit ones. */
  keys: string[] | null;
}

/** The order key of a segment's vertex. */
export function vertexKey(segment: NamedSegment, index: number): string {
  return segment.keys?.[index] ?? implicitKey(index);
}

/** `P.S` */
export function segmentName({ part, segment }: { part: string; segment: string }): string {
  return `${part}.${segment}`;
}

/** Null where the geometry has no parts that could be edited: no coordinates, another kind, or malformed ones. */
export function readStructure(overlays: Overlays, fid: string, current: Generation): Structure | null {
  const base = readShape(current.kind, current.coords);
  if (!base) return null;
  const parts = groupByPart(readSegments(overlays, fid, current, base));
  return { dims: base.dims, base, parts };
}

export function readShape(kind: number, coords: unknown): Shape | null {
  if (kind < KIND_POINT || kind >= KIND_OTHER) return null;
  const shape = isBytes(coords) ? shapeOfBytes(coords) : shapeOfCoordinates(kind, coords);
  if (!shape || !shape.parts.every((part) => part.every((flat) => hasKeys(flat, shape.dims)))) return null;
  return kind !== KIND_POINT || isSingleVertex(shape) ? shape : null;
}

/** Whether the base has a segment of this name, so that no other can be added under it. */
export function isBaseSegment({ parts }: Shape, part: string, segment: string): boolean {
  return isSegmentName(part) && isSegmentName(segment) && parts[Number(part)]?.[Number(segment)] !== undefined;
}

function shapeOfBytes(bytes: Uint8Array): Shape | null {
  const result = unpack(bytes);
  return result.ok ? result.shape : null;
}

/** Vertices beyond the key space could not be told apart. */
function hasKeys(flat: number[], dims: number): boolean {
  return flat.length / dims <= IMPLICIT_KEYS_MAX;
}

function isSingleVertex({ dims, parts }: Shape): boolean {
  return parts.length === 1 && parts[0]?.length === 1 && parts[0][0]?.length === dims;
}

function readOther(coords: unknown): GeometryReading {
  const value = typeof coords === 'string' ? parseJson(coords) : undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return malformed();
  return { geometry: value as unknown as Geometry, problems: [] };
}

function malformed(): GeometryReading {
  return { geometry: null, problems: ['malformed geometry'] };
}

function readSegments(overlays: Overlays, fid: string, { gen }: Generation, shape: Shape): NamedSegment[] {
  const found: { part: string; segment: string; isBase: boolean; flat: number[] }[] = [];
  const isEdited = overlays.of('part').has(fid);
  shape.parts.forEach((segments, p) => {
    segments.forEach((flat, s) => {
      const isRemoved = isEdited && overlays.winner('part', fid, `${gen}/${p}.${s}`) !== null;
      if (!isRemoved) found.push({ part: `${p}`, segment: `${s}`, isBase: true, flat });
    });
  });
  for (const target of overlays.targets('part', fid)) {
    const address = segmentAddress(target);
    if (!address || address.gen !== gen || isBaseSegment(shape, address.part, address.segment)) continue;
    if (!isSegmentName(address.part) || !isSegmentName(address.segment)) continue;
    const flat = addedSegment(overlays.winner('part', fid, target)?.payload[0], shape.dims);
    if (flat) found.push({ part: address.part, segment: address.segment, isBase: false, flat });
  }
  found.sort((a, b) => compareSegmentNames(a.part, b.part) || compareSegmentNames(a.segment, b.segment));
  const moved = vertexOverlays(overlays, fid, gen);
  return found.map(({ part, segment, isBase, flat }) => ({
    part,
    segment,
    isBase,
    ...readVertices(flat, shape.dims, moved.get(`${part}.${segment}`)),
  }));
}

function addedSegment(packed: unknown, dims: number): number[] | null {
  const shape = isBytes(packed) ? shapeOfBytes(packed) : null;
  if (!shape || shape.dims !== dims || shape.parts.length !== 1 || shape.parts[0]?.length !== 1) return null;
  const [flat] = shape.parts[0];
  return flat && hasKeys(flat, dims) ? flat : null;
}

/** Per segment its overlaid vertices: key → position, or null where removed. */
function vertexOverlays(overlays: Overlays, fid: string, gen: string): Map<string, Map<string, Position | null>> {
  const out = new Map<string, Map<string, Position | null>>();
  for (const target of overlays.targets('vert', fid)) {
    const address = vertexAddress(target);
    const entry = address?.gen === gen && isOrderKey(address.vertex) ? overlays.winner('vert', fid, target) : null;
    if (!address || !entry) continue;
    const segment = `${address.part}.${address.segment}`;
    const vertices = out.get(segment) ?? new Map<string, Position | null>();
    vertices.set(address.vertex, entry.payload.length === 0 ? null : (entry.payload as Position));
    out.set(segment, vertices);
  }
  return out;
}

function readVertices(
  flat: number[],
  dims: number,
  overlay: Map<string, Position | null> | undefined,
): { positions: Position[]; keys: string[] | null } {
  const base: Position[] = [];
  for (let i = 0; i < flat.length; i += dims) base.push(flat.slice(i, i + dims));
  if (!overlay) return { positions: base, keys: null };
  const vertices = new Map<string, Position | null>(base.map((position, i) => [implicitKey(i), position]));
  for (const [key, position] of overlay) vertices.set(key, position && withDims(position, dims));
  const present = [...vertices].sort(([a], [b]) => compareKeys(a, b)).filter(isPresent);
  return { positions: present.map(([, position]) => position), keys: present.map(([key]) => key) };
}

function isPresent(vertex: [string, Position | null]): vertex is [string, Position] {
  return vertex[1] !== null;
}

/** With as many numbers as the geometry has: missing heights are 0, surplus ones are dropped. */
export function withDims(position: readonly number[], dims: number): Position {
  const out = position.slice(0, dims).map(tidy);
  while (out.length < dims) out.push(0);
  return out;
}

function groupByPart(segments: NamedSegment[]): NamedSegment[][] {
  const parts = new Map<string, NamedSegment[]>();
  for (const segment of segments) {
    const part = parts.get(segment.part);
    if (part) part.push(segment);
    else parts.set(segment.part, [segment]);
  }
  return [...parts.values()];
}

function assemble(kind: number, parts: NamedSegment[][]): GeometryReading {
  switch (KINDS[kind]) {
    case 'Point': {
      const position = parts[0]?.[0]?.positions[0];
      return position ? whole({ type: 'Point', coordinates: position }) : degenerate();
    }
    case 'LineString': {
      const positions = parts.flatMap(joined);
      return positions.length >= 2 ? whole({ type: 'LineString', coordinates: positions }) : degenerate();
    }
    case 'MultiPoint': {
      const positions = parts.flatMap(joined);
      return positions.length >= 1 ? whole({ type: 'MultiPoint', coordinates: positions }) : degenerate();
    }
    case 'MultiLineString':
      return assembleLines(parts);
    default:
      return assemblePolygons(parts, KINDS[kind] === 'Polygon');
  }
}

function assembleLines(parts: NamedSegment[][]): GeometryReading {
  const all = parts.map(joined);
  const lines = all.filter((line) => line.length >= 2);
  const problems = all.filter((line) => line.length < 2).map((): GeometryProblem => 'degenerate');
  return { geometry: lines.length > 0 ? { type: 'MultiLineString', coordinates: lines } : null, problems };
}

function assemblePolygons(parts: NamedSegment[][], single: boolean): GeometryReading {
  const problems: GeometryProblem[] = [];
  const polygons: Position[][][] = [];
  for (const part of parts) {
    if (part[0]?.segment !== '0') {
      problems.push('rings without exterior');
      continue;
    }
    const rings: Position[][] = [];
    for (const [i, { positions }] of part.entries()) {
      const [first] = positions;
      if (first && positions.length >= 3) {
        rings.push([...positions, first]);
        continue;
      }
      problems.push('degenerate');
      if (i === 0) break;
    }
    if (rings.length > 0) polygons.push(rings);
  }
  const [only] = polygons;
  if (!only) return { geometry: null, problems };
  const geometry: Geometry =
    single && polygons.length === 1
      ? { type: 'Polygon', coordinates: only }
      : { type: 'MultiPolygon', coordinates: polygons };
  return { geometry, problems };
}

function joined(part: NamedSegment[]): Position[] {
  return part.flatMap((segment) => segment.positions);
}

function whole(geometry: Geometry): GeometryReading {
  return { geometry, problems: [] };
}

function degenerate(): GeometryReading {
  return { geometry: null, problems: ['degenerate'] };
}
