// Bad networks between clients and a server, on this machine: TCP as it is, but silent, slow or cut connections.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** Passes bytes both ways. */
export class TcpProxy {
  #listener;
  #pairs = new Set();
  #options;
  /** WebSockets cut because nothing passed for too long. */
  cutForSilence = 0;
  /** Connections taken. */
  taken = 0;

  /**
   * A proxy before `server`, closed when the test ends.
   * @param {{port: number}} server asked for its port whenever a connection comes
   * @param {object} [options]
   * @param {number} [options.silenceMs] a connection on which nothing passes for so long is cut, as gateways do
   * @param {number} [options.bytesPerS] towards the client
   */
  static async start(t, server, options = {}) {
    const proxy = new TcpProxy(server, options);
    t.after(() => proxy.close());
    proxy.#listener.listen(0, '127.0.0.1');
    await once(proxy.#listener, 'listening');
    return proxy;
  }

  constructor(server, options) {
    this.#options = options;
    this.#listener = createServer({ noDelay: true }, (client) => this.#take(client, server));
  }

  get port() {
    return this.#listener.address().port;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  #take(client, server) {
    this.taken += 1;
    const upstream = connect({ port: server.port, host: '127.0.0.1', noDelay: true });
    const cut = () => {
      client.destroy();
      upstream.destroy();
    };
    const pair = { client, upstream, isSocket: false, cut };
    this.#pairs.add(pair);
    const { silenceMs, bytesPerS } = this.#options;
    let timer = null;
    const passed = () => {
      if (!silenceMs) return;
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (pair.isSocket) this.cutForSilence += 1;
        pair.cut();
      }, silenceMs);
    };
    passed();
    const ended = () => {
      clearTimeout(timer);
      this.#pairs.delete(pair);
      pair.cut();
    };
    for (const [from, to, limit] of [
      [client, upstream, null],
      [upstream, client, bytesPerS],
    ]) {
      from.on('error', ended);
      from.on('close', ended);
      from.on('data', (chunk) => {
        if (from === client) pair.isSocket ||= /^upgrade: websocket/im.test(chunk.toString('latin1'));
        passed();
        const isRoom = to.write(chunk);
        if (limit) {
          from.pause();
          setTimeout(() => from.resume(), (1000 * chunk.length) / limit);
        } else if (!isRoom) {
          from.pause();
          to.once('drain', () => from.resume());
        }
      });
    }
  }

  /** Cuts all connections without a word. */
  cut() {
    for (const pair of [...this.#pairs]) pair.cut();
  }

  close() {
    this.cut();
    this.#listener.close();
  }
}
