// The background map, made at build time: Natural Earth land 1:50m (npm world-atlas, public domain), cut at the antimeridian and packed
// like coordinates in a map document (docs: map document format §4). Two decimals are about a kilometre: it is a backdrop, not data.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { feature } from 'topojson-client';
import { area, cutGeometry } from './antimeridian.mjs';

const DECIMALS = 2;
/** Islands smaller than this (square degrees) would be a dot at every scale at which the backdrop is of use. */
const AREA_MIN = 0.002;

const require = createRequire(import.meta.url);
const topology = JSON.parse(readFileSync(require.resolve('world-atlas/land-50m.json'), 'utf8'));

const polygons = feature(topology, topology.objects.land)
  .features.map((f) => cutGeometry(f.geometry))
  .flatMap((g) => (g.type === 'Polygon' ? [g.coordinates] : g.coordinates))
  .map((rings) => rings.map(thin).filter((ring) => Math.abs(area(ring)) / 2 >= AREA_MIN))
  .filter((rings) => rings.length > 0);

const folder = new URL('../src/generated/', import.meta.url);
mkdirSync(folder, { recursive: true });
const bytes = pack(polygons);
writeFileSync(new URL('land.bin', folder), bytes);
console.log(`land.bin: ${polygons.length} polygons, ${(bytes.length / 1024).toFixed(0)} KiB`);

/** Whole hundredths of a degree, without repeated positions. */
function thin(ring) {
  const scaled = ring.map((p) => p.map((x) => Math.round(x * 10 ** DECIMALS)));
  const kept = scaled.filter((p, i) => i === 0 || p[0] !== scaled[i - 1][0] || p[1] !== scaled[i - 1][1]);
  return kept.map((p) => p.map((x) => x / 10 ** DECIMALS));
}

function pack(parts) {
  const out = [DECIMALS];
  const varuint = (value) => {
    let rest = value;
    for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) | 128);
    out.push(rest);
  };
  varuint(parts.length);
  for (const rings of parts) {
    varuint(rings.length);
    for (const ring of rings) varuint(ring.length - 1);
  }
  const previous = [0, 0];
  for (const position of parts.flat().flatMap((ring) => ring.slice(0, -1))) {
    position.forEach((x, k) => {
      const n = Math.round(x * 10 ** DECIMALS);
      const delta = n - previous[k];
      varuint(delta >= 0 ? delta * 2 : -delta * 2 - 1);
      previous[k] = n;
    });
  }
  return Uint8Array.from(out);
}
