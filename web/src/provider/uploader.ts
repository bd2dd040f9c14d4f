// Edits to the server by POST: several at once while it takes them, one by one to find those that it refuses.

import * as Y from 'yjs';
import type { Edit } from './editLog.ts';
import type { Shared } from './link.ts';
import { checked, HttpError, type Problem } from './problem.ts';

/** What goes out in one request, about. */
export const BATCH_BYTES = 1 << 20;

/** Sends a POST of bytes. */
export type Post = (body: Uint8Array<ArrayBuffer>, signal: AbortSignal) => Promise<Response>;

export class Uploader {
  readonly #post: Post;
  readonly #shared: Shared;
  #running: Promise<void> | null = null;
  #isMore = false;

  constructor(post: Post, shared: Shared) {
    this.#post = post;
    this.#shared = shared;
  }

  /** Sends what is not sent, and what comes meanwhile. Rejects where the way is lost; refused edits are noted and passed over. */
  run(signal: AbortSignal): Promise<void> {
    this.#isMore = true;
    this.#running ??= this.#drain(signal).finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #drain(signal: AbortSignal): Promise<void> {
    while (this.#isMore && !signal.aborted) {
      this.#isMore = false;
      for (let batch = this.#batch(); batch.length > 0; batch = this.#batch()) await this.#send(batch, signal);
    }
  }

  #batch(): Edit[] {
    const batch: Edit[] = [];
    let bytes = 0;
    for (const edit of this.#shared.log.all()) {
      if (edit.reason !== null) continue;
      bytes += edit.update.length;
      if (batch.length > 0 && bytes > BATCH_BYTES) break;
      batch.push(edit);
    }
    return batch;
  }

  async #send(batch: readonly Edit[], signal: AbortSignal): Promise<void> {
    const [first] = batch;
    if (!first) return;
    const { log, changed } = this.#shared;
    log.sending(batch);
    changed();
    const update = batch.length === 1 ? first.update : Y.mergeUpdates(batch.map((edit) => edit.update));
    try {
      await this.#deliver(update, batch, signal);
    } catch (error) {
      log.sending(batch, false);
      if (!(error instanceof HttpError) || !isAboutTheEdit(error.problem)) throw error;
      if (batch.length > 1) {
        for (const edit of batch) await this.#send([edit], signal);
      } else {
        log.refuse(first.key, error.problem.reason, error.problem.name === KEPT_APART);
        changed();
      }
    }
  }

  async #deliver(update: Uint8Array, batch: readonly Edit[], signal: AbortSignal): Promise<void> {
    const answer = await checked(await this.#post(new Uint8Array(update), signal));
    const said: unknown = await answer.json();
    const { seq, durable, reason } = (said ?? {}) as Record<string, unknown>;
    if (durable === true) {
      const keys = batch.map((edit) => edit.key);
      return this.#shared.stored(keys, typeof seq === 'number' ? seq : null);
    }
    // Kept apart by the server until an owner has looked at it: it stays here as well.
    const why = typeof reason === 'string' ? reason : 'the server keeps it apart until somebody has looked at it';
    throw new HttpError({ status: answer.status, name: KEPT_APART, reason: why });
  }
}

/** No problem of the server's: its word that it keeps an edit for an owner. */
const KEPT_APART = 'kept-apart';

/** Whether the server speaks of what was sent rather than of who sends, or of itself. */
function isAboutTheEdit({ status, name }: Problem): boolean {
  return name !== '' && (status === 202 || status === 403 || status === 409 || status === 413 || status === 422);
}
