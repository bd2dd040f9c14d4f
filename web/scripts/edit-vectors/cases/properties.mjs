// Properties, attributes and texts.

import { GONE, given, point, refused, square, text } from '../notation.mjs';

const set = (values) => ({ op: 'set_properties', fid: 'f', values });
const attributes = (values) => ({ op: 'set_attributes', fid: 'f', values });
const type = (index, count, insert, name = 'remark') => ({
  op: 'edit_text',
  fid: 'f',
  name,
  index,
  delete: count,
  insert,
});
const nested = (levels) => (levels === 0 ? 1 : [nested(levels - 1)]);

export const properties = [
  given('properties are set and removed', {
    before: { feat: { f: square } },
    operation: set({ crop: 'oats', name: null, 'km/h': 30 }),
    writes: { prop: { 'f/kQ3ta/crop': [1000, 'oats'], 'f/kQ3ta/name': [1000], 'f/kQ3ta/km/h': [1000, 30] } },
  }),
  given('values are stored whole', {
    before: { feat: { f: square } },
    operation: set({ size: { ha: 1.5, parts: [1, null, 'x', { b: true }] } }),
    writes: { prop: { 'f/kQ3ta/size': [1000, { ha: 1.5, parts: [1, null, 'x', { b: true }] }] } },
  }),
  given('a property is set over what others said, later than all', {
    before: {
      feat: { f: square },
      prop: { 'f/other1/crop': [1200, 'rye'], 'f/other2/crop': [1300], 'f/other2/name': [1400, 'M'] },
    },
    operation: set({ crop: 'oats' }),
    writes: { prop: { 'f/other1/crop': GONE, 'f/other2/crop': GONE, 'f/kQ3ta/crop': [1301, 'oats'] } },
  }),
  given('a property that was not there is removed all the same', {
    before: { feat: { f: point } },
    operation: set({ nowhere: null }),
    writes: { prop: { 'f/kQ3ta/nowhere': [1000] } },
  }),
  given('a name in another script', {
    before: { feat: { f: point } },
    operation: set({ 'Größe 中文 🌲': 1 }),
    writes: { prop: { 'f/kQ3ta/Größe 中文 🌲': [1000, 1] } },
  }),
  given('texts that would show over a property are emptied, not removed', {
    before: {
      feat: { f: point },
      text: { 'f/other1/name': text('typed'), 'f/other2/name': text(''), 'f/other1/other': text('stays') },
      attr: { 'f/other1/text': [1100, 'name'] },
    },
    operation: set({ name: 'set' }),
    writes: {
      text: { 'f/other1/name': text('') },
      attr: { 'f/other1/text': GONE, 'f/kQ3ta/text': [1101, 'name'] },
      prop: { 'f/kQ3ta/name': [1000, 'set'] },
    },
  }),
  given('of several emptied texts the attribute names the last in byte order', {
    before: { feat: { f: point }, text: { 'f/other1/b': text('b'), 'f/other1/a': text('a') } },
    operation: set({ b: 1, a: null }),
    writes: {
      text: { 'f/other1/a': text(''), 'f/other1/b': text('') },
      attr: { 'f/kQ3ta/text': [1000, 'b'] },
      prop: { 'f/kQ3ta/a': [1000], 'f/kQ3ta/b': [1000, 1] },
    },
  }),
  given('no values are nothing to write', { before: { feat: { f: point } }, operation: set({}) }),
  given('a value may nest 15 levels below its entry', {
    before: { feat: { f: point } },
    operation: set({ deep: nested(15) }),
    writes: { prop: { 'f/kQ3ta/deep': [1000, nested(15)] } },
  }),
  refused('too_large', 'a value that nests 16 levels', {
    before: { feat: { f: point } },
    operation: set({ deep: nested(16) }),
  }),
  refused('bad_name', 'an empty name', { before: { feat: { f: point } }, operation: set({ a: 1, '': 1 }) }),
  refused('bad_name', 'a name of 257 bytes', {
    before: { feat: { f: point } },
    operation: set({ [`é${'e'.repeat(255)}`]: 1 }),
  }),
  refused('unknown_feature', 'a property of nothing', { operation: set({ a: 1 }) }),
  refused('unknown_feature', 'a property of a malformed feature', {
    before: { feat: { f: [1, 'x', 1] } },
    operation: set({ a: 1 }),
  }),

  given('layer, order and style', {
    before: { feat: { f: square } },
    operation: attributes({ layer: 'forests', order: 'U000V', style: { fill: '#080' } }),
    writes: {
      attr: {
        'f/kQ3ta/layer': [1000, 'forests'],
        'f/kQ3ta/order': [1000, 'U000V'],
        'f/kQ3ta/style': [1000, { fill: '#080' }],
      },
    },
  }),
  given('out of every layer, and a style taken away', {
    before: { feat: { f: square }, attr: { 'f/other1/style': [1500, { fill: '#080' }] } },
    operation: attributes({ layer: '', style: null }),
    writes: { attr: { 'f/kQ3ta/layer': [1000, ''], 'f/other1/style': GONE, 'f/kQ3ta/style': [1501] } },
  }),
  refused('bad_name', 'an attribute of the system', {
    before: { feat: { f: square } },
    operation: attributes({ from: 'g' }),
  }),
  refused('bad_name', 'a layer id with a blank', {
    before: { feat: { f: square } },
    operation: attributes({ layer: 'a b' }),
  }),
  refused('bad_name', 'an order that is no key', {
    before: { feat: { f: square } },
    operation: attributes({ order: 'U0000' }),
  }),

  given('whoever types first starts a text', {
    before: { feat: { f: point } },
    operation: type(0, 0, 'dry'),
    writes: { text: { 'f/kQ3ta/remark': text('dry') }, attr: { 'f/kQ3ta/text': [1000, 'remark'] } },
  }),
  given("others type into the first session's text that has characters", {
    before: {
      feat: { f: point },
      text: { 'f/other1/remark': text(''), 'f/other2/remark': text('very dry'), 'f/other3/remark': text('x') },
      attr: { 'f/other2/text': [1100, 'remark'] },
    },
    operation: type(5, 3, 'wet 🌧'),
    writes: {
      text: { 'f/other2/remark': text('very wet 🌧') },
      attr: { 'f/other2/text': GONE, 'f/kQ3ta/text': [1101, 'remark'] },
    },
  }),
  given('an emptied text is typed into again', {
    before: { feat: { f: point }, text: { 'f/other1/remark': text(''), 'f/other2/remark': text('') } },
    operation: type(0, 0, 'a'),
    writes: { text: { 'f/other1/remark': text('a') }, attr: { 'f/kQ3ta/text': [1000, 'remark'] } },
  }),
  given('positions count UTF-16 units', {
    before: { feat: { f: point }, text: { 'f/other1/remark': text('🌲é!') } },
    operation: type(2, 1, 'e'),
    writes: { text: { 'f/other1/remark': text('🌲e!') }, attr: { 'f/kQ3ta/text': [1000, 'remark'] } },
  }),
  refused('bad_position', 'typing beyond the end', {
    before: { feat: { f: point }, text: { 'f/other1/remark': text('abc') } },
    operation: type(2, 2, 'x'),
  }),
  refused('bad_position', 'typing into the middle of nothing', {
    before: { feat: { f: point } },
    operation: type(1, 0, 'x'),
  }),
  refused('bad_name', 'typing without a name', { before: { feat: { f: point } }, operation: type(0, 0, 'x', '') }),
  refused('unknown_feature', 'typing about nothing', { operation: type(0, 0, 'x') }),
];
