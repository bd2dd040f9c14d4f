import { expect, test } from 'vitest';
import { find } from './finder.ts';

const features = ['Niger', 'Nigeria', 'Germany', 'Algeria'].map((title, i) => ({
  fid: `f${i}`,
  title,
  text: `${title.toLowerCase()} f${i}`,
}));
const titles = (query: string) => find(features, query).shown.map((f) => f.title);

test('names that start with the query come first', () => {
  expect(titles('ger')).toEqual(['Germany', 'Algeria', 'Niger', 'Nigeria']);
});

test('every word must be there, in any order', () => {
  expect(titles('f1 nig')).toEqual(['Nigeria']);
  expect(titles('nothing')).toEqual([]);
});

test('an empty query finds all, the list is cut and the total is not', () => {
  const many = Array.from({ length: 80 }, (_, i) => ({ fid: `${i}`, title: '', text: `${i}` }));
  expect(find(many, ' ')).toMatchObject({ total: 80 });
  expect(find(many, '').shown.length).toBe(50);
});
