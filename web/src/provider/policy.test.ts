import { expect, test } from 'vitest';
import { type Effect, Policy, type PolicyEvent, PROBE, RETRY } from './policy.ts';

/** A policy with what it has asked for, and time as the test wants it. */
class Rig {
  readonly policy: Policy;
  readonly timers = new Map<string, number>();
  done: string[] = [];

  constructor(random = () => 1) {
    this.policy = new Policy(random);
  }

  on(...events: PolicyEvent[]): string[] {
    this.done = [];
    for (const event of events) for (const effect of this.policy.on(event)) this.#carryOut(effect);
    return this.done;
  }

  get state(): string {
    const { state } = this.policy;
    return state.kind === 'live' ? `live ${state.over}` : state.kind;
  }

  #carryOut(effect: Effect): void {
    if (effect.do === 'setTimer') this.timers.set(effect.name, effect.ms);
    else if (effect.do === 'clearTimer') this.timers.delete(effect.name);
    else if (effect.do !== 'tell') this.done.push(effect.do);
  }

  /** The timer fires; it must be set. */
  ring(name: 'retry' | 'hedge' | 'probe' | 'steady'): string[] {
    expect(this.timers.has(name), `${name} is set`).toBe(true);
    this.timers.delete(name);
    return this.on({ on: 'timer', name });
  }
}

const lost = (stage: 'opening' | 'syncing' | 'live', code = 1006): PolicyEvent => ({
  on: 'socketLost',
  reason: 'gone',
  code,
  stage,
});
const noHttp: PolicyEvent = { on: 'httpLost', reason: 'gone' };

function started(): Rig {
  const rig = new Rig();
  expect(rig.on({ on: 'start' })).toEqual(['download']);
  expect(rig.on({ on: 'downloaded' })).toEqual(['openSocket']);
  return rig;
}

function live(): Rig {
  const rig = started();
  rig.on({ on: 'socketLive' });
  expect(rig.state).toBe('live ws');
  return rig;
}

test('a socket that is refused gives way to HTTP at once, and is looked for again', () => {
  const rig = started();
  expect(rig.on(lost('opening'))).toEqual(['openHttp']);
  rig.on({ on: 'httpLive' });
  expect(rig.state).toBe('live http');
  expect(rig.ring('probe')).toEqual(['openSocket']);
  expect(rig.on({ on: 'socketLive' })).toEqual(['closeHttp']);
  expect(rig.state).toBe('live ws');
});

test('a socket that takes too long gets HTTP beside it and wins if it comes after all', () => {
  const rig = started();
  expect(rig.ring('hedge')).toEqual(['openHttp']);
  rig.on({ on: 'httpLive' });
  expect(rig.on({ on: 'socketLive' })).toEqual(['closeHttp']);
  expect(rig.timers.has('probe')).toBe(false);
});

test('looks for a socket that does not come are further and further apart, and HTTP stays', () => {
  const rig = started();
  rig.on(lost('opening'), { on: 'httpLive' });
  const waits = [];
  for (let i = 0; i < 7; i++) {
    waits.push(rig.timers.get('probe'));
    expect(rig.ring('probe')).toEqual(['openSocket']);
    expect(rig.on(lost('opening'))).toEqual([]);
    expect(rig.state).toBe('live http');
  }
  expect(waits).toEqual([2_000, 4_000, 8_000, 16_000, 32_000, PROBE.maxMs, PROBE.maxMs]);
});

test('a socket that comes and goes does not make the map flap: the looks stay far apart until it has held', () => {
  const rig = started();
  rig.on(lost('opening'), { on: 'httpLive' });
  const waits = [];
  for (let i = 0; i < 3; i++) {
    rig.ring('probe');
    rig.on({ on: 'socketLive' });
    expect(rig.on(lost('live'))).toEqual(['openHttp']);
    rig.on({ on: 'httpLive' });
    waits.push(rig.timers.get('probe'));
  }
  expect(waits).toEqual([4_000, 8_000, 16_000]);
  rig.ring('probe');
  rig.on({ on: 'socketLive' });
  rig.ring('steady');
  expect(rig.on(lost('live'))).toEqual([]);
  // The socket is tried first again.
  expect(rig.ring('retry')).toEqual(['openSocket']);
  rig.on(lost('opening'));
  expect(rig.timers.get('probe')).toBe(PROBE.minMs);
});

test('where nothing works, attempts are further and further apart, and each tries the socket first', () => {
  const rig = started();
  const waits = [];
  for (let i = 0; i < 7; i++) {
    expect(rig.on(lost('opening'))).toEqual(['openHttp']);
    rig.on(noHttp);
    expect(rig.state).toBe('offline');
    waits.push(rig.timers.get('retry'));
    expect(rig.timers.has('probe')).toBe(false);
    expect(rig.ring('retry')).toEqual(['openSocket']);
  }
  expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, RETRY.maxMs, RETRY.maxMs]);
});

