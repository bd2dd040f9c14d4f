// Random operations, most of them sensible: names of segments, vertices and sessions are taken from what some replica shows.

/** Few, so that people meet. */
const FEATURES = ['f0', 'f1', 'f2'];
const PROPERTIES = ['name', 'crop', 'a/b', '10', 'é'];
const LAYERS = ['fields', 'roads'];
const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** How often which operation comes, out of their sum. */
const WEIGHTS = {
  move_vertices: 18,
  insert_vertex: 16,
  remove_vertices: 8,
  add_segment: 4,
  record_track: 4,
  remove_segment: 3,
  replace_geometry: 3,
  change_geometry: 6,
  set_properties: 14,
  set_attributes: 4,
  delete: 3,
  restore: 5,
  split: 2,
  merge: 1,
  edit_text: 6,
  add_note: 4,
  remove_note: 1,
  add_file: 3,
  remove_file: 1,
  set_layer: 3,
  settle: 25,
  dismiss_orphans: 2,
  set_title: 1,
  create: 4,
};

/** A random operation for a replica that sees about what `view` shows. */
export function randomOperation(chance, view) {
  let op = weighted(chance, WEIGHTS);
  const fitting = fidsFor(op, view);
  if (op === 'settle' && fitting.length === 0) op = 'set_properties';
  const fid = fitting.length > 0 && chance.percent(90) ? chance.pick(fitting) : anyFid(chance, view);
  return { op, ...MAKERS[op](chance, view, fid) };
}

/** Features for which an operation makes more sense than for others. */
function fidsFor(op, view) {
  if (op === 'settle') return FEATURES.filter((fid) => view.concurrentValues(fid).length > 0);
  if (op === 'record_track') return FEATURES.filter((fid) => [2, 5].includes(view.generation(fid)?.kind));
  if (op === 'restore') return FEATURES.filter((fid) => view.record(fid) && view.state(fid) !== 'live');
  return [];
}

function anyFid(chance, view) {
  const all = view.ids();
  return chance.percent(75) || all.length === 0 ? chance.pick(FEATURES) : chance.pick(all);
}

/** The features that everybody has from the beginning: a polygon, a line, and anything. */
export function firstFeatures(chance) {
  const line = { type: 'LineString', coordinates: [place(chance, 2), place(chance, 2), place(chance, 2)] };
  return [polygon(chance, 2), line, geometry(chance)].map((geometry, i) => ({
    op: 'create',
    fid: FEATURES[i],
    geometry,
    properties: { name: 'first', crop: i },
    layer: 'fields',
  }));
}

