// Chromium as the tests start it, and pages in it.

import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { LIMIT_MS, until } from './wait.mjs';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
/** Where screenshots go. */
export const SHOTS = fileURLToPath(new URL('../../../target/browser/', import.meta.url));
const VIEWPORT = { width: 1100, height: 700 };

function options() {
  if (!existsSync(CHROMIUM))
    throw new Error(`no Chromium at ${CHROMIUM}: install the package chromium or set CHROMIUM`);
  mkdirSync(SHOTS, { recursive: true });
  return { executablePath: CHROMIUM, headless: true, args: ARGUMENTS };
}

export function launch() {
  return chromium.launch(options());
}

/** A browser that keeps what it has in `folder`, as people's browsers do. */
export async function launchKeeping(folder) {
  const context = await chromium.launchPersistentContext(folder, { ...options(), viewport: VIEWPORT });
  context.setDefaultTimeout(LIMIT_MS);
  return context;
}

/** SIGKILL to the browser that has this folder. */
export async function killKeeping(folder) {
  const pid = await until('the browser process is found', () => browserOf(folder));
  process.kill(pid, 'SIGKILL');
  await until('the browser is gone', () => browserOf(folder) === null);
}

function browserOf(folder) {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      const isZombie = line.length <= 1;
      if (!isZombie && line.includes(`--user-data-dir=${folder}`) && !line.some((word) => word.startsWith('--type=')))
        return Number(pid);
    } catch {
      // It ended meanwhile.
    }
  }
  return null;
}

/** A page of its own person. `faults` collects errors on the console and requests to other hosts. */
export async function visit(t, browser, address, extra = {}) {
  const context = await browser.newContext({ viewport: VIEWPORT, ...extra });
  t.after(() => context.close());
  context.setDefaultTimeout(LIMIT_MS);
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(`${error}`));
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  page.on('request', (request) => {
    if (new URL(request.url()).host !== new URL(address).host) faults.push(`request to ${request.url()}`);
  });
  await page.goto(address);
  return { page, faults };
}

const status = (page, what, options) => page.waitForSelector(`[data-testid=status]${what}`, options);

export const live = (page, over = null, options = {}) =>
  status(page, `[data-link=live]${over === null ? '' : `[data-over=${over}]`}`, options);
export const saved = (page) => status(page, '[data-link=live][data-unsaved="0"]');
export const unsaved = (page, count) => status(page, `[data-unsaved="${count}"]`);
/** All edits that wait survive the page. */
export const onDevice = (page, count) => status(page, `[data-unsaved="${count}"][data-memory="0"]`);
export const offline = (page, options = {}) => status(page, '[data-link=offline]', options);
export const features = (page, count) => page.waitForSelector(`#map[data-features="${count}"]`);

export async function addPoint(page, x, y) {
  await page.getByRole('button', { name: 'Add point' }).click();
  await page.mouse.click(x, y);
  await page.keyboard.press('Escape');
}
