// Edits of a map document, one transaction each (map document format §7).

import { carryOut, type Edit, type EditContext, type EditResult } from './edit/draft.ts';
import type * as op from './edit/operation.ts';
import { plan } from './edit/run.ts';
import { implicitKey, type Random, randomDigits } from './orderkey.ts';
import { type Geometry, KIND_POINT, type Position } from './shape.ts';
import type { RootName } from './store.ts';
import type { MapView } from './view.ts';

const FID_DIGITS = 12;
/** Open ends whose runs are continued; where more are forgotten, a new run begins beside the old one. */
const OWN_ENDS_MAX = 10_000;

/** A key that an operation wrote: its value before and after, undefined where there was or is none. */
export interface Written {
  root: RootName;
  key: string;
  before: unknown;
  after: unknown;
}

/** Hears what each operation wrote, and the origin of its transaction. */
export type WrittenListener = (written: Written[], origin: unknown) => void;

export interface WriterIdentity {
  /** Session id: 5–16 of `[0-9A-Za-z]`, used by no other process at the same time. */
  sid: string;
  userId: string;
  name: string;
}

/**
 * Writes operations as one session. Every method throws an `EditError` and writes nothing where the operation cannot be carried out.
 * The writer itself is the origin of its transactions unless another is given.
 */
export class Writer {
  readonly #view: MapView;
  readonly #identity: WriterIdentity;
  readonly #nowSeconds: () => number;
  readonly #random: Random;
  readonly #ownEnds = new Set<string>();
  readonly #listeners = new Set<WrittenListener>();

  constructor(
    view: MapView,
    identity: WriterIdentity,
    nowSeconds: () => number = () => Math.floor(Date.now() / 1000),
    random: Random = Math.random,
  ) {
    this.#view = view;
    this.#identity = identity;
    this.#nowSeconds = nowSeconds;
    this.#random = random;
  }

