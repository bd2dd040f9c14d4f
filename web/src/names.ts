// Map names and the addresses made of them.

/** Bytes of UTF-8. */
export const NAME_BYTES_MAX = 200;

export const NAME_RULES =
  'Letters, digits, spaces and most signs, up to 200 bytes; / groups maps into folders. Not allowed: ? # % \\ and a space at either end.';

export type NameCheck = { ok: true; name: string } | { ok: false; reason: string };

/** Checks a name as the server does; the name in the result is in Unicode normal form C. */
export function checkName(text: string): NameCheck {
  const name = text.normalize('NFC');
  const refuse = (reason: string): NameCheck => ({ ok: false, reason });
  if (name === '') return refuse('Type a name for the map.');
  if (/[\ud800-\udfff]/u.test(name)) return refuse('The name holds half a character; type it again.');
  const bytes = new TextEncoder().encode(name).length;
  if (bytes > NAME_BYTES_MAX) return refuse(`The name has ${bytes} bytes; at most ${NAME_BYTES_MAX} are allowed.`);
  const sign = /[?#%\\]/.exec(name)?.[0];
  if (sign) return refuse(`“${sign}” is not allowed in a map name.`);
  if (/\p{Cc}/u.test(name)) return refuse('Control characters are not allowed in a map name.');
  if (/^\s|\s$/u.test(name)) return refuse('A map name neither starts nor ends with a space.');
  const segment = name.split('/').find((part) => part === '' || part === '.' || part === '..');
  if (segment === '') return refuse('Between two / and at both ends of the name there must be something.');
  if (segment !== undefined) return refuse(`“${segment}” cannot be part of a map name.`);
  return { ok: true, name };
}

/** Path of a map's page, and below `/ws` of its socket: each segment percent-encoded. */
export function namePath(name: string): string {
  return name.split('/').map(encodeURIComponent).join('/');
}

export type Route = { page: 'home' } | { page: 'map'; name: string } | { page: 'invalid'; reason: string };

/** What to show for a location's `pathname`. */
export function route(pathname: string): Route {
  if (pathname === '/' || pathname === '/m' || pathname === '/m/') return { page: 'home' };
  if (!pathname.startsWith('/m/')) return { page: 'invalid', reason: 'There is no page at this address.' };
  let text: string;
  try {
    text = decodeURIComponent(pathname.slice('/m/'.length));
  } catch {
    return { page: 'invalid', reason: 'The address is not written correctly: a % must be followed by two digits.' };
  }
  const check = checkName(text);
  return check.ok ? { page: 'map', name: check.name } : { page: 'invalid', reason: check.reason };
}
