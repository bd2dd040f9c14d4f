import { expect, test } from 'vitest';
import type { Geometry } from '../mapdoc/shape.ts';
import { toLonLat, toMercator, toOl } from './geometry.ts';

test('there and back is the same place', () => {
  for (const [lon, lat] of [
    [0, 0],
    [8.5417, 47.3769],
    [-179.9, -84],
    [179.9, 84],
  ] as const) {
    const [lon2, lat2] = toLonLat(toMercator([lon, lat]));
    expect(lon2).toBeCloseTo(lon, 9);
    expect(lat2).toBeCloseTo(lat, 9);
  }
});

test('the poles are drawn at the edge of the map', () => {
  expect(toMercator([0, -90])[1]).toBeCloseTo(-20037508.34, 1);
  expect(toMercator([0, 90])[1]).toBeCloseTo(20037508.34, 1);
  expect(toMercator([0, 120]).every(Number.isFinite)).toBe(true);
});

test('a click on the next copy of the world is the same place', () => {
  expect(toLonLat(toMercator([370, 10]))[0]).toBeCloseTo(10, 9);
  expect(toLonLat(toMercator([-190, 10]))[0]).toBeCloseTo(170, 9);
});

test('collections are drawn with the members that can be', () => {
  const geometry = {
    type: 'GeometryCollection',
    geometries: [
      { type: 'Point', coordinates: [1, 2] },
      { type: 'Point', coordinates: ['x'] },
      null,
      { type: 'Circle' },
    ],
  };
  expect(toOl(geometry as Geometry)?.getType()).toBe('GeometryCollection');
});

test.each([
  { type: 'Polygon' },
  { type: 'Polygon', coordinates: [[[0, Number.NaN]]] },
  { type: 'LineString', coordinates: {} },
  { type: 'GeometryCollection', geometries: 'none' },
  { type: 'Sphere' },
])('%j is not drawn', (geometry) => {
  expect(toOl(geometry as unknown as Geometry)).toBeNull();
});
