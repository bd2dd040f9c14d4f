import { expect, test } from 'vitest';
import { splitToken } from './token.ts';

test.each([
  ['http://a/m/b#token=x.y-z_', 'x.y-z_', '/m/b'],
  ['http://a/m/b#token=x&8.00/1.0/2.0', 'x', '/m/b#8.00/1.0/2.0'],
  ['http://a/m/b?token=x%2By&k=v#8.00/1.0/2.0', 'x+y', '/m/b?k=v#8.00/1.0/2.0'],
  ['http://a/m/b?token=q#token=h', 'h', '/m/b'],
  ['http://a/m/b?token=', '', '/m/b'],
  ['http://a/m/b?k=v#8.00/1.0/2.0', null, '/m/b?k=v#8.00/1.0/2.0'],
  ['http://a/m/b#tokens=x', null, '/m/b#tokens=x'],
])('%s', (address, token, rest) => {
  expect(splitToken(new URL(address))).toEqual({ token, address: rest });
});
