// The feature record `feat[fid]`: written once, never changed (map document format §4).

import { asNumber, asTime, type Json, parseJson } from './values.ts';

/** The generation of a geometry unless a record says otherwise. */
export const FIRST_GENERATION = '0';

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
  const [t, sid, k, coords, props, layer, gen, id] = value as unknown[];
  const [time, kind] = [asTime(t), asNumber(k)];
  if (time === null || kind === null || !Number.isInteger(kind)) return null;
  if (typeof sid !== 'string' || typeof props !== 'string') return null;
  return {
    time,
    sid,
    kind,
    coords,
    props,
    layer: typeof layer === 'string' ? layer : '',
    gen: typeof gen === 'string' ? gen : FIRST_GENERATION,
    originalId: typeof id === 'string' ? id : asNumber(id),
  };
}

/** The properties that a record was made with; null if their text is malformed, which counts as none at all. */
export function recordProperties({ props }: FeatureRecord): { [name: string]: Json } | null {
  const value = parseJson(props);
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
}
