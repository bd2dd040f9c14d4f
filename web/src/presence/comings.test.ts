import { expect, test } from 'vitest';
import { AWAY_MS, Comings, GATHER_MS, NEWS_EVERY_MS, newsText, SETTLE_MS } from './comings.ts';

const ann = { client: 1, name: 'Ann' };
const ben = { client: 2, name: 'Ben' };
const crew = Array.from({ length: 300 }, (_, i) => ({ client: 100 + i, name: `Crew ${i}` }));

/** A page that has been connected for long enough, with these others. */
function settled(...others: { client: number; name: string }[]) {
  const comings = new Comings();
  comings.resume(0);
  comings.see(0, others);
  return comings;
}

/** All that is told until nothing is under way any more, each with its time. */
function told(comings: Comings, sinceMs: number): [number, string][] {
  const lines: [number, string][] = [];
  let nowMs = sinceMs;
  for (let next = comings.nextMs(); next !== null; next = comings.nextMs()) {
    nowMs = Math.max(nowMs, next);
    const news = comings.news(nowMs);
    if (news) lines.push([nowMs, newsText(news)]);
  }
  return lines;
}

test('those who are here when the page comes are no news', () => {
  const comings = settled(ann);
  comings.see(SETTLE_MS - 1, [ann, ben]);
  expect(comings.nextMs()).toBe(null);
});

test('who comes and who leaves is told by name, and how many are here', () => {
  const comings = settled();
  comings.see(10_000, [ann]);
  expect(told(comings, 10_000)).toEqual([[10_000 + GATHER_MS, 'Ann came. 2 people here.']]);
  comings.see(60_000, []);
  expect(told(comings, 60_000)).toEqual([[60_000 + AWAY_MS + GATHER_MS, 'Ann left. Only you are here.']]);
});

test('who is back soon has not been away', () => {
  const comings = settled(ann);
  comings.see(10_000, []);
  expect(comings.news(10_000 + AWAY_MS - 1)).toBe(null);
  comings.see(10_000 + AWAY_MS - 1, [ann]);
  expect(comings.nextMs()).toBe(null);
});

test('who came and left before anybody was told is not told of', () => {
  const comings = settled(ben);
  comings.see(10_000, [ben, crew[0] ?? ann]);
  comings.news(10_000 + GATHER_MS);
  comings.see(12_000, [ben, ann]);
  comings.see(12_001, [ben]);
  const lines = told(comings, 12_001).map(([, line]) => line);
  expect(lines).toEqual(['Crew 0 left. 2 people here.']);
});

test('a crew of 300 that goes and comes back is a line each', () => {
  const comings = settled(...crew);
  comings.see(10_000, []);
  expect(told(comings, 10_000).map(([, line]) => line)).toEqual([
    'Crew 0, Crew 1, and 298 more left. Only you are here.',
  ]);
  const lines: string[] = [];
  for (let i = 1; i <= crew.length; i++) {
    const nowMs = 60_000 + i * 10;
    comings.see(nowMs, crew.slice(0, i));
    const news = comings.news(nowMs);
    if (news) lines.push(newsText(news));
  }
  lines.push(...told(comings, 63_000).map(([, line]) => line));
  expect(lines.length).toBe(2);
  expect(lines.at(-1)).toContain('301 people here.');
});

test('news come apart, however many come one after the other', () => {
  const comings = settled();
  const times: number[] = [];
  for (let i = 0; i < 200; i++) {
    const nowMs = 10_000 + i * 250;
    comings.see(nowMs, crew.slice(0, i + 1));
    if (comings.news(nowMs)) times.push(nowMs);
  }
  for (const [i, at] of times.slice(1).entries()) expect(at - (times[i] ?? 0)).toBeGreaterThanOrEqual(NEWS_EVERY_MS);
});

test('a lost connection is no news about others', () => {
  const comings = settled(ann, ben);
  comings.see(10_000, []);
  comings.pause();
  expect(comings.nextMs()).toBe(null);
  comings.see(10_500, []);
  comings.resume(90_000);
  comings.see(90_100, [ann, ben]);
  expect(comings.nextMs()).toBe(null);
});
