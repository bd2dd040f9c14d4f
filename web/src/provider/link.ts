// What the ways to the server share: what they act on, and whom they tell.

import type { Awareness } from 'y-protocols/awareness';
import type * as Y from 'yjs';
import type { EditLog } from './editLog.ts';

export interface Shared {
  doc: Y.Doc;
  awareness: Awareness | null;
  log: EditLog;
  /** Takes in what the server says; the document's own updates by it are not sent back. */
  apply: (update: Uint8Array) => void;
  /** Presence of others. */
  applyAwareness: (update: Uint8Array) => void;
  /** All edits up to this number are on the server's disk. */
  storedUpto: (number: number) => void;
  /** These are, at this place of the map's log. */
  stored: (keys: readonly string[], seq: number | null) => void;
  /** Something about an edit has changed. */
  changed: () => void;
}

/** Whose presence changed. */
export type AwarenessChange = Record<'added' | 'updated' | 'removed', number[]>;

export function concerns({ added, updated, removed }: AwarenessChange, client: number): boolean {
  return [added, updated, removed].some((clients) => clients.includes(client));
}
