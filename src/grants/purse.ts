/**
 * The grants of this process: parts of ceilings that it was given ahead, so that using one asks nothing of the store. Takes a little ahead of what is used, gives
 * back within two seconds what is not, and so never keeps a small ceiling from other nodes.
 *
 * Promises: what it lets be used of a window was given to it for that window before; so all purses together never exceed a ceiling, whatever any of them, their
 * nodes or their clocks do. When the store cannot be asked nothing more is given, and nothing is guessed.
 * Costs on the hot path: a look into a map and a subtraction. The store is asked about once a second for a ceiling in steady use.
 */
import { randomInt } from 'node:crypto';
import type { Clock } from '#base/clock.ts';
import { errorText } from '#base/error-text.ts';
import type { Log } from '#base/log.ts';
import type { GrantAsk, GrantStore } from '#store/grant-store.ts';
import { StoreError } from '#store/store.ts';
import type { Ceiling } from './ceiling.ts';
import { Pocket } from './pocket.ts';

/** A part that was taken: use it, or put it back. */
export interface Part {
  readonly holder: number;
  readonly name: string;
  readonly startMs: number;
  readonly count: number;
}

export interface PurseOptions {
  readonly store: GrantStore;
  readonly clock: Clock;
  readonly log: Log;
  /** After which the store takes a holder that it does not hear of to be gone. */
  readonly leaseMs?: number;
  /** Ceilings in use at once, beyond which all is given back and begun anew (P9). */
  readonly pocketsMax?: number;
}

const LEASE_MS = 20_000;
const IDLE_MS = 2000;
const LOOK_MS = 500;
const POCKETS_MAX = 100_000;
const ASKS_MAX = 500;
const RETURNS_MAX = 10_000;
const TRIES_MAX = 4;
/** Of what may be used soon; a steady use brings more, ahead of it. So little is lost with a process. */
const NEED_MAX = 10;
const HOLDERS = 2 ** 47;
/** A window may lie so far ahead of the clock because it was asked for ahead, or because the clock was put right a little. Further: the clock was set back. */
const AHEAD_OF_CLOCK_MS = 1000;
/** Weight of the last answer's time in the mean. */
const TRIP_WEIGHT = 0.2;

export class Purse {
  readonly #options: PurseOptions;
  readonly #leaseMs: number;
  readonly #pockets = new Map<string, Pocket>();
  readonly #asking = new Set<Pocket>();
  #returns: { readonly holder: number; readonly ask: GrantAsk }[] = [];
  #holder = randomInt(1, HOLDERS);
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #isClosed = false;
  /** Mean time of an answer of the store. */
  #tripMs = 0;
  #trouble: unknown;

  constructor(options: PurseOptions) {
    this.#options = options;
    this.#leaseMs = options.leaseMs ?? LEASE_MS;
  }

