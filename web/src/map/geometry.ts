// GeoJSON geometry → OpenLayers geometry in Web Mercator. Positions beyond ±85.06° latitude are drawn at the edge of the map.

import type OlGeometry from 'ol/geom/Geometry.js';
import GeometryCollection from 'ol/geom/GeometryCollection.js';
import LineString from 'ol/geom/LineString.js';
import MultiLineString from 'ol/geom/MultiLineString.js';
import MultiPoint from 'ol/geom/MultiPoint.js';
import MultiPolygon from 'ol/geom/MultiPolygon.js';
import Point from 'ol/geom/Point.js';
import Polygon from 'ol/geom/Polygon.js';
import type { Geometry, Position } from '../mapdoc/shape.ts';

const RADIUS_M = 6_378_137;
const HALF_WORLD_M = Math.PI * RADIUS_M;
/** Geometry collections within geometry collections that are followed. */
const NESTING_MAX = 4;

export function toMercator([lon, lat]: readonly number[]): [number, number] {
  const x = ((lon ?? 0) * HALF_WORLD_M) / 180;
  const y = RADIUS_M * Math.log(Math.tan(Math.PI / 4 + ((lat ?? 0) * Math.PI) / 360));
  return [x, Math.max(-HALF_WORLD_M, Math.min(HALF_WORLD_M, Number.isNaN(y) ? HALF_WORLD_M : y))];
}

/** Longitude within ±180, so that a click on any copy of the world means the same place. */
export function toLonLat([x, y]: readonly number[]): [number, number] {
  const lon = ((x ?? 0) / HALF_WORLD_M) * 180;
  const lat = (Math.atan(Math.exp((y ?? 0) / RADIUS_M)) * 360) / Math.PI - 90;
  return [lon - 360 * Math.floor((lon + 180) / 360), lat];
}

/** Null for a geometry that cannot be drawn. Geometries kept as JSON text may hold anything, so everything is checked. */
export function toOl(geometry: Geometry, nesting = NESTING_MAX): OlGeometry | null {
  switch (geometry.type) {
    case 'Point':
      return draw(point(geometry.coordinates), (c) => new Point(c));
    case 'MultiPoint':
      return draw(line(geometry.coordinates), (c) => new MultiPoint(c));
    case 'LineString':
      return draw(line(geometry.coordinates), (c) => new LineString(c));
    case 'MultiLineString':
      return draw(lines(geometry.coordinates), (c) => new MultiLineString(c));
    case 'Polygon':
      return draw(lines(geometry.coordinates), (c) => new Polygon(c));
    case 'MultiPolygon':
      return draw(list(geometry.coordinates, lines), (c) => new MultiPolygon(c));
    case 'GeometryCollection': {
      if (nesting === 0 || !Array.isArray(geometry.geometries)) return null;
      const members = geometry.geometries.flatMap((member) =>
        typeof member === 'object' && member !== null ? (toOl(member, nesting - 1) ?? []) : [],
      );
      return members.length > 0 ? new GeometryCollection(members) : null;
    }
    default:
      return null;
  }
}

const line = (value: unknown) => list(value, point);
const lines = (value: unknown) => list(value, line);

function point(value: unknown): [number, number] | null {
  const isNumber = (x: unknown) => typeof x === 'number' && Number.isFinite(x);
  return Array.isArray(value) && isNumber(value[0]) && isNumber(value[1]) ? toMercator(value as Position) : null;
}

function list<T>(value: unknown, read: (item: unknown) => T | null): T[] | null {
  if (!Array.isArray(value) || value.length === 0) return null;
  const out: T[] = [];
  for (const item of value) {
    const one = read(item);
    if (one === null) return null;
    out.push(one);
  }
  return out;
}

function draw<T>(coordinates: T | null, make: (coordinates: T) => OlGeometry): OlGeometry | null {
  return coordinates === null ? null : make(coordinates);
}
