// Our own provider as a program in Node has it: built, with the copy of Yjs that it uses.

import WebSocket from 'ws';
import { MapweaveProvider } from '../../../web/dist-provider/index.js';
import { Awareness } from '../../../web/node_modules/y-protocols/awareness.js';
import * as Y from '../../../web/node_modules/yjs/dist/yjs.mjs';

export { readFile } from '../../../web/dist-provider/index.js';
export { IDBFactory } from '../../../web/node_modules/fake-indexeddb/build/esm/index.js';
export { Y };

/** A provider with a document of its own, which ends with the test `t`. */
export function open(t, server, map, options = {}) {
  const doc = new Y.Doc();
  const awareness = new Awareness(doc);
  const { indexedDB, ...others } = options;
  const provider = new MapweaveProvider({
    server: server.url,
    map,
    doc,
    awareness,
    platform: { WebSocket, indexedDB, BroadcastChannel: undefined, locks: undefined },
    ...others,
  });
  t.after(async () => {
    await provider.destroy();
    awareness.destroy();
  });
  return provider;
}

export const isSaved = ({ state, counts }) => state.kind === 'live' && counts.unsaved === 0;
