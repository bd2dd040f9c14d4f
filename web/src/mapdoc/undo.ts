// Undo and redo of one's own edits. Y.UndoManager covers the overlays; a created feature lies in `feat`, which it must not touch (an
// undone creation would take others' edits of it along), so undoing a creation marks the feature as deleted.

import * as Y from 'yjs';
import type { Writer } from './writer.ts';

const TRACKED_ROOTS = ['geom', 'part', 'vert', 'prop', 'attr', 'gone', 'layer'];

type Step = { kind: 'creation'; fid: string } | { kind: 'overlays' };

export class Undo {
  readonly #writer: Writer;
  readonly #manager: Y.UndoManager;
  readonly #done: Step[] = [];
  readonly #undone: Step[] = [];
  readonly #changed: () => void;

  constructor(doc: Y.Doc, writer: Writer, changed: () => void = () => {}) {
    this.#writer = writer;
    this.#changed = changed;
    this.#manager = new Y.UndoManager(
      TRACKED_ROOTS.map((name) => doc.getMap(name)),
      { trackedOrigins: new Set([writer]), captureTimeout: 0 },
    );
    this.#manager.on('stack-item-added', ({ origin }: { origin: unknown }) => {
      if (origin === writer) this.#record({ kind: 'overlays' });
    });
  }

  dispose(): void {
    this.#manager.destroy();
  }

  /** To be told of every creation, right after it. */
  created(fid: string): void {
    this.#record({ kind: 'creation', fid });
  }

  canUndo(): boolean {
    return this.#done.length > 0;
  }

  canRedo(): boolean {
    return this.#undone.length > 0;
  }

  undo(): void {
    const step = this.#done.pop();
    if (!step) return;
    this.#undone.push(step);
    if (step.kind === 'creation') this.#writer.delete(step.fid, this);
    else this.#manager.undo();
    this.#forgetOverwritten();
    this.#changed();
  }

  redo(): void {
    const step = this.#undone.pop();
    if (!step) return;
    this.#done.push(step);
    if (step.kind === 'creation') this.#writer.restore(step.fid, this);
    else this.#manager.redo();
    this.#changed();
  }

  /** The manager passes over edits that others have replaced since; their steps here would undo nothing. */
  #forgetOverwritten(): void {
    let surplus = this.#done.filter((step) => step.kind === 'overlays').length - this.#manager.undoStack.length;
    for (let i = this.#done.length - 1; i >= 0 && surplus > 0; i--) {
      if (this.#done[i]?.kind !== 'overlays') continue;
      this.#done.splice(i, 1);
      surplus -= 1;
    }
  }

  #record(step: Step): void {
    this.#done.push(step);
    this.#undone.length = 0;
    this.#changed();
  }
}
