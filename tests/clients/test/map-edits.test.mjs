// People edit a map with @mapweave/mapdoc over stock providers, apart and while the server is killed; in the end they, a newcomer and
// the server's own reading of the map agree on every feature and every problem.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as Y from 'yjs';
import { Chance } from '../converge/chance.mjs';
import { mapdoc } from '../converge/mapdoc.mjs';
import { firstFeatures, randomOperation } from '../converge/operations.mjs';
import { Client, VERSIONS } from '../lib/clients.mjs';
import { servedFeatures, servedProblems } from '../lib/served.mjs';
import { Server } from '../lib/server.mjs';
import { until } from '../lib/wait.mjs';

const { MapView, report, Writer } = mapdoc;
const OPERATIONS_APART = 40;

class Person {
  static async open(t, Provider, server, sid, chance) {
    const person = new Person();
    person.client = await Client.open(t, Provider, server, 'shared');
    person.chance = chance;
    person.view = new MapView(person.client.doc);
    person.writer = new Writer(person.view, { sid, userId: sid, name: sid }, undefined, chance.unit);
    return person;
  }

  /** Random operations; those that make no sense here are refused. */
  edit(count) {
    let done = 0;
    for (let i = 0; i < count; i++) {
      try {
        this.writer.run(randomOperation(this.chance, this.view));
        done += 1;
      } catch (error) {
        if (!(error instanceof mapdoc.EditError)) throw error;
      }
    }
    return done;
  }
}

test('people who edit apart, the server between two deaths, and a newcomer have the same map', async (t) => {
  const seed = Number(process.env.MAPWEAVE_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`# map-edits: seed ${seed} (MAPWEAVE_TEST_SEED)`);
  const chance = new Chance(seed);
  const server = await Server.start(t);
  const [ann, bob] = await Promise.all(
    Object.values(VERSIONS).map((Provider, i) =>
      Person.open(t, Provider, server, `person${i}`, new Chance(seed + 1 + i)),
    ),
  );
  for (const first of firstFeatures(chance)) ann.writer.run(first);
  await converged('two people', ann.client.doc, bob.client.doc);

  for (const isKilled of [false, true]) {
    for (const { client } of [ann, bob]) await client.goOffline();
    assert.ok(ann.edit(OPERATIONS_APART) > 0 && bob.edit(OPERATIONS_APART) > 0);
    if (isKilled) {
      await server.kill();
      await server.restart();
    }
    for (const { client } of [ann, bob]) await client.goOnline();
    await converged('two people who were apart', ann.client.doc, bob.client.doc);
  }

  const newcomer = await Client.open(t, VERSIONS['y-websocket 3.1'], server, 'shared');
  await converged('a newcomer', ann.client.doc, newcomer.doc);
  const shown = shownBy(ann.view);
  assert.deepEqual(shownBy(bob.view), shown);
  assert.deepEqual(shownBy(new MapView(newcomer.doc)), shown);
  assert.deepEqual(await servedFeatures(`${server.url}/api/v1/maps/shared`), shown.features);
  assert.deepEqual(await servedProblems(`${server.url}/api/v1/maps/shared`), shown.report);
});

test('a change made by HTTP reaches people vertex by vertex', async (t) => {
  const server = await Server.start(t);
  const ann = await Person.open(t, VERSIONS['y-websocket 3.1'], server, 'annie', new Chance(1));
  const ring = [
    [0, 0],
    [8, 0],
    [8, 8],
    [0, 8],
    [0, 0],
  ];
  const fid = ann.writer.create({ type: 'Polygon', coordinates: [ring] }, { name: 'Meadow' });
  await until('the server has the feature', async () => (await fetch(featureUrl(server, fid))).ok);
  const moved = ring.map(([x, y]) => (x === 8 && y === 8 ? [9, 9] : [x, y]));
  const response = await fetch(featureUrl(server, fid), {
    method: 'PATCH',
    headers: { 'content-type': 'application/merge-patch+json' },
    body: JSON.stringify({ geometry: { type: 'Polygon', coordinates: [moved] }, properties: { crop: 'oats' } }),
  });
  assert.equal(response.status, 200, await response.text());
  await until('the change arrives', () => ann.view.feature(fid)?.properties.get('crop') === 'oats');
  assert.deepEqual(ann.view.feature(fid).geometry.coordinates, [moved]);
  // One entry for the vertex that moved; the others keep their names and whoever edits them at the same time.
  assert.deepEqual(ann.view.overlays.targets('vert', fid), ['0/0.0.U002']);
});

/** Waits until documents have the same content. */
function converged(what, a, b) {
  return until(`${what} have the same content`, () => Y.equalSnapshots(Y.snapshot(a), Y.snapshot(b)));
}

const featureUrl = (server, fid) => `${server.url}/api/v1/maps/shared/features/${encodeURIComponent(fid)}`;

function shownBy(view) {
  const features = [...view.features()].map(({ fid, geometry, properties }) => ({
    fid,
    geometry,
    properties: Object.fromEntries(properties),
  }));
  return { features, report: report(view) };
}
