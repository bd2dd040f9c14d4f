// A feature's geometry: the current generation's base, its segments and vertices with their overlays (map document format §6, 2–5).

import { segmentAddress, vertexAddress } from './entry.ts';
import { compareSegmentNames, implicitKey, isSegmentName } from './orderkey.ts';
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
import { compareBytes, parseJson } from './values.ts';

export type GeometryProblem = 'malformed geometry' | 'degenerate' | 'rings without exterior';

export interface GeometryReading {
  geometry: Geometry | null;
  problems: GeometryProblem[];
}

/** Which geometry is in force: the record's own, or a replacement. */
export interface Generation {
  gen: string;
  kind: number;
  coords: unknown;
}

export function currentGeneration(overlays: Overlays, fid: string, record: FeatureRecord): Generation {
  let best: (Generation & { time: number; sid: string }) | null = null;
  for (const gen of overlays.targets('geom', fid)) {
    for (const { time, sid, payload } of overlays.entries('geom', fid, gen)) {
      const candidate = { gen, kind: payload[0] as number, coords: payload[1], time, sid };
      if (best === null || isLater(candidate, best)) best = candidate;
    }
  }
  return best ?? { gen: record.gen, kind: record.kind, coords: record.coords };
}

function isLater(a: { time: number; gen: string; sid: string }, b: typeof a): boolean {
  if (a.time !== b.time) return a.time > b.time;
  if (a.gen !== b.gen) return compareBytes(a.gen, b.gen) > 0;
  return compareBytes(a.sid, b.sid) > 0;
}

export function readGeometry(overlays: Overlays, fid: string, current: Generation): GeometryReading {
  if (current.kind === 0) return { geometry: null, problems: [] };
  if (current.kind === KIND_OTHER) return readOther(current.coords);
  const shape = readShape(current.kind, current.coords);
  if (!shape) return malformed();
  const segments = readSegments(overlays, fid, current, shape);
  return assemble(current.kind, groupByPart(segments));
}

export function readShape(kind: number, coords: unknown): Shape | null {
  if (kind < KIND_POINT || kind >= KIND_OTHER) return null;
  const shape = coords instanceof Uint8Array ? shapeOfBytes(coords) : shapeOfCoordinates(kind, coords);
  return shape && (kind !== KIND_POINT || isSingleVertex(shape)) ? shape : null;
}

function shapeOfBytes(bytes: Uint8Array): Shape | null {
  const result = unpack(bytes);
  return result.ok ? result.shape : null;
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

interface SegmentReading {
  part: string;
  segment: string;
  positions: Position[];
}

function readSegments(overlays: Overlays, fid: string, { gen }: Generation, shape: Shape): SegmentReading[] {
  const found: { part: string; segment: string; flat: number[] }[] = [];
  const base = new Set<string>();
  shape.parts.forEach((segments, p) => {
    segments.forEach((flat, s) => {
      base.add(`${p}.${s}`);
      const removed = overlays.winner('part', fid, `${gen}/${p}.${s}`) !== null;
      if (!removed) found.push({ part: `${p}`, segment: `${s}`, flat });
    });
  });
  for (const target of overlays.targets('part', fid)) {
    const address = segmentAddress(target);
    if (!address || address.gen !== gen || base.has(`${address.part}.${address.segment}`)) continue;
    if (!isSegmentName(address.part) || !isSegmentName(address.segment)) continue;
    const flat = addedSegment(overlays.winner('part', fid, target)?.payload[0], shape.dims);
    if (flat) found.push({ part: address.part, segment: address.segment, flat });
  }
  found.sort((a, b) => compareSegmentNames(a.part, b.part) || compareSegmentNames(a.segment, b.segment));
  const moved = vertexOverlays(overlays, fid, gen);
  return found.map(({ part, segment, flat }) => ({
    part,
    segment,
    positions: readVertices(flat, shape.dims, moved.get(`${part}.${segment}`)),
  }));
}

function addedSegment(packed: unknown, dims: number): number[] | null {
  const shape = packed instanceof Uint8Array ? shapeOfBytes(packed) : null;
  if (!shape || shape.dims !== dims || shape.parts.length !== 1 || shape.parts[0]?.length !== 1) return null;
  return shape.parts[0][0] ?? null;
}

/** Per segment its overlaid vertices: key → position, or null where removed. */
function vertexOverlays(overlays: Overlays, fid: string, gen: string): Map<string, Map<string, Position | null>> {
  const out = new Map<string, Map<string, Position | null>>();
  for (const target of overlays.targets('vert', fid)) {
    const address = vertexAddress(target);
    const entry = address?.gen === gen ? overlays.winner('vert', fid, target) : null;
    if (!address || !entry) continue;
    const segment = `${address.part}.${address.segment}`;
    const vertices = out.get(segment) ?? new Map<string, Position | null>();
    vertices.set(address.vertex, entry.payload.length === 0 ? null : (entry.payload as Position));
    out.set(segment, vertices);
  }
  return out;
}

function readVertices(flat: number[], dims: number, overlay: Map<string, Position | null> | undefined): Position[] {
  const base: Position[] = [];
  for (let i = 0; i < flat.length; i += dims) base.push(flat.slice(i, i + dims));
  if (!overlay) return base;
  const vertices = new Map<string, Position | null>(base.map((position, i) => [implicitKey(i), position]));
  for (const [key, position] of overlay) vertices.set(key, position && withDims(position, dims));
  return [...vertices]
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .flatMap(([, position]) => (position ? [position] : []));
}

function withDims(position: readonly number[], dims: number): Position {
  const out = position.slice(0, dims);
  while (out.length < dims) out.push(0);
  return out;
}

function groupByPart(segments: SegmentReading[]): SegmentReading[][] {
  const parts = new Map<string, SegmentReading[]>();
  for (const segment of segments) {
    const part = parts.get(segment.part);
    if (part) part.push(segment);
    else parts.set(segment.part, [segment]);
  }
  return [...parts.values()];
}

function assemble(kind: number, parts: SegmentReading[][]): GeometryReading {
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

function assembleLines(parts: SegmentReading[][]): GeometryReading {
  const all = parts.map(joined);
  const lines = all.filter((line) => line.length >= 2);
  const problems = all.filter((line) => line.length < 2).map((): GeometryProblem => 'degenerate');
  return { geometry: lines.length > 0 ? { type: 'MultiLineString', coordinates: lines } : null, problems };
}

function assemblePolygons(parts: SegmentReading[][], single: boolean): GeometryReading {
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

function joined(part: SegmentReading[]): Position[] {
  return part.flatMap((segment) => segment.positions);
}

function whole(geometry: Geometry): GeometryReading {
  return { geometry, problems: [] };
}

function degenerate(): GeometryReading {
  return { geometry: null, problems: ['degenerate'] };
}
