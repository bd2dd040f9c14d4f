// Where there is room on the map beside something that lies on it.

export interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** How far to stay away from the map's edges (top, right, bottom, left) so that what is shown lies in the largest free part beside `panel`. */
export function paddingBeside(map: Box, panel: Box): [number, number, number, number] {
  const clamp = (x: number, max: number) => Math.min(Math.max(0, x), max);
  const [width, height] = [map.right - map.left, map.bottom - map.top];
  const ways: { free: number; padding: [number, number, number, number] }[] = [
    { free: clamp(panel.left - map.left, width) * height, padding: [0, clamp(map.right - panel.left, width), 0, 0] },
    { free: clamp(map.right - panel.right, width) * height, padding: [0, 0, 0, clamp(panel.right - map.left, width)] },
    { free: clamp(panel.top - map.top, height) * width, padding: [0, 0, clamp(map.bottom - panel.top, height), 0] },
    {
      free: clamp(map.bottom - panel.bottom, height) * width,
      padding: [clamp(panel.bottom - map.top, height), 0, 0, 0],
    },
  ];
  return ways.reduce((best, way) => (way.free > best.free ? way : best)).padding;
}
