// What an operation brings with it, checked once: names, positions, geometries, values and their bounds (map document format §§2, 4, 12).

import { isOrderKey } from '../orderkey.ts';
import { pack } from '../pack.ts';
import type { FeatureRecord } from '../record.ts';
import {
  type Geometry,
  KIND_OTHER,
  type Kind,
  kindOf,
  type Position,
  type Shape,
  shapeOfCoordinates,
} from '../shape.ts';
import {
  asNumber,
  byteLength,
  canonicalText,
  isBytes,
  isWellFormed,
  type Json,
  NAME_BYTES_MAX,
  NESTING_MAX,
  nestsWithin,
  tidy,
  VALUE_BYTES_MAX,
} from '../values.ts';
import { FEATURES_MAX, type MapView } from '../view.ts';
import { EditError, type EditErrorCode } from './error.ts';
import type { Properties } from './operation.ts';

/** Vertices of one segment, at most (map document format §12). */
export const SEGMENT_VERTICES_MAX = 1_000_000;
/** Digits of ids of features, layers, notes and attachments. */
const ID_FORM = /^[0-9A-Za-z_-]{1,64}$/;
const SID_FORM = /^[0-9A-Za-z]{5,16}$/;

/** A geometry as records and replacements store it. */
export interface StoredGeometry {
  kind: number;
  coords: unknown;
  /** Null for geometries without segments: none, and those kept as text. */
  shape: Shape | null;
}

export function checkId(id: string): string {
  if (typeof id === 'string' && ID_FORM.test(id)) return id;
  throw new EditError('bad_name', `${quote(id)} is no id: use 1 to 64 letters, digits, "_" or "-"`);
}

export function checkSid(sid: string): string {
  if (SID_FORM.test(sid)) return sid;
  throw new EditError('bad_name', `${quote(sid)} is no session id: use 5 to 16 letters and digits`);
}

/** The record of a feature, deleted or not. */
export function checkRecord(view: MapView, fid: string): FeatureRecord {
  const record = typeof fid === 'string' ? view.record(fid) : null;
  if (record) return record;
  throw new EditError('unknown_feature', `there is no feature ${quote(fid)}; create it, or wait until it has arrived`);
}

/** The record of a feature that shows. */
export function checkFeature(view: MapView, fid: string): FeatureRecord {
  const record = checkRecord(view, fid);
  if (view.state(fid) !== 'deleted') return record;
  throw new EditError('unknown_feature', `the feature ${quote(fid)} is deleted; restore it first`);
}

/** An id for a new feature, which no other has or had, and room for the feature. */
export function checkNewFeature(view: MapView, fid: string): string {
  if (view.recordCount() >= FEATURES_MAX) {
    throw new EditError('too_large', `the map has ${FEATURES_MAX} features, deleted ones included; start another map`);
  }
  if (!view.hasRecordKey(checkId(fid))) return fid;
  throw new EditError('feature_exists', `there is a feature ${quote(fid)} already; use another id`);
}

export function checkName(name: string): string {
  const bytes = byteLength(name);
  if (bytes < 1 || bytes > NAME_BYTES_MAX || !isWellFormed(name)) {
    throw new EditError('bad_name', `the name ${quote(name)} has ${bytes} bytes; 1 to ${NAME_BYTES_MAX} are allowed`);
  }
  return name;
}

export function checkOrder(order: Json): string {
  if (typeof order === 'string' && isOrderKey(order)) return order;
  throw new EditError(
    'bad_name',
    `${quote(order)} is no order key: 4 to 256 letters and digits, not ending in 0 beyond 4`,
  );
}

/** 2 or 3 finite numbers, longitude and latitude in degrees. */
export function checkPosition(position: unknown, code: EditErrorCode = 'bad_position'): Position {
  const numbers = Array.isArray(position) ? position.map(asNumber) : [];
  const [longitude, latitude] = numbers;
  if (longitude === undefined || latitude === undefined || numbers.length > 3 || numbers.includes(null)) {
    throw new EditError(code, `${quote(position)} is no position: give 2 or 3 finite numbers`);
  }
  if (Math.abs(longitude ?? 0) > 180 || Math.abs(latitude ?? 0) > 90) {
    throw new EditError(code, `${quote(position)} is not on the earth: longitude -180 to 180, latitude -90 to 90`);
  }
  return numbers as Position;
}

/** A geometry in the form in which it is stored. */
export function checkGeometry(geometry: Geometry | null): StoredGeometry {
  if (geometry === null) return { kind: 0, coords: null, shape: null };
  if (!nestsWithin(geometry, NESTING_MAX)) throw badGeometry(`it nests deeper than ${NESTING_MAX} levels`);
  const { kind, shape, json } = checked(geometry);
  if (shape) return { kind, coords: pack(shape), shape };
  return { kind: KIND_OTHER, coords: canonicalText(json), shape: null };
}

/** What a GeoJSON geometry says and nothing else; the shape is null for geometries that are kept as text. */
interface Checked {
  kind: Kind;
  shape: Shape | null;
  json: Json;
}

