// What an app's own server does for y-sweet's client: it asks for a client token with the SDK.

import { DocumentManager } from '@y-sweet/sdk';

/** The SDK against this server, as somebody who has `token`, or as nobody. */
export function documentManager(url, token) {
  const user = token ? `${encodeURIComponent(token)}@` : '';
  return new DocumentManager(url.replace(/^http:\/\//, `ys://${user}`));
}

/**
 * A client token for a map, which is made if there is none. An app that has tokens of its own for its users gives
 * them in its place: y-sweet's client takes what it gets to the socket.
 */
export async function clientTokenOf(url, map, token) {
  if (!token) return documentManager(url).getOrCreateDocAndToken(map);
  const name = encodeURIComponent(map);
  const below = `${url}/d/${name}`;
  return { url: `${below.replace(/^http/, 'ws')}/ws`, baseUrl: below, docId: map, token };
}
