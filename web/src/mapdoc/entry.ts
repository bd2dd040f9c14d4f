// Overlay entries: how their keys split, when they count, and which of several shows (map document format §§2, 3, 6, 10).

import { isOrderKey } from './orderkey.ts';
import { compareBytes, isTime, NESTING_MAX, nestsWithin } from './values.ts';

/** Roots whose keys start `fid/sid` and whose entries overlay a feature. */
export const OVERLAY_ROOTS = ['geom', 'part', 'vert', 'prop', 'attr', 'gone'] as const;
export type OverlayRoot = (typeof OVERLAY_ROOTS)[number];

/** Roots that count for the sum a deletion remembers. */
export const SEEN_ROOTS = ['geom', 'part', 'vert', 'prop', 'attr'] as const;

export interface EntryKey {
  fid: string;
  sid: string;
  /** What follows the second `/`; the empty string for `gone`. */
  target: string;
}

export interface Entry {
  sid: string;
  time: number;
  /** Items after the time; none means "removed". */
  payload: readonly unknown[];
}

/** The fields of a key; null if it does not have those of its root. */
export function splitKey(root: OverlayRoot | 'text', key: string): EntryKey | null {
  const first = key.indexOf('/');
  if (first < 1) return null;
  const fid = key.slice(0, first);
  const second = key.indexOf('/', first + 1);
  if (root === 'gone') {
    const sid = key.slice(first + 1);
    return second < 0 && sid !== '' ? { fid, sid, target: '' } : null;
  }
  const sid = key.slice(first + 1, second);
  const target = key.slice(second + 1);
  return second > first + 1 && isTarget(root, target) ? { fid, sid, target } : null;
}

function isTarget(root: OverlayRoot | 'text', target: string): boolean {
  switch (root) {
    case 'geom':
      return target !== '' && !target.includes('/');
    case 'part':
      return segmentAddress(target) !== null;
    case 'vert':
      return vertexAddress(target) !== null;
    default:
      return target !== '';
  }
}

/** The entry, if its value has the form its root demands. */
export function readEntry(root: OverlayRoot, key: EntryKey, value: unknown): Entry | null {
  if (!Array.isArray(value) || !isTime(value[0])) return null;
  const payload: unknown[] = value.slice(1);
  return isPayload(root, key.target, payload) ? { sid: key.sid, time: value[0], payload } : null;
}

function isPayload(root: OverlayRoot, target: string, payload: unknown[]): boolean {
  const count = payload.length;
  switch (root) {
    case 'vert':
      return (
        isOrderKey(vertexAddress(target)?.vertex ?? '') &&
        (count === 0 || count === 2 || count === 3) &&
        payload.every((x) => Number.isFinite(x))
      );
    case 'part':
      return count <= 1;
    case 'geom':
      return count === 2 && Number.isInteger(payload[0]);
    case 'gone':
      return count === 1 && Number.isFinite(payload[0]);
    case 'prop':
    case 'attr':
      return count <= 1 && payload.every((x) => nestsWithin(x, NESTING_MAX - 1));
  }
}

export interface SegmentAddress {
  gen: string;
  /** Names that may or may not be those of a part and a segment. */
  part: string;
  segment: string;
}

/** `gen/P.S` */
export function segmentAddress(target: string): SegmentAddress | null {
  const [, gen, part, segment] = /^([^/]+)\/([^./]+)\.([^./]+)$/.exec(target) ?? [];
  return gen && part && segment ? { gen, part, segment } : null;
}

/** `gen/P.S.V`; whether V is an order key is another matter. */
export function vertexAddress(target: string): (SegmentAddress & { vertex: string }) | null {
  const [, gen, part, segment, vertex] = /^([^/]+)\/([^./]+)\.([^./]+)\.([^./]+)$/.exec(target) ?? [];
  return gen && part && segment && vertex ? { gen, part, segment, vertex } : null;
}

/** Of the entries of one target, the one that shows: content before removal, then the later, then the greater session id. */
export function winner(entries: readonly Entry[]): Entry | null {
  let best: Entry | null = null;
  for (const entry of entries) if (best === null || beats(entry, best)) best = entry;
  return best;
}

function beats(a: Entry, b: Entry): boolean {
  const [fullA, fullB] = [a.payload.length > 0, b.payload.length > 0];
  if (fullA !== fullB) return fullA;
  if (a.time !== b.time) return a.time > b.time;
  return compareBytes(a.sid, b.sid) > 0;
}
