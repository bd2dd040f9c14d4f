// Debian's HAProxy and nginx with the files of docs/deploy/, but for addresses, certificates and, where a test asks, time-outs.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freePorts } from './ports.mjs';
import { BINARY } from './server.mjs';
import { until } from './wait.mjs';

const DEPLOY = fileURLToPath(new URL('../../../docs/deploy/', import.meta.url));
/** What the files say how long a quiet connection may last. */
const IDLE = '75s';

export const PROXIES = { haproxy, nginx };

/** A certificate for this machine, made by the server itself, in a folder that is removed with the test. */
export async function certificate(t) {
  const folder = mkdtempSync(join(tmpdir(), 'mapweave-proxies-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const maker = run(t, BINARY, ['serve', '--listen', '127.0.0.1:0', '--data', folder, '--tls-self-signed']);
  await maker.says('listening on https://');
  await maker.end();
  const file = (name) => join(folder, 'tls', name);
  return { folder, ca: readFileSync(file('authority.pem')), cert: file('server.pem'), key: file('server.key') };
}

/** A running proxy of this kind before `server`: `{ url, plainUrl }`. */
export async function proxied(t, kind, server, made, { idle = IDLE } = {}) {
  const [plain, secure] = await freePorts(2);
  const ports = { plain, secure };
  const proxy = await PROXIES[kind](t, server.port, ports, made, idle);
  await until(`${kind} accepts connections`, async () => {
    if (proxy.ended()) throw new Error(`${kind} ended:\n${proxy.log()}`);
    return proxy.answers(ports);
  });
  return { url: `https://127.0.0.1:${ports.secure}`, plainUrl: `http://127.0.0.1:${ports.plain}` };
}

async function haproxy(t, backend, ports, { folder, cert, key }, idle) {
  const both = join(folder, 'haproxy.pem');
  writeFileSync(both, Buffer.concat([readFileSync(cert), readFileSync(key)]), { mode: 0o600 });
  const file = write(folder, 'haproxy.cfg', idle, {
    // As many connections as a test needs, since the limit of open files may be low.
    'maxconn 20000': 'maxconn 500',
    'bind :80\n': `bind 127.0.0.1:${ports.plain}\n`,
    'bind :443 ssl crt /etc/haproxy/certs/ ': `bind 127.0.0.1:${ports.secure} ssl crt ${both} `,
    '127.0.0.1:8080': `127.0.0.1:${backend}`,
  });
  await run(t, 'haproxy', ['-c', '-f', file]).done();
  const proxy = run(t, 'haproxy', ['-db', '-f', file]);
  return { ...proxy, answers: ({ plain }) => connects(plain) };
}

async function nginx(t, backend, ports, { folder, cert, key }, idle) {
  const site = write(folder, 'nginx.conf', idle, {
    'listen 80;': `listen 127.0.0.1:${ports.plain};`,
    'listen 443 ssl http2;': `listen 127.0.0.1:${ports.secure} ssl http2;`,
    '/etc/nginx/certs/maps.pem': cert,
    '/etc/nginx/certs/maps.key': key,
    '127.0.0.1:8080': `127.0.0.1:${backend}`,
  });
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => {
    mkdirSync(join(folder, name));
    return `${name}_temp_path ${join(folder, name)};`;
  });
  const main = join(folder, 'main.conf');
  const user = process.getuid() === 0 ? 'user root;' : '';
  writeFileSync(
    main,
    `${user} daemon off; pid ${join(folder, 'nginx.pid')}; error_log stderr warn; events {}\n` +
      `http { access_log off; ${temporary.join(' ')} include ${site}; }\n`,
  );
  const args = ['-p', folder, '-c', main, '-e', 'stderr'];
  await run(t, 'nginx', ['-t', ...args]).done();
  const proxy = run(t, 'nginx', args);
  return { ...proxy, answers: ({ plain }) => connects(plain) };
}

/** A file of docs/deploy/ with these words replaced; each must be there. */
function write(folder, name, idle, words) {
  let text = readFileSync(join(DEPLOY, name), 'utf8');
  for (const [from, to] of Object.entries({ ...words, [IDLE]: idle })) {
    if (!text.includes(from)) throw new Error(`${name} has no ${JSON.stringify(from)} any more`);
    text = text.replaceAll(from, to);
  }
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

function run(t, program, args) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: tmpdir() });
  const lines = [];
  let failure = null;
  child.on('error', (error) => {
    failure = error.code === 'ENOENT' ? new Error(`${program} is missing: run scripts/need-proxies.sh`) : error;
  });
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => lines.push(line));
  const ended = () => {
    if (failure) throw failure;
    return child.exitCode !== null || child.signalCode !== null;
  };
  const end = async () => {
    if (child.pid === undefined || ended()) return;
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    await gone;
  };
  t.after(end);
  const log = () => lines.join('\n');
  return {
    ended,
    end,
    log,
    says: (words) =>
      until(`${program} says ${words}`, () => log().includes(words) || (ended() && Promise.reject(new Error(log())))),
    async done() {
      await until(`${program} has ended`, ended);
      if (child.exitCode !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${child.exitCode}:\n${log()}`);
    },
  };
}

async function connects(port) {
  try {
    await fetch(`http://127.0.0.1:${port}/healthz`, { redirect: 'manual' });
    return true;
  } catch {
    return false;
  }
}
