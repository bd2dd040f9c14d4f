// One scenario: replicas of several implementations edit one map for a while, hear of each other late, twice and in any order, and in
// the end show the same, down to every edit that nobody took away.

import assert from 'node:assert/strict';
import * as Y from 'yjs';
import { Chance } from './chance.mjs';
import { DELETED, JavaScriptReplica, readingOf } from './javascript.mjs';
import { randomLitter } from './litter.mjs';
import { mapdoc } from './mapdoc.mjs';
import { firstFeatures, randomOperation } from './operations.mjs';
import { RustReplica } from './rust.mjs';

/** Roots whose keys only their own session writes, so that nothing is lost by two writing one key. */
const OWN_KEYS = new Set(['geom', 'part', 'vert', 'prop', 'attr', 'gone', 'layer']);
const STEPS_MIN = 20;
const STEPS_MAX = 60;

/** Runs the scenario of a seed; throws where replicas differ or an edit is missing. */
export async function runScenario(seed, rust, counts, { sabotage = null } = {}) {
  const scenario = await Scenario.open(new Chance(seed), rust, counts);
  try {
    await scenario.run(sabotage);
  } finally {
    await scenario.close();
  }
}

/** What was done in a run of scenarios. */
export function newCounts() {
  return { scenarios: 0, steps: 0, operations: 0, refused: 0, delivered: 0, replicas: 0, problems: 0, byOperation: {} };
}

class Scenario {
  #chance;
  #counts;
  #replicas;
  /** Per replica what is under way to it. */
  #inboxes;
  /** All updates ever, for hearing of them again. */
  #log = [];
  #written = new Map();
  #superseded = new Set();
  /** How many of a hundred steps leave what no operation would. */
  #litterPercent = 0;

  static async open(chance, rust, counts) {
    const scenario = new Scenario();
    scenario.#chance = chance;
    scenario.#counts = counts;
    const kinds = ['yjs 13', 'yjs 13', 'yjs 14', ...(rust ? ['yrs', 'yrs'] : [])];
    // All implementations meet in every scenario, some twice.
    const present = [...new Set(kinds), ...chance.shuffled(kinds).slice(0, chance.between(0, 1))];
    const open = (kind, i) => {
      const options = { client: chance.between(1, 2 ** 31), sid: `sid0${i}`, chance };
      return kind === 'yrs' ? RustReplica.open(rust, options) : new JavaScriptReplica(kind, options);
    };
    scenario.#replicas = await Promise.all(present.map(open));
    scenario.#inboxes = scenario.#replicas.map(() => []);
    counts.replicas += present.length;
    return scenario;
  }

  /** `sabotage` is what a test of this test does to it: "lose" takes away an edit behind everybody's back. */
  async run(sabotage) {
    for (const first of firstFeatures(this.#chance)) await this.#do(0, () => this.#replicas[0].operate(first));
    if (this.#chance.percent(80)) await this.#deliverAll();
    const steps = this.#chance.between(STEPS_MIN, STEPS_MAX);
    this.#litterPercent = this.#chance.pick([0, 2, 2, 30]);
    for (let i = 0; i < steps; i++) {
      await this.#step(this.#chance.below(this.#replicas.length));
      this.#counts.steps += 1;
    }
    await this.#settle();
    if (sabotage === 'lose') await this.#lose();
    await this.#check();
    this.#counts.scenarios += 1;
  }

  async #step(at) {
    const replica = this.#replicas[at];
    const chance = this.#chance;
    replica.now = 1000 + chance.below(60);
    if (replica.litter && chance.percent(this.#litterPercent)) {
      this.#send(at, await replica.litter(...randomLitter(chance)));
      return;
    }
    const kind = chance.below(100);
    if (kind < 58) await this.#operate(at);
    else if (kind < 62 && replica.takeBack) await this.#do(at, () => replica.takeBack(chance.percent(65)));
    else if (kind < 84) await this.#deliver(at, chance.between(1, 6));
    else if (kind < 92) await this.#sync(chance.below(this.#replicas.length), at);
    else if (kind < 95 && this.#log.length > 0) await replica.apply(chance.pick(this.#log));
    else if (kind < 98) await replica.restart(chance.between(1, 2 ** 31));
    else await this.#deliver(at, this.#inboxes[at].length);
  }

  async #operate(at) {
    const scripts = this.#replicas.filter((replica) => replica.view);
    const { view } = this.#replicas[at].view ? this.#replicas[at] : this.#chance.pick(scripts);
    const operation = randomOperation(this.#chance, view);
    const { error } = await this.#do(at, () => this.#replicas[at].operate(operation));
    this.#counts.operations += 1;
    if (error) this.#counts.refused += 1;
    const name = `${operation.op}${error ? ' refused' : ''}`;
    this.#counts.byOperation[name] = (this.#counts.byOperation[name] ?? 0) + 1;
  }

  /** One edit at one replica: it goes out to the others, and what it wrote and took away is remembered. */
  async #do(at, edit) {
    const { error, updates, writes } = await edit();
    for (const { root, key, before, after } of writes) {
      if (before !== undefined) this.#superseded.add(nameOf(root, key, before));
      if (after !== undefined) this.#written.set(nameOf(root, key, after), { root, key, at });
    }
    this.#send(at, updates);
    return { error };
  }

  #send(from, updates) {
    for (const update of updates) {
      this.#log.push(update);
      this.#inboxes.forEach((inbox, to) => {
        if (to !== from) inbox.push(update);
      });
    }
  }

