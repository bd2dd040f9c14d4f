// The shortest way from one sequence to another, if it is short.

/** Insertions and removals, at most, that are looked for; more than that is another geometry. */
const DISTANCE_MAX = 512;

/** What happens to the elements of the old sequence, in the order of the new one; indices into both. */
export type Step =
  | { kind: 'keep' | 'move'; old: number; new: number }
  | { kind: 'remove'; old: number }
  | { kind: 'insert'; new: number };

/**
 * Steps from `before` to `after`: as few insertions and removals as possible (Myers 1986), of which those at one place are paired
 * into moves. Null if they are more than `DISTANCE_MAX` and the lengths differ. Takes time and memory in proportion to the lengths
 * plus the square of the distance.
 */
export function diff<T>(before: readonly T[], after: readonly T[], isSame: (a: T, b: T) => boolean): Step[] | null {
  const same = (x: number, y: number) => isSame(before[x] as T, after[y] as T);
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && same(start, start)) start += 1;
  let end = 0;
  while (end < shorter - start && same(before.length - 1 - end, after.length - 1 - end)) end += 1;

  const [oldLength, newLength] = [before.length - start - end, after.length - start - end];
  const kept = matches(oldLength, newLength, (x, y) => same(x + start, y + start));
  if (kept === null && oldLength !== newLength) return null;
  const middle = kept === null ? inPlace(oldLength, start, same) : steps(kept, oldLength, newLength, start);
  const head = range(start).map((i): Step => ({ kind: 'keep', old: i, new: i }));
  const tail = range(end).map((i): Step => ({ kind: 'keep', old: start + oldLength + i, new: start + newLength + i }));
  return [...head, ...middle, ...tail];
}

/** Position by position, for sequences of equal length that have little else in common. */
function inPlace(length: number, start: number, same: (x: number, y: number) => boolean): Step[] {
  return range(length).map((i): Step => {
    const at = i + start;
    return { kind: same(at, at) ? 'keep' : 'move', old: at, new: at };
  });
}

/** Pairs of equal elements, ascending in both sequences, as many as possible; null beyond `DISTANCE_MAX`. */
function matches(
  oldLength: number,
  newLength: number,
  same: (x: number, y: number) => boolean,
): [number, number][] | null {
  const fronts = trace(oldLength, newLength, same);
  if (fronts === null) return null;
  let [x, y] = [oldLength, newLength];
  const kept: [number, number][] = [];
  for (const [distance, front] of [...fronts.entries()].reverse()) {
    const k = front.before(distance, x - y);
    const [fromX, fromY] = [front.get(k), front.get(k) - k];
    while (x > fromX && y > fromY) {
      x -= 1;
      y -= 1;
      kept.push([x, y]);
    }
    [x, y] = [fromX, fromY];
  }
  return kept.reverse();
}

/** The fronts before each step, until the end of both sequences is reached. */
function trace(oldLength: number, newLength: number, same: (x: number, y: number) => boolean): Front[] | null {
  const distanceMax = Math.min(DISTANCE_MAX, oldLength + newLength);
  const front = new Front(distanceMax);
  const fronts: Front[] = [];
  for (let distance = 0; distance <= distanceMax; distance++) {
    fronts.push(front.clone());
    for (let k = -distance; k <= distance; k += 2) {
      const from = front.before(distance, k);
      let x = front.get(from) + (from < k ? 1 : 0);
      while (x < oldLength && x - k < newLength && same(x, x - k)) x += 1;
      front.set(k, x);
      if (x >= oldLength && x - k >= newLength) return fronts;
    }
  }
  return null;
}

/** How far into the old sequence each diagonal is reached; diagonal k is where x − y = k. */
class Front {
  readonly #reached: Int32Array;
  readonly #middle: number;

  constructor(distanceMax: number, reached = new Int32Array(2 * distanceMax + 3)) {
    this.#reached = reached;
    this.#middle = distanceMax + 1;
  }

  clone(): Front {
    return new Front(this.#middle - 1, this.#reached.slice());
  }

  get(k: number): number {
    return this.#reached[this.#middle + k] ?? 0;
  }

  set(k: number, x: number): void {
    this.#reached[this.#middle + k] = x;
  }

  /** The diagonal from which step number `distance` comes to diagonal `k`. */
  before(distance: number, k: number): number {
    const isOutermost = Math.abs(k) === distance;
    return (isOutermost && k <= 0) || (!isOutermost && this.get(k - 1) < this.get(k + 1)) ? k + 1 : k - 1;
  }
}

/** What lies between the matches, paired into moves as far as both sides have something. */
function steps(kept: [number, number][], oldLength: number, newLength: number, start: number): Step[] {
  const out: Step[] = [];
  let [x, y] = [0, 0];
  for (const [oldAt, newAt] of [...kept, [oldLength, newLength] as const]) {
    const moved = Math.min(oldAt - x, newAt - y);
    for (let i = 0; i < moved; i++) out.push({ kind: 'move', old: start + x + i, new: start + y + i });
    for (let i = x + moved; i < oldAt; i++) out.push({ kind: 'remove', old: start + i });
    for (let i = y + moved; i < newAt; i++) out.push({ kind: 'insert', new: start + i });
    if (oldAt < oldLength) out.push({ kind: 'keep', old: start + oldAt, new: start + newAt });
    [x, y] = [oldAt + 1, newAt + 1];
  }
  return out;
}

function range(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}
