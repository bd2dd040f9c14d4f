// The state of a map, fetched over links that break: every byte once, however often the link has to be made again.
//
// Nothing of it can be applied before it is whole; what has come is kept here between attempts. The server keeps the bytes
// of one tag for ten minutes; where they are gone, the download begins anew.

import { Deadline } from './deadline.ts';
import { checked } from './problem.ts';

/** No state is larger; the server would have to hold it as one block. */
export const STATE_BYTES_MAX = 2 ** 31 - 1;
/** An attempt on which nothing comes for so long is given up. */
export const PAUSE_MAX_MS = 15_000;

export interface State {
  /** A Yjs update (v1). */
  update: Uint8Array;
  /** In which log the map lies; null for a map that nobody has written to. */
  epoch: string | null;
}

export interface Progress {
  receivedBytes: number;
  /** Null until the server has said it. */
  totalBytes: number | null;
}

/** Sends a GET with these headers. */
export type Request = (headers: Record<string, string>, signal: AbortSignal) => Promise<Response>;

export class StateDownload {
  readonly #request: Request;
  readonly #onProgress: (progress: Progress) => void;
  #tag: string | null = null;
  #epoch: string | null = null;
  #total: number | null = null;
  #chunks: Uint8Array[] = [];
  #received = 0;

  constructor(request: Request, onProgress: (progress: Progress) => void = () => {}) {
    this.#request = request;
    this.#onProgress = onProgress;
  }

  get receivedBytes(): number {
    return this.#received;
  }

  /** One attempt, from where the last one broke off. Throws where it breaks again; what came stays. */
  async attempt(signal: AbortSignal): Promise<State> {
    if (this.#received > 0 && this.#received === this.#total) return this.#whole();
    const deadline = new Deadline(signal, PAUSE_MAX_MS);
    try {
      // A range is asked for from the start, so that nothing on the way is compressed: offsets would mean nothing.
      const headers: Record<string, string> = { range: `bytes=${this.#received}-` };
      if (this.#tag !== null && this.#received > 0) headers['if-range'] = this.#tag;
      const response = await this.#request(headers, deadline.signal);
      if (response.status === 416) {
        this.#restart(null);
        throw new Error('the state is another one by now');
      }
      await checked(response);
      this.#begin(response);
      await this.#read(response, deadline);
      return this.#whole();
    } finally {
      deadline.end();
    }
  }

  /** Looks whether the answer goes on where we are, and starts anew if it does not. */
  #begin(response: Response): void {
    const tag = response.headers.get('etag');
    const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
    const isContinued = response.status === 206 && range !== null && Number(range[1]) === this.#received;
    if (!isContinued || (this.#received > 0 && tag !== this.#tag)) {
      if (response.status === 206 && Number(range?.[1]) !== 0) {
        this.#restart(null);
        throw new Error('the server sent another part than was asked for');
      }
      this.#restart(tag);
    }
    // What was compressed on the way, against what we asked, has lengths and offsets of its own.
    const isEncoded = response.headers.has('content-encoding');
    this.#tag = isEncoded ? null : tag;
    this.#epoch = response.headers.get('mapweave-epoch');
    const length = range ? range[2] : isEncoded ? null : response.headers.get('content-length');
    this.#total = length === null || length === undefined ? null : Number(length);
    if ((this.#total ?? 0) > STATE_BYTES_MAX) throw new Error('the map is too large for this device');
    this.#onProgress({ receivedBytes: this.#received, totalBytes: this.#total });
  }

  async #read(response: Response, deadline: Deadline): Promise<void> {
    const reader = response.body?.getReader();
    if (!reader) return;
    for (;;) {
      deadline.reset();
      const { done, value } = await reader.read();
      if (done) return;
      this.#chunks.push(value);
      this.#received += value.length;
      if (this.#received > (this.#total ?? STATE_BYTES_MAX)) {
        this.#restart(null);
        throw new Error('the server sent more than it said');
      }
      this.#onProgress({ receivedBytes: this.#received, totalBytes: this.#total });
    }
  }

  #whole(): State {
    if (this.#total !== null && this.#received < this.#total) throw new Error('the answer broke off');
    const update = new Uint8Array(this.#received);
    let at = 0;
    for (const chunk of this.#chunks) {
      update.set(chunk, at);
      at += chunk.length;
    }
    this.#chunks = [];
    return { update, epoch: this.#epoch };
  }

  #restart(tag: string | null): void {
    this.#tag = tag;
    this.#chunks = [];
    this.#received = 0;
    this.#total = null;
  }
}
