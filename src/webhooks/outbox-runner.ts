/**
 * Works the outbox off: looks which endpoints have something due, claims what each has turns for and what it will have turns for in a moment, posts it, and settles what came of it. Looks
 * happen when a bell rings (something was put in, a settlement stands) and at the latest when the next endpoint is due or after `POLL_MS`: bells are hints, polling is the truth.
 *
 * An endpoint's turn ends with the answer; what came of it is written while the next post runs. Each attempt ends before its lease does, so that no other node begins it
 * meanwhile: what was claimed and could not be begun soon goes back untried. A settlement that cannot be written within the lease is left to the lease's end, which means that the entry is
 * posted once more.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ByteBudget } from '#base/byte-budget.ts';
import { errorText } from '#base/error-text.ts';
import type { OutboxItem, OutboxSettlement, OutboxStore } from '#store/outbox-store.ts';
import { StoreError } from '#store/store.ts';
import { EndpointHealth, type EndpointLimits, type Verdict } from './endpoint-health.ts';
import { EndpointPace } from './endpoint-pace.ts';
import { type AttemptDeps, Attempts } from './outbox-attempt.ts';

export interface OutboxRunnerOptions extends AttemptDeps {
  readonly outbox: OutboxStore;
  readonly limits: EndpointLimits;
  /** Of one attempt; the poster keeps to it. */
  readonly timeoutMs: number;
  /** False: nothing new is begun for the moment. */
  mayPost(): boolean;
}

const POLL_MS = 1000;
const LOOK_GAP_MS = 5;
/** What an attempt may take beside its time-out: making the request, and writing what came of it. */
const LEASE_SLACK_MS = 10_000;
/** What was claimed is begun within this, or goes back. */
const BEGIN_WITHIN_MS = 5000;
const SETTLE_RETRY_MS = 200;
/** Bodies in memory at once; one endpoint has a quarter of it, or one body. */
const BODIES_BYTES_MAX = 64 * 1024 * 1024;
/** Claimed and not begun, and answered and not written, each. */
const HELD_MAX = 4000;
const OLD_PER_LOOK = 500;
const OLD_LOOK_MS = 1000;
/** Posts that are running when the node stops may end within this. */
const DRAIN_MS = 3000;

interface Claimed {
  readonly item: OutboxItem;
  /** Monotonic. */
  readonly beginBeforeMs: number;
}

export class OutboxRunner {
  readonly #options: OutboxRunnerOptions;
  readonly #attempts: Attempts;
  readonly #health: EndpointHealth;
  readonly #pace: EndpointPace;
  readonly #bodies = new ByteBudget(BODIES_BYTES_MAX);
  readonly #bodiesOf = new Map<number, number>();
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();
  /** By endpoint, in the order of their turns. */
  readonly #claimed = new Map<number, Claimed[]>();
  #claimedCount = 0;
  /** Something waits for others' bodies to go. */
  #isShort = false;
  #settling = 0;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  /** The next look is not about to happen. */
  #isFarOff = false;
  #isRung = false;
  #isStopped = false;
  /** Monotonic. */
  #oldLookAtMs = 0;

  constructor(options: OutboxRunnerOptions) {
    this.#options = options;
    this.#attempts = new Attempts(options);
    this.#health = new EndpointHealth(options.limits, options.clock);
    this.#pace = new EndpointPace(options.clock);
  }

  /** Since the start, for /metrics. */
  get counts(): Attempts['counts'] {
    return this.#attempts.counts;
  }

  /** Entries that this node has leased. */
  get running(): number {
    return this.#running.size + this.#claimedCount;
  }

  start(): void {
    this.ring();
  }