test('a first state that breaks goes on soon while it gains, and later when it does not, and is never fetched another way', () => {
  const rig = new Rig();
  rig.on({ on: 'start' });
  const failed = (gained: boolean): PolicyEvent => ({ on: 'downloadFailed', reason: 'gone', gained, kept: true });
  for (let i = 0; i < 5; i++) {
    expect(rig.on(failed(true))).toEqual([]);
    expect(rig.timers.get('retry')).toBeLessThanOrEqual(500);
    expect(rig.ring('retry')).toEqual(['download']);
  }
  for (let i = 0; i < 5; i++) {
    expect(rig.on(failed(false))).toEqual([]);
    expect(rig.state).toBe('offline');
    expect(rig.ring('retry')).toEqual(['download']);
  }
  expect(rig.on({ on: 'downloaded' })).toEqual(['openSocket']);
});

test('a first state that cannot even begin does not keep the map away for ever', () => {
  const rig = new Rig();
  rig.on({ on: 'start' });
  const failed: PolicyEvent = { on: 'downloadFailed', reason: 'gone', gained: false, kept: false };
  rig.on(failed);
  rig.ring('retry');
  rig.on(failed);
  rig.ring('retry');
  expect(rig.on(failed)).toEqual(['openSocket']);
});

test('content that did not come through a socket in one piece is fetched so that it need not', () => {
  const rig = started();
  expect(rig.on(lost('syncing'))).toEqual([]);
  expect(rig.state).toBe('offline');
  expect(rig.ring('retry')).toEqual(['download']);
});

test('a code that says "do not come back" ends everything', () => {
  for (const code of [4401, 4403, 4404, 4413]) {
    const rig = live();
    rig.on(lost('live', code));
    expect(rig.policy.state).toEqual({ kind: 'closed', code, reason: 'gone' });
    expect(rig.timers.size).toBe(0);
    expect(rig.on({ on: 'networkBack' })).toEqual([]);
  }
});

test('an expired token is renewed and the socket opened again', () => {
  const rig = live();
  expect(rig.on(lost('live', 4501))).toEqual(['renewToken']);
  expect(rig.ring('retry')).toEqual(['openSocket']);
});

test('without a network nothing is tried, and with it everything at once', () => {
  const rig = live();
  expect(rig.on({ on: 'networkGone' })).toEqual(['closeSocket']);
  expect(rig.policy.state).toMatchObject({ kind: 'offline', reason: 'this device has no network' });
  expect(rig.on({ on: 'networkBack' })).toEqual(['openSocket']);
  // A browser that is wrong about it does not keep us away.
  rig.on({ on: 'networkGone' });
  expect(rig.ring('retry')).toEqual(['openSocket']);
});

test('stopped is stopped, and can be started again', () => {
  const rig = live();
  expect(rig.on({ on: 'stop' })).toEqual(['closeSocket']);
  expect(rig.timers.size).toBe(0);
  expect(rig.on({ on: 'timer', name: 'retry' })).toEqual([]);
  expect(rig.on({ on: 'start' })).toEqual(['openSocket']);
});

test('whatever happens in whatever order, a way out is left: something is open, or a timer is set, or it is over', () => {
  let seed = 7;
  const random = () => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    return seed / 0x7fffffff;
  };
  for (let round = 0; round < 200; round++) {
    const rig = new Rig(random);
    const open = new Set<string>();
    const note = (done: string[]) => {
      for (const what of done) {
        if (what === 'download') open.add('download');
        else if (what === 'cancelDownload') open.delete('download');
        else if (what.startsWith('open')) open.add(what.slice(4));
        else if (what.startsWith('close')) open.delete(what.slice(5));
      }
    };
    note(rig.on({ on: 'start' }));
    for (let step = 0; step < 60 && rig.policy.state.kind !== 'closed'; step++) {
      expect(open.size + rig.timers.size, `round ${round}, step ${step}, ${rig.state}`).toBeGreaterThan(0);
      if (rig.state === 'live ws') expect(open.has('Socket')).toBe(true);
      if (rig.state === 'live http') expect(open.has('Http')).toBe(true);
      const choices: (() => string[])[] = [...rig.timers.keys()].map((name) => () => rig.ring(name as 'retry'));
      choices.push(() => rig.on({ on: random() < 0.5 ? 'networkGone' : 'networkBack' }));
      const kept = random() < 0.5;
      if (open.has('download')) {
        choices.push(
          () => (open.delete('download'), rig.on({ on: 'downloaded' })),
          () => (
            open.delete('download'), rig.on({ on: 'downloadFailed', reason: 'x', gained: kept && random() < 0.5, kept })
          ),
        );
      }
      if (open.has('Socket')) {
        const stage = rig.state === 'live ws' ? 'live' : random() < 0.5 ? 'opening' : 'syncing';
        choices.push(
          () => rig.on({ on: 'socketLive' }),
          () => (open.delete('Socket'), rig.on(lost(stage, random() < 0.1 ? 4501 : 1006))),
        );
      }
      if (open.has('Http')) {
        choices.push(
          () => rig.on({ on: 'httpLive' }),
          () => (open.delete('Http'), rig.on(noHttp)),
        );
      }
      note((choices[Math.floor(random() * choices.length)] as () => string[])());
    }
  }
});
