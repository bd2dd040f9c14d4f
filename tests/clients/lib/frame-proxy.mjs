// A proxy that sees WebSocket messages, and loses, repeats or holds back those that a test picks.

import { once } from 'node:events';
import { WebSocket, WebSocketServer } from 'ws';

/** Every message is given to `pick(bytes, from)` with `from` `client` or `server`; what it returns is passed on. */
export class FrameProxy {
  #listener;
  #sockets = new Set();

  /** A proxy before `server`, closed when the test ends. */
  static async start(t, server, pick) {
    const proxy = new FrameProxy(server, pick);
    t.after(() => proxy.close());
    await once(proxy.#listener, 'listening');
    return proxy;
  }

  constructor(server, pick) {
    this.#listener = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    this.#listener.on('connection', (client, request) => {
      const upstream = new WebSocket(`${server.url.replace(/^http/, 'ws')}${request.url}`);
      const early = [];
      upstream.on('open', () => {
        for (const message of early.splice(0)) upstream.send(message);
      });
      client.on('message', (message) => {
        for (const passed of [pick(message, 'client')].flat().filter(Boolean))
          if (upstream.readyState === WebSocket.CONNECTING) early.push(passed);
          else upstream.send(passed);
      });
      upstream.on('message', (message) => {
        for (const passed of [pick(message, 'server')].flat().filter(Boolean)) client.send(passed);
      });
      for (const [one, other] of [
        [client, upstream],
        [upstream, client],
      ]) {
        this.#sockets.add(one);
        one.on('error', () => {});
        one.on('close', () => {
          this.#sockets.delete(one);
          other.terminate();
        });
      }
    });
  }

  get url() {
    return `http://127.0.0.1:${this.#listener.address().port}`;
  }

  close() {
    for (const socket of this.#sockets) socket.terminate();
    this.#listener.close();
  }
}
