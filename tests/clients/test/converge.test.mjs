// Rust, Yjs 13 and Yjs 14 edit one map at random and agree; `make converge` does it for longer.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RustProcess } from '../converge/rust.mjs';
import { newCounts, runScenario } from '../converge/scenario.mjs';

const SCENARIOS = 150;

test('replicas of three implementations that hear of each other late, twice and in any order show the same and lose nothing', async (t) => {
  const seed = Number(process.env.MAPWEAVE_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`# converge: seed ${seed} (MAPWEAVE_TEST_SEED)`);
  const rust = new RustProcess();
  t.after(() => rust.close());
  const counts = newCounts();
  for (let i = 0; i < SCENARIOS; i++) {
    try {
      await runScenario(seed + i, rust, counts);
    } catch (error) {
      throw new Error(`at seed ${seed + i}; repeat with make converge ROUNDS=1 SEED=${seed + i}`, { cause: error });
    }
  }
  const { byOperation, ...sums } = counts;
  console.log(`# ${JSON.stringify(sums)}`);
  for (const name of [
    'move_vertices',
    'insert_vertex',
    'change_geometry',
    'edit_text',
    'split',
    'merge',
    'settle',
    'dismiss_orphans',
  ]) {
    assert.ok(byOperation[name] > 0, `no ${name} was carried out`);
  }
});

test('an edit that is lost is noticed', async (t) => {
  const rust = new RustProcess();
  t.after(() => rust.close());
  await assert.rejects(runScenario(1, rust, newCounts(), { sabotage: 'lose' }), /is lost/);
});
