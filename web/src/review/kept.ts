// Edits in quarantine, as the server tells them (docs/roles.md). What comes is checked; what is not as it should be is left out.

import type { Geometry } from '../mapdoc/shape.ts';

/** An edit of somebody who may not edit any more, which waits for an owner. */
export interface Kept {
  id: number;
  /** By their token; empty for somebody without a name. */
  user: string;
  arrived: Date;
  /** What it would change, in words. */
  summary: string;
  /** It builds on edits that are neither in the map nor before it in the list. */
  waits: boolean;
}

/** A feature that the edit touches. */
export interface Touched {
  fid: string;
  /** `added`, `deleted`, `geometry`… */
  what: string[];
  before: Shown | null;
  after: Shown | null;
}

export interface Shown {
  geometry: Geometry | null;
  properties: ReadonlyMap<string, unknown>;
}

export interface Look extends Kept {
  features: Touched[];
  /** Features that it touches beside these. */
  leftOut: number;
}

/** What a person is in a map. */
export interface Standing {
  role: string;
  /** How many edits wait; only owners are told. */
  quarantined: number;
}

export function readStanding(value: unknown): Standing {
  const { role, quarantined } = asObject(value);
  return {
    role: typeof role === 'string' ? role : '',
    quarantined: typeof quarantined === 'number' ? quarantined : 0,
  };
}

export function readList(value: unknown): Kept[] {
  const { quarantine } = asObject(value);
  return Array.isArray(quarantine) ? quarantine.flatMap((item) => readKept(item) ?? []) : [];
}

export function readLook(value: unknown): Look | null {
  const kept = readKept(value);
  const { features, features_left_out: leftOut } = asObject(value);
  if (!kept || !Array.isArray(features)) return null;
  return {
    ...kept,
    features: features.flatMap((item) => readTouched(item) ?? []),
    leftOut: typeof leftOut === 'number' ? leftOut : 0,
  };
}

/** What happens to a feature, for people: “adds Meadow”. */
export function touchedText({ fid, what, before, after }: Touched, titleOf: (shown: Shown) => string): string {
  const shown = after ?? before;
  const name = (shown && titleOf(shown)) || KINDS[shown?.geometry?.type ?? ''] || fid;
  const [first] = what;
  if (what.length === 1 && first !== undefined && first in VERBS) return `${VERBS[first]} ${name}`;
  return what.length === 0 ? `touches ${name}` : `changes ${name} (${what.join(', ')})`;
}

/** What a feature without a name is called. */
const KINDS: Record<string, string> = {
  Point: 'a point',
  MultiPoint: 'points',
  LineString: 'a line',
  MultiLineString: 'lines',
  Polygon: 'a polygon',
  MultiPolygon: 'polygons',
};

const VERBS: Record<string, string> = { added: 'adds', deleted: 'deletes', restored: 'brings back' };

function readKept(value: unknown): Kept | null {
  const { id, user, arrived, summary, waits } = asObject(value);
  if (typeof id !== 'number' || !Number.isSafeInteger(id)) return null;
  const at = new Date(typeof arrived === 'string' ? arrived : Number.NaN);
  return {
    id,
    user: typeof user === 'string' ? user : '',
    arrived: Number.isNaN(at.getTime()) ? new Date(0) : at,
    summary: typeof summary === 'string' ? summary : '',
    waits: waits === true,
  };
}

function readTouched(value: unknown): Touched | null {
  const { fid, what, before, after } = asObject(value);
  if (typeof fid !== 'string') return null;
  const words = Array.isArray(what) ? what.filter((word) => typeof word === 'string') : [];
  return { fid, what: words, before: readShown(before), after: readShown(after) };
}

function readShown(value: unknown): Shown | null {
  if (typeof value !== 'object' || value === null) return null;
  const { geometry, properties } = asObject(value);
  const isGeometry = typeof asObject(geometry).type === 'string';
  // Its coordinates are checked where it is drawn.
  return {
    geometry: isGeometry ? (geometry as Geometry) : null,
    properties: new Map(Object.entries(asObject(properties))),
  };
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
