// The built server as a process: started on a free port with a data folder of its own, killed, started again on the same port.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freePorts } from './ports.mjs';
import { until } from './wait.mjs';

export const BINARY = resolve(
  process.env.MAPWEAVE_BIN ?? fileURLToPath(new URL('../../../target/debug/mapweave', import.meta.url)),
);
/** Somebody else may take a port between the moment it was found free and the server's start. */
const PORTS_TRIED_MAX = 5;
/** The server under test is configured by its arguments alone; it refuses variables with its prefix that it does not know. */
const ENVIRONMENT = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MAPWEAVE_')));

export class Server {
  #folder = mkdtempSync(join(tmpdir(), 'mapweave-clients-'));
  #process = null;
  #errors = [];
  #settings;
  port = 0;
  /** Of somebody who may read everything, for the questions below; none where everybody may. */
  token;

  constructor(settings = []) {
    this.#settings = settings.flatMap((setting) => ['--set', setting]);
  }

  /** A running server, with settings as in `room.keepalive_s=1`; it is stopped and its folder removed when the test `t` ends. */
  static async start(t, settings) {
    const server = new Server(settings);
    t.after(() => server.#remove());
    for (let tried = 1; ; tried++) {
      [server.port] = await freePorts(1);
      try {
        await server.restart();
        return server;
      } catch (error) {
        if (tried === PORTS_TRIED_MAX || !/in use/i.test(server.log())) throw error;
      }
    }
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  get socketUrl() {
    return `ws://127.0.0.1:${this.port}/ws`;
  }

  /** Starts it on the port it had. */
  async restart() {
    const listen = `127.0.0.1:${this.port}`;
    const child = spawn(BINARY, ['serve', '--listen', listen, '--data', this.data, ...this.#settings], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: ENVIRONMENT,
      cwd: tmpdir(),
    });
    this.#process = child;
    this.#errors = [];
    createInterface({ input: child.stderr }).on('line', (line) => this.#errors.push(line));
    const lines = [];
    createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
    let failure = null;
    child.on('error', (error) => {
      failure = error;
    });
    await until('the server says where it listens', () => {
      if (failure) throw failure;
      if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}:\n${this.log()}`);
      return lines.some((line) => line.includes(this.url));
    });
  }

  /** Its data folder. */
  get data() {
    return join(this.#folder, 'data');
  }

  /** SIGTERM: it stores what is left and says goodbye to its clients. Resolves when the process is gone. */
  async stop() {
    await this.#end('SIGTERM');
  }

  /** SIGKILL: no time to save anything. Resolves when the process is gone. */
  async kill() {
    await this.#end('SIGKILL');
  }

  async #end(signal) {
    const child = this.#process;
    this.#process = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }

  async #remove() {
    await this.#end('SIGTERM');
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** What it wrote to its standard error, for messages. */
  log() {
    return this.#errors.slice(-40).join('\n');
  }

  /** The document as the server has it, as one Yjs update; null if there is no such map. */
  async state(map) {
    const response = await this.#ask(`maps/${encodeURIComponent(map)}/state`);
    if (response.status === 404) return null;
    if (!response.ok) throw new Error(`GET state answered ${response.status}: ${await response.text()}`);
    return new Uint8Array(await response.arrayBuffer());
  }

  /** Runs `mapweave` with these arguments; its output. */
  async command(args) {
    const child = spawn(BINARY, args, { stdio: ['ignore', 'pipe', 'pipe'], env: ENVIRONMENT, cwd: tmpdir() });
    const said = { out: '', err: '' };
    child.stdout.on('data', (chunk) => {
      said.out += chunk;
    });
    child.stderr.on('data', (chunk) => {
      said.err += chunk;
    });
    const [code] = await once(child, 'close');
    if (code !== 0) throw new Error(`mapweave ${args[0]} ended with ${code}:\n${said.err}`);
    return said.out;
  }

  async maps() {
    return (await this.#ask('maps')).json();
  }

  #ask(path) {
    const headers = this.token ? { authorization: `Bearer ${this.token}` } : {};
    return fetch(`${this.url}/api/v1/${path}`, { headers });
  }
}