  /** Something may be due. */
  ring(): void {
    if (this.#isStopped) return;
    this.#isRung = true;
    if (this.#looking === undefined && (this.#timer === undefined || this.#isFarOff)) this.#schedule(LOOK_GAP_MS);
  }

  /** Posts that run may end for a while; what is cut off then is tried again elsewhere or later. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#looking;
    for (const endpoint of this.#claimed.keys()) this.#giveBack(endpoint);
    const ended = this.#allEnded();
    await Promise.race([ended, sleep(DRAIN_MS, undefined, { ref: false })]);
    this.#stop.abort();
    await ended;
  }

  async #allEnded(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    if (this.#isStopped) return;
    this.#isFarOff = delayMs > LOOK_GAP_MS;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#looking = this.#run();
    }, delayMs);
  }

  async #run(): Promise<void> {
    this.#isRung = false;
    let delayMs = POLL_MS;
    try {
      delayMs = await this.#look();
    } catch (error) {
      this.#options.log.warn({ error: errorText(error) }, 'the outbox cannot be read at the moment');
    } finally {
      this.#looking = undefined;
    }
    this.#schedule(this.#isRung ? LOOK_GAP_MS : delayMs);
  }

  /** One look; milliseconds until the next one without a bell. */
  async #look(): Promise<number> {
    const { outbox, clock, limits, mayPost } = this.#options;
    if (!mayPost()) return POLL_MS;
    await this.#giveUpOld();
    this.#giveBackLate();
    const nowMs = clock.nowMs();
    // Endpoints that are full stay due, and there can be no more of them than turns: those behind them are seen all the same.
    const due = await outbox.dueEndpoints(nowMs, limits.totalMax * 2);
    const requests: { endpoint: number; room: number }[] = [];
    let planned = 0;
    for (const { id } of due) {
      const pauseMs = this.#health.pauseMs(id);
      if (pauseMs > 0) {
        await outbox.park(id, nowMs + pauseMs);
        continue;
      }
      const turns = this.#health.room(id, planned);
      const room = Math.min(
        turns + this.#pace.ahead(id) - (this.#claimed.get(id)?.length ?? 0),
        HELD_MAX - Math.max(this.#claimedCount, this.#settling) - planned,
      );
      if (room <= 0) continue;
      requests.push({ endpoint: id, room });
      planned += turns;
    }
    if (requests.length > 0) this.#took(await outbox.claim(requests, nowMs, this.#leaseUntilMs()));
    // With every end of a post there is a bell, so what is full now need not be looked at again before.
    if (due.length > 0 && this.running > 0) return POLL_MS;
    const nextMs = await outbox.nextDueAtMs();
    return nextMs === undefined ? POLL_MS : Math.min(POLL_MS, Math.max(LOOK_GAP_MS, nextMs - clock.nowMs()));
  }

  #leaseUntilMs(): number {
    return this.#options.clock.nowMs() + BEGIN_WITHIN_MS + this.#options.timeoutMs + LEASE_SLACK_MS;
  }

  /** What is too old is given up in time, also where its endpoint is left alone. */
  async #giveUpOld(): Promise<void> {
    const { outbox, clock } = this.#options;
    const sinceMs = clock.monotonicMs();
    if (sinceMs < this.#oldLookAtMs) return;
    this.#oldLookAtMs = sinceMs + OLD_LOOK_MS;
    const nowMs = clock.nowMs();
    const old = await outbox.claimOld(nowMs - this.#attempts.longestMs, OLD_PER_LOOK, nowMs, this.#leaseUntilMs());
    await Promise.all(
      old.map((item) => this.#settle(item, this.#attempts.givenUp(item, 'it could not be posted in time', { number: item.attempts }))),
    );
    if (old.length >= OLD_PER_LOOK) this.#oldLookAtMs = sinceMs;
  }

  // ---- what is claimed waits for its turn -----------------------------------------------------------------------------

  #took(items: readonly OutboxItem[]): void {
    const beginBeforeMs = this.#options.clock.monotonicMs() + BEGIN_WITHIN_MS;
    for (const item of items) {
      const waiting = this.#claimed.get(item.endpointId);
      if (waiting === undefined) this.#claimed.set(item.endpointId, [{ item, beginBeforeMs }]);
      else waiting.push({ item, beginBeforeMs });
    }
    this.#claimedCount += items.length;
    this.#fillAll();
  }

  /** Begins what has a turn. */
  #fill(endpoint: number): void {
    const waiting = this.#claimed.get(endpoint);
    if (waiting === undefined || this.#isStopped) return;
    let begun = 0;
    while (begun < waiting.length && this.#settling < HELD_MAX && this.#health.room(endpoint) > 0) {
      const { item } = waiting[begun] as Claimed;
      // One that is larger than all that there is goes alone.
      const bytes = Math.min(this.#attempts.makerOf(item.kind).sizeBytes(item), BODIES_BYTES_MAX);
      if (!this.#takeBytes(endpoint, bytes)) {
        this.#isShort = true;
        break;
      }
      begun++;
      this.#claimedCount--;
      this.#begin(item, bytes);
    }
    if (begun === waiting.length) this.#claimed.delete(endpoint);
    else if (begun > 0) waiting.splice(0, begun);
  }

  #fillAll(): void {
    this.#isShort = false;
    for (const endpoint of this.#claimed.keys()) this.#fill(endpoint);
  }

  #giveBack(endpoint: number): void {
    const waiting = this.#claimed.get(endpoint) ?? [];
    this.#claimed.delete(endpoint);
    this.#claimedCount -= waiting.length;
    const dueAtMs = this.#options.clock.nowMs();
    for (const { item } of waiting) this.#track(this.#settle(item, { item, dueAtMs, isUntried: true }));
  }

  #giveBackLate(): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const [endpoint, [first]] of this.#claimed) {
      if (first !== undefined && first.beginBeforeMs < nowMs) this.#giveBack(endpoint);
    }
  }

