// Ports for programs that must be told theirs, or that come back to the one they had.

import { createServer } from 'node:net';

/** Below those that the system gives to outgoing connections: while a server is down nobody who calls it may be given its port. */
const FIRST = 20_000;
const COUNT = 12_000;

/** Different ports that were all free a moment ago. */
export async function freePorts(count) {
  const held = [];
  while (held.length < count) {
    const server = await holding(FIRST + Math.floor(Math.random() * COUNT));
    if (server) held.push(server);
  }
  const ports = held.map((server) => server.address().port);
  await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Null where somebody has it. */
function holding(port) {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(null));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
