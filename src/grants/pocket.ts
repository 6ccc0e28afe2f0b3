/**
 * What one purse has of one ceiling: the grant of one window, and what it needs to know to ask for more in time and in measure.
 *
 * States: empty → asking → open (the window is on, something is left) → spent, or denied until a time → over (the next window begins; what is left is given back).
 */
import type { Clock } from '#base/clock.ts';
import type { GrantAnswer, GrantAsk } from '#store/grant-store.ts';
import { type Ceiling, windowAt, windowsOf } from './ceiling.ts';

/** Ahead of need: what was used in this time, so that the store is asked about once in it. */
const AHEAD_MS = 1000;
/** Of what is free for all holders, one takes no more ahead than this part of its share. */
const AHEAD_SHARE = 4;
/** Others hold something that they may give back. */
const LOOK_AGAIN_MS = 1000;
const SOON_MS = 20;

export class Pocket {
  #ceiling: Ceiling;
  readonly windowMs: number;
  readonly #spanMs: number;
  readonly startMs: number;
  #held = 0;
  #spent = 0;
  /** As the last answer knew it. */
  #free = 0;
  #others = 0;
  #deniedUntilMs = 0;
  /** The ceiling is another than what was given was given of: that goes back first. */
  #isRecounted = false;
  /** Monotonic. */
  #usedAtMs: number;
  #heardAtMs: number;
  #flow = { sinceMs: 0, count: 0, before: 0 };
  /** Counted ones that were taken and of which it is not known whether they were used. */
  #pending = 0;
  #asked: { readonly spent: number; readonly isCertain: boolean } = { spent: 0, isCertain: false };
  /** Asked for and not answered. */
  need = 0;
  isAheadWanted = false;
  /** What is left goes with the next ask, unless something is needed by then. */
  isToBeReturned = false;
  readonly waiting: (() => void)[] = [];

  /** `before`: the pocket of the window before, if it was in use. */
  constructor(ceiling: Ceiling, startMs: number, clock: Clock, before?: Pocket) {
    this.#ceiling = ceiling;
    const { windowMs, spanMs } = windowsOf(ceiling, startMs);
    this.windowMs = windowMs;
    this.#spanMs = spanMs;
    this.startMs = startMs;
    if (before !== undefined) {
      this.#flow = { ...before.#flow };
      this.#others = before.#others;
      if (ceiling.holds !== 'always') this.#free = ceiling.count;
    }
    this.#usedAtMs = this.#heardAtMs = clock.monotonicMs();
  }

  static windowOf(ceiling: Ceiling, atMs: number): number {
    return windowAt(ceiling, atMs);
  }

  get ceiling(): Ceiling {
    return this.#ceiling;
  }

  /** Another count than before: what was told of the old one is void. */
  set ceiling(ceiling: Ceiling) {
    if (ceiling.count !== this.#ceiling.count) {
      this.#deniedUntilMs = 0;
      this.#held = this.#spent;
      this.#isRecounted = true;
    }
    this.#ceiling = ceiling;
  }

  get endMs(): number {
    return this.startMs + this.windowMs;
  }

  get left(): number {
    return this.#held - this.#spent;
  }

  /** Of the ceiling, for anybody, as far as is known here. */
  get remaining(): number {
    return Math.max(0, this.left + this.#free);
  }

  /** When to ask again (epoch ms) after it was denied; undefined: it was not, or the time is over. */
  deniedUntilMs(nowMs: number): number | undefined {
    return this.#deniedUntilMs > nowMs ? this.#deniedUntilMs : undefined;
  }

  spend(count: number, monotonicMs: number): void {
    this.#spent += count;
    if (this.ceiling.isCounted) this.#pending += count;
    this.#usedAtMs = monotonicMs;
    if (monotonicMs - this.#flow.sinceMs >= AHEAD_MS) {
      const isNext = monotonicMs - this.#flow.sinceMs < 2 * AHEAD_MS;
      this.#flow = { sinceMs: monotonicMs, count: 0, before: isNext ? this.#flow.count : 0 };
    }
    this.#flow.count += count;
    if (this.left < this.#ahead() / 2) this.isAheadWanted = true;
  }

  putBack(count: number): void {
    this.#spent -= count;
    this.settled(count);
  }

  /** Of a counted part it is known what became of it, or nothing more will be known. */
  settled(count: number): void {
    if (this.ceiling.isCounted) this.#pending -= count;
  }

  /** The store does not know of it any more: ask before the next use. */
  doubt(): void {
    this.#held = this.#spent;
  }

  /** What a fair part of the ceiling is: a single ask of many takes no more, while others ask too. */
  get share(): number {
    return this.#others === 0 ? this.ceiling.count : Math.max(1, Math.ceil(this.ceiling.count / (2 * (this.#others + 1))));
  }

  #ahead(): number {
    const flow = Math.max(this.#flow.count, this.#flow.before) * Math.min(1, this.windowMs / AHEAD_MS);
    return Math.min(Math.ceil(flow), Math.floor(this.#free / (AHEAD_SHARE * (this.#others + 1))));
  }

  isIdle(monotonicMs: number, idleMs: number): boolean {
    return monotonicMs - this.#usedAtMs >= idleMs;
  }

  isUnheard(monotonicMs: number, unheardMs: number): boolean {
    return monotonicMs - this.#heardAtMs >= unheardMs;
  }

  /** For what is needed, and something ahead; or to give back what is left. */
  ask(): GrantAsk {
    if (this.#isRecounted || (this.isToBeReturned && this.need === 0)) return this.giveBack();
    return this.#ask(Math.max(this.#held, this.#spent + this.need + this.#ahead()));
  }

  /** Nothing beyond what was spent. From now on that is all it holds. */
  giveBack(): GrantAsk {
    this.#held = this.#spent;
    this.#isRecounted = false;
    return this.#ask(this.#spent);
  }

  #ask(wanted: number): GrantAsk {
    const { name, count, isCounted } = this.ceiling;
    this.#asked = { spent: this.#spent, isCertain: isCounted && this.#pending === 0 };
    return { name, startMs: this.startMs, spanMs: this.#spanMs, ceiling: count, wanted, ...(!isCounted && { used: this.#spent }) };
  }

  answered({ held, used, free, idle, others, reliefMs }: GrantAnswer, needed: number, nowMs: number, sentAtMs: number): void {
    // An accept that failed may have used its part or not: when nothing is under way the store knows.
    if (this.#asked.isCertain) this.#spent += used - this.#asked.spent;
    this.#held = held;
    this.#free = free;
    this.#others = others;
    this.#heardAtMs = sentAtMs;
    const isDenied = needed > 0 && this.left < needed && free === 0;
    this.#deniedUntilMs = isDenied ? Math.max(nowMs + SOON_MS, idle > 0 ? Math.min(reliefMs, nowMs + LOOK_AGAIN_MS) : reliefMs) : 0;
  }
}
