// The ways to the server, opened and closed as the policy says: the first state, a socket, HTTP.

import * as Y from 'yjs';
import type { Access } from './access.ts';
import { StateDownload } from './download.ts';
import type { Edit } from './editLog.ts';
import { HttpLink, postBytes, statePath } from './httpLink.ts';
import type { Shared } from './link.ts';
import type { Platform } from './platform.ts';
import { type Effect, Policy, type PolicyEvent, type ProviderState, type TimerName } from './policy.ts';
import { closeCodeOf, HttpError, isFinal, reasonOf } from './problem.ts';
import { SocketLink } from './socketLink.ts';
import { Uploader } from './uploader.ts';

export interface WaysEvents {
  state: (state: ProviderState) => void;
  /** The server refused an edit. */
  denied: (reason: string) => void;
  /** The server told in which log the map lies; false where its content must not meet ours. */
  epoch: (epoch: string) => boolean;
}

const PROGRESS_EVERY_MS = 100;

export class Ways {
  readonly #access: Access;
  readonly #platform: Platform;
  readonly #shared: Shared;
  readonly #events: WaysEvents;
  readonly #policy: Policy;
  readonly #uploader: Uploader;
  readonly #abort = new AbortController();
  readonly #timers = new Map<TimerName, ReturnType<typeof setTimeout>>();
  #socket: SocketLink | null = null;
  #isSocketWanted = false;
  #http: HttpLink | null = null;
  #lastEventId: string | null = null;
  #download: StateDownload | null = null;
  #downloadAbort: AbortController | null = null;
  #progressAt = 0;
  #isLearning = false;

  constructor(access: Access, platform: Platform, shared: Shared, events: WaysEvents) {
    this.#access = access;
    this.#platform = platform;
    this.#shared = shared;
    this.#events = events;
    this.#policy = new Policy(platform.random);
    this.#uploader = new Uploader((body, signal) => postBytes(access.request, 'state', body, signal), shared);
  }

  get state(): ProviderState {
    return this.#policy.state;
  }

