// The WebSocket that every JavaScript client is given, as its options allow: it counts, and notes how sockets ended.

import WebSocket from 'ws';

// Every provider listens for the end of the process, and a test has many.
process.setMaxListeners(0);

/** A class for one client, with a record of its sockets. */
export function countedSocket() {
  const record = { opened: 0, refused: [], closed: [], live: new Set() };
  const Counted = class extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols?.length === 0 ? undefined : protocols);
      record.live.add(this);
      this.on('open', () => {
        record.opened += 1;
      });
      this.on('error', (error) => {
        const status = /server response: (\d+)/.exec(error.message);
        if (status) record.refused.push(Number(status[1]));
      });
      this.on('close', (code, reason) => {
        record.live.delete(this);
        record.closed.push({ code, reason: reason.toString() });
      });
    }
  };
  return { WebSocket: Counted, record };
}
