/**
 * The ceilings that one lane's mail goes through, together: what passes has a part of each of them. Tells the lane why nothing passes, until when, and when it may again.
 *
 * States: open → waiting (the store is asked; the lane keeps what it has) → open, or shut until a time (a ceiling is reached). Shut for long, the lane is to keep nothing in memory;
 * after that it is given a few at first, and twice as many each time that they pass, so that mail does not go to and fro between disk and a ceiling that lets little through.
 */
import type { Clock } from '#base/clock.ts';
import type { WaitReason } from '#model/wait-reason.ts';
import type { Ceiling } from './ceiling.ts';
import type { Part, Purse } from './purse.ts';

export interface GateLimit {
  readonly ceiling: Ceiling;
  /** Of what waits for it. */
  readonly reason: WaitReason;
  /** It may be lifted at any time: what waits is looked at again no later than so long after. */
  readonly lookAgainMs?: number;
}

/** A wait that is worth keeping mail in memory for. */
const SHORT_MS = 10_000;
const ROOM_FIRST = 16;
const ROOM_MAX = 1_000_000;
/** When it is not known yet until when it is shut. */
const LOOK_MS = 1000;

export class Gate {
  readonly #purse: Purse;
  readonly #clock: Clock;
  readonly #limits: () => readonly GateLimit[];
  readonly #parts = new WeakMap<object, readonly Part[]>();
  #shut: { readonly reason: WaitReason; readonly untilMs: number; readonly isLong: boolean; readonly by: Ceiling } | undefined;
  #isAsking = false;
  #room = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  /** It is open again, or shut for long. */
  changed: () => void = () => undefined;

  /** `limits`: as they are at the moment; the same objects as long as they do not change. */
  constructor(purse: Purse, clock: Clock, limits: () => readonly GateLimit[]) {
    this.#purse = purse;
    this.#clock = clock;
    this.#limits = limits;
  }

  /** What may be taken in to wait here; 0 while it is shut for long. */
  get room(): number {
    return this.shut?.isLong === true ? 0 : this.#room;
  }

  /** Why nothing passes, and until when (epoch ms). */
  get shut(): { readonly reason: WaitReason; readonly untilMs: number; readonly isLong: boolean } | undefined {
    if (this.#shut !== undefined && (this.#shut.untilMs <= this.#clock.nowMs() || !this.#stands(this.#shut.by))) this.#shut = undefined;
    return this.#shut;
  }

  /** Lets up to `max` pass; `take` gives them, up to a number of its own. Undefined: none may now. */
  pass<T>(max: number, take: (max: number) => T[]): T[] | undefined {
    if (this.#isAsking || this.shut !== undefined) return undefined;
    const parts = this.#take(max);
    if (parts === undefined) return undefined;
    const allowed = Math.min(max, ...parts.map(({ count }) => count));
    const items = take(allowed);
    for (const part of parts) if (part.count > items.length) this.#purse.putBack(part, part.count - items.length);
    if (items.length === 0) return undefined;
    this.#parts.set(items, parts);
    if (this.#room < ROOM_MAX) this.#room *= 2;
    return items;
  }

  /** What passed was not tried after all. */
  untried(items: readonly unknown[]): void {
    for (const part of this.#parts.get(items) ?? []) this.#purse.putBack(part, items.length);
    this.#parts.delete(items);
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #stands(by: Ceiling): boolean {
    return this.#limits().some(({ ceiling }) => ceiling === by);
  }

  #take(max: number): Part[] | undefined {
    const parts: Part[] = [];
    let count = max;
    for (const limit of this.#limits()) {
      const part = this.#purse.takeUpTo(limit.ceiling, count, () => this.#answered(limit));
      if (part === undefined) {
        for (const taken of parts) this.#purse.putBack(taken, taken.count);
        this.#wait(limit);
        return undefined;
      }
      parts.push(part);
      count = Math.min(count, part.count);
    }
    return parts;
  }

  /** Nothing is to be had of it: until then, or until the store has answered. */
  #wait(limit: GateLimit): void {
    const deniedMs = this.#purse.deniedUntilMs(limit.ceiling);
    if (deniedMs === undefined) {
      this.#isAsking = true;
      return;
    }
    const nowMs = this.#clock.nowMs();
    const untilMs = Math.min(deniedMs, nowMs + (limit.lookAgainMs ?? Number.POSITIVE_INFINITY));
    const forMs = untilMs - nowMs;
    const isLong = forMs > SHORT_MS;
    this.#shut = { reason: limit.reason, untilMs, isLong, by: limit.ceiling };
    if (isLong) this.#room = ROOM_FIRST;
    this.#later(forMs);
    if (isLong) setImmediate(() => this.changed());
  }

  #answered(limit: GateLimit): void {
    this.#isAsking = false;
    if (this.#purse.deniedUntilMs(limit.ceiling) === undefined && this.#purse.isTroubled) {
      this.#shut = { reason: limit.reason, untilMs: this.#clock.nowMs() + LOOK_MS, isLong: false, by: limit.ceiling };
      this.#later(LOOK_MS);
      return;
    }
    this.changed();
  }

  #later(forMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => {
        this.#shut = undefined;
        this.changed();
      },
      Math.ceil(Math.max(1, forMs)),
    );
    this.#timer.unref();
  }
}
