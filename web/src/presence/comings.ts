// Who comes to the map and who leaves it, for people to hear: told together when many come at once, and not for every flicker of a weak
// network. Pure: time comes in, in milliseconds.
//
// From presence alone, which the page has anyway: the server's notices (docs/protocol.md) go over Hocuspocus and event streams, and a second
// connection for each page is too dear.

export interface Someone {
  client: number;
  name: string;
}

export interface News {
  joined: string[];
  left: string[];
  /** How many are here now, oneself among them. */
  count: number;
}

/** Who shows up this soon after the page is connected was here before. */
export const SETTLE_MS = 3_000;
/** Who is back within this time has not been away; the server holds it so, too. */
export const AWAY_MS = 3_000;
/** Those who come within this time of the first are told with the first. */
export const GATHER_MS = 1_000;
/** News are told no more often than this: a crew of 300 that comes back is a line or two. */
export const NEWS_EVERY_MS = 6_000;
/** Names in one line; the others are counted. */
const NAMED_MAX = 2;

interface Known {
  name: string;
  /** Since when nothing is seen of them; null while they are here. */
  goneAtMs: number | null;
}

export class Comings {
  readonly #known = new Map<number, Known>();
  readonly #joined = new Map<number, string>();
  readonly #left = new Map<number, string>();
  /** Null while there is no connection: then nobody is said to have left. */
  #settledAtMs: number | null = null;
  #nextNewsMs = 0;

  /** The page is connected, perhaps again. */
  resume(nowMs: number): void {
    if (this.#settledAtMs !== null) return;
    this.#settledAtMs = nowMs + SETTLE_MS;
  }

  /** The connection is lost; what was not told by now is no news any more. */
  pause(): void {
    this.#settledAtMs = null;
    this.#known.clear();
    this.#joined.clear();
    this.#left.clear();
  }

  /** Everybody else who shows presence now. */
  see(nowMs: number, others: readonly Someone[]): void {
    if (this.#settledAtMs === null) return;
    const seen = new Set(others.map(({ client }) => client));
    for (const [client, known] of this.#known) if (!seen.has(client)) known.goneAtMs ??= nowMs;
    for (const { client, name } of others) {
      // Whoever is back before their leaving was told has not left.
      if (!this.#known.has(client) && nowMs >= this.#settledAtMs && !this.#left.delete(client)) {
        this.#expect(nowMs);
        this.#joined.set(client, name);
      }
      this.#known.set(client, { name, goneAtMs: null });
    }
  }

  /** What there is to tell by now, if it is time for that. */
  news(nowMs: number): News | null {
    for (const [client, { name, goneAtMs }] of this.#known) {
      if (goneAtMs === null || nowMs < goneAtMs + AWAY_MS) continue;
      this.#known.delete(client);
      // Nobody was told that they are here.
      if (this.#joined.delete(client)) continue;
      this.#expect(nowMs);
      this.#left.set(client, name);
    }
    if (!this.#hasNews() || nowMs < this.#nextNewsMs) return null;
    this.#nextNewsMs = nowMs + NEWS_EVERY_MS;
    const news = { joined: [...this.#joined.values()], left: [...this.#left.values()], count: 1 + this.#here() };
    this.#joined.clear();
    this.#left.clear();
    return news;
  }

  /** When `news` may have something to tell; null if nothing is under way. */
  nextMs(): number | null {
    const goneAtMs = [...this.#known.values()].flatMap((known) => known.goneAtMs ?? []);
    const times = goneAtMs.map((goneAtMs) => goneAtMs + AWAY_MS);
    if (this.#hasNews()) times.push(this.#nextNewsMs);
    return times.length === 0 ? null : times.reduce((a, b) => Math.min(a, b));
  }

  /** There will be news: others may come with it. */
  #expect(nowMs: number): void {
    if (!this.#hasNews()) this.#nextNewsMs = Math.max(this.#nextNewsMs, nowMs + GATHER_MS);
  }

  #hasNews(): boolean {
    return this.#joined.size + this.#left.size > 0;
  }

  #here(): number {
    return [...this.#known.values()].filter(({ goneAtMs }) => goneAtMs === null).length;
  }
}

/** One line for people. */
export function newsText({ joined, left, count }: News): string {
  const parts = [
    ...(joined.length > 0 ? [`${namesText(joined)} came`] : []),
    ...(left.length > 0 ? [`${namesText(left)} left`] : []),
  ];
  const here = count === 1 ? 'Only you are here.' : `${new Intl.NumberFormat('en').format(count)} people here.`;
  return `${parts.join(', ')}. ${here}`;
}

function namesText(names: readonly string[]): string {
  const more = names.length - NAMED_MAX;
  const named = names.slice(0, NAMED_MAX);
  const items = more > 0 ? [...named, `${new Intl.NumberFormat('en').format(more)} more`] : named;
  return new Intl.ListFormat('en').format(items);
}
