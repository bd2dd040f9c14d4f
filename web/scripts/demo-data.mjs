// Real data for the demo map and the tests, as GeoJSON: countries (Natural Earth 1:50m, npm world-atlas) and US counties (US Census
// 1:10m, npm us-atlas); both are public domain. The same packages always give the same bytes.
//
// Usage: node web/scripts/demo-data.mjs [folder]      (default target/demo)

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { feature } from 'topojson-client';
import { cutGeometry } from './antimeridian.mjs';

const require = createRequire(import.meta.url);

/**
 * The sources lie on a grid of 360°/10⁵ (0.0036°) or, for counties, 0.0018°; their positions come out of the TopoJSON transform as sums
 * with noise in the last digits. Six decimals (0.1 m) are over a thousand times finer than the grid and remove the noise.
 */
const DECIMALS = 6;

export function countries() {
  const collection = read('world-atlas/countries-50m.json', 'countries');
  const counts = new Map();
  for (const { id } of collection.features) counts.set(id, (counts.get(id) ?? 0) + 1);
  return toCollection(collection.features, (f) => {
    const name = f.properties.name;
    // Disputed areas have no ISO number, and some territories share one with their state.
    const id = f.id !== undefined && counts.get(f.id) === 1 ? f.id : slug(name);
    return { id, properties: f.id === undefined ? { name } : { iso_n3: f.id, name } };
  });
}

export function usCounties() {
  const states = new Map(read('us-atlas/counties-10m.json', 'states').features.map((f) => [f.id, f.properties.name]));
  return toCollection(read('us-atlas/counties-10m.json', 'counties').features, (f) => ({
    id: f.id,
    properties: { name: f.properties.name, state: states.get(f.id.slice(0, 2)) ?? null },
  }));
}

function read(file, object) {
  const topology = JSON.parse(readFileSync(require.resolve(file), 'utf8'));
  return feature(topology, topology.objects[object]);
}

function toCollection(features, describe) {
  const out = features.map((f) => ({
    type: 'Feature',
    ...describe(f),
    geometry: cutGeometry(rounded(f.geometry)),
  }));
  out.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  out.forEach((f, i) => {
    if (out[i + 1]?.id === f.id) throw new Error(`two features have the id ${f.id}`);
  });
  return { type: 'FeatureCollection', features: out };
}

function rounded(geometry) {
  const round = (value) => (typeof value === 'number' ? Number(value.toFixed(DECIMALS)) + 0 : value.map(round));
  return geometry && { type: geometry.type, coordinates: round(geometry.coordinates) };
}

function slug(name) {
  return name
    .normalize('NFD')
    .replace(/[^0-9A-Za-z]+/g, '-')
    .replace(/^-|-$/g, '')
    .toLowerCase();
}

/** One feature a line: small diffs, and any line can be found by its number. */
function write(folder, name, collection) {
  const lines = collection.features.map((f) => JSON.stringify(f));
  const path = join(folder, name);
  writeFileSync(`${path}.new`, `{"type":"FeatureCollection","features":[\n${lines.join(',\n')}\n]}\n`);
  renameSync(`${path}.new`, path);
  console.log(`${path}: ${lines.length} features`);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const folder = resolve(process.argv[2] ?? join(root, 'target/demo'));
  mkdirSync(folder, { recursive: true });
  write(folder, 'countries.geojson', countries());
  write(folder, 'us-counties.geojson', usCounties());
}
