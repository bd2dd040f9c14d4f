// What the provider uses of the platform it runs on, so that tests and other platforms can give their own.

export interface Platform {
  fetch: typeof fetch;
  WebSocket: typeof WebSocket;
  indexedDB: IDBFactory | undefined;
  BroadcastChannel: typeof BroadcastChannel | undefined;
  locks: LockManager | undefined;
  /** Where `online`, `offline` and `pagehide` are heard. */
  events: EventTarget | undefined;
  random: () => number;
}

export function ownPlatform(): Platform {
  const { indexedDB, BroadcastChannel, navigator } = globalThis as Partial<typeof globalThis>;
  const canListen = typeof globalThis.addEventListener === 'function';
  return {
    fetch: (...request) => globalThis.fetch(...request),
    WebSocket: globalThis.WebSocket,
    indexedDB,
    BroadcastChannel,
    locks: navigator?.locks,
    events: canListen ? globalThis : undefined,
    random: Math.random,
  };
}

const PAGE_ID_LENGTH = 12;

/** Names this page for ever: random, and sorted by when pages began, roughly. */
export function pageId(): string {
  const random = crypto.getRandomValues(new Uint8Array(PAGE_ID_LENGTH));
  const digits = Array.from(random, (byte) => (byte % 36).toString(36)).join('');
  return `${Date.now().toString(36).padStart(9, '0')}${digits}`;
}
