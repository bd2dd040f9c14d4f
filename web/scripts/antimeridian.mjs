// Cuts polygons where they cross the antimeridian (RFC 7946 §3.1.9) and winds them as §3.1.6 wants.
//
// Input rings are closed lists of [lon, lat] in which neighbours never lie more than 180° apart on the sphere, as in world-atlas, whose
// rings run straight from 179 to -179. Original positions are kept as they are; only positions on the cut are new.

/** @typedef {[number, number]} Position */
/** @typedef {Position[]} Ring closed: the first position is repeated at the end */
/** @typedef {Ring[]} Polygon exterior first, then holes */

/**
 * One polygon → the polygons it consists of between -180 and 180. One that does not cross keeps its positions exactly.
 * @param {Polygon} polygon
 * @returns {Polygon[]}
 */
export function cutPolygon(polygon) {
  if (!polygon.some(stepsAcross)) return [wind(polygon)];
  const [exterior, ...holes] = polygon.map(unwrapRing);
  if (!exterior || exterior.length < 4) return [];
  const flat = [exterior, ...holes.map((hole) => moveBeside(hole, exterior))];
  const pieces = [flat];
  const west = Math.min(...exterior.map((p) => p[0]));
  const east = Math.max(...exterior.map((p) => p[0]));
  for (let meridian = -180 - 360; meridian <= 180 + 360; meridian += 360) {
    if (meridian <= west || meridian >= east) continue;
    const todo = pieces.splice(0);
    for (const piece of todo) pieces.push(...splitAtMeridian(piece, meridian));
  }
  return pieces.map(moveIntoRange).map(wind);
}

/**
 * Any GeoJSON polygon or multipolygon, cut; other geometries are returned as they are.
 * @param {{type: string, coordinates: any} | null} geometry
 */
export function cutGeometry(geometry) {
  if (geometry?.type === 'Polygon') return asGeometry(cutPolygon(geometry.coordinates));
  if (geometry?.type === 'MultiPolygon') return asGeometry(geometry.coordinates.flatMap(cutPolygon));
  return geometry;
}

/** @param {Polygon[]} polygons */
function asGeometry(polygons) {
  const [only] = polygons;
  if (!only) return null;
  return polygons.length === 1
    ? { type: 'Polygon', coordinates: only }
    : { type: 'MultiPolygon', coordinates: polygons };
}

/**
 * Longitudes made continuous: a step of more than 180° is a step across the antimeridian. A ring that then does not close goes round a
 * pole and is closed along that pole.
 * @param {Ring} ring
 * @returns {Ring}
 */
export function unwrapRing(ring) {
  /** @type {Ring} */
  const out = [];
  let shift = 0;
  for (let i = 0; i < ring.length; i++) {
    const [lon, lat] = ring[i];
    if (i > 0) {
      const step = lon - ring[i - 1][0];
      if (step > 180) shift -= 360;
      else if (step < -180) shift += 360;
    }
    out.push([lon + shift, lat]);
  }
  if (shift !== 0) {
    const meanLat = ring.reduce((sum, p) => sum + p[1], 0) / ring.length;
    const pole = meanLat < 0 ? -90 : 90;
    out.push([out[out.length - 1][0], pole], [out[0][0], pole], out[0]);
  }
  return withoutRepeats(out);
}

function stepsAcross(ring) {
  return ring.some((p, i) => i > 0 && Math.abs(p[0] - ring[i - 1][0]) > 180);
}

/** Shifts a hole by whole turns so that it lies within the longitudes of its exterior. */
function moveBeside(hole, exterior) {
  const middle = (ring) => (Math.min(...ring.map((p) => p[0])) + Math.max(...ring.map((p) => p[0]))) / 2;
  const shift = Math.round((middle(exterior) - middle(hole)) / 360) * 360;
  return hole.map(([lon, lat]) => [lon + shift, lat]);
}

/**
 * Splits a polygon along one meridian. Every ring is broken into chains that stay on one side; on the meridian the crossings, sorted by
 * latitude, bound stretches that lie alternately inside and outside, and each chain goes on with the chain at the other end of its stretch.
 * @param {Polygon} rings
 * @param {number} meridian
 * @returns {Polygon[]}
 */