  /** What happened; carries out what follows from it. */
  tell(event: PolicyEvent): void {
    for (const effect of this.#policy.on(event)) this.#carryOut(effect);
  }

  /** An edit, in the order of its number. */
  send(edit: Edit): void {
    this.#socket?.send(edit);
    if (this.#socket && !this.#socket.isAcknowledging) this.#askOneByOne();
    this.#http?.send();
  }

  /** Asks in which log the map lies, where nobody has said so: our own first edit made it. */
  async learnEpoch(): Promise<void> {
    if (this.#isLearning) return;
    this.#isLearning = true;
    try {
      const { signal } = this.#abort;
      const answer = await this.#access.request('state', { method: 'HEAD', cache: 'no-store', signal });
      const epoch = answer.headers.get('mapweave-epoch');
      if (epoch !== null) this.#events.epoch(epoch);
    } catch {
      // The next edit that is stored asks again.
    } finally {
      this.#isLearning = false;
    }
  }

  /** Ends all, for good. */
  close(): void {
    this.tell({ on: 'stop' });
    this.#abort.abort();
  }

  #carryOut(effect: Effect): void {
    switch (effect.do) {
      case 'download':
        return void this.#fetchState();
      case 'cancelDownload':
        return this.#downloadAbort?.abort();
      case 'openSocket':
        return void this.#openSocket();
      case 'closeSocket':
        return this.#closeSocket();
      case 'openHttp':
        return this.#openHttp();
      case 'closeHttp':
        return this.#closeHttp();
      case 'renewToken':
        this.#access.renew();
        return;
      case 'setTimer':
        return this.#setTimer(effect.name, effect.ms);
      case 'clearTimer':
        return clearTimeout(this.#timers.get(effect.name));
      case 'tell':
        return this.#became(effect.state);
    }
  }

  #setTimer(name: TimerName, ms: number): void {
    clearTimeout(this.#timers.get(name));
    this.#timers.set(
      name,
      setTimeout(() => this.tell({ on: 'timer', name }), ms),
    );
  }

  #became(state: ProviderState): void {
    if (state.kind === 'live') {
      this.#access.worked();
      this.#download = null;
      if (state.over === 'ws') this.#lastEventId = null;
    }
    this.#events.state(state);
  }

  async #fetchState(): Promise<void> {
    this.#download ??= this.#newDownload();
    const download = this.#download;
    const abort = new AbortController();
    this.#downloadAbort = abort;
    const before = download.receivedBytes;
    try {
      const { update, epoch } = await download.attempt(abort.signal);
      if (abort.signal.aborted) return;
      this.#download = null;
      if (epoch !== null && !this.#events.epoch(epoch)) return;
      this.#shared.apply(update);
      this.tell({ on: 'downloaded' });
    } catch (error) {
      if (abort.signal.aborted) return;
      const gained = download.receivedBytes > before;
      const kept = download.receivedBytes > 0;
      if (!this.#isAnswered(error)) this.tell({ on: 'downloadFailed', reason: reasonOf(error), gained, kept });
    }
  }

  #newDownload(): StateDownload {
    const path = statePath(Y.encodeStateVector(this.#shared.doc));
    return new StateDownload(
      (headers, signal) => this.#access.request(path, { headers, signal, cache: 'no-store' }),
      ({ receivedBytes, totalBytes }) => {
        const now = Date.now();
        if (now - this.#progressAt < PROGRESS_EVERY_MS) return;
        this.#progressAt = now;
        this.tell({ on: 'progress', receivedBytes, totalBytes });
      },
    );
  }

  /** Whether the error says more than that it did not work, and that was dealt with. */
  #isAnswered(error: unknown): boolean {
    if (!(error instanceof HttpError)) return false;
    const { problem } = error;
    if (problem.name === '') {
      if (problem.status !== 404 && problem.status !== 405) return false;
      this.tell({ on: 'downloadUnsupported' });
    } else if (problem.status === 401) {
      if (this.#access.mayRenew())
        this.tell({ on: 'downloadFailed', reason: problem.reason, gained: true, kept: false });
      else this.tell({ on: 'refused', code: 4401, reason: problem.reason });
    } else if (isFinal(problem)) {
      this.tell({ on: 'refused', code: closeCodeOf(problem), reason: problem.reason });
    } else return false;
    return true;
  }

  async #openSocket(): Promise<void> {
    this.#isSocketWanted = true;
    let url: string;
    try {
      url = await this.#access.socketUrl();
    } catch {
      return this.tell({ on: 'socketLost', reason: 'no token can be had', code: 0, stage: 'opening' });
    }
    if (!this.#isSocketWanted || this.#socket) return;
    this.#socket = new SocketLink(url, this.#platform.WebSocket, this.#shared, {
      live: () => this.tell({ on: 'socketLive' }),
      lost: (end) => {
        this.#closeSocket();
        this.tell({ on: 'socketLost', ...end });
      },
      denied: (reason) => {
        this.#shared.log.forgive();
        this.#events.denied(reason);
        this.#askOneByOne();
      },
    });
  }

  #closeSocket(): void {
    this.#isSocketWanted = false;
    this.#socket?.close();
    this.#socket = null;
    this.#unsend();
  }

  #openHttp(): void {
    this.#shared.log.forgive();
    this.#http = new HttpLink(this.#access.request, this.#lastEventId, this.#shared, {
      live: () => this.tell({ on: 'httpLive' }),
      lost: (reason) => {
        this.#closeHttp();
        this.tell({ on: 'httpLost', reason });
      },
      refused: (code, reason) => this.tell({ on: 'refused', code, reason }),
      unauthorized: (reason) => {
        this.#closeHttp();
        if (this.#access.mayRenew()) this.tell({ on: 'httpLost', reason });
        else this.tell({ on: 'refused', code: 4401, reason });
      },
    });
  }

  #closeHttp(): void {
    this.#lastEventId = this.#http?.lastId ?? this.#lastEventId;
    this.#http?.close();
    this.#http = null;
    this.#unsend();
  }

  /** What was on a way that is gone is on the device only, unless there is another way. */
  #unsend(): void {
    if (this.#socket || this.#http) return;
    this.#shared.log.unsend();
    this.#shared.changed();
  }

  /** The socket says that an edit was refused, not which: POST says that of each. */
  #askOneByOne(): void {
    this.#uploader.run(this.#abort.signal).catch(() => {
      // The socket is there all the same; the next edit or connection asks again.
    });
  }
}
