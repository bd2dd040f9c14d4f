// Undo and redo of one's own edits. Y.UndoManager covers the overlays; a created feature lies in `feat`, which it must not touch (an
// undone creation would take others' edits of it along), so undoing a creation marks the feature as deleted.

import * as Y from 'yjs';
import type { MapView } from './view.ts';
import type { Writer } from './writer.ts';

const TRACKED_ROOTS = ['geom', 'part', 'vert', 'prop', 'attr', 'gone', 'layer'];

/** One operation that can be taken back. */
interface Step {
  /** Features it created. */
  created: string[];
  /** Whether it has an item on the manager's stack. */
  hasOverlays: boolean;
}

/**
 * Takes back what `writer` does from now on, operation by operation, and nothing that others did. Notes, texts and titles are not
 * covered. `changed` is called when what can be undone or redone may have changed.
 */
export function mapUndo(doc: Y.Doc, view: MapView, writer: Writer, changed: () => void = () => {}): Undo {
  return new Undo(doc, view, writer, changed);
}

export class Undo {
  readonly #writer: Writer;
  readonly #manager: Y.UndoManager;
  readonly #done: Step[] = [];
  readonly #undone: Step[] = [];
  readonly #changed: () => void;
  readonly #dispose: () => void;

  constructor(doc: Y.Doc, view: MapView, writer: Writer, changed: () => void) {
    this.#writer = writer;
    this.#changed = changed;
    this.#manager = new Y.UndoManager(
      TRACKED_ROOTS.map((name) => doc.getMap(name)),
      { trackedOrigins: new Set([writer]), captureTimeout: 0 },
    );
    let step: Step = { created: [], hasOverlays: false };
    this.#manager.on('stack-item-added', ({ origin }: { origin: unknown }) => {
      if (origin === writer) step.hasOverlays = true;
    });
    const stop = view.onChange((_, { origin, features }) => {
      if (origin !== writer) return;
      for (const [fid, { how }] of features) if (how.has('record')) step.created.push(fid);
    });
    // After all who listen to the transaction have said what they saw of it.
    const end = ({ origin }: Y.Transaction) => {
      if (origin !== writer || (step.created.length === 0 && !step.hasOverlays)) return;
      this.#record(step);
      step = { created: [], hasOverlays: false };
    };
    doc.on('afterTransactionCleanup', end);
    this.#dispose = () => {
      stop();
      doc.off('afterTransactionCleanup', end);
      this.#manager.destroy();
    };
  }

  dispose(): void {
    this.#dispose();
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
    if (step.hasOverlays) this.#manager.undo();
    if (step.created.length > 0) this.#writer.deleteFeatures(step.created, this);
    this.#forgetOverwritten();
    this.#changed();
  }

  redo(): void {
    const step = this.#undone.pop();
    if (!step) return;
    this.#done.push(step);
    if (step.created.length > 0) this.#writer.restoreFeatures(step.created, this);
    if (step.hasOverlays) this.#manager.redo();
    this.#changed();
  }

  /** The manager passes over edits that others have replaced since; their steps here would undo nothing. */
  #forgetOverwritten(): void {
    const left = () => this.#done.filter((step) => step.hasOverlays).length;
    for (let i = this.#done.length - 1; i >= 0 && left() > this.#manager.undoStack.length; i--) {
      const step = this.#done[i];
      if (!step?.hasOverlays) continue;
      step.hasOverlays = false;
      if (step.created.length === 0) this.#done.splice(i, 1);
    }
  }

  #record(step: Step): void {
    this.#done.push(step);
    this.#undone.length = 0;
    this.#changed();
  }
}
