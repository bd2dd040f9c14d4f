// Undo and redo of one's own edits, operation by operation.
//
// Y.UndoManager would put back under other people's keys what one's own edit had replaced there, and where they have written anew
// meanwhile, the client id decides which of the two is lost. So what was replaced is put back under one's own key, where nobody else
// writes. A created feature lies in `feat`, which is written once; undoing a creation marks the feature as deleted.

import {
  type Entry,
  type EntryKey,
  type EntryRoot,
  joinKey,
  OVERLAY_ROOTS,
  readEntry,
  splitKey,
  winner,
} from './entry.ts';
import type { MapView } from './view.ts';
import type { Writer, Written } from './writer.ts';

/** Steps that are remembered. */
const STEPS_MAX = 1000;

/** One operation that can be taken back. */
interface Step {
  /** Features it created. */
  created: string[];
  /** What it changed in overlays and layers. */
  written: Written[];
}

/**
 * Takes back what `writer` does from now on and nothing that others did: where somebody has set the same thing since, that stays.
 * Notes, texts and titles are not covered. `changed` is called when what can be undone or redone may have changed.
 */
export function mapUndo(view: MapView, writer: Writer, changed: () => void = () => {}): Undo {
  return new Undo(view, writer, changed);
}

export class Undo {
  readonly #view: MapView;
  readonly #writer: Writer;
  readonly #done: Step[] = [];
  readonly #undone: Step[] = [];
  readonly #changed: () => void;
  readonly #stop: () => void;

  constructor(view: MapView, writer: Writer, changed: () => void) {
    this.#view = view;
    this.#writer = writer;
    this.#changed = changed;
    this.#stop = writer.onWritten((written, origin) => {
      if (origin === writer) this.#record(written);
    });
  }

  dispose(): void {
    this.#stop();
  }

  canUndo(): boolean {
    return this.#done.length > 0;
  }

  canRedo(): boolean {
    return this.#undone.length > 0;
  }

  /** Takes the last operation back. False if there was none, or others have replaced all of it since and nothing is left to do. */
  undo(): boolean {
    return this.#takeBack(this.#done, this.#undone);
  }

  /** Carries out again what was undone last. False as in [`undo`]. */
  redo(): boolean {
    return this.#takeBack(this.#undone, this.#done);
  }

  #record(written: Written[]): void {
    const created = written.filter(({ root, before }) => root === 'feat' && before === undefined).map(({ key }) => key);
    const overlays = written.filter(({ root }) => isEntryRoot(root));
    if (created.length === 0 && overlays.length === 0) return;
    this.#done.push({ created, written: overlays });
    if (this.#done.length > STEPS_MAX) this.#done.shift();
    this.#undone.length = 0;
    this.#changed();
  }

  /** Reverts the last of the steps; what it takes to revert that again goes to the others. */
  #takeBack(steps: Step[], others: Step[]): boolean {
    const step = steps.pop();
    if (!step) return false;
    const isUndo = steps === this.#done;
    if (!isUndo) this.#existence(step.created, isUndo);
    const written = this.#revert(step.written);
    if (isUndo) this.#existence(step.created, isUndo);
    const isDone = written.length > 0 || step.created.length > 0;
    if (isDone) others.push({ created: step.created, written });
    this.#changed();
    return isDone;
  }

  #existence(fids: string[], isUndo: boolean): void {
    const there = fids.filter((fid) => this.#view.record(fid));
    if (there.length > 0) this.#writer.run({ op: isUndo ? 'delete' : 'restore', fids: there }, this);
  }

  #revert(written: Written[]): Written[] {
    const { store } = this.#view;
    const back = byTarget(written).flatMap((target) => this.#reverted(target));
    if (back.length === 0) return [];
    store.transact(() => {
      for (const { root, key, after } of back) {
        if (after === undefined) store.root(root).delete(key);
        else store.root(root).set(key, after);
      }
    }, this);
    return back;
  }

  /** The own entry of a target as it has to become; none if there is nothing to change. */
  #reverted({ root, id, target, written }: Target): Written[] {
    const key = joinKey(id, this.#writer.sid, target);
    const present = this.#view.store.root(root).get(key);
    const own = written.find((one) => one.key === key);
    // Who sets a target takes away the entries they see, so an own entry that has gone was replaced.
    if (own && !isSame(present, own.after)) return [];
    const index = root === 'layer' ? this.#view.layers.index : this.#view.overlays.of(root);
    const isOthersNow = index.entries(id, target).some((entry) => entry.sid !== this.#writer.sid);
    const after = isOthersNow ? undefined : winnerBefore(root, written);
    return isSame(present, after) ? [] : [{ root, key, before: present, after }];
  }
}

interface Target {
  root: EntryRoot;
  id: string;
  target: string;
  written: Written[];
}

function byTarget(written: Written[]): Target[] {
  const targets = new Map<string, Target>();
  for (const one of written) {
    const fields = isEntryRoot(one.root) ? splitKey(one.root, one.key) : null;
    if (!fields) continue;
    const { id, target } = fields;
    const name = `${one.root}:${id}/${target}`;
    const found = targets.get(name) ?? { root: one.root as EntryRoot, id, target, written: [] };
    found.written.push(one);
    targets.set(name, found);
  }
  return [...targets.values()];
}

/** The value that showed before, whoever wrote it. */
function winnerBefore(root: EntryRoot, written: Written[]): unknown {
  const before = new Map<Entry, unknown>();
  for (const one of written) {
    const entry = readEntry(root, splitKey(root, one.key) as EntryKey, one.before);
    if (entry) before.set(entry, one.before);
  }
  const shown = winner([...before.keys()]);
  return shown === null ? undefined : before.get(shown);
}

function isEntryRoot(root: string): root is EntryRoot {
  return root === 'layer' || (OVERLAY_ROOTS as readonly string[]).includes(root);
}

/** Entries are compared by what they are made of; two of one session at one time for one target are the same edit. */
function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
  return a.every(
    (item, i) => item === b[i] || (typeof item === 'object' && typeof b[i] === 'object' && isSameText(item, b[i])),
  );
}

function isSameText(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
