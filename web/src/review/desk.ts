// The server's side of a review: what a person is in a map, which edits wait, and what is decided about them.

import { checked } from '../provider/problem.ts';
import { tokenHeaders } from '../session/token.ts';
import { type Kept, type Look, readList, readLook, readStanding, type Standing } from './kept.ts';

export type Decision = 'admit' | 'reject';

/** Requests about one map. Each fails with what `reasonOf` puts into words. */
export class ReviewDesk {
  readonly #address: string;

  constructor(map: string) {
    this.#address = `/api/v1/maps/${encodeURIComponent(map)}`;
  }

  async standing(): Promise<Standing> {
    return readStanding(await this.#get('me'));
  }

  /** Oldest first. */
  async list(): Promise<Kept[]> {
    return readList(await this.#get('quarantine'));
  }

  /** Null where the answer is none of the server's. */
  async look(id: number): Promise<Look | null> {
    return readLook(await this.#get(`quarantine/${id}`));
  }

  async decide(id: number, decision: Decision): Promise<void> {
    await this.#ask(`quarantine/${id}/${decision}`, { method: 'POST' });
  }

  async #get(path: string): Promise<unknown> {
    return (await this.#ask(path, {})).json();
  }

  async #ask(path: string, init: RequestInit): Promise<Response> {
    const headers = { accept: 'application/json', ...tokenHeaders() };
    return checked(await fetch(`${this.#address}/${path}`, { ...init, headers, cache: 'no-store' }));
  }
}
