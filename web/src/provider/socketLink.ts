// One socket to `/ws/{map}`, from its opening to its end. What comes after that is decided by the policy.
//
// Edits go out as they are made, each with a token; the server sends a token back once all before it is on its disk. Offline edits
// travel in the answer to the server's first step. Whether a socket works is judged by messages, never by its own state.

import { encodeAwarenessUpdate } from 'y-protocols/awareness';
import * as Y from 'yjs';
import type { Edit } from './editLog.ts';
import { type AwarenessChange, concerns, type Shared } from './link.ts';
import type { SocketStage } from './policy.ts';
import * as wire from './wire.ts';

/** So long a socket may take to open. */
export const OPEN_MS = 10_000;
/** The server speaks first, at once: a socket that opens and stays silent is held up by something on the way. */
export const FIRST_MESSAGE_MS = 5_000;
/** The server is never silent for longer than 15 s. */
export const SILENCE_MS = 30_000;
/** A token is answered at once, if only by a sign of life. */
export const ANSWER_MS = 10_000;

export interface SocketEvents {
  /** Content is here, and everything of ours is on its way. */
  live: () => void;
  /** The end; said once. */
  lost: (end: { reason: string; code: number; stage: SocketStage }) => void;
  /** The server refused an edit; on this socket it acknowledges nothing any more. */
  denied: (reason: string) => void;
}

export class SocketLink {
  readonly #shared: Shared;
  readonly #events: SocketEvents;
  readonly #socket: WebSocket;
  #stage: SocketStage = 'opening';
  #hasAnswered = false;
  #hasContent = false;
  #isDenied = false;
  #isOver = false;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #due = 0;
  #buffered = 0;

  constructor(url: string, Socket: typeof WebSocket, shared: Shared, events: SocketEvents) {
    this.#shared = shared;
    this.#events = events;
    this.#socket = new Socket(url);
    this.#socket.binaryType = 'arraybuffer';
    this.#socket.onopen = () => this.#opened();
    this.#socket.onmessage = ({ data }) => this.#heard(data);
    this.#socket.onclose = ({ code, reason }) => this.#lose(reason || closeReason(code, this.#stage), code);
    // The close that follows says it; some platforms want a listener all the same.
    this.#socket.onerror = () => {};
    this.#arm(OPEN_MS);
    shared.awareness?.on('update', this.#onAwareness);
  }

  /** Whether acknowledgements come on this socket. */
  get isAcknowledging(): boolean {
    return !this.#isDenied;
  }

  /** An edit that was just made. Does nothing before the server has asked: then it is part of the answer. */
  send(edit: Edit): void {
    if (!this.#hasAnswered) return;
    this.#send(wire.update(edit.update));
    this.#shared.log.sent(edit.number);
    this.#ask();
  }

  /** Ends it without a word to the events. */
  close(): void {
    if (this.#isOver) return;
    this.#end();
    this.#socket.close(1000);
  }

  #opened(): void {
    this.#arm(FIRST_MESSAGE_MS);
    this.#send(wire.step1(Y.encodeStateVector(this.#shared.doc)));
    const { awareness } = this.#shared;
    if (awareness?.getLocalState()) this.#tellPresence([awareness.clientID]);
  }

  #heard(data: unknown): void {
    if (this.#isOver || !(data instanceof ArrayBuffer)) return;
    const message = wire.readMessage(new Uint8Array(data));
    if (!message) return;
    if (this.#stage === 'opening') this.#stage = 'syncing';
    this.#arm(SILENCE_MS);
    const { doc, log, apply, applyAwareness, storedUpto } = this.#shared;
    switch (message.kind) {
      case 'step1':
        this.#send(wire.step2(Y.encodeStateAsUpdate(doc, message.vector)));
        this.#hasAnswered = true;
        log.sent(log.newest);
        this.#shared.changed();
        this.#ask();
        return this.#goLive();
      case 'step2':
        apply(message.update);
        this.#hasContent = true;
        return this.#goLive();
      case 'update':
        return apply(message.update);
      case 'awareness':
        return applyAwareness(message.update);
      case 'stored':
        // A token that we have not given is none of ours.
        if (!this.#isDenied && message.token <= log.newest) storedUpto(message.token);
        return;
      case 'denied':
        this.#isDenied = true;
        return this.#events.denied(message.reason);
    }
  }

  #goLive(): void {
    if (this.#stage === 'live' || !this.#hasAnswered || !this.#hasContent) return;
    this.#stage = 'live';
    this.#events.live();
  }

  #ask(): void {
    this.#send(wire.askStored(this.#shared.log.newest));
    if (this.#due - Date.now() > ANSWER_MS) this.#arm(ANSWER_MS);
  }

  #send(frame: wire.Frame): void {
    if (this.#socket.readyState === 1) this.#socket.send(frame);
  }

  readonly #onAwareness = (change: AwarenessChange): void => {
    const own = this.#shared.awareness?.clientID;
    // Our own alone: what others show they tell themselves.
    if (own !== undefined && concerns(change, own)) this.#tellPresence([own]);
  };

  #tellPresence(clients: number[]): void {
    const { awareness } = this.#shared;
    if (awareness) this.#send(wire.awareness(encodeAwarenessUpdate(awareness, clients)));
  }

  /** Something has to come within this time. */
  #arm(ms: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#due = Date.now() + ms;
    this.#buffered = this.#socket.bufferedAmount;
    this.#timer = setTimeout(() => this.#silent(ms), ms);
  }

  #silent(ms: number): void {
    // A slow link that still takes what we send is alive.
    if (this.#socket.bufferedAmount < this.#buffered) return this.#arm(ms);
    const reason =
      this.#stage === 'opening' && this.#socket.readyState === 1
        ? 'the socket opened, but nothing comes through it'
        : 'the socket fell silent';
    this.#lose(reason, 0);
    this.#socket.close();
  }

  #lose(reason: string, code: number): void {
    if (this.#isOver) return;
    const stage = this.#stage;
    this.#end();
    this.#events.lost({ reason, code, stage });
  }

  #end(): void {
    this.#isOver = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#shared.awareness?.off('update', this.#onAwareness);
  }
}

function closeReason(code: number, stage: SocketStage): string {
  if (stage === 'opening') return 'no socket can be opened';
  return code === 1006 ? 'the connection was lost' : `the server ended the connection (${code})`;
}
