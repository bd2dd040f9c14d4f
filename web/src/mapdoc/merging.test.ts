// What comes out when two people edit at once: every row of the table in section 11 of the map document format, whoever's edits arrive
// first and whoever has the greater client id.

import { describe, expect, test } from 'vitest';
import * as Y from 'yjs';
import { type Problem, report } from './report.ts';
import type { Geometry } from './shape.ts';
import { mapUndo, type Undo } from './undo.ts';
import { MapView } from './view.ts';
import { Writer } from './writer.ts';

interface Person {
  doc: Y.Doc;
  view: MapView;
  writer: Writer;
  undo: Undo;
  clock: { now: number };
}

function person(sid: string, clientId: number, now: number): Person {
  const doc = new Y.Doc();
  doc.clientID = clientId;
  const view = new MapView(doc);
  const clock = { now };
  let state = clientId;
  // Any numbers will do; they are the same in every run.
  const random = () => {
    state = (state * 16807) % 2147483647;
    return state / 2147483647;
  };
  const writer = new Writer(view, { sid, userId: sid, name: sid }, () => clock.now, random);
  return { doc, view, writer, undo: mapUndo(view, writer), clock };
}

const RING = [
  [0, 0],
  [8, 0],
  [8, 8],
  [0, 8],
  [0, 0],
];
const HOLE = [
  [2, 2],
  [4, 2],
  [4, 4],
  [2, 2],
];
const POLYGON: Geometry = { type: 'Polygon', coordinates: [RING] };
const LINE: Geometry = {
  type: 'LineString',
  coordinates: [
    [0, 0],
    [10, 0],
  ],
};
const F = 'f';

interface Edits {
  geometry?: Geometry;
  ann: (ann: Person) => void;
  bob: (bob: Person) => void;
}

interface Outcome {
  view: MapView;
  problems: Problem[];
}

/**
 * Ann, whose clock shows 1000, and Bob, an hour ahead, start from the same feature, edit apart, and hear of each other. Everybody must
 * see the same, and so must those who get the two edits in one order or the other.
 */
function met(
  clientIds: readonly [number, number],
  { geometry = POLYGON, ann: annEdits, bob: bobEdits }: Edits,
): Outcome {
  const [ann, bob] = [person('annie', clientIds[0], 1000), person('bobby', clientIds[1], 4600)];
  ann.clock.now = 900;
  ann.writer.create(geometry, { name: 'Meadow', crop: 'hay' }, '', F);
  ann.clock.now = 1000;
  const start = Y.encodeStateAsUpdate(ann.doc);
  Y.applyUpdate(bob.doc, start);
  const before = Y.encodeStateVector(ann.doc);
  annEdits(ann);
  bobEdits(bob);
  const [fromAnn, fromBob] = [Y.encodeStateAsUpdate(ann.doc, before), Y.encodeStateAsUpdate(bob.doc, before)];
  Y.applyUpdate(ann.doc, fromBob);
  Y.applyUpdate(bob.doc, fromAnn);
  const [annFirst, bobFirst] = [
    [start, fromAnn, fromBob],
    [start, fromBob, fromAnn],
  ].map((updates) => {
    const doc = new Y.Doc();
    for (const update of updates) Y.applyUpdate(doc, update);
    return new MapView(doc);
  });
  const looks = [ann.view, bob.view, annFirst, bobFirst].map((view) => view && look(view));
  for (const one of looks) expect(one).toEqual(looks[0]);
  return { view: ann.view, problems: report(ann.view) };
}

function look(view: MapView) {
  return { feature: view.feature(F), state: view.record(F) && view.state(F), report: report(view) };
}

/** A row of the table, run with both orders of client ids. */
function row(name: string, check: (met: (edits: Edits) => Outcome) => void): void {
  describe(name, () => {
    test.each([
      [1, 2],
      [2, 1],
    ] as const)('client ids %i and %i', (a, b) => check((edits) => met([a, b], edits)));
  });
}

const move = (segment: string, vertex: string, position: number[]) => (one: Person) =>
  one.writer.moveVertices(F, [{ segment, vertex, position }]);
