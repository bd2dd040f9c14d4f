// A map over HTTP alone, where sockets do not get through: events come down as a stream, edits and presence go up by POST.
//
// The stream is read with fetch, so that tokens travel in a header. It names its place in the map's log; after a loss it goes on from
// there, and what it cannot tell any more is fetched as the state (docs/events.md).

import { encodeAwarenessUpdate } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { Deadline } from './deadline.ts';
import { StateDownload } from './download.ts';
import { EventStream, type ServerEvent } from './eventStream.ts';
import { type AwarenessChange, concerns, type Shared } from './link.ts';
import { checked, closeCodeOf, HttpError, isFinal, reasonOf } from './problem.ts';
import { Uploader } from './uploader.ts';
import { awarenessOf, type PresenceEntry } from './wire.ts';

/** The server writes to a quiet stream every 15 s at least. */
export const SILENCE_MS = 30_000;
/** An answer to a POST may take so long: the disk of the server, and a slow link. */
export const ANSWER_MS = 120_000;
/** So often a state may break off before the way counts as lost. */
const STATE_ATTEMPTS_MAX = 20;

export interface HttpEvents {
  live: () => void;
  lost: (reason: string) => void;
  /** Coming back as we are is of no use. */
  refused: (code: number, reason: string) => void;
  /** The token is not taken. */
  unauthorized: (reason: string) => void;
}

/** Requests to the map's own addresses: `path` is what follows `/api/v1/maps/{map}/`. The token goes with them. */
export type MapRequest = (path: string, init: RequestInit) => Promise<Response>;

export class HttpLink {
  readonly #request: MapRequest;
  readonly #shared: Shared;
  readonly #events: HttpEvents;
  readonly #abort = new AbortController();
  readonly #uploader: Uploader;
  #lastId: string | null;
  #isLive = false;
  #isOver = false;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #presenceKey: string | null = null;
  #isPosting = false;
  #isPresenceDue = false;

  /** `lastId`: the place up to which this document was told, if it has heard everything since. */
  constructor(request: MapRequest, lastId: string | null, shared: Shared, events: HttpEvents) {
    this.#request = request;
    this.#lastId = lastId;
    this.#shared = shared;
    this.#events = events;
    const post = (body: Uint8Array<ArrayBuffer>, signal: AbortSignal) => postBytes(request, 'state', body, signal);
    this.#uploader = new Uploader(post, shared);
    shared.awareness?.on('update', this.#onAwareness);
    void this.#run();
  }

  /** The place up to which the document was told; null before it has heard everything. */
  get lastId(): string | null {
    return this.#isLive ? this.#lastId : null;
  }

  /** There are edits to send. */
  send(): void {
    if (this.#isLive) void this.#upload();
  }

  /** Ends it without a word to the events. */
  close(): void {
    this.#isOver = true;
    this.#abort.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#shared.awareness?.off('update', this.#onAwareness);
  }

  async #run(): Promise<void> {
    try {
      this.#watch();
      const headers: Record<string, string> = { accept: 'text/event-stream' };
      if (this.#lastId !== null) headers['last-event-id'] = this.#lastId;
      const path = 'events?events=update,presence&unknown=empty';
      const init = { headers, signal: this.#abort.signal, cache: 'no-store' } as const;
      const response = await checked(await this.#request(path, init));
      if (!response.headers.get('content-type')?.startsWith('text/event-stream') || !response.body)
        throw new Error('something on the way answers in the place of the server');
      await this.#listen(response.body.getReader());
      this.#lose('the server ended the stream');
    } catch (error) {
      this.#fail(error);
    }
  }

  async #listen(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    const stream = new EventStream();
    const decoder = new TextDecoder();
    let isResumed = this.#lastId !== null;
    let hasBegun = false;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.#watch();
      for (const event of stream.push(decoder.decode(value, { stream: true }))) {
        if (event.name === 'reset') {
          isResumed = false;
          hasBegun = true;
          // Beside the stream, which has to be read on meanwhile.
          void this.#catchUp(true);
        } else this.#heard(event);
      }
      this.#lastId = stream.lastId ?? this.#lastId;
      if (!hasBegun && stream.lastId !== null) {
        hasBegun = true;
        if (isResumed) this.#goLive();
        else void this.#catchUp(false);
      }
    }
  }

  #heard({ name, data }: ServerEvent): void {
    const value: unknown = JSON.parse(data);
    if (typeof value !== 'object' || value === null) return;
    const said = value as Record<string, unknown>;
    if (name === 'update' && typeof said.update === 'string') this.#shared.apply(fromBase64(said.update));
    else if (name === 'presence' && Array.isArray(value)) this.#heardPresence(value);
    else if (name === 'session' && typeof said.session === 'string') {
      this.#presenceKey = said.session;
      this.#tellPresence();
    } else if (name === 'notice' && said.kind === 'closing') {
      const reason = typeof said.reason === 'string' ? said.reason : 'the server ended the stream';
      if (said.final === true) this.#refuse(typeof said.code === 'number' ? said.code : 0, reason);
      else this.#lose(reason);
    }
  }

  #heardPresence(value: unknown[]): void {
    const isEntry = (entry: unknown): entry is PresenceEntry => {
      const { client, clock } = (entry ?? {}) as Record<string, unknown>;
      return Number.isSafeInteger(client) && Number.isSafeInteger(clock);
    };
    this.#shared.applyAwareness(awarenessOf(value.filter(isEntry)));
  }

