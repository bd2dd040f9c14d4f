// Tokens as an app makes them for its users: JSON Web Tokens with HS256.

import { createHmac } from 'node:crypto';

const SECRET = 'a secret that is long enough for HS256 and only for tests';

/** What a server is started with that knows these tokens. */
export const KNOWS_TOKENS = [`auth.secret=${SECRET}`];

/**
 * A token for who may do what, as in `{ 'survey/**': 'viewer' }`.
 * @param {Record<string, string>} roles by pattern
 * @param {object} [claims] others, such as `exp`
 */
export function token(roles, claims = {}) {
  const maps = Object.entries(roles).map(([pattern, role]) => ({ pattern, role }));
  const parts = [
    { alg: 'HS256', typ: 'JWT' },
    { sub: 'somebody', maps, ...claims },
  ];
  const text = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
}
