// The server's list of maps.

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
    const init: RequestInit = { headers: { accept: 'application/json' } };
    if (signal) init.signal = signal;
    const response = await fetch('/api/v1/maps', init);
    if (!response.ok) return { ok: false, reason: `The server answered ${response.status}.` };
    const value: unknown = await response.json();
    return Array.isArray(value)
      ? { ok: true, maps: value.flatMap((item) => readMap(item) ?? []) }
      : { ok: false, reason: 'The server sent something that is no list of maps.' };
  } catch {
    return { ok: false, reason: 'The server cannot be reached.' };
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