  /** Fetches what the stream does not tell; `anew`: the server may also lack what it once had. */
  async #catchUp(anew: boolean): Promise<void> {
    try {
      const { doc, apply } = this.#shared;
      const vector = anew ? null : Y.encodeStateVector(doc);
      const download = new StateDownload((headers, signal) =>
        this.#request(statePath(vector), { headers, signal, cache: 'no-store' }),
      );
      const { update } = await this.#whole(download);
      apply(update);
      if (anew) {
        const lacking = Y.encodeStateAsUpdate(doc, Y.encodeStateVectorFromUpdate(update));
        // Who may not write has nothing that the server lacks.
        await postBytes(this.#request, 'state', new Uint8Array(lacking), this.#abort.signal);
      }
      this.#goLive();
    } catch (error) {
      this.#fail(error);
    }
  }

  async #whole(download: StateDownload) {
    for (let attempt = 1; ; attempt++) {
      const before = download.receivedBytes;
      try {
        return await download.attempt(this.#abort.signal);
      } catch (error) {
        const isStuck = download.receivedBytes <= before || attempt >= STATE_ATTEMPTS_MAX;
        if (error instanceof HttpError || this.#isOver || isStuck) throw error;
      }
    }
  }

  #goLive(): void {
    if (this.#isOver || this.#isLive) return;
    this.#isLive = true;
    this.#events.live();
    void this.#upload();
  }

  async #upload(): Promise<void> {
    try {
      await this.#uploader.run(this.#abort.signal);
    } catch (error) {
      this.#fail(error);
    }
  }

  readonly #onAwareness = (change: AwarenessChange): void => {
    const own = this.#shared.awareness?.clientID;
    if (own !== undefined && concerns(change, own)) this.#tellPresence();
  };

  /** The newest presence, as soon as the one before has arrived. */
  #tellPresence(): void {
    this.#isPresenceDue = true;
    if (!this.#isPosting) void this.#postPresence();
  }

  async #postPresence(): Promise<void> {
    const { awareness } = this.#shared;
    this.#isPosting = true;
    try {
      while (this.#isPresenceDue && !this.#isOver && awareness && this.#presenceKey !== null) {
        this.#isPresenceDue = false;
        const body = new Uint8Array(encodeAwarenessUpdate(awareness, [awareness.clientID]));
        const path = `presence?session=${encodeURIComponent(this.#presenceKey)}`;
        await postBytes(this.#request, path, body, this.#abort.signal);
      }
    } catch {
      // Presence is renewed every 15 s anyway; whether the way is lost the stream says.
    } finally {
      this.#isPosting = false;
    }
  }

  #watch(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lose('the stream of events fell silent'), SILENCE_MS);
  }

  #fail(error: unknown): void {
    if (!(error instanceof HttpError)) return this.#lose(reasonOf(error));
    const { problem } = error;
    if (problem.status === 401 && problem.name !== '') {
      if (this.#over()) this.#events.unauthorized(problem.reason);
    } else if (isFinal(problem)) this.#refuse(closeCodeOf(problem), problem.reason);
    else this.#lose(problem.reason);
  }

  #refuse(code: number, reason: string): void {
    if (this.#over()) this.#events.refused(code, reason);
  }

  #lose(reason: string): void {
    if (this.#over()) this.#events.lost(reason);
  }

  /** Ends it; true the first time. */
  #over(): boolean {
    if (this.#isOver) return false;
    this.close();
    return true;
  }
}

/** The address of the state, or of what a document with `vector` lacks of it. A long one is left out: more comes than is needed. */
export function statePath(vector: Uint8Array | null): string {
  const text = vector === null || vector.length > VECTOR_BYTES_MAX || vector.length <= 1 ? '' : toBase64Url(vector);
  return `state?unknown=empty${text === '' ? '' : `&sv=${text}`}`;
}

/** Longer addresses do not get through everywhere. */
const VECTOR_BYTES_MAX = 1_500;

export async function postBytes(
  request: MapRequest,
  path: string,
  body: Uint8Array<ArrayBuffer>,
  signal: AbortSignal,
): Promise<Response> {
  const headers = { 'content-type': 'application/octet-stream' };
  const deadline = new Deadline(signal, ANSWER_MS);
  try {
    return await request(path, { method: 'POST', headers, body, signal: deadline.signal });
  } finally {
    deadline.end();
  }
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

function toBase64Url(bytes: Uint8Array): string {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
