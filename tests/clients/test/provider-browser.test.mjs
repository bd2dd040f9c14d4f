// The page in Chromium behind what real networks put in the way: proxies without sockets, links that break, devices that die.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import * as Y from 'yjs';
import {
  addPoint,
  features,
  killKeeping,
  launch,
  launchKeeping,
  live,
  offline,
  onDevice,
  SHOTS,
  saved,
  unsaved,
  visit,
} from '../lib/chromium.mjs';
import { BrokenLink, Middlebox } from '../lib/proxy.mjs';
import { Server } from '../lib/server.mjs';
import { random } from '../lib/wait.mjs';

/** Looks for a socket that works again may be so far apart. */
const RETURN_MS = 90_000;
/** Longer than 20 MB take over the broken link where timers are late. */
const LARGE_MS = 240_000;

let browser;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

for (const [what, mode] of [
  ['refuses sockets with 403', 'no-upgrade'],
  ['opens sockets and lets nothing through', 'stall'],
]) {
  test(`behind a proxy that ${what}, edits flow both ways; mended, the page returns to a socket`, async (t) => {
    const server = await Server.start(t);
    const proxy = await Middlebox.start(t, server);
    proxy.mode = mode;
    const near = await visit(t, browser, `${server.url}/m/way`);
    await live(near.page, 'ws');
    const far = await visit(t, browser, `${proxy.url}/m/way`);
    await live(far.page, 'http');
    await far.page.screenshot({ path: `${SHOTS}over-http-${mode}.png` });

    await addPoint(far.page, 500, 300);
    await features(near.page, 1);
    await saved(far.page);
    await addPoint(near.page, 650, 350);
    await features(far.page, 2);
    await near.page.mouse.move(400, 300);
    await near.page.mouse.move(420, 320);
    await far.page.waitForSelector('.cursor-name');
    await near.page.waitForSelector('.people[data-others="1"]');

    proxy.become('open');
    await live(far.page, 'ws', { timeout: RETURN_MS });
    await addPoint(far.page, 560, 420);
    await features(near.page, 3);
    await saved(far.page);
    assert.ok(proxy.upgrades.passed > 0);
  });
}

/** A server, a way to it that can break, and a page of `map` that came that way. */
async function behindProxy(t, map, openPage = visitor(t)) {
  const server = await Server.start(t);
  const proxy = await Middlebox.start(t, server);
  const address = `${proxy.url}/m/${map}`;
  const page = await openPage(address);
  await live(page);
  return { server, proxy, address, page };
}

const visitor = (t) => async (address) => (await visit(t, browser, address)).page;

/** The server is out of reach, and these pages know. */
async function cutOff(proxy, ...pages) {
  proxy.become('dead');
  for (const page of pages) await offline(page);
}

/** The server is in reach again: what the page had left to send arrives, and somebody else sees so many features. */
async function reunited(t, { server, proxy, address }, page, count) {
  proxy.become('open');
  await saved(page);
  const other = await visit(t, browser, server.url + new URL(address).pathname);
  await features(other.page, count);
}

test('edits made without a server outlive a refresh and arrive later', async (t) => {
  const world = await behindProxy(t, 'refresh');
  const { proxy, page } = world;
  await addPoint(page, 500, 300);
  await saved(page);
  await cutOff(proxy, page);
  await addPoint(page, 600, 300);
  await addPoint(page, 400, 300);
  await onDevice(page, 2);
  await page.reload();
  await features(page, 3);
  await onDevice(page, 2);
  await reunited(t, world, page, 3);
});

test('edits that were on the device outlive SIGKILL of the browser', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'mapweave-browser-'));
  let context;
  t.after(async () => {
    await context?.close();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  const openPage = async (address) => {
    context = await launchKeeping(folder);
    const page = await context.newPage();
    await page.goto(address);
    return page;
  };
  const world = await behindProxy(t, 'killed', openPage);
  await cutOff(world.proxy, world.page);
  await addPoint(world.page, 500, 300);
  await addPoint(world.page, 600, 300);
  await onDevice(world.page, 2);
  await killKeeping(folder);

  const page = await openPage(world.address);
  await features(page, 2);
  await unsaved(page, 2);
  await reunited(t, world, page, 2);
});

