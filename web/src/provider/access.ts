// How a map is reached: its addresses, and the token that goes with every request.

export type GetToken = () => Promise<string>;

export class Access {
  readonly server: string;
  readonly #map: string;
  readonly #fetch: typeof fetch;
  readonly #getToken: GetToken | null;
  #token: Promise<string> | null = null;
  #isFresh = false;

  constructor(server: string, map: string, token: string | GetToken | undefined, fetcher: typeof fetch) {
    this.server = server.replace(/\/+$/, '');
    this.#map = map;
    this.#fetch = fetcher;
    this.#getToken = typeof token === 'string' ? () => Promise.resolve(token) : (token ?? null);
  }

  /** A request to the map's own addresses: `path` is what follows `/api/v1/maps/{map}/`. */
  readonly request = async (path: string, init: RequestInit): Promise<Response> => {
    const headers = new Headers(init.headers);
    const token = await this.#currentToken();
    if (token !== null) headers.set('authorization', `Bearer ${token}`);
    const fetcher = this.#fetch;
    return fetcher(`${this.server}/api/v1/maps/${encodeURIComponent(this.#map)}/${path}`, { ...init, headers });
  };

  /** The address of the map's socket; browsers let no header go with it. */
  async socketUrl(): Promise<string> {
    const token = await this.#currentToken();
    const path = this.#map.split('/').map(encodeURIComponent).join('/');
    const query = token === null ? '' : `?token=${encodeURIComponent(token)}`;
    return `${this.server.replace(/^http/, 'ws')}/ws/${path}${query}`;
  }

  /** The token is over: the next request asks for another. */
  renew(): void {
    this.#token = null;
  }

  /** Whether another token may help where this one is not taken: once, until something worked. */
  mayRenew(): boolean {
    if (!this.#getToken || this.#isFresh) return false;
    this.#isFresh = true;
    this.renew();
    return true;
  }

  /** The token was taken. */
  worked(): void {
    this.#isFresh = false;
  }

  async #currentToken(): Promise<string | null> {
    if (!this.#getToken) return null;
    this.#token ??= this.#getToken();
    const token = this.#token;
    try {
      return await token;
    } catch (error) {
      // The next attempt asks again.
      if (this.#token === token) this.#token = null;
      throw error;
    }
  }
}
