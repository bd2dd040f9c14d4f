// Every stock client, as it is, through every scenario; the table at the end is the interop matrix.

import { mkdirSync, writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Server } from '../lib/server.mjs';
import { opener } from '../lib/world.mjs';
import { CLIENTS } from '../matrix/peers.mjs';
import { COMPANION, SCENARIOS } from '../matrix/scenarios.mjs';
import { Table } from '../matrix/table.mjs';

const FILE = fileURLToPath(new URL('../../../target/interop-matrix.md', import.meta.url));
/** A part of both: `MATRIX=y-sweet` or `MATRIX=idle`. */
const WANTED = process.env.MATRIX ?? '';

const table = new Table(Object.keys(CLIENTS), Object.keys(SCENARIOS));

async function cell(t, server, client, name) {
  table.set(client, name, 'FAILED');
  const open = opener(t, server);
  const peer = (map, options) => open(client, map, options);
  const companion = (map, options) => open(COMPANION, map, options);
  await SCENARIOS[name].run({ t, server, client, open: peer, companion });
  table.set(client, name, 'ok');
}

for (const [name, { settings, token, together, without = [] }] of Object.entries(SCENARIOS)) {
  const clients = Object.keys(CLIENTS).filter((client) => `${client} ${name}`.includes(WANTED));
  for (const client of clients.filter((client) => without.includes(client))) table.set(client, name, 'has none');
  const tested = clients.filter((client) => !without.includes(client));
  if (together && tested.length > 0)
    test(`${name}: all clients at once`, async (t) => {
      const server = await Server.start(t, settings);
      server.token = token;
      await Promise.all(tested.map((client) => cell(t, server, client, name)));
    });
  else
    for (const client of tested)
      test(`${name}: ${client}`, async (t) => {
        const server = await Server.start(t, settings);
        server.token = token;
        await cell(t, server, client, name);
      });
}

after(() => {
  mkdirSync(fileURLToPath(new URL('.', `file://${FILE}`)), { recursive: true });
  writeFileSync(FILE, `${table}\n`);
  console.log(`The interop matrix:\n${table}`);
});
