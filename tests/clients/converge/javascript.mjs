// Replicas in this process: Yjs 13 and Yjs 14 documents under the same package.

import * as Y14 from '@y/y';
import * as Y from 'yjs';
import { mapdoc, y14 } from './mapdoc.mjs';

const { MapView, mapUndo, report, Writer } = mapdoc;

/** What the two generations of Yjs call differently. */
const GENERATIONS = {
  'yjs 13': { Y, storeOf: (doc) => mapdoc.storeOf(doc), newDoc: () => new Y.Doc() },
  'yjs 14': { Y: Y14, storeOf: (doc) => y14.storeOfY14(doc), newDoc: () => new Y14.Doc() },
};

export class JavaScriptReplica {
  /** Updates that its own edits made since they were last taken. */
  #updates = [];

  constructor(generation, { client, sid, chance }) {
    this.kind = generation;
    this.sid = sid;
    this.now = 1000;
    this.#generation = GENERATIONS[generation];
    this.#chance = chance;
    this.#open(client, null);
  }

  #generation;
  #chance;

  #open(client, state) {
    const { Y: yjs, storeOf, newDoc } = this.#generation;
    this.doc = newDoc();
    this.doc.clientID = client;
    if (state) yjs.applyUpdate(this.doc, state);
    this.view = new MapView(storeOf(this.doc));
    const identity = { sid: this.sid, userId: this.sid, name: this.sid };
    this.writer = new Writer(this.view, identity, () => this.now, this.#chance.unit);
    this.undo = mapUndo(this.view, this.writer);
    this.doc.on('update', (update, _origin, _doc, transaction) => {
      if (transaction.local) this.#updates.push(update);
    });
  }

  async apply(update) {
    this.#generation.Y.applyUpdate(this.doc, update);
  }

  /** Carries an operation out: its result or error code, its update, and what it did to the entries. */
  async operate(operation) {
    return this.#edit(() => this.writer.run(operation));
  }

  async takeBack(isUndo) {
    return this.#edit(() => (isUndo ? this.undo.undo() : this.undo.redo()));
  }

  #edit(edit) {
    const before = this.entries();
    this.#updates = [];
    try {
      const result = edit();
      return { result, updates: this.#updates, writes: writes(before, this.entries()) };
    } catch (error) {
      if (typeof error.code !== 'string') throw error;
      return { error: error.code, updates: [], writes: [] };
    }
  }

  /** Writes what no operation would. */
  async litter(root, key, value) {
    this.#updates = [];
    const map = this.view.store.root(root);
    this.view.store.transact(() => (value === DELETED ? map.delete(key) : map.set(key, value)), 'litter');
    return this.#updates;
  }

  async vector() {
    return this.#generation.Y.encodeStateVector(this.doc);
  }

  async diff(vector) {
    return this.#generation.Y.encodeStateAsUpdate(this.doc, vector);
  }

  async snapshot() {
    const { Y: yjs } = this.#generation;
    return yjs.encodeSnapshot(yjs.snapshot(this.doc));
  }

  /** Ends and starts again from what it saved, as another client of the same session. */
  async restart(client) {
    const state = this.#generation.Y.encodeStateAsUpdate(this.doc);
    this.close();
    this.#open(client, state);
  }

  async read() {
    return readingOf(this.view);
  }

  entries() {
    return entriesOf(this.view.store);
  }

  close() {
    this.undo.dispose();
    this.view.dispose();
    this.doc.destroy();
  }
}

export const DELETED = Symbol('deleted');

/** Everything that a view shows, in the form that all implementations give. */
export function readingOf(view) {
  return {
    features: [...view.features()].map((feature) => ({
      fid: feature.fid,
      id: feature.id,
      layer: feature.layer,
      state: feature.state,
      geometry: feature.geometry,
      properties: Object.fromEntries(feature.properties),
      created: [feature.created.time, feature.created.sid],
      changed: [feature.changed.time, feature.changed.sid],
    })),
    report: report(view),
    layers: view.layers
      .all()
      .map(({ lid, name, order, visible, style, columns }) => [lid, name, order, visible, style, columns]),
    notes: view
      .notes()
      .map(({ nid, written, body, fid, answers, at }) => [nid, written.time, written.sid, body, fid, answers, at]),
    files: view
      .attachments()
      .map(({ aid, attached, fid, name, mediaType, bytes, sha256 }) => [
        aid,
        attached.time,
        attached.sid,
        fid,
        name,
        mediaType,
        bytes,
        sha256,
      ]),
    title: view.title(),
  };
}

const ROOTS = ['meta', 'feat', 'geom', 'part', 'vert', 'prop', 'attr', 'gone', 'layer', 'text', 'note', 'file', 'who'];

/** Root and key, joined by a character that no root has → the value's JSON. */
function entriesOf(store) {
  const found = new Map();
  for (const name of ROOTS) {
    const root = store.root(name);
    for (const key of root.keys()) found.set(`${name} ${key}`, plain(store, root.get(key)));
  }
  return found;
}

function plain(store, value) {
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') };
  const text = store.text(value);
  if (text) return { $text: text.toString() };
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map((item) => plain(store, item));
  if (typeof value !== 'object' || value === null) return value ?? null;
  // A shared type other than a text.
  if ('doc' in value || '_item' in value) return { $other: true };
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(store, inner)]));
}

function writes(before, after) {
  const keys = new Set([...before.keys(), ...after.keys()]);
  return [...keys].flatMap((name) => {
    const [old, now] = [before.get(name), after.get(name)];
    if (JSON.stringify(old) === JSON.stringify(now)) return [];
    const space = name.indexOf(' ');
    return [{ root: name.slice(0, space), key: name.slice(space + 1), before: old, after: now }];
  });
}
