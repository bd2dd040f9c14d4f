// Overlay entries: how their keys split, when they count, and which of several shows (map document format §§2, 3, 6, 10).

import { isOrderKey, isSegmentName } from './orderkey.ts';
import { compareBytes, isJson, isTime } from './values.ts';

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

export function splitKey(root: OverlayRoot, key: string): EntryKey | null {
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
  return second > first + 1 && target !== '' ? { fid, sid, target } : null;
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
        vertexAddress(target) !== null &&
        (count === 0 || count === 2 || count === 3) &&
        payload.every((x) => Number.isFinite(x))
      );
    case 'part':
      return segmentAddress(target) !== null && count <= 1;
    case 'geom':
      return count === 2 && Number.isInteger(payload[0]);
    case 'gone':
      return count === 1 && isTime(payload[0]);
    case 'prop':
    case 'attr':
      return count <= 1 && payload.every((x) => isJson(x));
  }
}

export interface SegmentAddress {
  gen: string;
  part: string;
  segment: string;
}

/** `gen/P.S` */
export function segmentAddress(target: string): SegmentAddress | null {
  const match = /^([^/]+)\/([^./]+)\.([^./]+)$/.exec(target);
  const [, gen, part, segment] = match ?? [];
  if (!gen || !part || !segment) return null;
  return isSegmentName(part) && isSegmentName(segment) ? { gen, part, segment } : null;
}

/** `gen/P.S.V` */
export function vertexAddress(target: string): (SegmentAddress & { vertex: string }) | null {
  const dot = target.lastIndexOf('.');
  const vertex = target.slice(dot + 1);
  const segment = dot < 0 ? null : segmentAddress(target.slice(0, dot));
  return segment && isOrderKey(vertex) ? { ...segment, vertex } : null;
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
