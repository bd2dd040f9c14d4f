// Long runs: `node converge/main.mjs ROUNDS [SEED]`. Scenario number i of a run has the seed SEED + i, so `… 1 SEED` repeats one.

import { RustProcess } from './rust.mjs';
import { newCounts, runScenario } from './scenario.mjs';

const rounds = Number(process.argv[2] ?? 1000);
const seed = process.argv[3] ? Number(process.argv[3]) : Math.floor(Math.random() * 2 ** 31);
const REPORT_EVERY_MS = 30_000;

console.log(`${rounds} scenarios from seed ${seed}`);
const rust = new RustProcess();
const counts = newCounts();
const start = Date.now();
let reported = start;
for (let i = 0; i < rounds; i++) {
  try {
    await runScenario(seed + i, rust, counts);
  } catch (error) {
    console.log(`FAILED at seed ${seed + i} (repeat: make converge ROUNDS=1 SEED=${seed + i})`);
    console.log(error.message ?? error);
    if (process.env.CONVERGE_STACK) console.log(error.stack);
    process.exit(1);
  }
  if (Date.now() - reported > REPORT_EVERY_MS) {
    reported = Date.now();
    console.log(`${counts.scenarios} scenarios, ${counts.steps} steps, ${Math.round((reported - start) / 1000)} s`);
  }
}
await rust.close();
const { byOperation, ...sums } = counts;
console.log(
  `no divergence: ${JSON.stringify({ ...sums, interleavings: counts.steps, seconds: Math.round((Date.now() - start) / 1000) })}`,
);
console.log(JSON.stringify(byOperation));
