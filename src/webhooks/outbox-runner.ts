/**
 * Works the outbox off: looks which endpoints have something due, claims as much as each has room for, posts it, and settles what came of it. Looks happen when a
 * bell rings (something was put in, a post ended) and at the latest when the next endpoint is due or after `POLL_MS`: bells are hints, polling is the truth.
 *
 * An entry ends in one of three ways: the receiver took it (2xx); the receiver wants no more of it (406) or must not be posted to; or it is given up when it is older
 * than `giveUpAfterMs`. Everything else is tried again by the schedule. Each attempt ends before its lease does, so that no other node begins it meanwhile; a settlement that
 * cannot be written within the lease is left to the lease's end, which means that the entry is posted once more.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ByteBudget } from '#base/byte-budget.ts';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { jitter } from '#base/random.ts';
import type { EventRow, PostRecord } from '#model/event.ts';
import type { OutboxItem, OutboxKind, OutboxSettlement, OutboxStore } from '#store/outbox-store.ts';
import { StoreError } from '#store/store.ts';
import { EndpointHealth, type EndpointLimits, type Verdict } from './endpoint-health.ts';
import { type Poster, type PostRequest, type PostResult, shownUrl } from './guarded-post.ts';

/** What one kind of entry is. */
export interface OutboxMaker {
  /** Octets that posting it will hold in memory. */
  sizeBytes(item: OutboxItem): number;
  /** The request; or why it cannot be made any more. */
  make(item: OutboxItem): Promise<PostRequest | { readonly gone: string }>;
  /** What the timeline is told of an attempt. */
  event(item: OutboxItem, record: PostRecord, text: string): EventRow['detail'];
  readonly eventKind: EventRow['kind'];
}

export interface OutboxRunnerOptions {
  readonly outbox: OutboxStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly poster: Poster;
  readonly makers: { readonly archive: OutboxMaker } & Readonly<Partial<Record<OutboxKind, OutboxMaker>>>;
  readonly limits: EndpointLimits;
  /** Of one attempt; the poster keeps to it. */
  readonly timeoutMs: number;
  /** Waits after the first, second, … failure; the last one repeats. */
  readonly retryMs: readonly number[];
  readonly giveUpAfterMs: number;
  /** False: nothing new is begun for the moment. */
  mayPost(): boolean;
}

const POLL_MS = 1000;
const LOOK_GAP_MS = 5;
/** What an attempt may take beside its time-out: making the request, and writing what came of it. */
const LEASE_SLACK_MS = 10_000;
const RETRY_SPREAD = 0.1;
const SETTLE_RETRY_MS = 200;
/** Bodies in memory at once; one endpoint has a quarter of it, or one body. */
const BODIES_BYTES_MAX = 64 * 1024 * 1024;
const NO_ROOM_MS = 1000;
const OLD_PER_LOOK = 500;
const OLD_LOOK_MS = 1000;
/** Posts that are running when the node stops may end within this. */
const DRAIN_MS = 3000;

export class OutboxRunner {
  readonly #options: OutboxRunnerOptions;
  readonly #health: EndpointHealth;
  readonly #bodies = new ByteBudget(BODIES_BYTES_MAX);
  readonly #bodiesOf = new Map<number, number>();
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #isRung = false;
  #isStopped = false;
  /** The last look left something that is due. */
  #hasBacklog = false;
  /** Monotonic. */
  #oldLookAtMs = 0;
  /** Since the start, for /metrics. */
  readonly counts = { done: 0, failed: 0, givenUp: 0 };

  constructor(options: OutboxRunnerOptions) {
    this.#options = options;
    this.#health = new EndpointHealth(options.limits, options.clock);
  }

  get running(): number {
    return this.#health.running;
  }

  start(): void {
    this.ring();
  }

