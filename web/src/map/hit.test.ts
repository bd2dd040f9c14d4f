import Feature from 'ol/Feature.js';
import type Geometry from 'ol/geom/Geometry.js';
import LineString from 'ol/geom/LineString.js';
import Point from 'ol/geom/Point.js';
import Polygon from 'ol/geom/Polygon.js';
import { expect, test } from 'vitest';
import { hit } from './hit.ts';
import { FID } from './style.ts';

const feature = (fid: string, geometry: Geometry) => {
  const made = new Feature(geometry);
  made.set(FID, fid);
  return made;
};
const square = (size: number, x = 0) =>
  new Polygon([
    [
      [x - size, -size],
      [x + size, -size],
      [x + size, size],
      [x - size, size],
      [x - size, -size],
    ],
  ]);

test('points before lines before areas', () => {
  const area = feature('area', square(10));
  const line = feature(
    'line',
    new LineString([
      [-5, 1],
      [5, 1],
    ]),
  );
  const point = feature('point', new Point([1, 1]));
  expect(hit([area, line, point], [0, 0])).toBe('point');
  expect(hit([area, line], [0, 0])).toBe('line');
  expect(hit([area], [0, 0])).toBe('area');
  expect(hit([], [0, 0])).toBeNull();
});

test('the nearer of two points, the smaller of two areas around the place', () => {
  expect(hit([feature('far', new Point([3, 0])), feature('near', new Point([1, 0]))], [0, 0])).toBe('near');
  expect(hit([feature('large', square(10)), feature('small', square(2))], [0, 0])).toBe('small');
});

test('a small area beside the place does not hide the one around it', () => {
  expect(hit([feature('island', square(1, 5)), feature('country', square(10))], [0, 0])).toBe('country');
});