  /** Carries an operation out and says what it yields. */
  run(operation: op.Operation, origin: unknown = this): EditResult {
    const context: EditContext = {
      ...this.#identity,
      now: this.#nowSeconds(),
      random: this.#random,
      ownEnds: this.#ownEnds,
    };
    const planned = plan(this.#view, context, operation);
    const written = planned.edits.flatMap((edit) => this.#asWritten(edit));
    carryOut(this.#view, planned, origin);
    this.#remember(planned.ends);
    for (const listener of [...this.#listeners]) listener(written, origin);
    return planned.result;
  }

  #remember(ends: string[]): void {
    for (const end of ends) this.#ownEnds.add(end);
    for (const oldest of this.#ownEnds) {
      if (this.#ownEnds.size <= OWN_ENDS_MAX) break;
      this.#ownEnds.delete(oldest);
    }
  }

  get sid(): string {
    return this.#identity.sid;
  }

  /** Calls `listener` after every operation. Returns how to stop that. */
  onWritten(listener: WrittenListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #asWritten(edit: Edit): Written[] {
    if (edit.kind === 'type') return [];
    const { root, key } = edit;
    return [
      { root, key, before: this.#view.store.root(root).get(key), after: edit.kind === 'set' ? edit.value : undefined },
    ];
  }

  /** A new id of a feature, note, attachment or layer. */
  newId(): string {
    return randomId(FID_DIGITS, this.#random);
  }

  /** Creates a feature and returns its fid. */
  create(geometry: Geometry | null, properties: op.Properties = {}, layer = '', fid = this.newId()): string {
    this.run({ op: 'create', fid, geometry, properties, layer });
    return fid;
  }

  /** Creates a point feature and returns its fid. */
  createPoint(position: Position, properties: op.Properties = {}): string {
    return this.create({ type: 'Point', coordinates: position }, properties);
  }

  /** Moves a point feature. False if there is none to move. */
  movePoint(fid: string, position: Position): boolean {
    const isPoint = this.#view.generation(fid)?.kind === KIND_POINT && this.#view.state(fid) !== 'deleted';
    if (isPoint) this.moveVertices(fid, [{ segment: '0.0', vertex: implicitKey(0), position }]);
    return isPoint;
  }

  moveVertices(fid: string, moves: op.MoveVertices['moves']): void {
    this.run({ op: 'move_vertices', fid, moves });
  }

  /** Inserts between two neighbours, or with one of them beyond it at an end of a line. Returns the vertex's key. */
  insertVertex(
    fid: string,
    segment: string,
    { after = null, before = null }: { after?: string | null; before?: string | null },
    position: Position,
  ): string {
    return this.run({ op: 'insert_vertex', fid, segment, after, before, position }).key ?? '';
  }

  removeVertices(fid: string, vertices: op.VertexName[]): void {
    this.run({ op: 'remove_vertices', fid, vertices });
  }

  /** Adds a hole, a further line, or (without a part) a new part. Returns `P.S`. */
  addSegment(fid: string, part: string | null, coordinates: Position[]): string {
    return this.run({ op: 'add_segment', fid, part, coordinates }).segment ?? '';
  }

  /** Appends to a line that is being recorded; sensibly 10 points or 10 seconds at a time. Returns `P.S`. */
  recordTrack(fid: string, coordinates: Position[]): string {
    return this.run({ op: 'record_track', fid, coordinates }).segment ?? '';
  }

  removeSegment(fid: string, segment: string): void {
    this.run({ op: 'remove_segment', fid, segment });
  }

  replaceGeometry(fid: string, geometry: Geometry | null): void {
    this.run({ op: 'replace_geometry', fid, geometry });
  }

  /** Makes the geometry equal to another by the smallest edits. */
  changeGeometry(fid: string, geometry: Geometry | null): void {
    this.run({ op: 'change_geometry', fid, geometry });
  }

  /** Sets properties; null removes one. */
  setProperties(fid: string, values: op.Values): void {
    this.run({ op: 'set_properties', fid, values });
  }

  /** Sets `layer`, `order` or `style`; null removes what is set. */
  setAttributes(fid: string, values: op.Values): void {
    this.run({ op: 'set_attributes', fid, values });
  }

  /** Marks features as deleted. Edits that this one has not seen bring a feature back as contested. */
  deleteFeatures(fids: string[], origin: unknown = this): void {
    this.run({ op: 'delete', fids }, origin);
  }

  /** As [`deleteFeatures`] for one; false if there is none. */
  delete(fid: string, origin: unknown = this): boolean {
    if (!this.#view.record(fid)) return false;
    this.deleteFeatures([fid], origin);
    return true;
  }

  restoreFeatures(fids: string[], origin: unknown = this): void {
    this.run({ op: 'restore', fids }, origin);
  }

  /** As [`restoreFeatures`] for one; nothing if there is none. */
  restore(fid: string, origin: unknown = this): void {
    if (this.#view.record(fid)) this.restoreFeatures([fid], origin);
  }

  /** The first geometry stays; returns the fids of the others' features. */
  split(fid: string, geometries: Geometry[], fids = geometries.slice(1).map(() => this.newId())): string[] {
    this.run({ op: 'split', fid, geometries, fids });
    return fids;
  }

  merge(fid: string, others: string[], geometry: Geometry): void {
    this.run({ op: 'merge', fid, others, geometry });
  }

  /** One spell of typing into a property's text; counts UTF-16 units. */
  editText(fid: string, name: string, index: number, count: number, insert: string): void {
    this.run({ op: 'edit_text', fid, name, index, delete: count, insert });
  }

  /** Leaves a note, or without feature, place and note answered a line of chat. Returns its id. */
  addNote(
    body: string,
    about: { fid?: string | null; answers?: string | null; at?: Position | null } = {},
    nid = this.newId(),
  ): string {
    this.run({
      op: 'add_note',
      nid,
      body,
      fid: about.fid ?? null,
      answers: about.answers ?? null,
      at: about.at ?? null,
    });
    return nid;
  }

  removeNote(nid: string): void {
    this.run({ op: 'remove_note', nid });
  }

  /** Names an attachment, whose content lies elsewhere. Returns its id. */
  addFile(
    fid: string,
    file: { name: string; mediaType: string; bytes: number; sha256: string },
    aid = this.newId(),
  ): string {
    const { name, mediaType, bytes, sha256 } = file;
    this.run({ op: 'add_file', aid, fid, name, media_type: mediaType, bytes, sha256 });
    return aid;
  }

  removeFile(aid: string): void {
    this.run({ op: 'remove_file', aid });
  }

  /** Sets fields of a layer, which is there from then on; null removes what is set. */
  setLayer(lid: string, values: op.Values): void {
    this.run({ op: 'set_layer', lid, values });
  }

  /** Decides a conflict for what one session said. */
  settle(fid: string, root: op.Settle['root'], target: string, sid: string): void {
    this.run({ op: 'settle', fid, root, target, sid });
  }

  /** Lets go of edits of what is not there any more. */
  dismissOrphans(fid: string): void {
    this.run({ op: 'dismiss_orphans', fid });
  }

  setTitle(title: string): void {
    this.run({ op: 'set_title', title });
  }
}

/** Random letters and digits. */
export function randomId(length: number, random: Random = Math.random): string {
  return randomDigits(length, random);
}
