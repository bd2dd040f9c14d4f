// The page in Chromium: two people on one map.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  addPoint,
  features,
  launch,
  live,
  offline,
  SHOTS,
  saved,
  unsaved,
  visit as visitAddress,
} from '../lib/chromium.mjs';
import { Server } from '../lib/server.mjs';
import { AT_ONCE_MS, until } from '../lib/wait.mjs';

let browser;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

const visit = (t, server, path, options) => visitAddress(t, browser, server.url + path, options);

test('two people see each other’s points and pointers, and a reload keeps them', async (t) => {
  const server = await Server.start(t);
  const a = await visit(t, server, '/m/browser/two people');
  const b = await visit(t, server, '/m/browser/two people');
  await Promise.all([live(a.page), live(b.page)]);

  await addPoint(a.page, 500, 300);
  await features(b.page, 1);
  await addPoint(b.page, 650, 350);
  await features(a.page, 2);

  await b.page.mouse.move(400, 300);
  await b.page.mouse.move(420, 320);
  await a.page.waitForSelector('.cursor-name');
  await a.page.waitForSelector('.people[data-others="1"]');
  await a.page.mouse.click(650, 350);
  await a.page.waitForSelector('.panel:not([hidden])');
  await a.page.screenshot({ path: `${SHOTS}two-people.png` });

  await Promise.all([saved(a.page), saved(b.page)]);
  await a.page.reload();
  await features(a.page, 2);
  await a.page.waitForSelector('.people[data-others="1"]');
  await b.page.context().close();
  await a.page.waitForSelector('.people[data-others="0"]');
  assert.equal(await a.page.locator('.cursor').count(), 0);
  assert.deepEqual([...a.faults, ...b.faults], []);
});

test('a point can be undone, redone, moved and deleted', async (t) => {
  const server = await Server.start(t);
  const { page, faults } = await visit(t, server, '/m/undo');
  await live(page);
  await addPoint(page, 500, 300);
  await features(page, 1);
  await page.getByRole('button', { name: 'Undo' }).click();
  await features(page, 0);
  await page.getByRole('button', { name: 'Redo' }).click();
  await features(page, 1);

  await page.mouse.click(500, 300);
  const place = page.locator('.facts dd').first();
  const was = await place.innerText();
  await page.getByRole('button', { name: 'Move' }).click();
  await page.mouse.click(560, 320);
  await until('the point is elsewhere', async () => (await place.innerText()) !== was);
  await page.getByRole('button', { name: 'Delete' }).click();
  await features(page, 0);
  await page.getByRole('button', { name: 'Undo' }).click();
  await features(page, 1);
  assert.deepEqual(faults, []);
});

test('edits made while the server is dead arrive when it is back', async (t) => {
  const server = await Server.start(t);
  const { page } = await visit(t, server, '/m/dead');
  await live(page);
  await addPoint(page, 500, 300);
  await saved(page);
  await server.kill();
  await offline(page);
  await addPoint(page, 600, 300);
  await unsaved(page, 1);
  await page.screenshot({ path: `${SHOTS}offline.png` });
  await server.restart();
  await saved(page);
  const other = await visit(t, server, '/m/dead');
  await features(other.page, 2);
});

test('the page says so at once when the network is gone', async (t) => {
  const server = await Server.start(t);
  const { page, faults } = await visit(t, server, '/m/network');
  await live(page);
  await page.context().setOffline(true);
  // Sooner than a silent socket is given up.
  await offline(page, { timeout: AT_ONCE_MS });
  await addPoint(page, 500, 300);
  await page.context().setOffline(false);
  await saved(page);
  assert.deepEqual(
    faults.filter((fault) => !fault.includes('ERR_INTERNET_DISCONNECTED')),
    [],
  );
});

test('the map works by keyboard alone', async (t) => {
  const server = await Server.start(t);
  const { page, faults } = await visit(t, server, '/m/keys');
  await live(page);
  await page.keyboard.press('a');
  await page.keyboard.press('Enter');
  await features(page, 1);
  await page.keyboard.press('Escape');
  await page.keyboard.press('/');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.panel:not([hidden])');
  await page.keyboard.press('Control+z');
  await features(page, 0);
  assert.deepEqual(faults, []);
});

test('the list of maps shows them, explains names and opens new ones', async (t) => {
  const server = await Server.start(t);
  const { page, faults } = await visit(t, server, '/');
  await page.waitForSelector('.maps .empty');
  await page.getByLabel('Open or create a map').fill('no?');
  await page.getByRole('button', { name: 'Open map' }).click();
  await page.waitForSelector('.fault:not(:empty)');
  await page.getByLabel('Open or create a map').fill('fields/north 1');
  await page.getByRole('button', { name: 'Open map' }).click();
  await live(page);
  await addPoint(page, 500, 300);
  await saved(page);
  await page.getByRole('link', { name: 'All maps' }).click();
  await page.waitForSelector('a[href="/m/fields/north%201"]');
  await page.screenshot({ path: `${SHOTS}maps.png` });
  assert.deepEqual(faults, []);
});

test('on a phone nothing is wider than the screen and buttons are large enough for gloves', async (t) => {
  const server = await Server.start(t);
  const phone = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, colorScheme: 'dark' };
  const { page, faults } = await visit(t, server, '/m/phone', phone);
  await live(page);
  await page.getByRole('button', { name: 'Add point' }).tap();
  await page.touchscreen.tap(180, 330);
  await features(page, 1);
  await page.getByRole('button', { name: 'Add point' }).tap();
  await page.touchscreen.tap(180, 330);
  await page.waitForSelector('.panel:not([hidden])');
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
  const sizes = await page.locator('button:visible').evaluateAll((buttons) =>
    buttons.map((button) => ({
      name: button.getAttribute('aria-label') ?? button.textContent,
      box: button.getBoundingClientRect().toJSON(),
    })),
  );
  for (const { name, box } of sizes)
    assert.ok(box.width >= 48 && box.height >= 48, `${name}: ${box.width} × ${box.height}`);
  await page.screenshot({ path: `${SHOTS}phone.png` });
  assert.deepEqual(faults, []);
});
