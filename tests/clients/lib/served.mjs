// A map as the server reads it: its features and problems over HTTP.

import assert from 'node:assert/strict';

/** By fid, as a view of the package has them; without what GeoJSON has no place for. */
export async function servedFeatures(mapUrl) {
  const { features } = await json(`${mapUrl}/features?limit=10000`);
  const read = features.map(({ geometry, properties, mapweave: { fid } }) => ({ fid, geometry, properties }));
  return read.sort((a, b) => compareBytes(a.fid, b.fid));
}

/** The whole report, sorted by the bytes of its JSON text. */
export async function servedProblems(mapUrl) {
  const all = [];
  let after = null;
  do {
    const page = await json(`${mapUrl}/problems${after === null ? '' : `?after=${encodeURIComponent(after)}`}`);
    if (after === null) all.push(...page.map);
    all.push(...page.features.flatMap(({ report }) => report));
    after = page.next ?? null;
  } while (after !== null);
  return all
    .map(({ problem }) => JSON.stringify(problem))
    .sort(compareBytes)
    .map((text) => JSON.parse(text));
}

function compareBytes(a, b) {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

async function json(url) {
  const response = await fetch(url);
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return JSON.parse(text);
}
