// @ts-check
// Durable acknowledgements for a stock y-websocket provider (1.x to 3.x): which of one's own edits are on the server's disk.
//
//   const ack = durableAck(provider)
//   ack.onChange(({ local, stored, supported }) => …)      // everything is safe when supported && stored === local
//
// Every local update raises `local` by one. After it has been sent, the helper sends message 102 with that number; the server sends the
// message back unchanged once all that came before it on this connection is on its disk. `stored` is the greatest number that came back.
// After a reconnect, edits made offline travel in the answer to the server's first sync step, so 102 is sent after that answer, and a
// server must hold it back until that answer is durable. A server that does not know message 102 ignores it: `supported` stays false.
//
// Frame: varUint 102, then a length-prefixed buffer that holds one varUint.

import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';

const MESSAGE_SYNC = 0;
const SYNC_STEP_1 = 0;
const MESSAGE_DURABLE_ACK = 102;

/**
 * @typedef {object} AckState
 * @property {number} local      own updates so far
 * @property {number} stored     of these, the first so many are on the server's disk
 * @property {boolean} supported the server has answered at least once
 */

/**
 * Call it right after `new WebsocketProvider(…)`, before any edit.
 * @param {any} provider a y-websocket WebsocketProvider
 * @returns {{ state: AckState, onChange: (listener: (state: AckState) => void) => () => void, dispose: () => void }}
 */
export function durableAck(provider) {
  /** @type {AckState} */
  const state = { local: 0, stored: 0, supported: false };
  /** @type {Set<(state: AckState) => void>} */
  const listeners = new Set();
  /** The socket on which the server's first sync step has been answered, so that offline edits are under way. */
  let answered = /** @type {unknown} */ (null);

  const notify = () => {
    for (const listener of [...listeners]) listener({ ...state });
  };

  const ask = () => {
    const socket = provider.ws;
    if (!socket || socket !== answered || socket.readyState !== 1) return;
    const body = encoding.createEncoder();
    encoding.writeVarUint(body, state.local);
    const frame = encoding.createEncoder();
    encoding.writeVarUint(frame, MESSAGE_DURABLE_ACK);
    encoding.writeVarUint8Array(frame, encoding.toUint8Array(body));
    socket.send(encoding.toUint8Array(frame));
  };

  const onUpdate = (/** @type {Uint8Array} */ _update, /** @type {unknown} */ origin) => {
    if (origin === provider) return;
    state.local += 1;
    ask();
    notify();
  };

  const syncHandler = provider.messageHandlers[MESSAGE_SYNC];
  provider.messageHandlers[MESSAGE_SYNC] = (/** @type {any[]} */ ...args) => {
    const decoder = args[1];
    const isStep1 = decoder.arr[decoder.pos] === SYNC_STEP_1;
    syncHandler(...args);
    const socket = provider.ws;
    // The provider sends its answer after this handler has returned.
    if (isStep1 && socket && socket !== answered) {
      queueMicrotask(() => {
        answered = socket;
        ask();
      });
    }
  };

  const ackHandler = provider.messageHandlers[MESSAGE_DURABLE_ACK];
  provider.messageHandlers[MESSAGE_DURABLE_ACK] = (/** @type {any} */ _encoder, /** @type {any} */ decoder) => {
    const body = decoding.readVarUint8Array(decoder);
    const version = decoding.readVarUint(decoding.createDecoder(body));
    state.stored = Math.max(state.stored, Math.min(version, state.local));
    state.supported = true;
    notify();
  };

  provider.doc.on('update', onUpdate);

  return {
    state,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    dispose() {
      provider.doc.off('update', onUpdate);
      provider.messageHandlers[MESSAGE_SYNC] = syncHandler;
      provider.messageHandlers[MESSAGE_DURABLE_ACK] = ackHandler;
      listeners.clear();
    },
  };
}
