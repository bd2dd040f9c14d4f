// The page and its token: taken out of the address, kept for the tab, and words for who may not come in.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { addPoint, features, launch, live, saved, visit as visitAddress } from '../lib/chromium.mjs';
import { Server } from '../lib/server.mjs';
import { KNOWS_TOKENS, token } from '../lib/tokens.mjs';
import { until } from '../lib/wait.mjs';

let browser;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

const visit = (t, server, path) => visitAddress(t, browser, server.url + path);
const inSeconds = (seconds) => Math.floor(Date.now() / 1_000) + seconds;

for (const [where, sign] of [
  ['query', '?'],
  ['fragment', '#'],
]) {
  test(`a token in the ${where} opens the map, leaves the address, and outlives a reload`, async (t) => {
    const server = await Server.start(t, KNOWS_TOKENS);
    const own = token({ 'north/*': 'editor' });
    const { page } = await visit(t, server, `/m/north/a${sign}token=${own}`);
    await live(page);
    assert.ok(!page.url().includes('token'), page.url());
    await addPoint(page, 500, 300);
    await saved(page);
    await page.reload();
    await features(page, 1);
    assert.ok(!page.url().includes('token'), page.url());
    await page.goto(`${server.url}/`);
    await page.getByRole('link', { name: 'north/a' }).waitFor();
    const kept = await page.evaluate(() => [Object.values(localStorage), document.cookie].join());
    assert.ok(!kept.includes(own), 'nothing of it outlives the tab');
  });
}

test('who has no token, or one for other maps, is told so in words', async (t) => {
  const server = await Server.start(t, KNOWS_TOKENS);
  const home = await visit(t, server, '/');
  await home.page.getByText('This server wants to know who you are').waitFor();
  for (const [path, words] of [
    ['/m/a', /token is needed/],
    [`/m/a#token=${token({ b: 'editor' })}`, /not for this map/],
    [`/m/a#token=${token({ a: 'editor' }, { exp: inSeconds(-100) })}`, /expired/],
  ]) {
    const { page } = await visit(t, server, path);
    const said = () => page.locator('[data-testid=status]').getAttribute('title');
    await until(`the page says ${words}`, async () => words.test((await said()) ?? ''));
  }
});
