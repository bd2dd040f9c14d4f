// Notes, attachments, layers, the title, and conflicts decided.

import { GONE, given, hex, line, point, refused, square, text } from '../notation.mjs';

const note = (fields) => ({ op: 'add_note', nid: 'n1', body: 'Hello', fid: null, answers: null, at: null, ...fields });
const sha256 = '0123456789abcdef'.repeat(4);
const file = (fields) => ({
  op: 'add_file',
  aid: 'a1',
  fid: 'f',
  name: 'photo 1.jpg',
  media_type: 'image/jpeg',
  bytes: 123456,
  sha256,
  ...fields,
});
const layer = (values, lid = 'roads') => ({ op: 'set_layer', lid, values });
const settle = (root, target, sid, fid = 'f') => ({ op: 'settle', fid, root, target, sid });
const dismiss = { op: 'dismiss_orphans', fid: 'f' };
const hole = hex('00010103 0404 0400 0004');

export const rest = [
  given('chat is a note about nothing', {
    operation: note({}),
    writes: { note: { n1: [1000, 'kQ3ta', 'Hello', null, null, null] } },
  }),
  given('a note about a feature and a place that answers another', {
    before: { feat: { f: point }, note: { n0: [900, 'other1', 'Look', null, null, null] } },
    operation: note({ body: 'Where?', fid: 'f', answers: 'n0', at: [8.5, 47.5] }),
    writes: { note: { n1: [1000, 'kQ3ta', 'Where?', 'f', 'n0', [8.5, 47.5]] } },
  }),
  given('the place of a note has no height', {
    operation: note({ at: [8.5, 47.5, 400] }),
    writes: { note: { n1: [1000, 'kQ3ta', 'Hello', null, null, [8.5, 47.5]] } },
  }),
  refused('feature_exists', 'a note under an id in use', {
    before: { note: { n1: [900, 'other1'] } },
    operation: note({}),
  }),
  refused('unknown_feature', 'a note about a feature that is not there', { operation: note({ fid: 'f' }) }),
  refused('unknown_note', 'an answer to a note that was removed', {
    before: { note: { n0: [900, 'other1'] } },
    operation: note({ answers: 'n0' }),
  }),
  refused('bad_position', 'a note beyond the pole', { operation: note({ at: [0, 91] }) }),
  refused('bad_name', 'a note whose id has a blank', { operation: note({ nid: 'n 1' }) }),
  given('a note is removed, later than it was written', {
    before: { note: { n1: [1200, 'other1', 'Hello', null, null, null] } },
    operation: { op: 'remove_note', nid: 'n1' },
    writes: { note: { n1: [1201, 'kQ3ta'] } },
  }),
  refused('unknown_note', 'removing a note twice', {
    before: { note: { n1: [900, 'other1'] } },
    operation: { op: 'remove_note', nid: 'n1' },
  }),

  given('an attachment', {
    before: { feat: { f: point } },
    operation: file({}),
    writes: { file: { a1: [1000, 'kQ3ta', 'f', 'photo 1.jpg', 'image/jpeg', 123456, sha256] } },
  }),
  refused('unknown_feature', 'an attachment of nothing', { operation: file({}) }),
  refused('bad_name', 'an attachment with half a hash', {
    before: { feat: { f: point } },
    operation: file({ sha256: '0123' }),
  }),
  refused('feature_exists', 'an attachment under an id in use', {
    before: { feat: { f: point }, file: { a1: [900, 'other1'] } },
    operation: file({}),
  }),
  given('an attachment is removed', {
    before: { file: { a1: [900, 'other1', 'f', 'photo 1.jpg', 'image/jpeg', 123456, sha256] } },
    operation: { op: 'remove_file', aid: 'a1' },
    writes: { file: { a1: [1000, 'kQ3ta'] } },
  }),
  refused('unknown_entry', 'removing an attachment that is not there', { operation: { op: 'remove_file', aid: 'a1' } }),

  given('a layer is made by naming it', {
    operation: layer({ name: 'Roads', visible: true, columns: [{ name: 'kind', type: 'text' }] }),
    writes: {
      layer: {
        'roads/kQ3ta/name': [1000, 'Roads'],
        'roads/kQ3ta/visible': [1000, true],
        'roads/kQ3ta/columns': [1000, [{ name: 'kind', type: 'text' }]],
      },
    },
  }),
  given('a layer is renamed, styled, moved and removed over what others said', {
    before: {
      layer: {
        'roads/other1/name': [1100, 'Streets'],
        'roads/kQ3ta/gone': [950, false],
        'roads/other1/style': [940, {}],
      },
    },
    operation: layer({ name: 'Ways', gone: true, style: null, order: 'U000' }),
    writes: {
      layer: {
        'roads/other1/name': GONE,
        'roads/kQ3ta/name': [1101, 'Ways'],
        'roads/kQ3ta/gone': [1000, true],
        'roads/other1/style': GONE,
        'roads/kQ3ta/style': [1000],
        'roads/kQ3ta/order': [1000, 'U000'],
      },
    },
  }),
  refused('bad_name', 'a field that layers do not have', { operation: layer({ colour: 'red' }) }),
  refused('bad_name', 'a layer id with a slash', { operation: layer({ name: 'x' }, 'a/b') }),

  given('a conflict of values is decided for another', {
    before: { feat: { f: square }, prop: { 'f/other1/crop': [950, 'oats'], 'f/kQ3ta/crop': [1100, 'rye'] } },
    operation: settle('prop', 'crop', 'other1'),
    writes: { prop: { 'f/other1/crop': GONE, 'f/kQ3ta/crop': [1101, 'oats'] } },
  }),
  given('a conflict is decided for a removal', {
    before: { feat: { f: square }, vert: { 'f/other1/0/0.0.U001': [950, 9, 9], 'f/other2/0/0.0.U001': [940] } },
    operation: settle('vert', '0/0.0.U001', 'other2'),
    writes: { vert: { 'f/other1/0/0.0.U001': GONE, 'f/other2/0/0.0.U001': GONE, 'f/kQ3ta/0/0.0.U001': [1000] } },
  }),
  given('a conflict about a layer', {
    before: { layer: { 'roads/other1/name': [950, 'A'], 'roads/other2/name': [960, 'B'] } },
    operation: settle('layer', 'name', 'other1', 'roads'),
    writes: { layer: { 'roads/other1/name': GONE, 'roads/other2/name': GONE, 'roads/kQ3ta/name': [1000, 'A'] } },
  }),
  given('of several replacements one is chosen and the others go', {
    before: {
      feat: { f: square },
      geom: { 'f/other1/aaa': [950, 1, hex('00010101 0204')], 'f/other2/bbb': [1900, 1, hex('00010101 0608')] },
      vert: { 'f/other1/aaa/0.0.U000': [955, 2, 2] },
    },
    operation: settle('geom', 'aaa', 'other1'),
    writes: { geom: { 'f/other1/aaa': GONE, 'f/other2/bbb': GONE, 'f/kQ3ta/aaa': [1901, 1, hex('00010101 0204')] } },
  }),
  refused('unknown_entry', 'deciding for somebody who said nothing', {
    before: { feat: { f: square }, prop: { 'f/other1/crop': [950, 'oats'] } },
    operation: settle('prop', 'crop', 'other2'),
  }),
  refused('bad_name', 'deciding a deletion', {
    before: { feat: { f: square }, prop: { 'f/a/b': [1, 1] }, gone: { 'f/other1': [950, 0] } },
    operation: settle('gone', '', 'other1'),
  }),
  refused('unknown_feature', 'deciding about nothing', {
    before: { prop: { 'f/other1/a': [1, 1] } },
    operation: settle('prop', 'a', 'other1'),
  }),

  given('orphans of another generation and of absent segments are let go, other edits stay', {
    before: {
      feat: { f: line },
      vert: {
        'f/other1/zzz/0.0.U000': [950, 1, 1],
        'f/other2/0/0.7.U000': [950, 1, 1],
        'f/other2/0/0.0.U000': [950, 1, 1],
      },
      part: { 'f/other1/zzz/0.U000abcdeU001': [950, hole], 'f/other1/0/0.9': [950] },
      prop: { 'f/other1/a': [950, 1] },
    },
    operation: dismiss,
    writes: {
      vert: { 'f/other1/zzz/0.0.U000': GONE, 'f/other2/0/0.7.U000': GONE },
      part: { 'f/other1/zzz/0.U000abcdeU001': GONE },
    },
  }),
  given('everything about a feature that is not there is an orphan', {
    before: {
      prop: { 'f/other1/a': [950, 1], 'g/other1/a': [950, 1] },
      gone: { 'f/other1': [960, 950] },
      text: { 'f/other1/b': text('typed') },
    },
    operation: dismiss,
    writes: { prop: { 'f/other1/a': GONE }, gone: { 'f/other1': GONE }, text: { 'f/other1/b': GONE } },
  }),
  given('without orphans there is nothing to let go', { before: { feat: { f: point } }, operation: dismiss }),

  given('the title', {
    before: { meta: { title: 'Old' } },
    operation: { op: 'set_title', title: 'Fields 2027' },
    writes: { meta: { title: 'Fields 2027' } },
  }),
];
