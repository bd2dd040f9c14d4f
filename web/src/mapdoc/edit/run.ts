// From an operation to a plan: pure, so that the same view, context and operation always give the same plan.

import type { MapView } from '../view.ts';
import { changeGeometry } from './change.ts';
import { checkSid } from './check.ts';
import { checkWritable, Draft, type EditContext, type EditResult, type Plan } from './draft.ts';
import { create, deleteFeatures, merge, restore, split } from './features.ts';
import { setLayer, setTitle } from './layers.ts';
import { addFile, addNote, removeFile, removeNote } from './notes.ts';
import type { Operation } from './operation.ts';
import { editText, setAttributes, setProperties } from './properties.ts';
import { replaceGeometry } from './replace.ts';
import { addSegment, recordTrack, removeSegment } from './segments.ts';
import { dismissOrphans, settle } from './settle.ts';
import { insertVertex, moveVertices, removeVertices } from './vertices.ts';

/** What the operation will write. Throws an `EditError` where it cannot be carried out; nothing is written either way. */
export function plan(view: MapView, context: EditContext, operation: Operation): Plan {
  checkWritable(view);
  checkSid(context.sid);
  const draft = new Draft(view, context);
  const result = run(draft, operation);
  return draft.plan(result ?? {});
}

function run(draft: Draft, operation: Operation): EditResult | undefined {
  switch (operation.op) {
    case 'create':
      create(draft, operation);
      return;
    case 'move_vertices':
      moveVertices(draft, operation);
      return;
    case 'insert_vertex':
      return { key: insertVertex(draft, operation) };
    case 'remove_vertices':
      removeVertices(draft, operation);
      return;
    case 'add_segment':
      return { segment: addSegment(draft, operation) };
    case 'record_track':
      return { segment: recordTrack(draft, operation) };
    case 'remove_segment':
      removeSegment(draft, operation);
      return;
    case 'replace_geometry':
      replaceGeometry(draft, operation);
      return;
    case 'change_geometry':
      changeGeometry(draft, operation);
      return;
    case 'set_properties':
      setProperties(draft, operation);
      return;
    case 'set_attributes':
      setAttributes(draft, operation);
      return;
    case 'delete':
      deleteFeatures(draft, operation);
      return;
    case 'restore':
      restore(draft, operation);
      return;
    case 'split':
      split(draft, operation);
      return;
    case 'merge':
      merge(draft, operation);
      return;
    case 'edit_text':
      editText(draft, operation);
      return;
    case 'add_note':
      addNote(draft, operation);
      return;
    case 'remove_note':
      removeNote(draft, operation);
      return;
    case 'add_file':
      addFile(draft, operation);
      return;
    case 'remove_file':
      removeFile(draft, operation);
      return;
    case 'set_layer':
      setLayer(draft, operation);
      return;
    case 'settle':
      settle(draft, operation);
      return;
    case 'dismiss_orphans':
      dismissOrphans(draft, operation);
      return;
    case 'set_title':
      setTitle(draft, operation);
      return;
    default:
      throw new TypeError(`unknown operation ${JSON.stringify((operation as { op?: unknown }).op)}`);
  }
}
