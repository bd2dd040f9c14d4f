// The server's list of maps.

import { tokenHeaders } from './session/token.ts';

export interface MapInfo {
  name: string;
  title: string | null;
  features: number;
  /** RFC 3339, or null for a map nobody has edited. */
  lastEdit: string | null;
}

export type MapsResult = { ok: true; maps: MapInfo[] } | { ok: false; reason: string };

export async function listMaps(signal?: AbortSignal): Promise<MapsResult> {
  try {
    const init: RequestInit = { headers: { accept: 'application/json', ...tokenHeaders() } };
    if (signal) init.signal = signal;
    const response = await fetch('/api/v1/maps', init);
    if (!response.ok) return { ok: false, reason: refusal(response.status) };
    const value: unknown = await response.json();
    return Array.isArray(value)
      ? { ok: true, maps: value.flatMap((item) => readMap(item) ?? []) }
      : { ok: false, reason: 'The server sent something that is no list of maps.' };
  } catch {
    return { ok: false, reason: 'The server cannot be reached.' };
  }
}

/** What to do about an answer that is no list. */
export function refusal(status: number): string {
  switch (status) {
    case 401:
      return 'This server wants to know who you are: open the link that you were given, or ask for a fresh one if it has expired.';
    case 403:
      return 'Your link does not allow this.';
    default:
      return `The server answered ${status}.`;
  }
}

function readMap(value: unknown): MapInfo | null {
  if (typeof value !== 'object' || value === null) return null;
  const { name, title, features, last_edit } = value as Record<string, unknown>;
  if (typeof name !== 'string') return null;
  return {
    name,
    title: typeof title === 'string' && title !== '' ? title : null,
    features: typeof features === 'number' ? features : 0,
    lastEdit: typeof last_edit === 'string' ? last_edit : null,
  };
}
