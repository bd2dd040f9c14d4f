// Pages of one browser with the same map: each tells the others its edits, all send all of them, and one keeps the content.
//
// Nobody is elected to send. A page may be gone before anybody notices; sending twice changes nothing, sending never is a loss.

import type { StoredEdit } from './editLog.ts';

export interface TabEvents {
  /** Another page made an edit. */
  edit: (edit: StoredEdit) => void;
  /** Another page heard that these are on the server's disk. */
  stored: (keys: string[], seq: number | null) => void;
  /** From now on this page keeps the content; said once. */
  keeper: () => void;
}

export interface TabOptions {
  /** Names the map and its server. */
  name: string;
  Channel: typeof BroadcastChannel | undefined;
  locks: LockManager | undefined;
}

type Told = { edit: StoredEdit } | { stored: string[]; seq: number | null };

export class Tabs {
  readonly #channel: BroadcastChannel | null;
  readonly #abort = new AbortController();
  #release: () => void = () => {};

  constructor({ name, Channel, locks }: TabOptions, events: TabEvents) {
    this.#channel = Channel ? new Channel(name) : null;
    if (this.#channel) this.#channel.onmessage = ({ data }: MessageEvent<Told>) => hear(data, events);
    if (locks) void this.#become(locks, `${name}:keeper`, events);
    // Without locks (pages without TLS) all keep it: more work, the same content.
    else queueMicrotask(() => events.keeper());
  }

  tellEdit(edit: StoredEdit): void {
    const { key, at, update } = edit;
    this.#tell({ edit: { key, at, update } });
  }

  tellStored(keys: readonly string[], seq: number | null): void {
    this.#tell({ stored: [...keys], seq });
  }

  close(): void {
    this.#abort.abort();
    this.#release();
    this.#channel?.close();
  }

  #tell(told: Told): void {
    this.#channel?.postMessage(told);
  }

  async #become(locks: LockManager, name: string, events: TabEvents): Promise<void> {
    const held = () => {
      events.keeper();
      return new Promise<void>((resolve) => {
        this.#release = resolve;
      });
    };
    // Aborted when we close, refused on pages that may not have locks.
    await locks.request(name, { signal: this.#abort.signal }, held).catch(() => {
      if (!this.#abort.signal.aborted) events.keeper();
    });
  }
}

/** Pages of an earlier version may speak otherwise. */
function hear(data: Told, events: TabEvents): void {
  if ('edit' in data && data.edit.update instanceof Uint8Array) events.edit(data.edit);
  else if ('stored' in data && Array.isArray(data.stored)) events.stored(data.stored, data.seq);
}