function splitAtMeridian(rings, meridian) {
  const whole = [];
  const chains = [];
  for (const ring of rings) {
    const broken = breakRing(ring, meridian);
    if (broken.length === 0) whole.push(ring);
    chains.push(...broken);
  }
  if (chains.length === 0) return [rings];
  const exteriors = [];
  for (const east of [false, true]) exteriors.push(...joinChains(chains.filter((c) => c.east === east)));
  const pieces = exteriors.map((ring) => [ring]);
  for (const hole of whole) pieces.find(([exterior]) => contains(exterior, hole[0]))?.push(hole);
  return pieces;
}

function breakRing(ring, meridian) {
  const isEast = (p) => p[0] > meridian;
  const open = ring.slice(0, -1);
  const start = open.findIndex((p, i) => isEast(p) !== isEast(open[(i + 1) % open.length]));
  if (start < 0) return [];
  const chains = [];
  let chain = null;
  for (let k = 0; k <= open.length; k++) {
    const a = open[(start + k) % open.length];
    const b = open[(start + k + 1) % open.length];
    chain?.points.push(a);
    if (isEast(a) === isEast(b)) continue;
    const crossing = [meridian, latitudeAt(a, b, meridian)];
    if (chain) {
      chain.points.push(crossing);
      chains.push(chain);
    }
    chain = { east: isEast(b), points: [crossing] };
  }
  return chains;
}

function latitudeAt(a, b, meridian) {
  if (a[0] === meridian) return a[1];
  if (b[0] === meridian) return b[1];
  return a[1] + ((b[1] - a[1]) * (meridian - a[0])) / (b[0] - a[0]);
}

function joinChains(chains) {
  const ends = chains.flatMap((chain) => [
    { chain, lat: chain.points[0][1], first: true },
    { chain, lat: chain.points[chain.points.length - 1][1], first: false },
  ]);
  ends.sort((a, b) => a.lat - b.lat);
  const partner = new Map();
  for (let i = 0; i + 1 < ends.length; i += 2) {
    partner.set(ends[i], ends[i + 1]);
    partner.set(ends[i + 1], ends[i]);
  }
  const used = new Set();
  const rings = [];
  for (const chain of chains) {
    if (used.has(chain)) continue;
    const ring = [];
    for (let next = chain; !used.has(next); ) {
      used.add(next);
      ring.push(...next.points);
      const last = ends.find((e) => e.chain === next && !e.first);
      const follower = partner.get(last);
      if (!follower?.first) throw new Error('the ring crosses itself on the antimeridian');
      next = follower.chain;
    }
    ring.push(ring[0]);
    const clean = withoutRepeats(ring);
    if (clean.length >= 4 && area(clean) !== 0) rings.push(clean);
  }
  return rings;
}

function moveIntoRange(rings) {
  const [exterior] = rings;
  const west = Math.min(...exterior.map((p) => p[0]));
  const east = Math.max(...exterior.map((p) => p[0]));
  const shift = -Math.round((west + east) / 2 / 360) * 360;
  return shift === 0 ? rings : rings.map((ring) => ring.map(([lon, lat]) => [lon + shift, lat]));
}

/** Exterior counter-clockwise, holes clockwise. */
function wind([exterior, ...holes]) {
  const turned = (ring, positive) => {
    const twice = area(ring);
    return twice === 0 || twice > 0 === positive ? ring : [...ring].reverse();
  };
  return [turned(exterior, true), ...holes.map((hole) => turned(hole, false))];
}

function withoutRepeats(ring) {
  return ring.filter((p, i) => i === 0 || p[0] !== ring[i - 1][0] || p[1] !== ring[i - 1][1]);
}

/** Twice the signed area in square degrees; positive = counter-clockwise. */
export function area(ring) {
  let sum = 0;
  for (let i = 1; i < ring.length; i++) sum += ring[i - 1][0] * ring[i][1] - ring[i][0] * ring[i - 1][1];
  return sum;
}

function contains(ring, [x, y]) {
  let inside = false;
  for (let i = 1; i < ring.length; i++) {
    const [x1, y1] = ring[i - 1];
    const [x2, y2] = ring[i];
    if (y1 > y !== y2 > y && x < x1 + ((x2 - x1) * (y - y1)) / (y2 - y1)) inside = !inside;
  }
  return inside;
}
