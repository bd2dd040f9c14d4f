// The feature record `feat[fid]`: written once, never changed (map document format §4).

import { isTime } from './values.ts';

export interface FeatureRecord {
  time: number;
  sid: string;
  kind: number;
  coords: unknown;
  /** JSON text of one object. */
  props: string;
  layer: string;
  gen: string;
  /** The id it was imported under, where that differs from the fid. */
  originalId: string | number | null;
}

export function readRecord(value: unknown): FeatureRecord | null {
  if (!Array.isArray(value) || value.length < 6) return null;
  const [time, sid, kind, coords, props, layer, gen, id] = value as unknown[];
  if (!isTime(time) || typeof sid !== 'string' || !Number.isInteger(kind) || typeof props !== 'string') return null;
  return {
    time,
    sid,
    kind: kind as number,
    coords,
    props,
    layer: typeof layer === 'string' ? layer : '',
    gen: typeof gen === 'string' ? gen : '0',
    originalId: typeof id === 'string' || typeof id === 'number' ? id : null,
  };
}
