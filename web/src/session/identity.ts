// Who edits here: a name and a colour that the person may change, and a session id of which no two open pages share one.

import { randomId } from '../mapdoc/writer.ts';

export interface Person {
  name: string;
  /** `#rrggbb` */
  colour: string;
}

export interface Identity {
  /** Random, one per browser; not a secret. */
  userId: string;
  sid: string;
  /** All session ids this browser has used: what they made was made here. */
  ownSids: ReadonlySet<string>;
  person: Person;
}

const KEY_PERSON = 'mapweave.person';
const KEY_USER = 'mapweave.user';
const KEY_SIDS = 'mapweave.sids';
const SID_LENGTH = 10;
/** Session ids kept for reuse; a browser with more pages open at once makes new ones. */
const SIDS_MAX = 64;
const NAME_LENGTH_MAX = 40;

export const COLOURS = [
  '#c2410c',
  '#b45309',
  '#4d7c0f',
  '#047857',
  '#0e7490',
  '#1d4ed8',
  '#6d28d9',
  '#be185d',
] as const;
const ADJECTIVES = ['Brisk', 'Calm', 'Clever', 'Bright', 'Quiet', 'Swift', 'Sunny', 'Steady'];
const ANIMALS = ['Heron', 'Badger', 'Otter', 'Falcon', 'Marten', 'Plover', 'Lynx', 'Swallow'];

/** Takes a free session id of this browser's pool, or a new one where pages cannot tell each other what they use. */
export async function openIdentity(): Promise<Identity> {
  const known = readList(KEY_SIDS);
  const sid = await claimSid(known);
  const sids = [sid, ...known.filter((other) => other !== sid)].slice(0, SIDS_MAX);
  write(KEY_SIDS, JSON.stringify(sids));
  return { userId: userId(), sid, ownSids: new Set(sids), person: loadPerson() };
}

async function claimSid(known: string[]): Promise<string> {
  if ('locks' in navigator) {
    for (const sid of known) if (await claim(sid)) return sid;
  }
  const fresh = randomId(SID_LENGTH);
  if ('locks' in navigator) await claim(fresh);
  return fresh;
}

/** Holds a lock on the id until the page is gone. */
function claim(sid: string): Promise<boolean> {
  return new Promise((resolve) => {
    navigator.locks
      .request(`mapweave.sid.${sid}`, { ifAvailable: true }, (lock) => {
        resolve(lock !== null);
        return lock === null ? undefined : new Promise<never>(() => {});
      })
      .catch(() => resolve(false));
  });
}

function userId(): string {
  const known = read(KEY_USER);
  if (known && /^[0-9A-Za-z]{12}$/.test(known)) return known;
  const fresh = randomId(12);
  write(KEY_USER, fresh);
  return fresh;
}

export function loadPerson(): Person {
  const stored = parsePerson(read(KEY_PERSON));
  if (stored) return stored;
  const person = { name: `${pick(ADJECTIVES)} ${pick(ANIMALS)}`, colour: pick(COLOURS) };
  savePerson(person);
  return person;
}

export function savePerson(person: Person): void {
  write(KEY_PERSON, JSON.stringify(person));
}

function parsePerson(text: string | null): Person | null {
  try {
    const value: unknown = JSON.parse(text ?? 'null');
    return readPerson(value);
  } catch {
    return null;
  }
}

/** A name and colour as other pages may send them, made fit to show; null if they are not there. */
export function readPerson(value: unknown): Person | null {
  if (typeof value !== 'object' || value === null) return null;
  const { name, colour, color } = value as Record<string, unknown>;
  if (typeof name !== 'string' || name.trim() === '') return null;
  const text = colour ?? color;
  return {
    name: cutName(name),
    colour: typeof text === 'string' && /^#[0-9a-f]{6}$/i.test(text) ? text : COLOURS[4],
  };
}

export function cutName(name: string): string {
  return [...name.replace(/\p{Cc}+/gu, ' ').trim()].slice(0, NAME_LENGTH_MAX).join('');
}

function pick<T>(items: readonly T[]): T {
  return items[Math.floor(Math.random() * items.length)] as T;
}

function readList(key: string): string[] {
  try {
    const value: unknown = JSON.parse(read(key) ?? '[]');
    return Array.isArray(value)
      ? value.filter((sid) => typeof sid === 'string' && /^[0-9A-Za-z]{5,16}$/.test(sid))
      : [];
  } catch {
    return [];
  }
}

// Storage may be switched off; then names and ids last as long as the page.
function read(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Nothing is lost but the convenience.
  }
}
