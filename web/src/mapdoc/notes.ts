// Notes that people leave on a map, chat among them, and the attachments of its features (map document format §3).

import type { Authorship } from './blame.ts';
import type { RootMap } from './store.ts';
import { asNumber, asTime, compareBytes } from './values.ts';

/** A note; one without feature, place and note answered is chat. */
export interface Note {
  nid: string;
  written: Authorship;
  body: string;
  /** The feature it is about, or null. */
  fid: string | null;
  /** The note it answers, or null. */
  answers: string | null;
  /** Longitude and latitude of the place it is about, or null. */
  at: [number, number] | null;
}

/** An attachment of a feature; its content lies outside of the document. */
export interface Attachment {
  aid: string;
  attached: Authorship;
  fid: string;
  name: string;
  mediaType: string;
  bytes: number;
  /** SHA-256 of its content in hexadecimal digits. */
  sha256: string;
}

/** The note under a key; null if it was removed or is malformed. */
export function readNote(root: RootMap, nid: string): Note | null {
  const value = root.get(nid);
  if (!Array.isArray(value) || value.length < 6) return null;
  const [t, sid, body, fid, answers, at] = value as unknown[];
  const written = readAuthorship(t, sid);
  if (!written || typeof body !== 'string') return null;
  return { nid, written, body, fid: textOrNull(fid), answers: textOrNull(answers), at: readPlace(at) };
}

/** The attachment under a key; null if it was removed or is malformed. */
export function readAttachment(root: RootMap, aid: string): Attachment | null {
  const value = root.get(aid);
  if (!Array.isArray(value) || value.length < 7) return null;
  const [t, sid, fid, name, mediaType, size, sha256] = value as unknown[];
  const [attached, bytes] = [readAuthorship(t, sid), asNumber(size)];
  if (!attached || bytes === null || typeof fid !== 'string') return null;
  if (typeof name !== 'string' || typeof mediaType !== 'string' || typeof sha256 !== 'string') return null;
  return { aid, attached, fid, name, mediaType, bytes, sha256 };
}

/** All that `read` finds under a root's keys, in the order of their bytes. */
export function readAll<T>(root: RootMap, read: (root: RootMap, key: string) => T | null): T[] {
  return [...root.keys()].sort(compareBytes).flatMap((key) => read(root, key) ?? []);
}

function readAuthorship(t: unknown, sid: unknown): Authorship | null {
  const time = asTime(t);
  return time !== null && typeof sid === 'string' ? { time, sid } : null;
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function readPlace(value: unknown): [number, number] | null {
  if (!Array.isArray(value)) return null;
  const [lon, lat] = [asNumber(value[0]), asNumber(value[1])];
  return lon === null || lat === null ? null : [lon, lat];
}
