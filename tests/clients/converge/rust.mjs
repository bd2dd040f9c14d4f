// Replicas in a process of their own, written in Rust (tests/sim/src/bin/replica.rs).

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const BINARY = resolve(
  process.env.MAPWEAVE_REPLICA_BIN ?? fileURLToPath(new URL('../../../target/debug/mapweave-replica', import.meta.url)),
);

/** The process, shared by all replicas of a run. */
export class RustProcess {
  #child;
  #waiting = [];
  #failure = null;
  #replicas = 0;

  constructor() {
    if (!existsSync(BINARY))
      throw new Error(`${BINARY} is missing: cargo build -p mapweave-sim --bin mapweave-replica`);
    this.#child = spawn(BINARY, { stdio: ['pipe', 'pipe', 'pipe'] });
    const errors = [];
    createInterface({ input: this.#child.stderr }).on('line', (line) => errors.push(line));
    createInterface({ input: this.#child.stdout }).on('line', (line) =>
      this.#waiting.shift()?.resolve(JSON.parse(line)),
    );
    this.#child.stdin.on('error', () => {});
    this.#child.on('close', (code, signal) => {
      this.#failure = new Error(`the Rust replicas ended with ${code ?? signal}:\n${errors.join('\n')}`);
      for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
    });
  }

  ask(request) {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    });
  }

  nextNumber() {
    return this.#replicas++;
  }

  async close() {
    if (this.#failure) return;
    const ended = once(this.#child, 'close');
    this.#child.stdin.end();
    await ended;
  }
}

export class RustReplica {
  kind = 'yrs';
  now = 1000;
  #process;
  #number;
  #seed;

  constructor(process, sid, seed) {
    this.#process = process;
    this.#number = process.nextNumber();
    this.#seed = seed;
    this.sid = sid;
  }

  static async open(process, { client, sid, chance }) {
    const replica = new RustReplica(process, sid, chance.below(2 ** 31));
    await replica.#ask('new', { client, sid, seed: replica.#seed });
    return replica;
  }

  async #ask(c, fields = {}) {
    return this.#process.ask({ c, r: this.#number, ...fields });
  }

  async apply(update) {
    const { error } = await this.#ask('apply', { u: base64(update) });
    if (error) throw new Error(`a Rust replica cannot apply an update: ${error}`);
  }

  async operate(operation) {
    const { error, result, u, writes } = await this.#ask('op', { now: this.now, operation });
    return error
      ? { error, updates: [], writes: [] }
      : { result, updates: writes.length > 0 ? [bytes(u)] : [], writes };
  }

  async vector() {
    return bytes((await this.#ask('vector')).sv);
  }

  async diff(vector) {
    return bytes((await this.#ask('diff', { sv: base64(vector) })).u);
  }

  async snapshot() {
    return bytes((await this.#ask('snapshot')).s);
  }

  async restart(client) {
    const state = await this.diff(Uint8Array.of(0));
    this.#seed += 1;
    await this.#ask('new', { client, sid: this.sid, seed: this.#seed, u: base64(state) });
  }

  async read() {
    return this.#ask('read');
  }

  async close() {
    await this.#ask('drop');
  }
}

const base64 = (data) => Buffer.from(data).toString('base64');
const bytes = (text) => new Uint8Array(Buffer.from(text, 'base64'));
