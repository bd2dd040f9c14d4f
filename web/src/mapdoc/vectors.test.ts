// The documents that every reader must read alike.

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import * as Y from 'yjs';
import { report } from './report.ts';
import { MapView } from './view.ts';

interface Vector {
  about: string;
  update: string;
  features: unknown[];
  report: unknown[];
}

const folder = new URL('../../../tests/fixtures/map-document/', import.meta.url);

describe.each(['examples', 'random'])('%s', (name) => {
  const vectors = JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8')) as Vector[];
  test.each(vectors.map((vector) => [vector.about, vector] as const))('%s', (_, vector) => {
    const doc = new Y.Doc();
    Y.applyUpdate(doc, Buffer.from(vector.update, 'base64'));
    const view = new MapView(doc);
    const features = [...view.features()].map(({ fid, layer, state, geometry, properties }) => ({
      fid,
      layer,
      state,
      geometry,
      properties: Object.fromEntries(properties),
    }));
    expect(features).toEqual(vector.features);
    expect(report(view)).toEqual(vector.report);
    view.dispose();
  });
});