test('two pages of one browser share their unsent edits, and one of them may be closed', async (t) => {
  const world = await behindProxy(t, 'tabs');
  const { proxy, page } = world;
  const second = await page.context().newPage();
  await second.goto(world.address);
  await live(second);
  await cutOff(proxy, page, second);
  await addPoint(page, 500, 300);
  await features(second, 1);
  await onDevice(page, 1);
  await unsaved(second, 1);
  await page.close();
  await reunited(t, world, second, 1);
});

test('a browser that throws its storage away under the page gets everything again', async (t) => {
  const world = await behindProxy(t, 'cleared');
  const { proxy, page } = world;
  await addPoint(page, 500, 300);
  await saved(page);
  await cutOff(proxy, page);
  await addPoint(page, 600, 300);
  await onDevice(page, 1);
  const devtools = await page.context().newCDPSession(page);
  const origin = proxy.url;
  // The page tries again soon: it is watched while the browser still clears.
  await Promise.all([
    page.waitForSelector('[data-testid=status][data-memory="1"]'),
    devtools.send('Storage.clearDataForOrigin', { origin, storageTypes: 'indexeddb' }),
  ]);
  await onDevice(page, 1);
  await addPoint(page, 400, 300);
  await onDevice(page, 2);
  await page.reload();
  await features(page, 3);
  await reunited(t, world, page, 3);
});

test('unsent edits leave as a file, and the page, the API and the command take it in once', async (t) => {
  const { server, proxy, page } = await behindProxy(t, 'carried');
  await cutOff(proxy, page);
  await addPoint(page, 500, 300);
  await addPoint(page, 600, 300);
  await onDevice(page, 2);
  await page.locator('.button.status').click();
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Save unsent edits to a file' }).click(),
  ]);
  const file = join(mkdtempSync(join(tmpdir(), 'mapweave-file-')), download.suggestedFilename());
  t.after(() => rmSync(join(file, '..'), { recursive: true, force: true }));
  await download.saveAs(file);
  assert.match(file, /carried .*\.mapweave-edits$/);

  const post = () =>
    fetch(`${server.url}/api/v1/maps/carried/import`, {
      method: 'POST',
      headers: { 'content-type': 'application/vnd.mapweave.edits' },
      body: readFileSync(file),
    });
  const first = await (await post()).json();
  assert.deepEqual([first.durable, first.edits, first.written], [true, 2, 2]);
  const again = await (await post()).json();
  assert.deepEqual([again.edits, again.written], [2, 0]);
  const updates = async () => (await server.maps()).find(({ name }) => name === 'carried').updates;
  const before = await updates();
  await server.command(['import', 'carried', file, '--server', server.url]);

  const other = await visit(t, browser, `${server.url}/m/carried`);
  await features(other.page, 2);
  await other.page.locator('.button.status').click();
  await other.page.locator('input[type=file]').setInputFiles(file);
  await other.page.getByText('2 edits taken in.').waitFor();
  await saved(other.page);
  await features(other.page, 2);
  // The device that made them hears that they are there.
  proxy.become('open');
  await saved(page);
  assert.equal(await updates(), before);
});

test('a map of 20 MB arrives over a link that breaks every 3 s, no byte of it twice', async (t) => {
  const server = await Server.start(t);
  const next = random('content');
  const doc = new Y.Doc();
  const blob = doc.getMap('blob');
  for (let i = 0; i < 200; i++) {
    const text = Array.from({ length: 10_000 }, () => Math.floor(next() * 2 ** 32).toString(36)).join('');
    blob.set(`${i}`, text.slice(0, 50_000).padEnd(50_000, '.').repeat(2));
  }
  const posted = await fetch(`${server.url}/api/v1/maps/large/state`, {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream' },
    body: Y.encodeStateAsUpdate(doc),
  });
  assert.equal(posted.status, 200);
  const link = await BrokenLink.start(t, server, { everyMs: 3_000, bytesPerSecond: 2_500_000 });
  const { page } = await visit(t, browser, `${link.url}/m/large`);
  await page.waitForSelector('[data-testid=status][data-link=loading]');
  await live(page, null, { timeout: LARGE_MS });

  const whole = link.parts[0].total;
  assert.ok(whole >= 20_000_000, `${whole} bytes`);
  const of = link.parts.filter(({ total }) => total === whole);
  console.log(`# ${whole} bytes in ${of.length} parts, ${link.cuts} cuts`);
  assert.ok(of.length >= 3);
  let at = 0;
  for (const { start, bytes } of of) {
    assert.equal(start, at, 'each part begins where the one before ended');
    at += bytes;
  }
  assert.equal(at, whole);
});