const set = (values: { [name: string]: string | null }) => (one: Person) => one.writer.setProperties(F, values);
const ringOf = ({ view }: Outcome) => {
  const geometry = view.feature(F)?.geometry;
  return geometry?.type === 'Polygon' ? geometry.coordinates[0] : undefined;
};
const property = ({ view }: Outcome, name: string) => view.feature(F)?.properties.get(name);

row('vertices and properties that differ are both changed', (met) => {
  const outcome = met({
    ann: (ann) => {
      move('0.0', 'U001', [9, 0])(ann);
      set({ name: 'Field' })(ann);
    },
    bob: (bob) => {
      move('0.0', 'U003', [0, 9])(bob);
      set({ crop: 'oats' })(bob);
    },
  });
  expect(ringOf(outcome)).toEqual([
    [0, 0],
    [9, 0],
    [8, 8],
    [0, 9],
    [0, 0],
  ]);
  expect([property(outcome, 'name'), property(outcome, 'crop')]).toEqual(['Field', 'oats']);
  expect(outcome.problems).toEqual([]);
});

row('of two moves of one vertex the later shows and the other is kept', (met) => {
  const outcome = met({ ann: move('0.0', 'U001', [9, 0]), bob: move('0.0', 'U001', [7, 0]) });
  expect(ringOf(outcome)?.[1]).toEqual([7, 0]);
  expect(outcome.problems).toEqual([['concurrent values', 'vert', F, '0/0.0.U001', 2]]);
});

row('vertices inserted on one edge come in the order in which they lie along it', (met) => {
  const insert = (x: number) => (one: Person) =>
    void one.writer.insertVertex(F, '0.0', { after: 'U000', before: 'U001' }, [x, -1]);
  const outcome = met({ ann: insert(6), bob: insert(2) });
  expect(ringOf(outcome)?.slice(0, 4)).toEqual([
    [0, 0],
    [2, -1],
    [6, -1],
    [8, 0],
  ]);
  expect(outcome.problems).toEqual([]);
});

row('runs of vertices inserted on one edge do not mix', (met) => {
  const run = (xs: number[]) => (one: Person) => {
    let after = 'U000';
    for (const x of xs) after = one.writer.insertVertex(F, '0.0', { after, before: 'U001' }, [x, -1]);
  };
  const outcome = met({ ann: run([5, 6, 7]), bob: run([1, 2, 3]) });
  expect(
    ringOf(outcome)
      ?.slice(1, 7)
      .map(([x]) => x),
  ).toEqual([1, 2, 3, 5, 6, 7]);
});

row('a vertex inserted beside one that is removed stays', (met) => {
  const outcome = met({
    ann: (ann) => void ann.writer.insertVertex(F, '0.0', { after: 'U000', before: 'U001' }, [4, -1]),
    bob: (bob) => bob.writer.removeVertices(F, [{ segment: '0.0', vertex: 'U001' }]),
  });
  expect(ringOf(outcome)).toEqual([
    [0, 0],
    [4, -1],
    [8, 8],
    [0, 8],
    [0, 0],
  ]);
  expect(outcome.problems).toEqual([]);
});

row('runs appended to one end of a line come one after the other', (met) => {
  const append = (xs: number[]) => (one: Person) => {
    let after = 'U001';
    for (const x of xs) after = one.writer.insertVertex(F, '0.0', { after }, [x, 0]);
  };
  const outcome = met({ geometry: LINE, ann: append([20, 30, 40]), bob: append([21, 31, 41]) });
  const line = outcome.view.feature(F)?.geometry;
  const xs = line?.type === 'LineString' ? line.coordinates.map(([x]) => x) : [];
  const [annFirst, bobFirst] = [
    [0, 10, 20, 30, 40, 21, 31, 41],
    [0, 10, 21, 31, 41, 20, 30, 40],
  ];
  expect([annFirst, bobFirst]).toContainEqual(xs);
  expect(outcome.problems).toEqual([]);
});

