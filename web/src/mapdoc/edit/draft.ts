// What an operation is going to write, gathered against a view: nothing is written until the whole operation is known to be good.

import { type EntryRoot, joinKey, type OverlayRoot, readEntry, SEEN_ROOTS, splitKey } from '../entry.ts';
import type { Random } from '../orderkey.ts';
import type { RootName } from '../store.ts';
import { addSeen, subtractSeen, TIME_MAX } from '../values.ts';
import { FORMAT, type MapView, VERSION } from '../view.ts';
import { EditError } from './error.ts';

/** Who edits, when, and with which random numbers. */
export interface EditContext {
  /** 5–16 of `[0-9A-Za-z]`, used by no other process at the same time. */
  sid: string;
  userId: string;
  name: string;
  /** Seconds since 1970-01-01 UTC. */
  now: number;
  random: Random;
  /** Targets of vertices and segments that this session made at an open end, whose runs it continues. */
  ownEnds: ReadonlySet<string>;
}

/** One change of the document. */
export type Edit =
  | { kind: 'set'; root: RootName; key: string; value: unknown }
  | { kind: 'delete'; root: RootName; key: string }
  /** Deletes and inserts characters in the text under a key, which is made if there is none. */
  | { kind: 'type'; key: string; isNew: boolean; index: number; delete: number; insert: string };

/** What an operation yields. */
export interface EditResult {
  /** The order key of the vertex that the operation made. */
  key?: string;
  /** `P.S` of the segment that the operation made. */
  segment?: string;
}

/** An operation ready to be carried out as one transaction. */
export interface Plan {
  /** None if the operation would change nothing. */
  edits: Edit[];
  result: EditResult;
  /** To be added to the session's `ownEnds` once written. */
  ends: string[];
}

export class Draft {
  readonly view: MapView;
  readonly context: EditContext;
  readonly #edits = new Map<string, Edit>();
  readonly #ends: string[] = [];

  constructor(view: MapView, context: EditContext) {
    this.view = view;
    this.context = context;
  }

  /** The plan, opened by who writes and what the document is. */
  plan(result: EditResult): Plan {
    const edits = [...this.#edits.values()];
    return { edits: edits.length === 0 ? [] : [...this.#introduction(), ...edits], result, ends: this.#ends };
  }

  /** An empty draft for an attempt that may come to nothing. */
  fork(): Draft {
    return new Draft(this.view, this.context);
  }

  /** Takes over what an attempt drafted. */
  adopt(attempt: Draft): void {
    for (const [key, edit] of attempt.#edits) this.#edits.set(key, edit);
    this.#ends.push(...attempt.#ends);
  }

  /**
   * Sets a target: the own slot is written, later than all entries of it that are seen (rule T), and those under other sessions go.
   * An empty payload says "removed".
   */
  set(root: EntryRoot, id: string, target: string, payload: readonly unknown[]): void {
    this.setAfter(root, id, target, this.latest(root, id, target), payload);
  }

  /** As [`set`], later than a time that the caller knows. */
  setAfter(root: EntryRoot, id: string, target: string, replaced: number | null, payload: readonly unknown[]): void {
    const own = joinKey(id, this.context.sid, target);
    for (const key of this.#keys(root, id, target)) if (key !== own) this.delete(root, key);
    this.put(root, own, [this.timeAfter(replaced), ...payload]);
  }

  /** Takes away every entry of a target that is seen. */
  clear(root: EntryRoot, id: string, target: string): void {
    for (const key of this.#keys(root, id, target)) this.delete(root, key);
  }

  put(root: RootName, key: string, value: unknown): void {
    this.#edits.set(`${root}:${key}`, { kind: 'set', root, key, value });
  }

  delete(root: RootName, key: string): void {
    this.#edits.set(`${root}:${key}`, { kind: 'delete', root, key });
  }

  type(edit: Extract<Edit, { kind: 'type' }>): void {
    this.#edits.set(`text:${edit.key}`, edit);
  }

  /** Rule T: later than what is replaced and not before now. */
  timeAfter(replaced: number | null): number {
    return Math.min(Math.max(this.context.now, replaced === null ? 0 : replaced + 1), TIME_MAX);
  }

  /** The greatest time among the entries of a target. */
  latest(root: EntryRoot, id: string, target: string): number | null {
    const entries = this.#index(root).entries(id, target);
    return entries.reduce<number | null>((latest, { time }) => (latest === null ? time : Math.max(latest, time)), null);
  }

  /** The sum of edit times that a feature will have once this draft is written. */
  seen(fid: string): number {
    let sum = this.view.overlays.seen(fid);
    for (const edit of this.#edits.values()) {
      if (edit.kind === 'type' || !(SEEN_ROOTS as readonly string[]).includes(edit.root)) continue;
      const root = edit.root as OverlayRoot;
      const fields = splitKey(root, edit.key);
      if (fields?.id !== fid) continue;
      const before = this.view.overlays.of(root).entry(edit.key);
      const after = edit.kind === 'set' ? readEntry(root, fields, edit.value) : null;
      if (before) sum = subtractSeen(sum, before.time);
      if (after) sum = addSeen(sum, after.time);
    }
    return sum;
  }

  isOwnEnd(target: string): boolean {
    return this.context.ownEnds.has(target) || this.#ends.includes(target);
  }

  madeEnd(target: string): void {
    this.#ends.push(target);
  }

  #index(root: EntryRoot) {
    return root === 'layer' ? this.view.layers.index : this.view.overlays.of(root);
  }

  #keys(root: EntryRoot, id: string, target: string): string[] {
    return this.#index(root).keys(id, target);
  }

  /** Says once who this session is, and once what the document is. */
  #introduction(): Edit[] {
    const { sid, userId, name, now } = this.context;
    const opening: [RootName, string, unknown][] = [
      ['meta', 'format', FORMAT],
      ['meta', 'version', VERSION],
      ['who', sid, [now, userId, name]],
    ];
    return opening
      .filter(([root, key]) => !this.view.store.root(root).has(key))
      .map(([root, key, value]) => ({ kind: 'set', root, key, value }));
  }
}

/** Refuses to write what this program does not know. */
export function checkWritable(view: MapView): void {
  if (!view.isMap()) throw new EditError('not_a_map', 'this document is no map; it can be looked at only');
  if (!view.isWritable()) {
    throw new EditError('newer_version', `this map has version ${view.version()}; update this program to edit it`);
  }
}

/** Writes a plan in one transaction. */
export function carryOut(view: MapView, plan: Plan, origin: unknown): void {
  if (plan.edits.length === 0) return;
  view.store.transact(() => {
    for (const edit of plan.edits) write(view, edit);
  }, origin);
}

function write({ store }: MapView, edit: Edit): void {
  switch (edit.kind) {
    case 'set':
      store.root(edit.root).set(edit.key, edit.value);
      return;
    case 'delete':
      store.root(edit.root).delete(edit.key);
      return;
    case 'type': {
      const root = store.root('text');
      if (edit.isNew) root.set(edit.key, store.createText());
      const text = store.text(root.get(edit.key));
      if (edit.delete > 0) text?.delete(edit.index, edit.delete);
      if (edit.insert !== '') text?.insert(edit.index, edit.insert);
    }
  }
}