  /** Something may be due. */
  ring(): void {
    if (this.#isStopped) return;
    this.#isRung = true;
    if (this.#looking === undefined) this.#schedule(LOOK_GAP_MS);
  }

  /** Posts that run may end for a while; what is cut off then is tried again elsewhere or later. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#looking;
    const ended = Promise.all(this.#running);
    await Promise.race([ended, sleep(DRAIN_MS, undefined, { ref: false })]);
    this.#stop.abort();
    await ended;
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => {
      this.#looking = this.#run();
    }, delayMs);
  }

  async #run(): Promise<void> {
    this.#isRung = false;
    let delayMs = POLL_MS;
    try {
      delayMs = await this.#look();
    } catch (error) {
      this.#options.log.warn({ error: error instanceof Error ? error.message : String(error) }, 'the outbox cannot be read at the moment');
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
    const nowMs = clock.nowMs();
    // Endpoints that are full stay due, and there can be no more of them than turns: those behind them are seen all the same.
    const due = await outbox.dueEndpoints(nowMs, limits.totalMax * 2);
    const requests: { endpoint: number; room: number }[] = [];
    let planned = 0;
    this.#hasBacklog = false;
    for (const { id } of due) {
      const pauseMs = this.#health.pauseMs(id);
      if (pauseMs > 0) {
        await outbox.park(id, nowMs + pauseMs);
        continue;
      }
      const room = this.#health.room(id, planned);
      if (room > 0) requests.push({ endpoint: id, room });
      else this.#hasBacklog = true;
      planned += room;
    }
    if (requests.length > 0) {
      for (const item of await outbox.claim(requests, nowMs, this.#leaseUntilMs())) this.#begin(item);
    }
    const nextMs = await outbox.nextDueAtMs();
    if (this.#hasBacklog || nextMs === undefined) return POLL_MS;
    return Math.min(POLL_MS, Math.max(LOOK_GAP_MS, nextMs - clock.nowMs()));
  }

  #leaseUntilMs(): number {
    return this.#options.clock.nowMs() + this.#options.timeoutMs + LEASE_SLACK_MS;
  }

  /** What is too old is given up in time, also where its endpoint is left alone. */
  async #giveUpOld(): Promise<void> {
    const { outbox, clock, giveUpAfterMs } = this.#options;
    const sinceMs = clock.monotonicMs();
    if (sinceMs < this.#oldLookAtMs) return;
    this.#oldLookAtMs = sinceMs + OLD_LOOK_MS;
    const nowMs = clock.nowMs();
    const old = await outbox.claimOld(nowMs - giveUpAfterMs, OLD_PER_LOOK, nowMs, this.#leaseUntilMs());
    await Promise.all(old.map((item) => this.#settle(this.#givenUp(item, 'it could not be posted in time', { number: item.attempts }))));
    if (old.length >= OLD_PER_LOOK) this.#oldLookAtMs = sinceMs;
  }

  #begin(item: OutboxItem): void {
    this.#health.begin(item.endpointId);
    const running = this.#post(item).then(
      ({ verdict, askedMs }) => this.#health.end(item.endpointId, verdict, askedMs),
      (error: unknown) => {
        // A bug of ours: the lease's end brings it back.
        this.#health.end(item.endpointId, 'unknown');
        this.#options.log.error(
          { outbox: item.id, error: error instanceof Error ? error.stack : String(error) },
          'a post met a bug of ours',
        );
      },
    );
    this.#running.add(running);
    void running.finally(() => {
      this.#running.delete(running);
      if (this.#hasBacklog) this.ring();
    });
  }

  async #post(item: OutboxItem): Promise<{ verdict: Verdict; askedMs?: number }> {
    // One that is larger than all that there is goes alone.
    const bytes = Math.min(this.#makerOf(item.kind).sizeBytes(item), BODIES_BYTES_MAX);
    if (!this.#takeBytes(item.endpointId, bytes)) {
      await this.#settle({ item, dueAtMs: this.#options.clock.nowMs() + NO_ROOM_MS, isUntried: true });
      return { verdict: 'unknown' };
    }
    try {
      return await this.#attempt(item);
    } finally {
      this.#bodies.give(bytes);
      const left = (this.#bodiesOf.get(item.endpointId) ?? bytes) - bytes;
      if (left > 0) this.#bodiesOf.set(item.endpointId, left);
      else this.#bodiesOf.delete(item.endpointId);
    }
  }

  #takeBytes(endpoint: number, bytes: number): boolean {
    const own = this.#bodiesOf.get(endpoint) ?? 0;
    if (own > 0 && own + bytes > BODIES_BYTES_MAX / 4) return false;
    if (!this.#bodies.take(bytes)) return false;
    this.#bodiesOf.set(endpoint, own + bytes);
    return true;
  }

  async #attempt(item: OutboxItem): Promise<{ verdict: Verdict; askedMs?: number }> {
    const { clock, poster } = this.#options;
    const startMs = clock.monotonicMs();
    const request = await this.#makerOf(item.kind).make(item);
    if ('gone' in request) {
      await this.#settle(this.#givenUp(item, request.gone, {}));
      return { verdict: 'unknown' };
    }
    const result = await poster.post(request, this.#stop.signal);
    const tookMs = Math.round(clock.monotonicMs() - startMs);
    if (result.kind !== 'answered' && this.#stop.signal.aborted) {
      await this.#settle({ item, dueAtMs: clock.nowMs() });
      return { verdict: 'unknown' };
    }
    return this.#settled(item, result, tookMs);
  }

  async #settled(item: OutboxItem, result: PostResult, tookMs: number): Promise<{ verdict: Verdict; askedMs?: number }> {
    const facts = {
      tookMs,
      ...(result.kind === 'answered' && { status: result.status }),
      ...('address' in result && result.address !== undefined && { address: result.address }),
    };
    if (result.kind === 'answered' && result.status >= 200 && result.status < 300) {
      this.counts.done++;
      await this.#settle({ item, event: this.#event(item, 'done', result.text, facts) });
      return { verdict: 'well' };
    }
    this.counts.failed++;
    const isFinal = result.kind === 'refused' || (result.kind === 'answered' && result.status === STATUS_NO_MORE);
    const askedMs = result.kind === 'answered' ? result.retryAfterMs : undefined;
    const dueAtMs = isFinal ? undefined : this.#nextAtMs(item, askedMs);
    if (dueAtMs === undefined) await this.#settle(this.#givenUp(item, result.text, facts));
    else await this.#settle({ item, dueAtMs, event: this.#event(item, 'deferred', result.text, { ...facts, nextAtMs: dueAtMs }) });
    return { verdict: isFinal ? 'unknown' : 'failed', ...(askedMs !== undefined && { askedMs }) };
  }

  /** undefined: it would be too old by then. */
  #nextAtMs(item: OutboxItem, askedMs: number | undefined): number | undefined {
    const { retryMs, clock, giveUpAfterMs } = this.#options;
    const nowMs = clock.nowMs();
    const delayMs = retryMs[Math.min(item.attempts, retryMs.length - 1)] ?? POLL_MS;
    const atMs = nowMs + Math.round(Math.max(delayMs * jitter(RETRY_SPREAD), askedMs ?? 0));
    return atMs < item.createdMs + giveUpAfterMs ? atMs : undefined;
  }

  #givenUp(item: OutboxItem, text: string, facts: Partial<PostRecord>): OutboxSettlement {
    this.counts.givenUp++;
    const url = URL.canParse(item.target) ? shownUrl(new URL(item.target)) : '';
    this.#options.log.warn(
      { outbox: item.id, kind: item.kind, message: item.message?.id, url, trouble: text },
      'given up: nothing more is posted of it',
    );
    return { item, event: this.#event(item, 'failed', text, facts) };
  }

  #makerOf(kind: OutboxKind): OutboxMaker {
    const maker = this.#options.makers[kind];
    if (maker === undefined) throw new Error(`nobody makes entries of the kind ${kind}`);
    return maker;
  }

