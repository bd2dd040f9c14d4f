// The edits this page makes: create a point, move it, delete and restore features (map document format §§7, 8). One transaction each.

import type * as Y from 'yjs';
import type { OverlayRoot } from './entry.ts';
import { currentGeneration } from './geometry.ts';
import { implicitKey } from './orderkey.ts';
import { KIND_POINT, type Position } from './shape.ts';
import type { Json } from './values.ts';
import { FORMAT, type MapView, VERSION } from './view.ts';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const FID_LENGTH = 12;

export interface WriterIdentity {
  /** Session id: 5–16 of `[0-9A-Za-z]`, used by no other process at the same time. */
  sid: string;
  userId: string;
  name: string;
}

export class Writer {
  readonly #doc: Y.Doc;
  readonly #view: MapView;
  readonly #identity: WriterIdentity;
  readonly #nowSeconds: () => number;
  readonly #random: () => number;

  constructor(
    doc: Y.Doc,
    view: MapView,
    identity: WriterIdentity,
    nowSeconds: () => number = () => Math.floor(Date.now() / 1000),
    random: () => number = Math.random,
  ) {
    this.#doc = doc;
    this.#view = view;
    this.#identity = identity;
    this.#nowSeconds = nowSeconds;
    this.#random = random;
  }

  /** Creates a point feature and returns its fid. `position` must be finite. */
  createPoint(position: Position, properties: Record<string, Json> = {}): string {
    const fid = randomId(FID_LENGTH, this.#random);
    const record = [
      this.#nowSeconds(),
      this.#identity.sid,
      KIND_POINT,
      position.map(tidy),
      JSON.stringify(properties),
      '',
    ];
    this.#transact(this, () => this.#doc.getMap('feat').set(fid, record));
    return fid;
  }

  /** Moves a point feature. False if there is none to move. */
  movePoint(fid: string, position: Position): boolean {
    const record = this.#view.record(fid);
    const current = record && currentGeneration(this.#view.overlays, fid, record);
    if (current?.kind !== KIND_POINT) return false;
    this.#set('vert', fid, `${current.gen}/0.0.${implicitKey(0)}`, position.map(tidy), this);
    return true;
  }

  /** Marks a feature as deleted. Edits it has not seen bring the feature back as contested. */
  delete(fid: string, origin: unknown = this): boolean {
    if (!this.#view.record(fid)) return false;
    this.#set('gone', fid, '', [this.#view.overlays.seen(fid)], origin);
    return true;
  }

  restore(fid: string, origin: unknown = this): void {
    const gone = this.#doc.getMap('gone');
    this.#transact(origin, () => {
      for (const key of this.#view.overlays.keys('gone', fid, '')) gone.delete(key);
    });
  }

  /** Sets a target: takes away all entries of it that are seen here and writes the own one, later than any of them (rule T). */
  #set(name: OverlayRoot, fid: string, target: string, payload: readonly unknown[], origin: unknown): void {
    const root = this.#doc.getMap(name);
    const own = `${fid}/${this.#identity.sid}${target === '' ? '' : `/${target}`}`;
    const replaced = this.#view.overlays.entries(name, fid, target).map((entry) => entry.time + 1);
    const time = Math.max(this.#nowSeconds(), ...replaced);
    this.#transact(origin, () => {
      for (const key of this.#view.overlays.keys(name, fid, target)) if (key !== own) root.delete(key);
      root.set(own, [time, ...payload]);
    });
  }

  #transact(origin: unknown, edit: () => void): void {
    this.#doc.transact(() => {
      this.#introduce();
      edit();
    }, origin);
  }

  /** Says once who this session is, and once what the document is. */
  #introduce(): void {
    const { sid, userId, name } = this.#identity;
    const who = this.#doc.getMap('who');
    if (!who.has(sid)) who.set(sid, [this.#nowSeconds(), userId, name]);
    const meta = this.#doc.getMap('meta');
    if (!meta.has('format') && this.#doc.getMap('feat').size === 0) {
      meta.set('format', FORMAT);
      meta.set('version', VERSION);
    }
  }
}

/** Random letters and digits. */
export function randomId(length: number, random: () => number = Math.random): string {
  let text = '';
  for (let i = 0; i < length; i++) text += ALPHABET.charAt(Math.floor(random() * ALPHABET.length));
  return text;
}

/** −0 is stored as 0. */
function tidy(x: number): number {
  return x === 0 ? 0 : x;
}
