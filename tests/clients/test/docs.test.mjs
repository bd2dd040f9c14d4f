// The lines of docs/clients.md run as they stand, each against a server with one feature.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as Y from 'yjs';
import { Server } from '../lib/server.mjs';
import { until } from '../lib/wait.mjs';
import { PYTHON } from '../matrix/python.mjs';

const PAGE = readFileSync(new URL('../../../docs/clients.md', import.meta.url), 'utf8');
const FOLDER = fileURLToPath(new URL('..', import.meta.url));
/** The lines are for browsers, which have sockets of their own. */
const SOCKETS = fileURLToPath(new URL('../lib/browser-sockets.mjs', import.meta.url));

const blocks = [...PAGE.matchAll(/^## (.*)\n[^#]*?```(js|python)\n([\s\S]*?)```/gm)].map(
  ([, title, language, code]) => ({ title, language, code }),
);

test('every client has its lines', () => {
  assert.equal(blocks.length, 5);
});

for (const { title, language, code } of blocks)
  test(`the lines for ${title} show the map`, async (t) => {
    const server = await Server.start(t);
    const doc = new Y.Doc();
    doc.getMap('feat').set('one', 1);
    const headers = { 'content-type': 'application/octet-stream' };
    const written = await fetch(`${server.url}/api/v1/maps/demo/state`, {
      method: 'POST',
      headers,
      body: Y.encodeStateAsUpdate(doc),
    });
    assert.equal(written.status, 200);
    // Beside the packages, so that they are found.
    const file = `${FOLDER}lines-${process.pid}.${language === 'js' ? 'mjs' : 'py'}`;
    t.after(() => rmSync(file, { force: true }));
    writeFileSync(file, code.replaceAll('127.0.0.1:8080', new URL(server.url).host));
    const [program, ...args] = language === 'js' ? [process.execPath, '--import', SOCKETS, file] : [PYTHON, file];
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    t.after(() => child.kill('SIGKILL'));
    let [out, err] = ['', ''];
    child.stdout.on('data', (data) => (out += data));
    child.stderr.on('data', (data) => (err += data));
    await until(`it says how many features there are; it said ${err}`, () => {
      assert.ok(!child.exitCode, err);
      return out.includes('1 features');
    });
  });
