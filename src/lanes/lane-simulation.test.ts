/**
 * A lane under chance: random mail, outcomes, refusals, exceptions, suspensions and a stop in the middle. Whatever happens, every item that was put in is
 * settled or returned exactly once (P3), and the site never sees more connections than it allows (P11). A failing seed is named in the message.
 */
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import type { Priority } from '#model/message.ts';
import { jobFor, ScriptedSite } from '../../test/kit/scripted-site.ts';
import { Lane, type LaneItem, type LaneLimits } from './lane.ts';

const SEEDS = Array.from({ length: 60 }, (_, n) => n + 1);
const STEPS = 300;

interface Item extends LaneItem {
  readonly id: number;
}

/** A small generator of uniform numbers from a seed (mulberry32). */
function chanceOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

async function quiet(): Promise<void> {
  for (let turn = 0; turn < 6; turn++) await new Promise((resolve) => setImmediate(resolve));
}

class Simulation {
  readonly #chance: () => number;
  readonly #clock = new HeldClock(1_700_000_000_000);
  readonly #site = new ScriptedSite();
  readonly #limits: LaneLimits;
  readonly #lane: Lane<Item>;
  /** How often each item left. */
  readonly #left: number[] = [];
  #refuses = false;

  constructor(seed: number) {
    this.#chance = chanceOf(seed);
    this.#limits = {
      connectionsMax: this.#below(5) + 1,
      messagesPerConnection: this.#below(6) + 1,
      ratePerMinute: this.#chance() < 0.3 ? 60 + this.#below(600) : undefined,
      recipientsPerTransaction: this.#below(4) + 1,
      readyPerConnection: 20,
      idleMs: 1000,
      suspendAfter: this.#below(4) + 1,
      suspendMinMs: 5000,
      suspendMaxMs: 40_000,
    };
    this.#site.holdsTransactions = true;
    this.#site.holdsClosing = true;
    const leave = (items: readonly Item[]): void => items.forEach(({ id }) => (this.#left[id] = (this.#left[id] ?? 0) + 1));
    this.#lane = new Lane<Item>('source>site', { site: 'site', hosts: [], port: 25 }, 'source', this.#limits, {
      clock: this.#clock,
      connect: (demand, signal) => {
        if (this.#chance() < 0.02) return Promise.reject(new Error('connect broke'));
        if (this.#refuses) this.#site.refusals.push(this.#chance() < 0.5 ? 'refused' : 'down');
        return this.#site.connect(demand, signal);
      },
      job: (items) => {
        if (this.#chance() < 0.02) throw new Error('job broke');
        return jobFor(
          items.map(({ id }) => String(id)),
          (items[0] as Item).tls,
        );
      },
      settled: (items, outcomes) => {
        assert.equal(items.length, outcomes.length);
        leave(items);
      },
      returned: leave,
      hasRoom: () => undefined,
    });
  }

  #below(limit: number): number {
    return Math.floor(this.#chance() * limit);
  }

  async run(): Promise<void> {
    for (let step = 0; step < STEPS; step++) {
      this.#step();
      await quiet();
      this.#check();
    }
    const drained = this.#lane.drain(this.#below(3000));
    this.#pass(3000);
    for (let turn = 0; turn < 20; turn++) {
      this.#site.finishClosing();
      this.#pass(500);
      await quiet();
    }
    await drained;
    await quiet();
    this.#check();
    assert.deepEqual(
      this.#left.map((times, id) => [id, times]).filter(([, times]) => times !== 1),
      [],
      'items that did not leave exactly once',
    );
    assert.equal(this.#site.open, 0, 'connections that stayed open');
    assert.equal(this.#lane.report().waitingInMemory, 0);
  }

  #step(): void {
    const kind = this.#chance();
    if (kind < 0.35) this.#put(this.#below(8) + 1);
    else if (kind < 0.7) this.#endOne();
    else if (kind < 0.8) this.#site.finishClosing();
    else if (kind < 0.95) this.#pass(this.#below(3000));
    else this.#refuses = this.#chance() < 0.5;
  }

  #put(count: number): void {
    for (let n = 0; n < count; n++) {
      const id = this.#left.length;
      this.#left.push(0);
      this.#lane.put({
        id,
        accountId: this.#below(3),
        priority: this.#below(3) as Priority,
        groupKey: this.#below(3),
        tls: this.#chance() < 0.2 ? 'require' : 'opportunistic',
      });
    }
  }

  #endOne(): void {
    const [running] = this.#site.running.splice(this.#below(this.#site.running.length), 1);
    if (running === undefined) return;
    const kind = this.#chance();
    if (kind < 0.7) running.end('delivered');
    else if (kind < 0.8) running.end('failed');
    else if (kind < 0.9) running.end('deferred');
    else if (kind < 0.96) running.end('deferred', { stale: true });
    else running.throw(new Error('deliver broke'));
  }

  #pass(ms: number): void {
    this.#clock.advance(ms);
    mock.timers.tick(ms);
  }

  #check(): void {
    assert.ok(this.#site.open <= this.#limits.connectionsMax, `${this.#site.open} connections of ${this.#limits.connectionsMax}`);
    assert.ok(
      this.#left.every((times) => times <= 1),
      'an item left twice',
    );
  }
}

test('every item leaves exactly once and no limit is exceeded, whatever happens', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.reset());
  for (const seed of SEEDS) {
    t.mock.method(Math, 'random', chanceOf(seed));
    try {
      await new Simulation(seed).run();
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
});