/** Recurses into collections, whose nesting was checked. */
function checked(geometry: unknown): Checked {
  if (typeof geometry !== 'object' || geometry === null) throw badGeometry(`${quote(geometry)} is no object`);
  const { type, coordinates, geometries } = geometry as { [name: string]: unknown };
  const kind = kindOf({ type });
  if (kind === null) throw badGeometry(`${quote(type)} is no GeoJSON type`);
  if (kind === KIND_OTHER) {
    if (!Array.isArray(geometries)) throw badGeometry('a collection needs an array of geometries');
    return {
      kind,
      shape: null,
      json: { type: 'GeometryCollection', geometries: geometries.map((g) => checked(g).json) },
    };
  }
  const json = { type: type as string, coordinates: coordinates as Json };
  return { kind, shape: checkShape(kind, coordinates), json };
}

/** Null for geometries that are kept as text: empty ones, and those of which only some positions have a height. */
function checkShape(kind: Kind, coordinates: unknown): Shape | null {
  if (!Array.isArray(coordinates)) throw badGeometry('its coordinates are no array');
  if (coordinates.length === 0) return null;
  const positions = positionsAt(coordinates, DEPTHS[kind] ?? 0);
  for (const position of positions) checkPosition(position, 'bad_geometry');
  if (isRings(kind)) checkRings(kind, coordinates as Position[][] | Position[][][]);
  const heights = new Set(positions.map((position) => position.length));
  if (heights.size > 1) return null;
  const shape = shapeOfCoordinates(kind, coordinates);
  if (!shape) throw badGeometry('its coordinates do not nest as its type demands');
  for (const segment of shape.parts.flat()) checkSegment(kind, segment.length / shape.dims);
  return shape;
}

/** How many arrays lie around the positions of each kind. */
const DEPTHS = [0, 0, 1, 2, 1, 2, 3];

function positionsAt(coordinates: unknown, depth: number): unknown[][] {
  let level: unknown[] = [coordinates];
  for (let i = 0; i < depth; i++) {
    level = level.flatMap((inner) => {
      if (!Array.isArray(inner)) throw badGeometry(`${quote(inner)} is no array of positions`);
      return inner;
    });
  }
  return level.map((position) => (Array.isArray(position) ? position : [position]));
}

function checkSegment(kind: Kind, count: number): void {
  const least = isRings(kind) ? 3 : isLines(kind) ? 2 : 1;
  if (count < least) throw badGeometry(`a line or ring has ${count} positions; it needs at least ${least}`);
  checkVertexCount(count);
}

/** GeoJSON demands that the last position of a ring is its first, and four positions with it. */
function checkRings(kind: Kind, coordinates: Position[][] | Position[][][]): void {
  const polygons = (kind === 6 ? coordinates : [coordinates]) as Position[][][];
  for (const polygon of polygons) {
    if (polygon.length === 0) throw badGeometry('a polygon has no rings');
    for (const ring of polygon) {
      const [first, last] = [ring[0], ring.at(-1)];
      const isClosed = first?.length === last?.length && first?.every((x, i) => x === last?.[i]);
      if (ring.length < 4 || !isClosed) {
        throw badGeometry('a ring is not closed: it needs 4 positions at least, the last like the first');
      }
    }
  }
}

export function badGeometry(reason: string): EditError {
  return new EditError('bad_geometry', `this is no geometry for that: ${reason}`);
}

export function checkVertexCount(count: number): void {
  if (count <= SEGMENT_VERTICES_MAX) return;
  throw new EditError(
    'too_large',
    `a line or ring has ${count} positions; at most ${SEGMENT_VERTICES_MAX} are allowed`,
  );
}

/** A value that every reader takes for the same: bounded, without −0 and halves of surrogate pairs. */
export function checkValue(value: Json): Json {
  if (isBytes(value) || !nestsWithin(value, NESTING_MAX - 1)) {
    throw new EditError('too_large', `a value nests deeper than ${NESTING_MAX - 1} levels; flatten it`);
  }
  const clean = cleaned(value);
  checkSize('a value', byteLength(canonicalText(clean)));
  return clean;
}

/** The JSON text of properties as a record holds them, members in byte order. */
export function checkProperties(properties: Properties): string {
  const pairs = Object.entries(properties).map(([name, value]) => [checkName(name), checkValue(value)] as const);
  const text = canonicalText(Object.fromEntries(pairs));
  checkSize('the properties together', byteLength(text));
  return text;
}

export function checkText(text: string): string {
  if (typeof text !== 'string') throw new EditError('bad_name', `${quote(text)} is no text`);
  checkSize('a text', byteLength(text));
  return wellFormed(text);
}

function checkSize(what: string, bytes: number): void {
  if (bytes <= VALUE_BYTES_MAX) return;
  throw new EditError('too_large', `${what} has ${bytes} bytes; at most ${VALUE_BYTES_MAX} are allowed`);
}

function cleaned(value: Json): Json {
  if (typeof value === 'number') return Number.isFinite(value) ? tidy(value) : null;
  if (typeof value === 'string') return wellFormed(value);
  if (typeof value !== 'object') return value ?? null;
  if (value === null) return null;
  if (Array.isArray(value)) return value.map(cleaned);
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [wellFormed(name), cleaned(inner)]));
}

/** Half a surrogate pair would become this on the way to others anyway. */
function wellFormed(text: string): string {
  return text.replace(/[\ud800-\udfff]/gu, '\ufffd');
}

export function isRings(kind: number): boolean {
  return kind === 3 || kind === 6;
}

export function isLines(kind: number): boolean {
  return kind === 2 || kind === 5;
}

/** A value for a message, shortened. */
export function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