  /** Takes `count` of what is there; undefined: there is not enough here. */
  take(ceiling: Ceiling, count: number): Part | undefined {
    const pocket = this.#pocketOf(ceiling);
    if (pocket.left < count || pocket.startMs > this.#options.clock.nowMs()) return undefined;
    pocket.spend(count, this.#options.clock.monotonicMs());
    if (pocket.isAheadWanted && !this.#asking.has(pocket)) this.#askFor(pocket, 0);
    return { holder: this.#holder, name: ceiling.name, startMs: pocket.startMs, count };
  }

  /** `take`, and the store is asked where that is not enough. Undefined: the ceiling is reached. Rejects with StoreError when it cannot be asked. */
  async ask(ceiling: Ceiling, count: number): Promise<Part | undefined> {
    if (count > ceiling.count) return undefined;
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const part = this.take(ceiling, count);
      if (part !== undefined) return part;
      const pocket = this.#pocketOf(ceiling);
      if (pocket.deniedUntilMs(this.#options.clock.nowMs()) !== undefined) return undefined;
      await this.#answerTo(pocket, count);
    }
    return undefined;
  }

  /**
   * As many as there are, up to `max`. None: undefined, and `changed` is called once when that may have changed, or when it is known until when it will not
   * (`deniedUntilMs`).
   */
  takeUpTo(ceiling: Ceiling, max: number, changed: () => void): Part | undefined {
    const pocket = this.#pocketOf(ceiling);
    const nowMs = this.#options.clock.nowMs();
    const part = pocket.startMs > nowMs ? undefined : this.take(ceiling, Math.max(1, Math.min(max, pocket.left)));
    if (part !== undefined) return part;
    if (pocket.deniedUntilMs(nowMs) === undefined) {
      this.#answerTo(pocket, Math.min(max, pocket.share, NEED_MAX)).then(changed, () => changed());
    }
    return undefined;
  }

  /** Why nothing is to be had of it: the ceiling is reached until then (epoch ms). Undefined: it is not, or that is not known. */
  deniedUntilMs(ceiling: Ceiling): number | undefined {
    return this.#pocketOf(ceiling).deniedUntilMs(this.#options.clock.nowMs());
  }

  /** The store could not be asked when it was asked last. */
  get isTroubled(): boolean {
    return this.#trouble !== undefined;
  }

  /** When its window ends (epoch ms), and what is left of it for anybody, as far as is known here. */
  stateOf(ceiling: Ceiling): { readonly endMs: number; readonly remaining: number } {
    const pocket = this.#pocketOf(ceiling);
    return { endMs: pocket.endMs, remaining: pocket.remaining };
  }

  /** It was used, or nobody knows: the part of a counted ceiling comes to rest. */
  settled({ holder, name, startMs, count }: Part): void {
    const pocket = this.#pockets.get(name);
    if (holder === this.#holder && pocket?.startMs === startMs) pocket.settled(count);
  }

  /** Was not used after all. */
  putBack({ holder, name, startMs }: Part, count: number): void {
    const pocket = this.#pockets.get(name);
    if (holder === this.#holder && pocket?.startMs === startMs) pocket.putBack(count);
  }

  /** The store knows nothing of this part any more: this process was not heard of for too long. */
  disowned(part: Part): void {
    this.putBack(part, part.count);
    const pocket = this.#pockets.get(part.name);
    if (part.holder === this.#holder && pocket?.startMs === part.startMs) pocket.doubt();
  }

  /** Gives back all that was not used. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#renounce();
    this.#isClosed = true;
    await this.#run();
  }

  #pocketOf(ceiling: Ceiling): Pocket {
    const nowMs = this.#options.clock.nowMs();
    let pocket = this.#pockets.get(ceiling.name);
    if (pocket !== undefined && pocket.startMs > nowMs + AHEAD_OF_CLOCK_MS + this.#tripMs) {
      // Under the number that it had in those windows it would not know what it has used of them.
      this.#renounce();
      pocket = undefined;
    }
    if (pocket !== undefined && nowMs < pocket.endMs) {
      if (pocket.ceiling !== ceiling) pocket.ceiling = ceiling;
      return pocket;
    }
    if (pocket !== undefined) this.#retire(pocket);
    return this.#newPocket(ceiling, Pocket.windowOf(ceiling, nowMs), pocket);
  }

  #newPocket(ceiling: Ceiling, startMs: number, before?: Pocket): Pocket {
    // What was used stays used, under the number that is given up.
    if (this.#pockets.size >= (this.#options.pocketsMax ?? POCKETS_MAX)) this.#renounce();
    const pocket = new Pocket(ceiling, startMs, this.#options.clock, before);
    this.#pockets.set(ceiling.name, pocket);
    if (!this.#isClosed) this.#timer ??= setInterval(() => this.#look(), LOOK_MS).unref();
    return pocket;
  }

  /** Resolves when the store has answered, and the window that was asked for has begun. */
  async #answerTo(pocket: Pocket, count: number): Promise<void> {
    const { clock } = this.#options;
    if (this.#isClosed) throw new StoreError('closed', 'grants are given back');
    let asked = pocket;
    // Near its end the answer would come too late: the next window is asked for.
    if (clock.nowMs() + this.#tripMs >= pocket.endMs && pocket.waiting.length === 0) {
      this.#retire(pocket);
      asked = this.#newPocket(pocket.ceiling, pocket.endMs, pocket);
    }
    await new Promise<void>((resolve) => {
      asked.waiting.push(resolve);
      this.#askFor(asked, count);
    });
    const aheadMs = asked.startMs - clock.nowMs();
    if (aheadMs > 0) await new Promise((resolve) => setTimeout(resolve, Math.ceil(aheadMs)));
    if (this.#trouble !== undefined) throw this.#trouble;
  }

  #askFor(pocket: Pocket, count: number): void {
    pocket.need += count;
    this.#asking.add(pocket);
    if (!this.#isClosed) void this.#run();
  }

  /** Never rejects. */
  #run(): Promise<void> {
    this.#running ??= this.#askAll().finally(() => {
      this.#running = undefined;
      // Asked for when the last answer was out already.
      if (this.#asking.size > 0 && !this.#isClosed) void this.#run();
    });
    return this.#running;
  }

  async #askAll(): Promise<void> {
    // What is asked in this turn of the event loop goes together.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#asking.size > 0 || this.#returns.length > 0) {
      if (!(await this.#returnSome())) return this.#dropAsks();
      if (!(await this.#askSome())) return;
    }
  }

  async #returnSome(): Promise<boolean> {
    const [first] = this.#returns;
    if (first === undefined) return true;
    const some = this.#returns.filter(({ holder }) => holder === first.holder).slice(0, ASKS_MAX);
    try {
      await this.#hold(
        first.holder,
        some.map(({ ask }) => ask),
      );
      const returned = new Set(some);
      this.#returns = this.#returns.filter((entry) => !returned.has(entry));
      return true;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  async #askSome(): Promise<boolean> {
    const pockets = [...this.#asking].slice(0, ASKS_MAX);
    if (pockets.length === 0) return true;
    const needs = pockets.map(({ need }) => need);
    const waiting = pockets.flatMap((pocket) => pocket.waiting.splice(0));
    const { clock } = this.#options;
    const sentAtMs = clock.monotonicMs();
    const holder = this.#holder;
    const asks = pockets.map((pocket) => pocket.ask());
    for (const pocket of pockets) {
      this.#asking.delete(pocket);
      pocket.need = 0;
      pocket.isAheadWanted = false;
      pocket.isToBeReturned = false;
    }
    try {
      const answers = await this.#hold(holder, asks);
      this.#trouble = undefined;
      this.#tripMs += TRIP_WEIGHT * (clock.monotonicMs() - sentAtMs - this.#tripMs);
      for (const [position, pocket] of pockets.entries()) {
        const answer = answers[position];
        if (answer === undefined) continue;
        pocket.answered(answer, needs[position] ?? 0, clock.nowMs(), sentAtMs);
        // It was retired meanwhile.
        if (this.#pockets.get(pocket.ceiling.name) !== pocket) this.#return(pocket, holder);
      }
      return true;
    } catch (error) {
      this.#failed(error);
      return false;
    } finally {
      waiting.forEach((resolve) => resolve());
    }
  }

  /** Who waits is told by `#trouble`. */
  #dropAsks(): void {
    for (const pocket of this.#asking) {
      pocket.need = 0;
      pocket.waiting.splice(0).forEach((resolve) => resolve());
    }
    this.#asking.clear();
  }

  #hold(holder: number, asks: readonly GrantAsk[]) {
    return this.#options.store.hold(holder, asks, this.#leaseMs, this.#options.clock.nowMs());
  }

  #failed(error: unknown): void {
    this.#trouble = error;
    this.#options.log.warn({ error: errorText(error) }, 'grants cannot be asked for at the moment');
  }

  /** Gives back what is not used, prolongs what is, and tries again what could not be given back. */
  #look(): void {
    const { clock } = this.#options;
    const [nowMs, sinceMs] = [clock.nowMs(), clock.monotonicMs()];
    for (const pocket of this.#pockets.values()) {
      if (nowMs >= pocket.endMs) this.#retire(pocket);
      else if (pocket.left > 0 && pocket.isIdle(sinceMs, IDLE_MS)) this.#askToReturn(pocket);
      else if (pocket.left > 0 && pocket.isUnheard(sinceMs, this.#leaseMs / 4)) this.#askFor(pocket, 0);
    }
    if (this.#returns.length > 0) void this.#run();
    if (this.#pockets.size > 0 || this.#returns.length > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #askToReturn(pocket: Pocket): void {
    pocket.isToBeReturned = true;
    this.#askFor(pocket, 0);
  }

  /** Its window is over for this purse. */
  #retire(pocket: Pocket): void {
    if (this.#pockets.get(pocket.ceiling.name) === pocket) this.#pockets.delete(pocket.ceiling.name);
    this.#asking.delete(pocket);
    this.#return(pocket, this.#holder);
    pocket.waiting.splice(0).forEach((resolve) => resolve());
  }

  #return(pocket: Pocket, holder: number): void {
    if (pocket.left <= 0) return;
    const ask = pocket.giveBack();
    // What is not told is given back by time: the end of the window, or of the lease.
    if (this.#returns.length < RETURNS_MAX) this.#returns.push({ holder, ask });
    if (!this.#isClosed) void this.#run();
  }

  /** All of it, and goes on under another number, with nothing. */
  #renounce(): void {
    for (const pocket of this.#pockets.values()) this.#retire(pocket);
    this.#holder = randomInt(1, HOLDERS);
  }
}
