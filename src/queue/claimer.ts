/**
 * Brings due mail from disk into the lanes: asks the store which buckets are due, asks the lanes how much each may take, and claims just that.
 * A bucket whose lane has no room is parked with the reason, so that the next look passes it by. Looks happen when a bell rings (room in a lane, new mail)
 * and at the latest when the next bucket is due or after `pollMs`: bells are hints, polling is the truth.
 */
import type { Clock } from '#base/clock.ts';
import { errorText } from '#base/error-text.ts';
import type { Log } from '#base/log.ts';
import type { Priority } from '#model/message.ts';
import type { WaitReason } from '#model/wait-reason.ts';
import type { Bucket, Claimed, MailStore } from '#store/store.ts';
import { HELD_FOR_EVER, type Leases } from './leases.ts';

export interface Room {
  /** Recipients that may be claimed for the domain now. */
  readonly room: number;
  /** Of these, what the account may have whatever others take. */
  readonly own?: number;
  /** When there is none: why, and when to look again (epoch ms). */
  readonly wait: WaitReason;
  readonly untilMs: number;
}

export interface ClaimerOptions {
  readonly mail: MailStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly pollMs: number;
  /** Room of the lane that serves a domain, for mail of an account, and of this node's memory, of which `planned` places are given away already. */
  roomFor(domain: string, accountId: number, priority: Priority, planned: number): Room;
  /** Recipients that memory has room for. */
  memoryRoom(): number;
  /** `tenure`: of the leases that they came with. */
  take(claimed: readonly Claimed[], tenure: number): void;
  /** Default: held for ever. */
  readonly leases?: Leases;
}

const BUCKETS_PER_LOOK = 256;
const EXPIRY_LOOK_MS = 1000;
/** Less is not worth moving every waiting recipient for. */
const CLOCK_STEP_MS = 1000;
const EXPIRED_PER_LOOK = 500;
/** So that many small domains share a look, and one large one does not fill memory. */
const ROOM_PER_BUCKET_MAX = 500;
/** Buckets of full lanes that are remembered; the others are looked at again when their time comes. */
const FULL_MAX = 256;
/** A bell that rings all the time must not make a look each time. */
const LOOK_GAP_MS = 5;

export class Claimer {
  readonly #options: ClaimerOptions;
  readonly #leases: Leases;
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #isRung = false;
  #isStopped = true;
  #looking: Promise<void> = Promise.resolve();
  /** Monotonic. */
  #expiryLookAtMs = 0;
  /** Wall clock less monotonic clock, as the last look found it: it changes when somebody sets the clock. */
  #clockOffsetMs: number | undefined;
  /** Buckets that were parked because their lane was full: they are looked at as soon as it has room, whatever time the park says. */
  readonly #full = new Map<number, Bucket>();
  /** The last look left something that is due on disk. */
  #hasBacklog = false;

  constructor(options: ClaimerOptions) {
    this.#options = options;
    this.#leases = options.leases ?? HELD_FOR_EVER;
  }

  /** Begins, or goes on after a stop. */
  start(): void {
    this.#isStopped = false;
    this.ring();
  }

