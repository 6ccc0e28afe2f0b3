/**
 * Purses of several processes over one store, under chance: uses, deaths, frozen processes, clocks that differ and are set, windows that pass. Whatever happens, what is used of
 * a window is never more than the ceiling; and what a lost process did not use of an account's quota is there for others when its lease is over.
 * A failing seed is named in the message.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import type { Ceiling } from '#grants/ceiling.ts';
import { type Part, Purse } from '#grants/purse.ts';
import type { Store } from '#store/store.ts';
import { mail, type Open, type Tenant, tenant, T0, unique } from './tenant.ts';

const SEEDS = [1, 2, 3];
const STEPS = 80;
const NODES = 4;
const LEASE_MS = 20_000;
const WINDOW_MS = 60_000;
/** By which a clock may be wrong, one way or the other: they follow the store's, and this is far beyond what is left then. */
const WRONG_MS = 120_000;

interface Node {
  purse: Purse;
  readonly clock: HeldClock;
  wrongMs: number;
  /** Taken and not used yet. */
  parts: { readonly ceiling: Ceiling; readonly part: Part }[];
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

export function pursesConformance(open: Open): void {
  describe('purses of several processes', () => {
    let store: Store;
    before(async () => {
      ({ store } = await open());
    });
    after(() => store.close());

    for (const seed of SEEDS) {
      it(`never exceed a ceiling together (seed ${seed})`, async () => {
        await new Simulation(store, seed, await tenant(store)).run();
      });
    }

    it('have all of a quota again, but for what was used, one lease after a process was lost', async (t) => {
      // The lost one is not heard of again: it would look after its lease by itself.
      t.mock.timers.enable({ apis: ['setInterval'] });
      const from = await tenant(store);
      const quota: Ceiling = { name: unique('quota '), count: 1000, perMs: WINDOW_MS * 60, holds: 'windows', isCounted: true };
      const clock = new HeldClock(T0);
      const make = (): Purse => new Purse({ store: store.grants, clock, log: silentLog, leaseMs: LEASE_MS });
      const lost = make();
      const parts = await Promise.all([lost.ask(quota, 300), lost.ask(quota, 600)]);
      assert.ok(parts[0] !== undefined && parts[1] !== undefined);
      assert.equal(await accepted(store, from, parts[0]), true);
      const other = make();
      assert.equal(await other.ask(quota, 101), undefined);
      clock.advance(LEASE_MS);
      assert.notEqual(await other.ask(quota, 700), undefined);
      assert.equal(await accepted(store, from, parts[1]), false, 'the lost one came back, too late');
    });
  });
}

async function accepted(store: Store, from: Tenant, part: Part): Promise<boolean> {
  return (await store.mail.accept(mail(from, { uses: [part] }))).kind === 'accepted';
}

class Simulation {
  readonly #store: Store;
  readonly #chance: () => number;
  readonly #from: Tenant;
  readonly #nodes: Node[];
  readonly #ceilings: readonly Ceiling[];
  /** By ceiling and window. */
  readonly #used = new Map<string, number>();

  constructor(store: Store, seed: number, from: Tenant) {
    this.#store = store;
    this.#from = from;
    this.#chance = chanceOf(seed);
    this.#nodes = Array.from({ length: NODES }, () => {
      const clock = new HeldClock(T0);
      return { clock, wrongMs: 0, purse: this.#newPurse(clock), parts: [] };
    });
    this.#ceilings = [
      { name: unique('quota '), count: 1 + this.#below(60), perMs: WINDOW_MS, holds: 'windows', isCounted: true },
      { name: unique('cap '), count: 1 + this.#below(40), perMs: WINDOW_MS, holds: 'windows', isCounted: false },
      { name: unique('rate '), count: 1 + this.#below(20), perMs: 2000, holds: 'always', isCounted: false },
    ];
  }

  #newPurse(clock: HeldClock): Purse {
    return new Purse({ store: this.#store.grants, clock, log: silentLog, leaseMs: LEASE_MS });
  }

  #below(limit: number): number {
    return Math.floor(this.#chance() * limit);
  }

  #any<T>(of: readonly T[]): T {
    return of[this.#below(of.length)] as T;
  }

  async run(): Promise<void> {
    for (let step = 0; step < STEPS; step++) {
      await this.#step();
      this.#check();
    }
    for (const { purse } of this.#nodes) await purse.close();
    this.#check();
    assert.ok(this.#used.size > 2, 'nothing was used');
  }

  async #step(): Promise<void> {
    const kind = this.#chance();
    const node = this.#any(this.#nodes);
    if (kind < 0.5) await Promise.all(Array.from({ length: 1 + this.#below(6) }, () => this.#take(this.#any(this.#nodes))));
    else if (kind < 0.75) await this.#settle(node);
    else if (kind < 0.9) this.#pass(this.#below(4000));
    else if (kind < 0.94) this.#lose(node);
    else if (kind < 0.97) this.#set(node);
    else this.#pass(LEASE_MS);
  }

  async #take(node: Node): Promise<void> {
    const ceiling = this.#any(this.#ceilings);
    const part = await node.purse.ask(ceiling, 1 + this.#below(3));
    if (part === undefined) return;
    // What is not counted is used when it is taken: who takes it is not asked again.
    if (!ceiling.isCounted) this.#count(part);
    else node.parts.push({ ceiling, part });
  }

  async #settle(node: Node): Promise<void> {
    for (const { part } of node.parts.splice(0)) {
      if (this.#chance() < 0.2) node.purse.putBack(part, part.count);
      else if (await accepted(this.#store, this.#from, part)) {
        node.purse.settled(part);
        this.#count(part);
      } else node.purse.disowned(part);
    }
  }

  #count({ name, startMs, count }: Part): void {
    const key = `${name} at ${startMs}`;
    this.#used.set(key, (this.#used.get(key) ?? 0) + count);
  }

  #pass(ms: number): void {
    for (const { clock } of this.#nodes) clock.advance(ms);
  }

  /** It is gone, or frozen and comes back: what it had taken it may still try to use. */
  #lose(node: Node): void {
    node.purse = this.#newPurse(node.clock);
    if (this.#chance() < 0.5) node.parts = [];
  }

  #set(node: Node): void {
    const wrongMs = this.#below(2 * WRONG_MS) - WRONG_MS;
    node.clock.step(wrongMs - node.wrongMs);
    node.wrongMs = wrongMs;
  }

  #check(): void {
    for (const [key, used] of this.#used) {
      const { count } = this.#ceilings.find(({ name }) => key.startsWith(`${name} at `)) as Ceiling;
      assert.ok(used <= count, `${used} of ${count} were used of ${key}`);
    }
  }
}
