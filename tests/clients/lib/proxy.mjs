// What stands between people and their server: proxies that refuse or swallow sockets, links that break and come back. Each of a test's own.

import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';

/**
 * `open`: everything passes. `no-upgrade`: sockets are answered 403. `stall`: sockets open, then nothing passes.
 * `dead`: the page comes, but neither requests to the API nor sockets do.
 */
export class Middlebox {
  /** How sockets and requests are treated, from now on. */
  mode = 'open';
  /** Sockets that were asked for, by what became of them. */
  upgrades = { passed: 0, refused: 0, stalled: 0 };
  #target;
  #server;
  #sockets = new Set();

  static async start(t, target) {
    const proxy = new Middlebox();
    proxy.#target = target;
    proxy.#server = http.createServer((request, response) => proxy.#request(request, response));
    proxy.#server.on('upgrade', (request, socket, head) => proxy.#upgrade(request, socket, head));
    proxy.#server.on('connection', (socket) => proxy.#keep(socket));
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    t.after(() => proxy.close());
    return proxy;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** Another mode, also for what is open. */
  become(mode) {
    this.mode = mode;
    for (const socket of this.#sockets) socket.destroy();
  }

  async close() {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #request(request, response) {
    if (this.mode === 'dead' && request.url.startsWith('/api/')) return request.socket.destroy();
    const { method, url: path, headers } = request;
    const onward = http.request({ host: '127.0.0.1', port: this.#target.port, method, path, headers });
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      response.flushHeaders();
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  }

  #upgrade(request, socket, head) {
    if (this.mode === 'dead') return socket.destroy();
    if (this.mode === 'no-upgrade') {
      this.upgrades.refused += 1;
      return socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
    }
    const onward = this.#keep(net.connect(this.#target.port, '127.0.0.1'));
    const lines = [`${request.method} ${request.url} HTTP/1.1`];
    for (let i = 0; i < request.rawHeaders.length; i += 2)
      lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
    onward.write(`${lines.join('\r\n')}\r\n\r\n`);
    onward.write(head);
    const end = () => {
      socket.destroy();
      onward.destroy();
    };
    for (const side of [socket, onward]) side.on('error', end).on('close', end);
    if (this.mode !== 'stall') {
      this.upgrades.passed += 1;
      socket.pipe(onward).pipe(socket);
      return;
    }
    this.upgrades.stalled += 1;
    let received = Buffer.alloc(0);
    let isOpen = false;
    onward.on('data', (chunk) => {
      // The answer to the handshake passes, and nothing behind it.
      if (isOpen) return;
      received = Buffer.concat([received, chunk]);
      const end = received.indexOf('\r\n\r\n');
      if (end < 0) return;
      isOpen = true;
      socket.write(received.subarray(0, end + 4));
    });
    socket.resume();
  }

  #keep(socket) {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket)).on('error', () => {});
    return socket;
  }
}

/**
 * A slow link that breaks every few seconds: all that is open falls silent and is gone a moment later. It notes which bytes of the state it
 * carried.
 */
export class BrokenLink {
  cuts = 0;
  /** Of each answer with a part of the state: where it began, how many bytes of it passed, and how many the whole has. */
  parts = [];
  #target;
  #server;
  #sockets = new Set();
  #isDown = false;
  #timer;
  #bytesPerTick;

  static async start(t, target, { everyMs, bytesPerSecond }) {
    const link = new BrokenLink();
    link.#target = target;
    link.#bytesPerTick = Math.ceil((bytesPerSecond * TICK_MS) / 1000);
    link.#server = http.createServer((request, response) => link.#request(request, response));
    link.#server.on('upgrade', (_request, socket) => socket.destroy());
    link.#server.on('connection', (socket) => {
      link.#sockets.add(socket);
      socket.on('close', () => link.#sockets.delete(socket)).on('error', () => {});
    });
    link.#server.listen(0, '127.0.0.1');
    await once(link.#server, 'listening');
    link.#timer = setInterval(() => link.#cut(), everyMs);
    t.after(() => link.close());
    return link;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  async close() {
    clearInterval(this.#timer);
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  /** What was under way has arrived when the connections are gone: a link does not take back what it has delivered. */
  #cut() {
    if (this.#sockets.size === 0) return;
    this.cuts += 1;
    this.#isDown = true;
    const sockets = [...this.#sockets];
    setTimeout(() => {
      for (const socket of sockets) socket.destroy();
      this.#isDown = false;
    }, SILENT_MS);
  }

  #request(request, response) {
    if (this.#isDown) return request.socket.destroy();
    const { method, url: path, headers } = request;
    const onward = http.request({ host: '127.0.0.1', port: this.#target.port, method, path, headers });
    request.pipe(onward);
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      response.flushHeaders();
      void this.#carry(answer, response, partOf(method, path, answer, this.parts));
    });
  }

  async #carry(answer, response, part) {
    const begun = this.cuts;
    try {
      for await (const chunk of answer) {
        for (let at = 0; at < chunk.length; at += this.#bytesPerTick) {
          if (this.cuts !== begun || response.destroyed) return;
          const piece = chunk.subarray(at, at + this.#bytesPerTick);
          part.bytes += piece.length;
          if (!response.write(piece)) await once(response, 'drain');
          if (part.isState)
            await new Promise((resolve) => setTimeout(resolve, (TICK_MS * piece.length) / this.#bytesPerTick));
        }
      }
      response.end();
    } catch {
      response.destroy();
    }
  }
}

const TICK_MS = 20;
/** What was under way has been read by then: a page loses what it has not read when its connection is gone. */
const SILENT_MS = 1_000;

function partOf(method, path, answer, parts) {
  const isState = method === 'GET' && /\/state(\?|$)/.test(path) && answer.statusCode < 300;
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(answer.headers['content-range'] ?? '');
  const start = range ? Number(range[1]) : 0;
  const total = range ? Number(range[2]) : Number(answer.headers['content-length']);
  const part = { isState, start, total, bytes: 0 };
  if (isState) parts.push(part);
  return part;
}
