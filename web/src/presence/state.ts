// What a page tells the others about its person, and what it believes of what others tell.

import { type Person, readPerson } from '../session/identity.ts';

export type LonLat = [lon: number, lat: number];

export interface Presence {
  client: number;
  person: Person;
  /** Where the pointer is, or null while it is away. */
  cursor: LonLat | null;
  /** What is on the screen: west, south, east, north. */
  view: [number, number, number, number] | null;
  /** The selected feature. */
  selected: string | null;
}

/** Awareness comes from anybody: everything in it is checked. Null for a state without a person. */
export function readPresence(client: number, state: unknown): Presence | null {
  if (typeof state !== 'object' || state === null) return null;
  const { user, cursor, view, selected } = state as Record<string, unknown>;
  const person = readPerson(user);
  if (!person) return null;
  return {
    client,
    person,
    cursor: isLonLat(cursor) ? [cursor[0], cursor[1]] : null,
    view: isBox(view) ? view : null,
    selected: typeof selected === 'string' && /^[0-9A-Za-z_-]{1,64}$/.test(selected) ? selected : null,
  };
}

function isLonLat(value: unknown): value is LonLat {
  return isNumbers(value, 2) && Math.abs(value[0] as number) <= 180 && Math.abs(value[1] as number) <= 90;
}

function isBox(value: unknown): value is [number, number, number, number] {
  return isNumbers(value, 4) && value.every((x) => Math.abs(x) <= 540);
}

function isNumbers(value: unknown, count: number): value is number[] {
  return Array.isArray(value) && value.length === count && value.every((x) => Number.isFinite(x));
}
