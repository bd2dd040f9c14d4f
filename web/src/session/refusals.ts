// What to tell a person whose edits the server does not take: once for each reason, and apart for those that it keeps for an owner. Pure.

import type { PendingEdit } from '../provider/editLog.ts';

/** Reasons that are remembered as told. */
const TOLD_MAX = 100;

export class Refusals {
  readonly #told = new Set<string>();

  /** Words for what was not told yet; null if there is nothing new. */
  news(pending: readonly PendingEdit[]): string | null {
    const fresh = pending.filter(({ reason }) => reason !== '' && !this.#told.has(reason));
    const keeps = fresh.some(({ kept }) => kept);
    // One sentence at a time: those who are refused for good hear of it with the next call.
    const said = keeps ? fresh.filter(({ kept }) => kept) : fresh;
    const [first] = said;
    if (!first) return null;
    if (this.#told.size + said.length > TOLD_MAX) this.#told.clear();
    for (const { reason } of said) this.#told.add(reason);
    return keeps
      ? 'You may not edit this map any more. What you changed is safe with the server: an owner of the map decides whether it goes in.'
      : `The server refused an edit: ${first.reason}`;
  }
}
