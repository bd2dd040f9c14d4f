// A geometry as parts → segments → vertices, the form in which the map document addresses its pieces.

import { asNumber } from './values.ts';

export const KINDS = [null, 'Point', 'LineString', 'Polygon', 'MultiPoint', 'MultiLineString', 'MultiPolygon'] as const;

/** 1–7. */
export type Kind = number;

/** Kind number of a geometry kept as JSON text, such as a GeometryCollection. */
export const KIND_OTHER = 7;
export const KIND_POINT = 1;

export type Position = number[];

export type Geometry =
  | { type: 'Point'; coordinates: Position }
  | { type: 'LineString' | 'MultiPoint'; coordinates: Position[] }
  | { type: 'Polygon' | 'MultiLineString'; coordinates: Position[][] }
  | { type: 'MultiPolygon'; coordinates: Position[][][] }
  | { type: 'GeometryCollection'; geometries: Geometry[] };

/** The kind number of a GeoJSON geometry; null if it is none. */
export function kindOf(geometry: { type?: unknown }): Kind | null {
  if (geometry.type === 'GeometryCollection') return KIND_OTHER;
  const kind = KINDS.indexOf(geometry.type as (typeof KINDS)[number]);
  return kind >= KIND_POINT ? kind : null;
}

/** One segment's numbers, vertex by vertex, `dims` each. Rings are open: the first position is not repeated. */
export type Segment = number[];

export interface Shape {
  /** Numbers per vertex: longitude, latitude and perhaps height in metres. */
  dims: 2 | 3;
  parts: Segment[][];
}

/** The plain `coordinates` array of a record of kinds 1–6; null if it is not one. */
export function shapeOfCoordinates(kind: number, coordinates: unknown): Shape | null {
  const positions = nestedPositions(kind, coordinates);
  const first = positions?.flat(2)[0];
  if (!positions || !first) return positions && { dims: 2, parts: positions.map((p) => p.map(() => [])) };
  const dims = first.length === 3 ? 3 : 2;
  const isPosition = (p: Position) => p.length === dims;
  if (!positions.flat(2).every(isPosition)) return null;
  return { dims, parts: positions.map((part) => part.map((segment) => segment.flat())) };
}

/** Parts → segments → positions, rings open. */
function nestedPositions(kind: number, coordinates: unknown): Position[][][] | null {
  const type = KINDS[kind];
  switch (type) {
    case 'Point':
      return wrap(readPosition(coordinates), (p) => [[[p]]]);
    case 'LineString':
    case 'MultiPoint':
      return wrap(readList(coordinates, readPosition), (line) => [[line]]);
    case 'MultiLineString':
      return wrap(readList(coordinates, readLine), (lines) => lines.map((line) => [line]));
    case 'Polygon':
      return wrap(readList(coordinates, readRing), (rings) => [rings]);
    case 'MultiPolygon':
      return readList(coordinates, (polygon) => readList(polygon, readRing));
    default:
      return null;
  }
}

const readLine = (value: unknown) => readList(value, readPosition);
const readRing = (value: unknown) => wrap(readLine(value), opened);

/** Without a last position that repeats the first. */
function opened(line: Position[]): Position[] {
  const [first, last] = [line[0], line.at(-1)];
  const isClosed = line.length > 1 && first && last && first.every((x, i) => x === last[i]);
  return isClosed ? line.slice(0, -1) : line;
}

function readPosition(value: unknown): Position | null {
  if (!Array.isArray(value) || value.length < 2 || value.length > 3) return null;
  const numbers = value.map(asNumber);
  return numbers.includes(null) ? null : (numbers as Position);
}

function readList<T>(value: unknown, read: (item: unknown) => T | null): T[] | null {
  if (!Array.isArray(value)) return null;
  const out: T[] = [];
  for (const item of value) {
    const one = read(item);
    if (one === null) return null;
    out.push(one);
  }
  return out;
}

function wrap<T, U>(value: T | null, make: (value: T) => U): U | null {
  return value === null ? null : make(value);
}