  /** Nobody can be told of a message that is gone with all its events. */
  #event(item: OutboxItem, result: PostRecord['result'], text: string, facts: Partial<PostRecord>): Omit<EventRow, 'id'> | undefined {
    if (item.message === undefined) return undefined;
    const maker = this.#makerOf(item.kind);
    const url = URL.canParse(item.target) ? shownUrl(new URL(item.target)) : '';
    const record: PostRecord = { result, url, number: item.attempts + 1, tookMs: 0, ...facts };
    return {
      kind: maker.eventKind,
      atUs: this.#options.clock.nowMs() * 1000,
      accountId: item.accountId,
      domainId: item.domainId,
      message: item.message.id,
      recipient: item.recipient?.id ?? 0,
      detail: maker.event(item, record, text),
    };
  }

  /** Until it stands, or the lease is over. */
  async #settle(settlement: OutboxSettlement): Promise<void> {
    const { outbox, log, clock } = this.#options;
    const endMs = clock.monotonicMs() + LEASE_SLACK_MS / 2;
    for (;;) {
      try {
        if (!(await outbox.settle(settlement))) log.warn({ outbox: settlement.item.id }, 'refused: another lease holds the entry');
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
  }
}

/** As Mailgun has it: 406 asks that this is not posted again. */
const STATUS_NO_MORE = 406;
