// A server and peers of stock clients for one test; all of it ends with the test.

import { CLIENTS } from '../matrix/peers.mjs';
import { docOf } from './clients.mjs';
import { until } from './wait.mjs';

/** Opens peers of `client` on `map`, closed when the test ends. */
export function opener(t, server) {
  return (client, map, options = {}) => {
    const peer = CLIENTS[client]({ server, map, token: server.token, ...options });
    t.after(() => peer.close());
    return peer;
  };
}

export async function synced(...peers) {
  for (const peer of peers) await until('a peer is synced', () => peer.isSynced());
}

/** Does what ends the connections of these peers, and waits until each has a new one and is synced. */
export async function reconnected(end, ...peers) {
  const before = await Promise.all(peers.map((peer) => peer.opened()));
  await end();
  for (const [i, peer] of peers.entries())
    await until('a peer has connected again', async () => (await peer.opened()) > before[i]);
  await synced(...peers);
}

/** The keys and values of `feat` as the server has stored them. */
export async function served(server, map) {
  return docOf(await server.state(map))
    .getMap('feat')
    .toJSON();
}

/** Waits until all peers hold the same as the server, and returns it. What others than these peers have sent may still be on its way. */
export async function agreed(server, map, ...peers) {
  let contents;
  await until('all have the same content', async () => {
    contents = await Promise.all([served(server, map), ...peers.map((peer) => peer.content())]);
    return contents.every((content) => sorted(content) === sorted(contents[0]));
  });
  return contents[0];
}

function sorted(content) {
  return JSON.stringify(Object.entries(content).sort(([a], [b]) => (a < b ? -1 : 1)));
}
