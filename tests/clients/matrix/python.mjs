// The client of pycrdt-websocket, in a Python process that does what it is told line by line.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { until } from '../lib/wait.mjs';

const FOLDER = fileURLToPath(new URL('../python/', import.meta.url));
export const PYTHON =
  process.env.MAPWEAVE_PYTHON ?? fileURLToPath(new URL('../../../target/pycrdt/bin/python', import.meta.url));

export class PythonPeer {
  #process;
  #waiting = [];
  #errors = '';
  #ended = null;

  constructor({ server, map, token }) {
    const query = token ? `?token=${encodeURIComponent(token)}` : '';
    const path = map.split('/').map(encodeURIComponent).join('/');
    this.#process = spawn(PYTHON, [`${FOLDER}client.py`, `${server.url}/ws/${path}${query}`], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#process.stderr.on('data', (data) => {
      this.#errors += data;
    });
    this.#process.on('error', (error) => this.#end(error));
    this.#process.on('exit', (code) => this.#end(new Error(`the Python client ended with ${code}: ${this.#errors}`)));
    this.#process.stdin.on('error', () => {});
    createInterface({ input: this.#process.stdout }).on('line', (line) => {
      const { resolve, reject } = this.#waiting.shift();
      const { error, answer } = JSON.parse(line);
      if (error === undefined) resolve(answer);
      else reject(new Error(error));
    });
  }

  #end(error) {
    this.#ended = error;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  #ask(...command) {
    if (this.#ended) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#process.stdin.write(`${JSON.stringify(command)}\n`);
    });
  }

  set = (key, value) => this.#ask('set', key, value);
  fill = (key, letters) => this.#ask('fill', key, letters);
  get = (key) => this.#ask('get', key);
  letters = (key) => this.#ask('letters', key);
  content = () => this.#ask('content');
  isSynced = () => this.#ask('is_synced');
  goOnline = () => this.#ask('go_online');
  lose = () => this.#ask('lose');
  opened = () => this.#ask('opened');
  isDenied = () => this.#ask('is_denied');

  async goOffline() {
    await this.#ask('go_offline');
    await until('its connection has ended', async () => !(await this.#ask('is_online')));
  }

  /** The client has no word for it. */
  async isSaved() {
    return null;
  }

  async close() {
    if (this.#ended) return;
    const gone = new Promise((resolve) => this.#process.on('exit', resolve));
    this.#process.stdin.end();
    this.#process.kill('SIGKILL');
    await gone;
  }
}
