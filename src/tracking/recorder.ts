/**
 * Writes down opens and clicks: as an event of their recipient, counted, told to webhooks, all in one commit (P7). Whoever opened or clicked is answered before: nothing here is waited
 * for, and nothing here can fail them. Visits wait in memory, at most `WAITING_MAX`; while the store is away they are tried again for a minute. What is beyond that is lost,
 * and counted as such: it is a figure, not mail.
 *
 * A copy of a message whose links are followed again and again (published, or by somebody who wants to fill the disk) is recorded `BURST` times at once and then once in
 * `REFILL_MS`; its links go on leading where they led. A message that was deleted has no events.
 */
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Clock } from '#base/clock.ts';
import { errorText } from '#base/error-text.ts';
import type { Log } from '#base/log.ts';
import { TokenBucket } from '#base/token-bucket.ts';
import { type VisitReason, visitReason } from '#model/count-reason.ts';
import type { EventDetail } from '#model/event.ts';
import { providerOf } from '#model/mailbox-provider.ts';
import type { StoredMessage, StoredRecipient } from '#model/message.ts';
import { countersOf } from '#store/counters-of.ts';
import type { Fact } from '#store/fact-store.ts';
import type { CounterKey, EventStore } from '#store/store.ts';
import { AGENT_MAX, botOf } from './bots.ts';
import { clientOf } from './clients.ts';
import type { TrackedCopy } from './link-tokens.ts';

/** What a request for a pixel or a link says. */
export interface TrackedVisit {
  readonly kind: 'opened' | 'clicked';
  readonly copy: TrackedCopy;
  /** clicked: where the link leads. */
  readonly url?: string;
  readonly method: string;
  readonly ip: string;
  readonly userAgent: string;
  readonly isPrefetch: boolean;
}

export interface RecorderOptions {
  readonly events: Pick<EventStore, 'recipientById'>;
  /** Writes it down, and what webhooks are to be told of it with it. */
  record(fact: Fact): Promise<'recorded' | 'repeated'>;
  readonly clock: Clock;
  readonly log: Log;
  /** See `tracking.human_after`. */
  readonly humanAfterMs: number;
}

interface Waiting {
  readonly visit: TrackedVisit;
  readonly atMs: number;
}

type Known = { readonly message: StoredMessage; readonly recipient: StoredRecipient } | undefined;

const WAITING_MAX = 20_000;
/** At work at once: their commits are shared. */
const AT_ONCE = 64;
const GIVE_UP_AFTER_MS = 60_000;
const RETRY_MS = 1000;
const COPIES_MAX = 50_000;
const BURST = 100;
const REFILL_MS = 60_000;
const KNOWN_MAX = 2000;
const KNOWN_MS = 60_000;
const COMPLAIN_EVERY_MS = 60_000;

export class TrackingRecorder {
  readonly #options: RecorderOptions;
  readonly #waiting: Waiting[] = [];
  readonly #running = new Set<Promise<void>>();
  /** By recipient of which a visit is being written: later ones of the same, at most `BURST`. Which was the first counts. */
  readonly #behind = new Map<number, Waiting[]>();
  readonly #buckets = new BoundedCache<number, TokenBucket>({ max: COPIES_MAX });
  readonly #known = new BoundedCache<number, { readonly found: Known }>({ max: KNOWN_MAX, ttlMs: KNOWN_MS });
  readonly #stop = new AbortController();
  #complainedMs = Number.NEGATIVE_INFINITY;
  /** Since the start. dropped: too many of one copy, or too many at all. lost: the store did not take them. */
  readonly counts = { recorded: 0, dropped: 0, lost: 0 };

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /** Returns at once, and never throws. */
  note(visit: TrackedVisit): void {
    const { clock } = this.#options;
    if (this.#stop.signal.aborted || this.#waiting.length >= WAITING_MAX || !this.#isBearable(visit.copy.recipient)) {
      this.counts.dropped++;
      return;
    }
    this.#waiting.push({ visit, atMs: clock.nowMs() });
    this.#work();
  }

