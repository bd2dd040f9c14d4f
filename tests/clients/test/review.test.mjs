// The page for people whose right to edit was taken back, and for the owner who decides; and who hears of comings and goings.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  addPoint,
  features,
  launch,
  live,
  offline,
  onDevice,
  SHOTS,
  saved,
  visit as visitAddress,
} from '../lib/chromium.mjs';
import { Middlebox } from '../lib/proxy.mjs';
import { Server } from '../lib/server.mjs';
import { KNOWS_TOKENS, token } from '../lib/tokens.mjs';
import { until } from '../lib/wait.mjs';

const as = (sub, role) => `#token=${token({ late: role }, { sub })}`;

/** Does what moves the map, and waits until it rests. */
async function moved(page, move) {
  const before = page.url();
  await move();
  await until('the map rests elsewhere', () => page.url() !== before);
}

let browser;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

const visit = async (t, address, options) => (await visitAddress(t, browser, address, options)).page;

/** Ana adds a point, loses her connection, adds another, and comes back as somebody who may only look. */
async function lateEdits(t, server) {
  const proxy = await Middlebox.start(t, server);
  const page = await visit(t, `${proxy.url}/m/late${as('ana', 'editor')}`);
  await live(page);
  await addPoint(page, 500, 300);
  await saved(page);
  proxy.become('dead');
  await offline(page);
  await addPoint(page, 600, 380);
  await onDevice(page, 1);
  proxy.become('open');
  // Only another document reads the token anew.
  await page.goto('about:blank');
  await page.goto(`${proxy.url}/m/late${as('ana', 'viewer')}`);
  return page;
}

test('whose right to edit was taken back is told that the late edits are safe, and an owner sees, shows and admits them', async (t) => {
  const server = await Server.start(t, KNOWS_TOKENS);
  const ana = await lateEdits(t, server);
  await ana.getByText(/What you changed is safe with the server: an owner of the map decides/).waitFor();
  await ana.getByText('1 edit for an owner').waitFor();
  await ana.locator('.button.status').click();
  await ana.getByText('1 edit kept by the server until an owner decides').waitFor();
  await ana.screenshot({ path: `${SHOTS}late-author.png` });

  const owner = await visit(t, `${server.url}/m/late${as('olga', 'owner')}`);
  await features(owner, 1);
  await owner.waitForSelector('.button.late[data-waiting="1"]');
  await owner.getByRole('button', { name: '1 late edit waits for you' }).focus();
  await owner.keyboard.press('Enter');
  const edit = owner.locator('.kept');
  await edit.getByText('ana').waitFor();
  await edit.getByText('adds 1 feature').waitFor();
  await moved(owner, () => edit.getByRole('button', { name: /^Show what ana changed/ }).click());
  await owner.waitForSelector('#map[data-preview="1"]');
  await edit.getByText('adds a point').waitFor();
  await owner.screenshot({ path: `${SHOTS}late-owner.png` });

  // A glove hits the wrong button: nothing is lost by that.
  await edit.getByRole('button', { name: /^Reject what ana changed/ }).click();
  await edit.getByRole('button', { name: /^Keep what ana changed/ }).click();
  await edit.getByRole('button', { name: /^Admit what ana changed/ }).click();
  await owner.getByText('What ana changed is in the map now.').waitFor();
  await owner.getByText('None waits any more.').waitFor();
  await features(owner, 2);
  await owner.waitForSelector('#map[data-preview="0"]');
  await owner.keyboard.press('Escape');
  await owner.locator('.button.late').waitFor({ state: 'hidden' });
});

test('on a phone an owner rejects a late edit with thick gloves, and it stays out', async (t) => {
  const server = await Server.start(t, KNOWS_TOKENS);
  await (await lateEdits(t, server)).getByText('1 edit for an owner').waitFor();
  const phone = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true };
  const owner = await visit(t, `${server.url}/m/late${as('olga', 'owner')}`, phone);
  await features(owner, 1);
  await owner.locator('.button.late').tap();
  await moved(owner, () => owner.getByRole('button', { name: /^Show what ana changed/ }).tap());
  await owner.waitForSelector('#map[data-preview="1"]');
  assert.equal(await owner.evaluate(() => document.documentElement.scrollWidth), 360);
  const boxes = await owner
    .locator('button:visible')
    .evaluateAll((buttons) => buttons.map((button) => button.getBoundingClientRect().toJSON()));
  for (const { width, height, right } of boxes) assert.ok(width >= 48 && height >= 48 && right <= 360);
  await owner.screenshot({ path: `${SHOTS}late-phone.png` });
  await owner.getByRole('button', { name: /^Reject what ana changed/ }).tap();
  await owner.getByRole('button', { name: /^Reject for good/ }).tap();
  await owner.getByText('What ana changed is rejected.').waitFor();
  await owner.getByText('None waits any more.').waitFor();
  await features(owner, 1);
});

test('only an owner is told of edits that wait, also of a map that is not there', async (t) => {
  const server = await Server.start(t, KNOWS_TOKENS);
  const me = async (role, map = 'late') => {
    const headers = { authorization: `Bearer ${token({ '**': role }, { sub: 'eva' })}` };
    return (await fetch(`${server.url}/api/v1/maps/${map}/me`, { headers })).json();
  };
  assert.deepEqual(await me('owner', 'nowhere'), { role: 'owner' });
  await (await lateEdits(t, server)).getByText('1 edit for an owner').waitFor();
  assert.deepEqual(await me('owner'), { role: 'owner', quarantined: 1 });
  for (const role of ['editor', 'commenter', 'viewer']) assert.deepEqual(await me(role), { role });
});

test('a quiet line tells who leaves and who comes, and what others do is no news', async (t) => {
  const server = await Server.start(t);
  const address = `${server.url}/m/door`;
  const page = await visit(t, address);
  await live(page);
  const said = () => page.locator('.news[role=status]').textContent();
  const first = await visit(t, address);
  await page.waitForSelector('.people[data-others="1"]');
  // Whoever came and left before that was told is no news.
  await page.waitForSelector('.news[data-told=true]', { state: 'attached' });
  await first.context().close();
  await until('it is told that somebody left', async () => /left\. Only you are here\.$/.test(await said()));
  const second = await visit(t, address);
  await until('it is told that somebody came', async () => /came\. 2 people here\.$/.test(await said()));
  await page.screenshot({ path: `${SHOTS}comings.png` });
  await until('the line goes', async () => (await said()) === '');
  await live(second);
  await addPoint(second, 500, 300);
  await features(page, 1);
  assert.equal(await said(), '');
});
