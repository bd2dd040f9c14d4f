// The token that a link brought: taken out of the address at once, kept for as long as this tab lives, shown nowhere.

const KEY_TOKEN = 'mapweave.token';

let held: string | null = null;

/** The token that this page shows to its server. */
export function currentToken(): string | null {
  return held;
}

/** Headers that show it. */
export function tokenHeaders(): Record<string, string> {
  return held === null ? {} : { authorization: `Bearer ${held}` };
}

/** Takes the token out of the page's address, before anything else reads that; else the one that this tab had before. */
export function takeToken(): void {
  const { token, address } = splitToken(new URL(location.href));
  if (token === null) {
    held = read();
    return;
  }
  held = token === '' ? null : token;
  write(held);
  history.replaceState(history.state, '', address);
}

/**
 * The token in `?token=` or `#token=`, and the address without it; null where there is none. An empty one makes the tab
 * forget what it has. Links have it behind `#`, which no server and no proxy sees.
 */
export function splitToken(url: URL): { token: string | null; address: string } {
  const rest = new URL(url);
  const inHash = /^#token=([^&]*)(?:&(.*))?$/.exec(url.hash);
  const inQuery = url.searchParams.get('token');
  if (inHash) rest.hash = inHash[2] ?? '';
  rest.searchParams.delete('token');
  const token = inHash?.[1] ?? inQuery;
  const query = inQuery === null ? url.search : rest.search;
  return { token, address: `${rest.pathname}${query}${rest.hash}` };
}

// Storage may be switched off; then the token lasts as long as the page.
function read(): string | null {
  try {
    return sessionStorage.getItem(KEY_TOKEN);
  } catch {
    return null;
  }
}

function write(token: string | null): void {
  try {
    if (token === null) sessionStorage.removeItem(KEY_TOKEN);
    else sessionStorage.setItem(KEY_TOKEN, token);
  } catch {
    // The page has it all the same.
  }
}
