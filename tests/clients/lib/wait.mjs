// Waiting for conditions, never for time to pass.

/** After so long a condition that has not come true will not, on a slow and busy machine either. */
export const LIMIT_MS = Number(process.env.MAPWEAVE_TEST_LIMIT_MS ?? 60_000);
/**
 * For what the server does by itself: a client that comes back is announced anew by its own doing only after 15 s, and presence expires after
 * 30 s.
 */
export const AT_ONCE_MS = 10_000;
const LOOK_EVERY_MS = 10;

/**
 * Resolves with the condition's first truthy value.
 * @param {string} what for the message when it does not come
 * @param {() => unknown} condition may be async
 */
export async function until(what, condition, limitMs = LIMIT_MS) {
  const end = Date.now() + limitMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${limitMs} ms in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

/** A seeded generator (mulberry32); MAPWEAVE_TEST_SEED repeats a run. */
export function random(name) {
  let state = Number(process.env.MAPWEAVE_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`# ${name}: seed ${state} (MAPWEAVE_TEST_SEED)`);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