  /** Some of what is under way arrives, in any order; some of it will come again. */
  async #deliver(to, count) {
    const inbox = this.#inboxes[to];
    for (let i = 0; i < count && inbox.length > 0; i++) {
      const at = this.#chance.below(inbox.length);
      const update = inbox[at];
      if (!this.#chance.percent(15)) inbox.splice(at, 1);
      await this.#replicas[to].apply(update);
      this.#counts.delivered += 1;
    }
  }

  async #deliverAll() {
    for (const to of this.#replicas.keys()) await this.#deliver(to, this.#inboxes[to].length * 2);
  }

  async #sync(from, to) {
    if (from === to) return;
    const update = await this.#replicas[from].diff(await this.#replicas[to].vector());
    this.#log.push(update);
    await this.#replicas[to].apply(update);
    this.#counts.delivered += 1;
  }

  /** Everybody hears of everything. */
  async #settle() {
    const [first, ...others] = this.#replicas.keys();
    for (const other of others) await this.#sync(other, first);
    for (const other of others) await this.#sync(first, other);
  }

  async #check() {
    const readings = [];
    for (const replica of this.#replicas) readings.push([replica.kind, await replica.read()]);
    readings.push(['a document loaded anew', await this.#readAnew()]);
    const [[firstKind, first], ...others] = readings;
    for (const [kind, reading] of others)
      assert.deepEqual(canonical(reading), canonical(first), `${kind} and ${firstKind} differ`);
    this.#counts.problems += first.report.length;
    const snapshots = await Promise.all(
      this.#replicas.map(async (replica) => [replica.kind, normal(await replica.snapshot())]),
    );
    for (const [kind, snapshot] of snapshots.slice(1))
      assert.deepEqual(snapshot, snapshots[0][1], `the state of ${kind} differs`);
    this.#checkNothingLost();
  }

  async #lose() {
    const thief = this.#replicas.find((replica) => replica.litter);
    const entries = thief.entries();
    for (const { root, key } of this.#written.values()) {
      if (!OWN_KEYS.has(root) || !entries.has(`${root} ${key}`)) continue;
      for (const update of await thief.litter(root, key, DELETED))
        for (const replica of this.#replicas) await replica.apply(update);
      return;
    }
  }

  /** As somebody who joins now reads it. */
  async #readAnew() {
    const doc = new Y.Doc();
    Y.applyUpdate(doc, await this.#replicas.at(-1).diff(Uint8Array.of(0)));
    const view = new mapdoc.MapView(doc);
    const reading = readingOf(view);
    view.dispose();
    doc.destroy();
    return reading;
  }

  /** What somebody wrote and nobody who had seen it replaced or took away is there. */
  #checkNothingLost() {
    const entries = this.#replicas.find((replica) => replica.entries).entries();
    for (const [name, { root, key, at }] of this.#written) {
      if (!OWN_KEYS.has(root) || this.#superseded.has(name)) continue;
      const there = entries.get(`${root} ${key}`);
      const isThere = there !== undefined && nameOf(root, key, there) === name;
      assert.ok(isThere, `an edit of replica ${at} is lost: ${name}; there is ${JSON.stringify(there)}`);
    }
  }

  async close() {
    for (const replica of this.#replicas) await replica.close();
  }
}

function nameOf(root, key, value) {
  return `${root} ${key} ${JSON.stringify(canonical(value))}`;
}

/** Members sorted, −0 as 0, as JSON leaves it. */
function canonical(value) {
  if (typeof value === 'number') return value + 0;
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value ?? null;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((name) => [name, canonical(value[name])]),
  );
}

/** A snapshot as sorted clocks and joined ranges of deletions, which implementations cut differently. */
function normal(bytes) {
  const { sv, ds } = Y.decodeSnapshot(bytes);
  const deletions = [...ds.clients]
    .map(([client, ranges]) => [client, joined(ranges)])
    .filter(([, ranges]) => ranges.length > 0);
  const byClient = ([a], [b]) => a - b;
  return { vector: [...sv].filter(([, clock]) => clock > 0).sort(byClient), deletions: deletions.sort(byClient) };
}

function joined(ranges) {
  const out = [];
  for (const { clock, len } of [...ranges].sort((a, b) => a.clock - b.clock)) {
    const last = out.at(-1);
    if (last && last[0] + last[1] >= clock) last[1] = Math.max(last[1], clock + len - last[0]);
    else if (len > 0) out.push([clock, len]);
  }
  return out;
}