  /** A lane has room: worth a look only if something waits for it. Costs nothing otherwise, as it rings with every message. */
  roomAgain(): void {
    if (this.#hasBacklog) this.ring();
  }

  /** Something may be due. */
  ring(): void {
    if (this.#isStopped) return;
    this.#isRung = true;
    if (!this.#isLooking) this.#schedule(LOOK_GAP_MS);
  }

  /** No more looks. Resolves when one that is under way has ended: it may still bring something. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => {
      this.#looking = this.#run();
    }, delayMs);
  }

  async #run(): Promise<void> {
    this.#isLooking = true;
    this.#isRung = false;
    let delayMs = this.#options.pollMs;
    try {
      delayMs = await this.#look();
    } catch (error) {
      this.#options.log.warn({ error: errorText(error) }, 'due mail cannot be claimed at the moment');
    } finally {
      this.#isLooking = false;
    }
    this.#schedule(this.#isRung ? LOOK_GAP_MS : delayMs);
  }

  /** One look; milliseconds until the next one without a bell. */
  async #look(): Promise<number> {
    const { mail, clock, pollMs } = this.#options;
    // What is claimed by a node that may have been given up would be claimed for nobody.
    if (!this.#leases.isHeld) return pollMs;
    await this.#followClock();
    await this.#takeExpired();
    let memory = this.#options.memoryRoom();
    if (memory <= 0) return pollMs;
    const due = await mail.dueBuckets(clock.nowMs(), BUCKETS_PER_LOOK);
    const { requests, parked } = this.#plan([...this.#withRoomAgain(due), ...due], memory);
    this.#hasBacklog = due.length > 0 || this.#full.size > 0;
    await Promise.all(parked.map(({ bucket, wait, untilMs }) => mail.parkBucket(bucket, untilMs, wait)));
    if (requests.length > 0) {
      const { tenure } = this.#leases;
      const claimed = await mail.claim(requests, clock.nowMs());
      for (const { recipients } of claimed) memory -= recipients.length;
      this.#options.take(claimed, tenure);
    }
    if (due.length === BUCKETS_PER_LOOK && memory > 0) return 0;
    const nextMs = await mail.nextDueAtMs();
    return nextMs === undefined ? pollMs : Math.min(pollMs, Math.max(LOOK_GAP_MS, nextMs - clock.nowMs()));
  }

  /** A clock that was set back by an hour must not let everything wait an hour longer. (Set forward, it makes mail due early, which does no harm.) */
  async #followClock(): Promise<void> {
    const { mail, clock, log } = this.#options;
    const nowMs = clock.nowMs();
    const offsetMs = nowMs - clock.monotonicMs();
    const backMs = (this.#clockOffsetMs ?? offsetMs) - offsetMs;
    if (backMs > CLOCK_STEP_MS) {
      log.warn({ backMs: Math.round(backMs) }, 'the clock was set back; what waits is not made to wait longer');
      await mail.clockSetBack(Math.round(backMs), nowMs);
    }
    this.#clockOffsetMs = offsetMs;
  }

  /** Those that were parked by a full lane which now has room. */
  #withRoomAgain(due: readonly Bucket[]): Bucket[] {
    for (const { id } of due) this.#full.delete(id);
    return [...this.#full.values()].filter(
      ({ domain, accountId, priority }) => this.#options.roomFor(domain, accountId, priority, 0).room > 0,
    );
  }

  /** Mail that is too old is given up in time, also where its lane is suspended or full. */
  async #takeExpired(): Promise<void> {
    const { mail, clock } = this.#options;
    const sinceMs = clock.monotonicMs();
    if (sinceMs < this.#expiryLookAtMs) return;
    this.#expiryLookAtMs = sinceMs + EXPIRY_LOOK_MS;
    const { tenure } = this.#leases;
    const expired = await mail.claimExpired(clock.nowMs(), EXPIRED_PER_LOOK);
    if (expired.length > 0) this.#options.take(expired, tenure);
    if (expired.length >= EXPIRED_PER_LOOK) this.#expiryLookAtMs = sinceMs;
  }

  /** Shares the room of each lane between the accounts that wait for it, and memory between all. */
  #plan(buckets: readonly Bucket[], memory: number) {
    const requests: { bucket: number; room: number }[] = [];
    const parked: { bucket: number; wait: WaitReason; untilMs: number }[] = [];
    const byDomain = Map.groupBy(buckets, (bucket) => bucket.domain);
    let left = memory;
    for (const [domain, waiting] of byDomain) {
      let taken = 0;
      for (const [position, bucket] of waiting.entries()) {
        const { room, own = 0, wait, untilMs } = this.#options.roomFor(domain, bucket.accountId, bucket.priority, memory - left);
        const laneShare = Math.ceil(Math.max(0, room - taken) / (waiting.length - position));
        const share = Math.min(ROOM_PER_BUCKET_MAX, left, Math.max(laneShare, own));
        if (share > 0) {
          requests.push({ bucket: bucket.id, room: share });
          this.#full.delete(bucket.id);
          taken += share;
          left -= share;
        } else if (room <= 0 && left > 0) {
          if (wait !== 'lane-suspended' && this.#full.size < FULL_MAX) this.#full.set(bucket.id, bucket);
          parked.push({ bucket: bucket.id, wait, untilMs: Math.max(untilMs, this.#options.clock.nowMs() + LOOK_GAP_MS) });
        }
      }
    }
    return { requests, parked };
  }
}
