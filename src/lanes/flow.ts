/**
 * What lets a lane's mail go on: the pace of its site, and ceilings beyond this lane (those that all nodes share). When it has held something back it tells when to ask again.
 */
import type { Clock } from '#base/clock.ts';
import type { TokenBucket } from '#base/token-bucket.ts';
import type { WaitReason } from '#model/wait-reason.ts';
import { paceOf } from './pace.ts';

/** Ceilings that other lanes and other nodes share. */
export interface Ceilings {
  /** Items that may be taken in to wait; 0: none is worth keeping in memory until it is open again. */
  readonly room: number;
  /** Why nothing passes now, and until when (epoch ms); undefined: something may. */
  readonly shut: { readonly reason: WaitReason; readonly untilMs: number } | undefined;
  /** Lets up to `max` pass: `take` gives them, up to a number of its own. Undefined: none now, and `changed` is called when to ask again. */
  pass<T>(max: number, take: (max: number) => T[]): T[] | undefined;
  /** What passed was not tried after all. */
  untried(items: readonly unknown[]): void;
  changed: () => void;
  close(): void;
}

export interface Pace {
  readonly ratePerMinute?: number;
  readonly rateWindowMs?: number;
}

const MINUTE_MS = 60_000;

export class Flow {
  readonly #clock: Clock;
  readonly #bucket: TokenBucket | undefined;
  readonly #ceilings: Ceilings | undefined;
  readonly #again: () => void;
  #timer: NodeJS.Timeout | undefined;

  /** `again`: something may pass that could not, or the room has changed. */
  constructor({ ratePerMinute, rateWindowMs }: Pace, ceilings: Ceilings | undefined, clock: Clock, again: () => void) {
    this.#clock = clock;
    this.#ceilings = ceilings;
    this.#again = again;
    if (ceilings !== undefined) ceilings.changed = again;
    if (ratePerMinute !== undefined) this.#bucket = paceOf(ratePerMinute, rateWindowMs ?? MINUTE_MS, clock.monotonicMs());
  }

  get room(): number {
    return this.#ceilings?.room ?? Number.POSITIVE_INFINITY;
  }

  get wait(): { readonly reason: WaitReason; readonly untilMs: number } | undefined {
    const shut = this.#ceilings?.shut;
    if (shut !== undefined) return { reason: shut.reason, untilMs: shut.untilMs };
    const rateMs = this.#bucket?.waitMs(1, this.#clock.monotonicMs()) ?? 0;
    return rateMs > 0 ? { reason: 'lane-rate', untilMs: this.#clock.nowMs() + rateMs } : undefined;
  }

  /** The items of one transaction out of what waits, which must not be nothing: a token is for a message, not for a look. */
  pass<T>(max: number, take: (max: number) => T[]): T[] | undefined {
    if (this.#ceilings === undefined) return this.#isInPace() ? take(max) : undefined;
    return this.#ceilings.pass(max, (allowed) => (this.#isInPace() ? take(allowed) : []));
  }

  untried(items: readonly unknown[]): void {
    this.#ceilings?.untried(items);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#ceilings?.close();
  }

  #isInPace(): boolean {
    const nowMs = this.#clock.monotonicMs();
    if (this.#bucket === undefined || this.#bucket.take(1, nowMs)) return true;
    this.#timer ??= setTimeout(
      () => {
        this.#timer = undefined;
        this.#again();
      },
      this.#bucket.waitMs(1, nowMs),
    );
    return false;
  }
}
