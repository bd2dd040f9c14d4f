import { expect, test } from 'vitest';
import { area, cutGeometry, cutPolygon } from './antimeridian.mjs';
import { countries, usCounties } from './demo-data.mjs';

const rectangle = (west, south, east, north) => [
  [west, south],
  [east, south],
  [east, north],
  [west, north],
  [west, south],
];

test('a polygon away from the antimeridian keeps its positions', () => {
  const polygon = [rectangle(0, 0, 10, 10)];
  expect(cutPolygon(polygon)).toEqual([polygon]);
});

test('a polygon across the antimeridian becomes one on each side', () => {
  const pieces = cutPolygon([rectangle(170, -10, -170, 10)]);
  const spans = pieces.map(([ring]) => [Math.min(...ring.map((p) => p[0])), Math.max(...ring.map((p) => p[0]))]);
  expect(spans.sort((a, b) => a[0] - b[0])).toEqual([
    [-180, -170],
    [170, 180],
  ]);
});

test('a hole on the antimeridian opens into both sides, one beside it stays a hole', () => {
  const across = [...rectangle(178, -2, -178, 2)].reverse();
  const beside = [...rectangle(172, -2, 174, 2)].reverse();
  const pieces = cutPolygon([rectangle(170, -10, -170, 10), across, beside]);
  const areas = pieces.map((rings) => rings.reduce((sum, ring) => sum + area(ring) / 2, 0));
  expect(areas.reduce((a, b) => a + b)).toBe(20 * 20 - 4 * 4 - 2 * 4);
  expect(pieces.map((rings) => rings.length).sort()).toEqual([1, 2]);
});

test('a comb across the antimeridian falls into its teeth', () => {
  const comb = [
    [170, 0],
    [-170, 0],
    [-170, 2],
    [175, 2],
    [175, 4],
    [-170, 4],
    [-170, 6],
    [170, 6],
    [170, 0],
  ];
  const pieces = cutPolygon([comb]);
  expect(pieces.length).toBe(3);
  const total = pieces.reduce((sum, [ring]) => sum + area(ring) / 2, 0);
  expect(total).toBe(2 * 20 * 2 + 5 * 2);
});

test('a ring round a pole is closed along it', () => {
  const lons = [-170, -80, 10, 100, -170];
  const { coordinates } = cutGeometry({ type: 'Polygon', coordinates: [lons.map((lon) => [lon, -70])] });
  const rings = coordinates.map(([ring]) => ring);
  expect(rings.reduce((sum, ring) => sum + area(ring) / 2, 0)).toBe(360 * 20);
  expect(Math.max(...rings.flat().map(([lon]) => Math.abs(lon)))).toBe(180);
});

test.each([
  ['countries', countries, 241],
  ['counties', usCounties, 3231],
])('real %s have unique ids, no step across the antimeridian and right winding', (_, load, count) => {
  const { features } = load();
  expect(features.length).toBe(count);
  expect(new Set(features.map((f) => f.id)).size).toBe(count);
  for (const { id, geometry } of features) {
    const polygons = geometry.type === 'Polygon' ? [geometry.coordinates] : geometry.coordinates;
    for (const rings of polygons) {
      for (const [i, ring] of rings.entries()) {
        expect(ring.length, id).toBeGreaterThanOrEqual(4);
        expect(ring.at(-1), id).toEqual(ring[0]);
        if (area(ring) !== 0) expect(area(ring) > 0, `winding of ${id}`).toBe(i === 0);
        for (const [k, [lon, lat]] of ring.entries()) {
          if (Math.abs(lon) > 180 || Math.abs(lat) > 90) throw new Error(`${id}: ${lon} ${lat}`);
          const isPole = Math.abs(lat) === 90;
          if (k > 0 && !isPole && Math.abs(lon - ring[k - 1][0]) > 180) throw new Error(`${id} steps across`);
        }
      }
    }
  }
});
