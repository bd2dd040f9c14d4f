// Which feature a click means: the most specific one near it.

import { getArea } from 'ol/extent.js';
import type Feature from 'ol/Feature.js';
import type Geometry from 'ol/geom/Geometry.js';
import { FID } from './style.ts';

/** Points before lines before areas; of two of a kind the smaller, then the nearer. Null if there is none. */
export function hit(features: readonly Feature[], at: readonly [number, number]): string | null {
  let best: { fid: string; rank: number[] } | null = null;
  for (const feature of features) {
    const geometry = feature.getGeometry();
    const fid: unknown = feature.get(FID);
    if (!geometry || typeof fid !== 'string') continue;
    const rank = rankOf(geometry, at);
    if (best === null || isBefore(rank, best.rank)) best = { fid, rank };
  }
  return best?.fid ?? null;
}

/** Areas beside the place come after those around it. */
function rankOf(geometry: Geometry, at: readonly [number, number]): number[] {
  const kind = dimension(geometry);
  const away = distance(geometry, at);
  return kind === 2 ? [kind, away > 0 ? 1 : 0, getArea(geometry.getExtent())] : [kind, away];
}

function dimension(geometry: Geometry): number {
  const type = geometry.getType();
  if (type.endsWith('Point')) return 0;
  return type.endsWith('LineString') ? 1 : 2;
}

function distance(geometry: Geometry, at: readonly [number, number]): number {
  if (geometry.intersectsCoordinate([...at])) return 0;
  const [x = 0, y = 0] = geometry.getClosestPoint([...at]);
  return Math.hypot(x - at[0], y - at[1]);
}

function isBefore(a: readonly number[], b: readonly number[]): boolean {
  for (const [i, x] of a.entries()) if (x !== b[i]) return x < (b[i] ?? 0);
  return false;
}
