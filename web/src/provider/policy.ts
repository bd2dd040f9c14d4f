// Which way to the server is tried when: a socket where one works, events and requests over HTTP where it does not, and back.
//
// Pure: what happens goes in, what is to be done comes out. No clock, no network; timers are effects with a name.

import { Backoff } from './backoff.ts';

export type ProviderState =
  | { kind: 'connecting' }
  /** The content of the map is on its way. */
  | { kind: 'loading'; receivedBytes: number; totalBytes: number | null }
  /** Edits flow both ways. `reason`: why it is not a socket, or empty. */
  | { kind: 'live'; over: 'ws' | 'http'; reason: string }
  | { kind: 'offline'; reason: string }
  /** Coming back is of no use; nothing is tried any more. */
  | { kind: 'closed'; code: number; reason: string };

export type PolicyEvent =
  | { on: 'start' }
  | { on: 'stop' }
  | { on: 'downloaded' }
  /** Bytes of the first state came. */
  | { on: 'progress'; receivedBytes: number; totalBytes: number | null }
  /** `gained`: it came further than before. `kept`: some of it is there to go on from. */
  | { on: 'downloadFailed'; reason: string; gained: boolean; kept: boolean }
  /** This server, or something on the way, has no states to download. */
  | { on: 'downloadUnsupported' }
  | { on: 'socketLive' }
  | { on: 'socketLost'; reason: string; code: number; stage: SocketStage }
  | { on: 'httpLive' }
  | { on: 'httpLost'; reason: string }
  /** The server said that coming back is of no use. */
  | { on: 'refused'; code: number; reason: string }
  | { on: 'timer'; name: TimerName }
  | { on: 'networkGone' }
  | { on: 'networkBack' };

/** How far a socket came. `syncing`: the server spoke, and the content was on its way. */
export type SocketStage = 'opening' | 'syncing' | 'live';

export type TimerName = 'retry' | 'hedge' | 'probe' | 'steady';

export type Effect =
  | { do: 'download' | 'cancelDownload' | 'openSocket' | 'closeSocket' | 'openHttp' | 'closeHttp' | 'renewToken' }
  | { do: 'setTimer'; name: TimerName; ms: number }
  | { do: 'clearTimer'; name: TimerName }
  | { do: 'tell'; state: ProviderState };

/** A socket that is not live after so long gets HTTP beside it. */
export const HEDGE_MS = 3_000;
/** A socket that was live for so long works. */
export const STEADY_MS = 30_000;
/** Waits between attempts when nothing works. */
export const RETRY = { minMs: 1_000, maxMs: 30_000 };
/** Waits between looks whether sockets work again, while HTTP carries the map. */
export const PROBE = { minMs: 2_000, maxMs: 60_000 };
/** Those who lose a server together come back one after the other. */
export const SPREAD_MS = 500;
/** How often a first state may fail to begin before the map is tried without it. */
export const DOWNLOAD_FAILURES_MAX = 3;
/** Some programs say wrongly that there is no network. */
export const DISBELIEF_MS = 30_000;

const NO_NETWORK = 'this device has no network';
const TOKEN_EXPIRED = 4501;

type Path = 'none' | 'opening' | 'live';

export class Policy {
  readonly #random: () => number;
  readonly #retry: Backoff;
  readonly #probe: Backoff;
  #isRunning = false;
  #needsDownload = true;
  #isDownloading = false;
  #downloadFailures = 0;
  #socket: Path = 'none';
  #http: Path = 'none';
  /** The socket has not proved itself since it was last live. */
  #isUnproven = false;
  #socketReason = '';
  #state: ProviderState = { kind: 'offline', reason: '' };
  #effects: Effect[] = [];

  constructor(random: () => number) {
    this.#random = random;
    this.#retry = new Backoff(RETRY, random);
    this.#probe = new Backoff(PROBE, random);
  }

  get state(): ProviderState {
    return this.#state;
  }