const MAKERS = {
  create: (chance, _view, fid) => ({
    fid: chance.percent(20) ? fid : `g${chance.below(6)}`,
    geometry: geometry(chance),
    properties: chance.pick([{}, { name: 'x', 10: 1.5, a: null }, { crop: [1, { b: 'é' }] }]),
    layer: chance.pick(['', ...LAYERS]),
  }),
  move_vertices: (chance, view, fid) => ({
    fid,
    moves: Array.from({ length: chance.between(1, 2) }, () => ({
      ...vertex(chance, view, fid),
      position: place(chance, chance.between(2, 3)),
    })),
  }),
  insert_vertex: (chance, view, fid) => {
    const segment = chance.pick(segments(view, fid));
    const keys = segment ? keysOf(segment) : [];
    const at = chance.below(keys.length + 1);
    const [after = null, before = null] = [keys[at - 1], keys[at]];
    return {
      fid,
      segment: segment?.name ?? '0.0',
      after: chance.percent(85) ? after : null,
      before: chance.percent(85) ? before : null,
      position: place(chance, chance.between(2, 3)),
    };
  },
  remove_vertices: (chance, view, fid) => ({ fid, vertices: [vertex(chance, view, fid)] }),
  add_segment: (chance, view, fid) => ({
    fid,
    part: chance.percent(30) ? null : (chance.pick(segments(view, fid))?.part ?? '0'),
    coordinates: ring(chance, chance.between(3, 5), 2),
  }),
  record_track: (chance, _view, fid) => ({
    fid,
    coordinates: Array.from({ length: chance.between(1, 4) }, () => place(chance, 2)),
  }),
  remove_segment: (chance, view, fid) => ({ fid, segment: chance.pick(segments(view, fid))?.name ?? '0.0' }),
  replace_geometry: (chance, _view, fid) => ({ fid, geometry: geometry(chance) }),
  change_geometry: (chance, view, fid) => ({
    fid,
    geometry: changed(chance, view.feature(fid)?.geometry ?? polygon(chance, 2)),
  }),
  set_properties: (chance, _view, fid) => {
    const count = chance.between(1, 2);
    return {
      fid,
      values: Object.fromEntries(Array.from({ length: count }, () => [chance.pick(PROPERTIES), value(chance)])),
    };
  },
  set_attributes: (chance, _view, fid) => ({
    fid,
    values: chance.pick([
      { layer: chance.pick(['', ...LAYERS, 'unknown']) },
      { layer: null },
      { order: `U00${chance.pick([...ALPHABET])}` },
      { style: { fill: `#${chance.below(1000)}` } },
      { style: null },
    ]),
  }),
  delete: (chance, _view, fid) => ({ fids: chance.percent(80) ? [fid] : [fid, chance.pick(FEATURES)] }),
  restore: (_chance, _view, fid) => ({ fids: [fid] }),
  split: (chance, _view, fid) => ({
    fid,
    geometries: [polygon(chance, 2), polygon(chance, 2)],
    fids: [`s${chance.below(1e6)}`],
  }),
  merge: (chance, _view, fid) => ({ fid, others: [chance.pick(FEATURES)], geometry: polygon(chance, 2) }),
  edit_text: (chance, view, fid) => {
    const name = chance.pick(PROPERTIES);
    const texts = view.texts.of(fid).filter((text) => text.name === name);
    const text = (texts.find((one) => one.text.toString() !== '') ?? texts[0])?.text.toString() ?? '';
    const index = chance.below(text.length + 1);
    const count = chance.percent(60) ? 0 : chance.below(text.length - index + 1);
    return { fid, name, index, delete: count, insert: chance.pick(['a', 'Größe ', '🌲', 'xyz\n']) };
  },
  add_note: (chance, view, fid) => ({
    nid: `n${chance.below(8)}`,
    body: 'Hello',
    fid: chance.pick([null, fid]),
    answers: chance.pick([null, view.notes()[0]?.nid ?? null]),
    at: chance.pick([null, place(chance, 2)]),
  }),
  remove_note: (chance, view) => ({ nid: chance.pick(view.notes())?.nid ?? `n${chance.below(8)}` }),
  add_file: (chance, _view, fid) => ({
    aid: `a${chance.below(8)}`,
    fid,
    name: 'photo.jpg',
    media_type: 'image/jpeg',
    bytes: chance.below(1e9),
    sha256: '0123456789abcdef'.repeat(4),
  }),
  remove_file: (chance, view) => ({ aid: chance.pick(view.attachments())?.aid ?? `a${chance.below(8)}` }),
  set_layer: (chance) => ({
    lid: chance.pick(LAYERS),
    values: chance.pick([
      { name: `Layer ${chance.below(9)}` },
      { visible: chance.percent(50) },
      { gone: chance.percent(50) },
      { gone: null },
      { style: { a: [1] } },
    ]),
  }),
  settle: conflict,
  dismiss_orphans: (_chance, _view, fid) => ({ fid }),
  set_title: (chance) => ({ title: `Map ${chance.below(9)}` }),
};

function conflict(chance, view, fid) {
  const { root, target } = chance.pick(view.concurrentValues(fid)) ?? { root: 'prop', target: 'name' };
  return { fid, root, target, sid: chance.pick(view.overlays.entries(root, fid, target))?.sid ?? 'sid00' };
}

function segments(view, fid) {
  const structure = view.structure(fid);
  return (structure?.parts.flat() ?? []).map((segment) => ({ ...segment, name: `${segment.part}.${segment.segment}` }));
}