  // ---- a post, and what came of it ------------------------------------------------------------------------------------

  #begin(item: OutboxItem, bytes: number): void {
    const { endpointId } = item;
    this.#health.begin(endpointId);
    this.#track(
      this.#post(item, bytes).catch((error: unknown) => {
        // A bug of ours: the lease's end brings it back.
        this.#ended(endpointId, 'unknown');
        this.#options.log.error(
          { outbox: item.id, error: error instanceof Error ? error.stack : String(error) },
          'a post met a bug of ours',
        );
      }),
    );
  }

  #track(work: Promise<void>): void {
    this.#running.add(work);
    void work.finally(() => {
      this.#running.delete(work);
      if (this.#settling === HELD_MAX - 1) this.#fillAll();
      // There is room, and what waited behind it is due.
      this.ring();
    });
  }

  #ended(endpoint: number, verdict: Verdict, askedMs?: number): void {
    this.#health.end(endpoint, verdict, askedMs);
    if (verdict === 'well') this.#pace.took(endpoint);
    if (verdict === 'failed') {
      this.#pace.failed(endpoint);
      this.#giveBack(endpoint);
    }
    this.#fill(endpoint);
    if (this.#isShort || !this.#claimed.has(endpoint)) this.#fillAll();
    if (!this.#claimed.has(endpoint)) this.ring();
  }

  async #post(item: OutboxItem, bytes: number): Promise<void> {
    const { settlement, verdict, askedMs } = await this.#attempts
      .attempt(item, this.#stop.signal)
      .finally(() => this.#giveBytes(item.endpointId, bytes));
    this.#ended(item.endpointId, verdict, askedMs);
    await this.#settle(item, settlement);
  }

  #takeBytes(endpoint: number, bytes: number): boolean {
    const own = this.#bodiesOf.get(endpoint) ?? 0;
    if (own > 0 && own + bytes > BODIES_BYTES_MAX / 4) return false;
    if (!this.#bodies.take(bytes)) return false;
    this.#bodiesOf.set(endpoint, own + bytes);
    return true;
  }

  #giveBytes(endpoint: number, bytes: number): void {
    this.#bodies.give(bytes);
    const left = (this.#bodiesOf.get(endpoint) ?? bytes) - bytes;
    if (left > 0) this.#bodiesOf.set(endpoint, left);
    else this.#bodiesOf.delete(endpoint);
  }

  /** Until it stands, or the lease is over. */
  async #settle(item: OutboxItem, settlement: OutboxSettlement): Promise<void> {
    const { outbox, log, clock } = this.#options;
    const endMs = clock.monotonicMs() + LEASE_SLACK_MS / 2;
    let told: OutboxSettlement | undefined;
    this.#settling++;
    try {
      for (;;) {
        try {
          told ??= await this.#attempts.told(item, settlement);
          if (!(await outbox.settle(told))) log.warn({ outbox: settlement.item.id }, 'refused: another lease holds the entry');
          return;
        } catch (error) {
          const isPassing =
            error instanceof StoreError && error.kind !== 'closed' && clock.monotonicMs() < endMs && !this.#stop.signal.aborted;
          if (!isPassing) {
            log.error(
              { outbox: settlement.item.id, error: String(error) },
              'what came of a post could not be written; it is posted again when its lease is over',
            );
            return;
          }
          await sleep(SETTLE_RETRY_MS);
        }
      }
    } finally {
      this.#settling--;
    }
  }
}