  /** What is to be done after this. */
  on(event: PolicyEvent): Effect[] {
    this.#effects = [];
    if (event.on === 'start') this.#start();
    else if (event.on === 'stop') this.#end({ kind: 'offline', reason: '' });
    else if (this.#isRunning) this.#step(event);
    return this.#effects;
  }

  #step(event: Exclude<PolicyEvent, { on: 'start' | 'stop' }>): void {
    switch (event.on) {
      case 'downloaded':
      case 'downloadUnsupported':
        this.#isDownloading = false;
        this.#needsDownload = false;
        return this.#connect();
      case 'progress':
        if (!this.#isDownloading) return;
        return this.#tell({ kind: 'loading', receivedBytes: event.receivedBytes, totalBytes: event.totalBytes });
      case 'downloadFailed':
        return this.#downloadFailed(event);
      case 'socketLive':
        return this.#socketLive();
      case 'socketLost':
        return this.#socketLost(event);
      case 'httpLive':
        this.#http = 'live';
        this.#needsDownload = false;
        this.#clear('hedge');
        this.#retry.reset();
        // A socket that has just come up takes over.
        if (this.#socket !== 'live') this.#tell({ kind: 'live', over: 'http', reason: this.#socketReason });
        return;
      case 'httpLost':
        return this.#httpLost(event.reason);
      case 'refused':
        return this.#end({ kind: 'closed', code: event.code, reason: event.reason });
      case 'timer':
        return this.#timer(event.name);
      case 'networkGone':
        this.#dropAll();
        this.#set('retry', DISBELIEF_MS);
        return this.#tell({ kind: 'offline', reason: NO_NETWORK });
      case 'networkBack':
        // What was open may have died without a sign.
        this.#dropAll();
        this.#retry.reset();
        this.#probe.reset();
        this.#tell({ kind: 'connecting' });
        return this.#attempt();
    }
  }

  #start(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#retry.reset();
    this.#probe.reset();
    this.#tell({ kind: 'connecting' });
    this.#attempt();
  }

  #attempt(): void {
    this.#clear('retry');
    if (!this.#needsDownload) return this.#connect();
    if (this.#isDownloading) return;
    this.#isDownloading = true;
    this.#do('download');
  }

  #connect(): void {
    this.#openSocket();
    if (this.#http === 'none') this.#set('hedge', HEDGE_MS);
  }

  #openSocket(): void {
    if (this.#socket !== 'none') return;
    this.#socket = 'opening';
    this.#do('openSocket');
  }

  #openHttp(): void {
    this.#clear('hedge');
    if (this.#http !== 'none') return;
    this.#http = 'opening';
    this.#do('openHttp');
  }

  #downloadFailed({ reason, gained, kept }: { reason: string; gained: boolean; kept: boolean }): void {
    this.#isDownloading = false;
    if (gained) {
      this.#retry.reset();
      this.#downloadFailures = 0;
      return this.#set('retry', this.#soon());
    }
    this.#downloadFailures += 1;
    // What has come is not fetched a second time another way.
    if (!kept && this.#downloadFailures >= DOWNLOAD_FAILURES_MAX) {
      this.#downloadFailures = 0;
      return this.#connect();
    }
    this.#offline(reason);
  }

  #socketLive(): void {
    this.#socket = 'live';
    this.#isUnproven = true;
    this.#needsDownload = false;
    this.#clear('hedge');
    this.#clear('probe');
    this.#retry.reset();
    this.#set('steady', STEADY_MS);
    if (this.#http !== 'none') this.#closeHttp();
    this.#tell({ kind: 'live', over: 'ws', reason: '' });
  }

  #socketLost({ reason, code, stage }: { reason: string; code: number; stage: SocketStage }): void {
    this.#socket = 'none';
    this.#socketReason = reason;
    this.#clear('steady');
    if (code >= 4400 && code < 4500) return this.#end({ kind: 'closed', code, reason });
    if (code === TOKEN_EXPIRED) this.#do('renewToken');
    // What did not come through in one piece is fetched so that it need not.
    if (stage === 'syncing') this.#needsDownload = true;
    const wasSteady = stage === 'live' && !this.#isUnproven;
    if (stage === 'live' && (wasSteady || code === TOKEN_EXPIRED)) {
      // The usual loss: the server restarts, the device moves to another network.
      this.#tell({ kind: 'offline', reason });
      return this.#set('retry', this.#soon());
    }
    if (this.#http === 'none' && this.#needsDownload) return this.#offline(reason);
    this.#set('probe', this.#probe.next());
    if (stage === 'live' && this.#http === 'none') this.#tell({ kind: 'offline', reason });
    this.#openHttp();
  }

  #httpLost(reason: string): void {
    const wasLive = this.#http === 'live';
    this.#http = 'none';
    if (this.#socket === 'live') return;
    if (wasLive) {
      this.#tell({ kind: 'offline', reason });
      this.#clear('probe');
      return this.#set('retry', this.#soon());
    }
    // A socket that is still being tried says itself how it ended.
    if (this.#socket === 'none') this.#offline(reason);
  }

  #timer(name: TimerName): void {
    switch (name) {
      case 'retry':
        return this.#attempt();
      case 'hedge':
        if (this.#socket !== 'live') {
          this.#socketReason ||= 'a socket takes too long';
          this.#openHttp();
        }
        return;
      case 'probe':
        return this.#openSocket();
      case 'steady':
        this.#isUnproven = false;
        this.#probe.reset();
    }
  }

  /** Nothing works: later again. */
  #offline(reason: string): void {
    this.#clear('probe');
    this.#clear('hedge');
    this.#tell({ kind: 'offline', reason });
    this.#set('retry', this.#retry.next());
  }

  #closeHttp(): void {
    this.#http = 'none';
    this.#do('closeHttp');
  }

  #dropAll(): void {
    for (const name of ['retry', 'hedge', 'probe', 'steady'] as const) this.#clear(name);
    if (this.#isDownloading) this.#do('cancelDownload');
    this.#isDownloading = false;
    if (this.#socket !== 'none') this.#do('closeSocket');
    this.#socket = 'none';
    if (this.#http !== 'none') this.#closeHttp();
  }

  #end(state: ProviderState): void {
    this.#dropAll();
    this.#isRunning = false;
    this.#tell(state);
  }

  #soon(): number {
    return Math.round(this.#random() * SPREAD_MS);
  }

  #do(what: Exclude<Effect['do'], 'setTimer' | 'clearTimer' | 'tell'>): void {
    this.#effects.push({ do: what });
  }

  #set(name: TimerName, ms: number): void {
    this.#effects.push({ do: 'setTimer', name, ms });
  }

  #clear(name: TimerName): void {
    this.#effects.push({ do: 'clearTimer', name });
  }

  #tell(state: ProviderState): void {
    this.#state = state;
    this.#effects.push({ do: 'tell', state });
  }
}