/** The keys of a segment's vertices; implicit ones count from U000. */
function keysOf(segment) {
  return segment.positions.map((_, i) => segment.keys?.[i] ?? implicit(i));
}

function implicit(index) {
  let [rest, text] = [7_149_840 + index, ''];
  for (let i = 0; i < 4; i++) {
    text = ALPHABET[rest % 62] + text;
    rest = Math.floor(rest / 62);
  }
  return text;
}

function vertex(chance, view, fid) {
  const segment = chance.pick(segments(view, fid));
  if (!segment) return { segment: '0.0', vertex: 'U000' };
  return { segment: segment.name, vertex: chance.pick(keysOf(segment)) ?? 'U000' };
}

function value(chance) {
  return chance.pick([
    null,
    true,
    chance.below(100),
    chance.unit() * 1e3,
    `é${chance.below(9)}`,
    2 ** 40 + chance.below(9),
    -1.5,
    [1, 'a', [null]],
    { b: 1, a: { z: 0.1, y: [2] }, 10: 'x', é: 1 },
  ]);
}

function place(chance, dims) {
  const number = (reach) => Number(((chance.unit() - 0.5) * 2 * reach).toFixed(chance.pick([0, 1, 5, 7, 15]))) + 0;
  const position = [number(179), number(89)];
  return dims === 3 ? [...position, number(1000)] : position;
}

function ring(chance, count, dims) {
  const open = Array.from({ length: count }, () => place(chance, dims));
  return [...open, open[0]];
}

function polygon(chance, dims) {
  const holes = chance.below(3);
  return {
    type: 'Polygon',
    coordinates: Array.from({ length: 1 + holes }, () => ring(chance, chance.between(3, 8), dims)),
  };
}

function geometry(chance) {
  const dims = chance.between(2, 3);
  const line = (count) => Array.from({ length: count }, () => place(chance, dims));
  switch (chance.below(9)) {
    case 0:
      return { type: 'Point', coordinates: place(chance, dims) };
    case 1:
    case 2:
      return { type: 'LineString', coordinates: line(chance.between(2, 6)) };
    case 3:
      return { type: 'MultiPoint', coordinates: line(chance.between(1, 4)) };
    case 4:
      return { type: 'MultiLineString', coordinates: [line(2), line(3)] };
    case 5:
      return {
        type: 'MultiPolygon',
        coordinates: [[ring(chance, 4, dims)], [ring(chance, 5, dims), ring(chance, 3, dims)]],
      };
    case 6:
      return chance.pick([
        null,
        { type: 'GeometryCollection', geometries: [{ type: 'Point', coordinates: place(chance, 2) }] },
      ]);
    default:
      return polygon(chance, dims);
  }
}

/** The geometry with one position elsewhere, one more or one less. */
function changed(chance, geometry) {
  const copy = structuredClone(geometry);
  const lists = listsOf(copy);
  const list = chance.pick(lists);
  if (!list) return copy;
  const dims = list[0].length;
  // The closing position of a ring stays.
  const at = chance.below(list.length - 1);
  switch (chance.below(3)) {
    case 0:
      if (at > 0) list[at] = place(chance, dims);
      break;
    case 1:
      list.splice(at + 1, 0, place(chance, dims));
      break;
    default:
      if (list.length > 4 && at > 0) list.splice(at, 1);
  }
  return copy;
}

function listsOf(geometry) {
  switch (geometry.type) {
    case 'LineString':
      return [geometry.coordinates];
    case 'MultiLineString':
    case 'Polygon':
      return geometry.coordinates;
    case 'MultiPolygon':
      return geometry.coordinates.flat();
    default:
      return [];
  }
}

function weighted(chance, weights) {
  const entries = Object.entries(weights);
  let at = chance.below(entries.reduce((sum, [, weight]) => sum + weight, 0));
  for (const [name, weight] of entries) {
    if (at < weight) return name;
    at -= weight;
  }
  return entries[0][0];
}
