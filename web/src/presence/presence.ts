// Presence over awareness: own state out at a bounded rate, others' states in, checked.

import type { Awareness } from 'y-protocols/awareness';
import type { Person } from '../session/identity.ts';
import { type LonLat, type Presence as Other, readPresence } from './state.ts';

/** At most ten states a second leave the page. */
const INTERVAL_MS = 100;

interface OwnState {
  user: { name: string; colour: string; color: string };
  cursor: LonLat | null;
  view: number[] | null;
  selected: string | null;
}

export class PresenceChannel {
  readonly #awareness: Awareness;
  #own: OwnState;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #lastSent = 0;
  readonly #listeners = new Set<(others: Other[]) => void>();
  readonly #onChange = () => this.#notify();

  constructor(awareness: Awareness, person: Person) {
    this.#awareness = awareness;
    this.#own = { user: asUser(person), cursor: null, view: null, selected: null };
    awareness.setLocalState(this.#own);
    awareness.on('change', this.#onChange);
  }

  dispose(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#awareness.off('change', this.#onChange);
    this.#listeners.clear();
  }

  setPerson(person: Person): void {
    this.#set({ user: asUser(person) });
  }

  setCursor(cursor: LonLat | null): void {
    if (cursor !== null || this.#own.cursor !== null) this.#set({ cursor });
  }

  setView(view: number[]): void {
    this.#set({ view });
  }

  setSelected(selected: string | null): void {
    this.#set({ selected });
  }

  /** Everybody else, by client id. */
  others(): Other[] {
    return [...this.#awareness.getStates()]
      .filter(([client]) => client !== this.#awareness.clientID)
      .flatMap(([client, state]) => readPresence(client, state) ?? [])
      .sort((a, b) => a.client - b.client);
  }

  onChange(listener: (others: Other[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #set(part: Partial<OwnState>): void {
    this.#own = { ...this.#own, ...part };
    if (this.#timer !== null) return;
    const wait = Math.max(0, this.#lastSent + INTERVAL_MS - Date.now());
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#lastSent = Date.now();
      this.#awareness.setLocalState(this.#own);
    }, wait);
  }

  #notify(): void {
    const others = this.others();
    for (const listener of [...this.#listeners]) listener(others);
  }
}

/** `color` is what other Yjs programs look for. */
function asUser({ name, colour }: Person) {
  return { name, colour, color: colour };
}
