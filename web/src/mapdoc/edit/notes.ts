// Notes, chat and attachments (map document format §3). They are written whole and removed whole.

import { asTime } from '../values.ts';
import { checkFeature, checkId, checkName, checkPosition, checkText, quote } from './check.ts';
import type { Draft } from './draft.ts';
import { EditError } from './error.ts';
import type { AddFile, AddNote, RemoveFile, RemoveNote } from './operation.ts';

const SHA256_FORM = /^[0-9a-f]{64}$/;

export function addNote(draft: Draft, { nid, body, fid, answers, at }: AddNote): void {
  checkUnused(draft, 'note', nid);
  if (fid !== null) checkFeature(draft.view, fid);
  if (answers !== null) checkNote(draft, answers);
  const place = at === null ? null : checkPosition(at).slice(0, 2);
  draft.put('note', nid, [draft.context.now, draft.context.sid, checkText(body), fid, answers, place]);
}

export function removeNote(draft: Draft, { nid }: RemoveNote): void {
  checkNote(draft, nid);
  remove(draft, 'note', nid);
}

function checkNote(draft: Draft, nid: string): void {
  if (draft.view.note(nid)) return;
  throw new EditError('unknown_note', `there is no note ${quote(nid)}; it may have been removed`);
}

export function addFile(draft: Draft, operation: AddFile): void {
  const { aid, fid, name, media_type: mediaType, bytes, sha256 } = operation;
  checkUnused(draft, 'file', aid);
  checkFeature(draft.view, fid);
  checkName(name);
  checkName(mediaType);
  if (!SHA256_FORM.test(sha256)) throw new EditError('bad_name', `${quote(sha256)} is not 64 hexadecimal digits`);
  if (!Number.isSafeInteger(bytes) || bytes < 0)
    throw new EditError('too_large', `${quote(bytes)} is no size in bytes`);
  draft.put('file', aid, [draft.context.now, draft.context.sid, fid, name, mediaType, bytes, sha256]);
}

export function removeFile(draft: Draft, { aid }: RemoveFile): void {
  if (!draft.view.attachment(aid)) {
    throw new EditError('unknown_entry', `there is no attachment ${quote(aid)}; it may have been removed`);
  }
  remove(draft, 'file', aid);
}

function checkUnused(draft: Draft, root: 'note' | 'file', id: string): void {
  if (!draft.view.store.root(root).has(checkId(id))) return;
  throw new EditError('feature_exists', `the id ${quote(id)} is in use; use another`);
}

/** What says "removed" is later than what it replaces (rule T). */
function remove(draft: Draft, root: 'note' | 'file', id: string): void {
  const value = draft.view.store.root(root).get(id);
  const replaced = Array.isArray(value) ? asTime(value[0]) : null;
  draft.put(root, id, [draft.timeAfter(replaced), draft.context.sid]);
}