  /** Writes what waits; what the store does not take is lost. */
  async stop(): Promise<void> {
    this.#stop.abort();
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #isBearable(recipient: number): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    let bucket = this.#buckets.get(recipient, nowMs);
    if (bucket === undefined) {
      bucket = new TokenBucket(1, REFILL_MS, BURST, nowMs);
      this.#buckets.set(recipient, bucket, nowMs);
    }
    return bucket.take(1, nowMs);
  }

  #work(): void {
    while (this.#running.size < AT_ONCE) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      const behind = this.#behind.get(next.visit.copy.recipient);
      if (behind !== undefined) {
        behind.push(next);
        continue;
      }
      const run = this.#recordInTurn(next).finally(() => {
        this.#running.delete(run);
        this.#work();
      });
      this.#running.add(run);
    }
  }

  /** And what comes of the same recipient meanwhile. */
  async #recordInTurn(first: Waiting): Promise<void> {
    const { recipient } = first.visit.copy;
    const behind: Waiting[] = [];
    this.#behind.set(recipient, behind);
    for (let next: Waiting | undefined = first; next !== undefined; next = behind.shift()) await this.#record(next);
    this.#behind.delete(recipient);
  }

  /** Tries until it is written or too old; never rejects. */
  async #record(waiting: Waiting): Promise<void> {
    const { clock, humanAfterMs } = this.#options;
    for (;;) {
      try {
        const known = await this.#find(waiting.visit.copy.recipient);
        if (known === undefined) return;
        await this.#options.record(factOf(waiting.visit, known, waiting.atMs, humanAfterMs));
        this.counts.recorded++;
        return;
      } catch (error) {
        const isOver = this.#stop.signal.aborted || clock.nowMs() - waiting.atMs > GIVE_UP_AFTER_MS;
        if (isOver) this.counts.lost++;
        this.#complain(error, isOver);
        if (isOver) return;
        await pause(RETRY_MS, this.#stop.signal);
      }
    }
  }

  #complain(error: unknown, isLost: boolean): void {
    const { clock, log } = this.#options;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#complainedMs < COMPLAIN_EVERY_MS) return;
    this.#complainedMs = nowMs;
    log.warn(
      { error: errorText(error), waiting: this.#waiting.length, isLost },
      'opens and clicks cannot be written down now; links work all the same',
    );
  }

  async #find(recipient: number): Promise<Known> {
    const nowMs = this.#options.clock.monotonicMs();
    const kept = this.#known.get(recipient, nowMs);
    if (kept !== undefined) return kept.found;
    const found = await this.#options.events.recipientById(recipient);
    this.#known.set(recipient, { found }, nowMs);
    return found;
  }
}

/** Everything about one visit that is written, but for who is told of it. */
function factOf(visit: TrackedVisit, known: NonNullable<Known>, atMs: number, humanAfterMs: number): Fact {
  const { message, recipient } = known;
  const { kind, ip, url, copy } = visit;
  const userAgent = visit.userAgent.slice(0, AGENT_MAX);
  const bot = botOf({ ...visit, userAgent, afterMs: atMs - copy.sentMs }, humanAfterMs);
  const client = clientOf(userAgent);
  const detail: EventDetail = {
    client: { ...client, userAgent, ...(bot !== undefined && { bot }) },
    ip,
    ...(url !== undefined && { url }),
  };
  const { accountId, domainId, id } = message;
  const count = (first: VisitReason['first']): CounterKey[] =>
    countersOf(
      {
        accountId,
        domainId,
        kind,
        provider: providerOf(recipient.domain) ?? '',
        receiver: recipient.domain,
        reason: visitReason({ first, bot: bot ?? '' }),
        device: client.device,
      },
      message.info.options.tags,
    );
  return {
    event: { kind, atUs: atMs * 1000, accountId, domainId, message: id, recipient: recipient.id, detail },
    counters: count(''),
    firstCounters: count('any'),
    firstOf: { mark: bot ?? 'person', counters: count('own') },
  };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    if (signal.aborted) done();
    else signal.addEventListener('abort', done);
  });
}
