// Entries: how their keys split, when they count, and which of several shows (map document format §§2, 3, 6, 10).

import { isOrderKey } from './orderkey.ts';
import { asNumber, asTime, compareBytes, NESTING_MAX, nestsWithin } from './values.ts';

/** Roots whose keys start `fid/sid` and whose entries overlay a feature. */
export const OVERLAY_ROOTS = ['geom', 'part', 'vert', 'prop', 'attr', 'gone'] as const;
export type OverlayRoot = (typeof OVERLAY_ROOTS)[number];

/** Roots that count for the sum a deletion remembers, and where several entries for one target are a conflict. */
export const SEEN_ROOTS = ['geom', 'part', 'vert', 'prop', 'attr'] as const;
export type SeenRoot = (typeof SEEN_ROOTS)[number];

/** Roots with one slot per session and target. `layer` has the layer in the feature's place. */
export type EntryRoot = OverlayRoot | 'layer';

export interface EntryKey {
  /** Feature or layer. */
  id: string;
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
export function splitKey(root: EntryRoot | 'text', key: string): EntryKey | null {
  const first = key.indexOf('/');
  if (first < 1) return null;
  const id = key.slice(0, first);
  const second = key.indexOf('/', first + 1);
  if (root === 'gone') {
    const sid = key.slice(first + 1);
    return second < 0 && sid !== '' ? { id, sid, target: '' } : null;
  }
  const sid = key.slice(first + 1, second);
  const target = key.slice(second + 1);
  return second > first + 1 && isTarget(root, target) ? { id, sid, target } : null;
}

/** The text of a key. */
export function joinKey(id: string, sid: string, target: string): string {
  return target === '' ? `${id}/${sid}` : `${id}/${sid}/${target}`;
}

function isTarget(root: EntryRoot | 'text', target: string): boolean {
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
export function readEntry(root: EntryRoot, key: EntryKey, value: unknown): Entry | null {
  if (!Array.isArray(value)) return null;
  const time = asTime(value[0]);
  const payload = time === null ? null : readPayload(root, key.target, value.slice(1));
  return time === null || payload === null ? null : { sid: key.sid, time, payload };
}

function readPayload(root: EntryRoot, target: string, items: unknown[]): unknown[] | null {
  switch (root) {
    case 'vert':
      return isOrderKey(vertexAddress(target)?.vertex ?? '') && [0, 2, 3].includes(items.length)
        ? allNumbers(items)
        : null;
    case 'part':
      return items.length <= 1 ? items : null;
    case 'geom': {
      const kind = asNumber(items[0]);
      return items.length === 2 && Number.isInteger(kind) ? [kind, items[1]] : null;
    }
    case 'gone':
      return items.length === 1 ? allNumbers(items) : null;
    default:
      return items.length <= 1 && items.every((item) => nestsWithin(item, NESTING_MAX - 1)) ? items : null;
  }
}

function allNumbers(items: unknown[]): number[] | null {
  const numbers = items.map(asNumber);
  return numbers.includes(null) ? null : (numbers as number[]);
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