row('pieces of tracks recorded at once come one after the other', (met) => {
  const record = (xs: number[]) => (one: Person) => {
    for (const x of xs)
      one.writer.recordTrack(F, [
        [x, 0],
        [x + 1, 0],
      ]);
  };
  const outcome = met({ geometry: LINE, ann: record([20, 30]), bob: record([40, 50]) });
  const line = outcome.view.feature(F)?.geometry;
  const xs = line?.type === 'LineString' ? line.coordinates.map(([x]) => x) : [];
  expect([
    [0, 10, 20, 21, 30, 31, 40, 41, 50, 51],
    [0, 10, 40, 41, 50, 51, 20, 21, 30, 31],
  ]).toContainEqual(xs);
  expect(outcome.problems).toEqual([]);
});

row('a vertex that one removes and the other moves stays where it was moved', (met) => {
  const outcome = met({
    ann: move('0.0', 'U002', [9, 9]),
    bob: (bob) => bob.writer.removeVertices(F, [{ segment: '0.0', vertex: 'U002' }]),
  });
  expect(ringOf(outcome)?.[2]).toEqual([9, 9]);
  expect(outcome.problems).toEqual([['concurrent values', 'vert', F, '0/0.0.U002', 2]]);
});

row('a replaced geometry shows and an edit of the old one is kept as an orphan', (met) => {
  for (const edit of [move('0.0', 'U002', [9, 9]), (one: Person) => void one.writer.addSegment(F, '0', HOLE)]) {
    const outcome = met({
      ann: (ann) => ann.writer.replaceGeometry(F, { type: 'Point', coordinates: [5, 5] }),
      bob: edit,
    });
    expect(outcome.view.feature(F)?.geometry).toEqual({ type: 'Point', coordinates: [5, 5] });
    expect(outcome.problems).toMatchObject([
      ['orphan', expect.stringMatching(/^(vert|part)$/), F, expect.stringMatching(/^0\//)],
    ]);
  }
});

row('of two replacements the later shows and the other is kept', (met) => {
  const replace = (x: number) => (one: Person) => one.writer.replaceGeometry(F, { type: 'Point', coordinates: [x, 0] });
  const outcome = met({ ann: replace(1), bob: replace(2) });
  expect(outcome.view.feature(F)?.geometry).toEqual({ type: 'Point', coordinates: [2, 0] });
  expect(outcome.problems).toEqual([['concurrent geometries', F, 2]]);
});

row('a removed ring is gone and an edit in it is kept as an orphan', (met) => {
  const outcome = met({
    geometry: { type: 'Polygon', coordinates: [RING, HOLE] },
    ann: (ann) => ann.writer.removeSegment(F, '0.1'),
    bob: move('0.1', 'U002', [5, 5]),
  });
  expect(outcome.view.feature(F)?.geometry).toEqual(POLYGON);
  expect(outcome.problems).toEqual([['orphan', 'vert', F, '0/0.1.U002']]);
});

row('of two values of one property the later shows and the other is kept', (met) => {
  const outcome = met({ ann: set({ crop: 'rye' }), bob: set({ crop: 'oats' }) });
  expect(property(outcome, 'crop')).toBe('oats');
  expect(outcome.problems).toEqual([['concurrent values', 'prop', F, 'crop', 2]]);
});

row('a property that one sets and the other removes is set', (met) => {
  const outcome = met({ ann: set({ crop: 'rye' }), bob: set({ crop: null }) });
  expect(property(outcome, 'crop')).toBe('rye');
  expect(outcome.problems).toEqual([['concurrent values', 'prop', F, 'crop', 2]]);
});

row('a feature that one deletes and the other edits stays, marked', (met) => {
  const edits: ((one: Person) => void)[] = [
    move('0.0', 'U001', [9, 0]),
    set({ crop: 'oats' }),
    (one) => one.writer.replaceGeometry(F, { type: 'Point', coordinates: [1, 1] }),
    (one) => void one.writer.addSegment(F, '0', HOLE),
    (one) => one.writer.setAttributes(F, { style: { fill: 'red' } }),
    (one) => one.writer.editText(F, 'remark', 0, 0, 'wet'),
  ];
  for (const edit of edits) {
    const outcome = met({ ann: (ann) => ann.writer.deleteFeatures([F]), bob: edit });
    expect(outcome.view.feature(F)?.state).toBe('contested');
    expect(outcome.problems).toEqual([['contested deletion', F]]);
  }
});

row('a feature that both delete, or one deletes again as the other restores it, is deleted', (met) => {
  const twice = met({ ann: (ann) => ann.writer.deleteFeatures([F]), bob: (bob) => bob.writer.deleteFeatures([F]) });
  expect([twice.view.state(F), twice.problems]).toEqual(['deleted', []]);
  const restored = met({
    ann: (ann) => {
      ann.writer.deleteFeatures([F]);
      ann.writer.restoreFeatures([F]);
    },
    bob: (bob) => bob.writer.deleteFeatures([F]),
  });
  expect([restored.view.state(F), restored.problems]).toEqual(['deleted', []]);
});

describe('created by both under one id, there is one record and the edits of both apply', () => {
  test.each([
    [1, 2],
    [2, 1],
  ])('client ids %i and %i', (a, b) => {
    const [ann, bob] = [person('annie', a, 1000), person('bobby', b, 4600)];
    for (const one of [ann, bob]) one.writer.create(POLYGON, { name: 'Meadow' }, '', F);
    move('0.0', 'U001', [9, 0])(ann);
    set({ crop: 'oats' })(bob);
    const updates = [ann, bob].map(({ doc }) => Y.encodeStateAsUpdate(doc));
    for (const { doc } of [ann, bob]) for (const update of updates) Y.applyUpdate(doc, update);
    expect(look(ann.view)).toEqual(look(bob.view));
    expect([...ann.view.features()].length).toBe(1);
    expect(ringOf({ view: ann.view, problems: [] })?.[1]).toEqual([9, 0]);
    expect(ann.view.feature(F)?.properties.get('crop')).toBe('oats');
    expect(report(ann.view)).toEqual([]);
  });

  test.each([
    [1, 2],
    [2, 1],
  ])(
    'with another generation the edits of the geometry that is not there are orphans (client ids %i and %i)',
    (a, b) => {
      const [ann, bob] = [person('annie', a, 1000), person('bobby', b, 4600)];
      ann.doc.getMap('feat').set(F, [1000, 'annie', 1, [1, 1], '{}', '', 'genA']);
      bob.doc.getMap('feat').set(F, [4600, 'bobby', 1, [2, 2], '{}', '', 'genB']);
      move('0.0', 'U000', [5, 5])(ann);
      move('0.0', 'U000', [6, 6])(bob);
      const updates = [ann, bob].map(({ doc }) => Y.encodeStateAsUpdate(doc));
      for (const { doc } of [ann, bob]) for (const update of updates) Y.applyUpdate(doc, update);
      expect(look(ann.view)).toEqual(look(bob.view));
      const gen = ann.view.record(F)?.gen;
      const [shown, other] = gen === 'genA' ? [[5, 5], 'genB'] : [[6, 6], 'genA'];
      expect(ann.view.feature(F)?.geometry).toEqual({ type: 'Point', coordinates: shown });
      expect(report(ann.view)).toEqual([['orphan', 'vert', F, `${other}/0.0.U000`]]);
    },
  );
});

row("an undo of one's own edit leaves a newer remote edit of the same", (met) => {
  const outcome = met({
    ann: (ann) => {
      set({ crop: 'rye' })(ann);
      ann.undo.undo();
    },
    bob: set({ crop: 'oats' }),
  });
  expect(property(outcome, 'crop')).toBe('oats');
  expect(outcome.problems).toEqual([]);
});

row('an undo after the other edit has arrived leaves it too', (met) => {
  const undone: Person[] = [];
  const outcome = met({
    ann: (ann) => {
      set({ crop: 'rye' })(ann);
      undone.push(ann);
    },
    bob: set({ crop: 'oats' }),
  });
  for (const { undo } of undone) undo.undo();
  expect(property(outcome, 'crop')).toBe('oats');
  expect(report(outcome.view)).toEqual([]);
});
