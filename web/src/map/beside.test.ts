import { expect, test } from 'vitest';
import { paddingBeside } from './beside.ts';

const map = { left: 0, top: 0, right: 360, bottom: 740 };

test('on a wide screen what is shown goes to the side of a panel, on a phone above it', () => {
  const wide = { left: 0, top: 0, right: 1100, bottom: 700 };
  expect(paddingBeside(wide, { left: 700, top: 70, right: 1080, bottom: 500 })).toEqual([0, 400, 0, 0]);
  expect(paddingBeside(wide, { left: 12, top: 70, right: 332, bottom: 500 })).toEqual([0, 0, 0, 332]);
  expect(paddingBeside(map, { left: 0, top: 400, right: 360, bottom: 740 })).toEqual([0, 0, 340, 0]);
  expect(paddingBeside(map, { left: 0, top: 100, right: 360, bottom: 300 })).toEqual([300, 0, 0, 0]);
});

test('a panel that covers everything, or nothing, leaves paddings within the map', () => {
  for (const panel of [map, { left: -50, top: -50, right: 900, bottom: 900 }])
    for (const side of paddingBeside(map, panel)) expect(side).toBeGreaterThanOrEqual(0);
  expect(paddingBeside(map, { left: 0, top: 800, right: 360, bottom: 900 })).toEqual([0, 0, 0, 0]);
});
