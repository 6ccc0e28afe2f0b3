/**
 * One attempt to post an entry, and what follows from it. An entry ends in one of three ways: the receiver took it (2xx); the receiver wants no more of it (406) or must
 * not be posted to; or it is given up when it would be older than its kind may get. Everything else is tried again by the schedule.
 */
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { jitter } from '#base/random.ts';
import type { EventRow, PostRecord } from '#model/event.ts';
import type { OutboxEntry, OutboxItem, OutboxKind, OutboxSettlement } from '#store/outbox-store.ts';
import type { PostRow } from '#store/post-store.ts';
import type { Verdict } from './endpoint-health.ts';
import { type Poster, type PostResult, shownUrl } from './guarded-post.ts';
import type { OutboxMaker } from './outbox-maker.ts';

export interface AttemptDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly poster: Poster;
  readonly makers: Readonly<Partial<Record<OutboxKind, OutboxMaker>>>;
  /** Who is told of an event. Absent: nobody. */
  entriesFor?(
    accountId: number,
    domainId: number,
    kind: EventRow['kind'],
  ): readonly OutboxEntry[] | undefined | Promise<readonly OutboxEntry[] | undefined>;
  /** Waits after the first, second, … failure; the last one repeats. */
  readonly retryMs: readonly number[];
}

export interface Attempted {
  readonly settlement: OutboxSettlement;
  /** What it says of the endpoint. */
  readonly verdict: Verdict;
  /** It said how long it wants to be left alone. */
  readonly askedMs?: number;
}

/** As Mailgun has it: 406 asks that this is not posted again. */
const STATUS_NO_MORE = 406;
const RETRY_SPREAD = 0.1;

export class Attempts {
  readonly #deps: AttemptDeps;
  /** Since the start, for /metrics. */
  readonly counts = { done: 0, failed: 0, givenUp: 0 };

  constructor(deps: AttemptDeps) {
    this.#deps = deps;
  }

  makerOf(kind: OutboxKind): OutboxMaker {
    const maker = this.#deps.makers[kind];
    if (maker === undefined) throw new Error(`nobody makes entries of the kind ${kind}`);
    return maker;
  }

  /** The longest that an entry of any kind may be tried. */
  get longestMs(): number {
    return Math.max(...Object.values(this.#deps.makers).map(({ giveUpAfterMs }) => giveUpAfterMs));
  }

  /** Ends when the poster does. */
  async attempt(item: OutboxItem, signal: AbortSignal): Promise<Attempted> {
    const { clock, poster } = this.#deps;
    const startMs = clock.monotonicMs();
    const request = await this.makerOf(item.kind).make(item);
    if ('gone' in request) return { settlement: this.givenUp(item, request.gone, {}), verdict: 'unknown' };
    const result = await poster.post(request, signal);
    if (result.kind !== 'answered' && signal.aborted) return { settlement: { item, dueAtMs: clock.nowMs() }, verdict: 'unknown' };
    return this.#judged(item, result, Math.round(clock.monotonicMs() - startMs));
  }

  /** With what webhooks are told of it. Rejects as the store does. */
  async told(item: OutboxItem, settlement: OutboxSettlement): Promise<OutboxSettlement> {
    const { event } = settlement;
    if (event === undefined || this.makerOf(item.kind).isTold !== true) return settlement;
    const outbox = await this.#deps.entriesFor?.(event.accountId, event.domainId, event.kind);
    return outbox === undefined ? settlement : { ...settlement, outbox };
  }

  givenUp(item: OutboxItem, text: string, facts: Facts): OutboxSettlement {
    this.counts.givenUp++;
    this.#deps.log.warn(
      { outbox: item.id, kind: item.kind, message: item.message?.id, url: shown(item.target), trouble: text },
      'given up: nothing more is posted of it',
    );
    return { item, ...this.#told(item, 'failed', text, facts) };
  }

  #judged(item: OutboxItem, result: PostResult, tookMs: number): Attempted {
    const facts: Facts = {
      tookMs,
      ...(result.kind === 'answered' && { status: result.status, ...(result.excerpt !== undefined && { response: result.excerpt }) }),
      ...('address' in result && result.address !== undefined && { address: result.address }),
    };
    if (result.kind === 'answered' && result.status >= 200 && result.status < 300) {
      this.counts.done++;
      return { settlement: { item, ...this.#told(item, 'done', result.text, facts) }, verdict: 'well' };
    }
    this.counts.failed++;
    const isFinal = result.kind === 'refused' || (result.kind === 'answered' && result.status === STATUS_NO_MORE);
    if (isFinal) return { settlement: this.givenUp(item, result.text, facts), verdict: 'unknown' };
    const askedMs = result.kind === 'answered' ? result.retryAfterMs : undefined;
    const dueAtMs = this.#nextAtMs(item, askedMs);
    const settlement =
      dueAtMs === undefined
        ? this.givenUp(item, result.text, facts)
        : { item, dueAtMs, ...this.#told(item, 'deferred', result.text, { ...facts, nextAtMs: dueAtMs }) };
    return { settlement, verdict: 'failed', ...(askedMs !== undefined && { askedMs }) };
  }

  /** undefined: it would be too old by then. */
  #nextAtMs(item: OutboxItem, askedMs: number | undefined): number | undefined {
    const { retryMs, clock } = this.#deps;
    const delayMs = retryMs[Math.min(item.attempts, retryMs.length - 1)] ?? 0;
    const atMs = clock.nowMs() + Math.round(Math.max(delayMs * jitter(RETRY_SPREAD), askedMs ?? 0));
    return atMs < item.createdMs + this.makerOf(item.kind).giveUpAfterMs ? atMs : undefined;
  }

  /** What is written with the settlement. */
  #told(
    item: OutboxItem,
    result: PostRecord['result'],
    text: string,
    { response, ...facts }: Facts,
  ): Pick<OutboxSettlement, 'event' | 'post'> {
    const record: PostRecord = { result, url: shown(item.target), number: item.attempts + 1, tookMs: 0, ...facts };
    const maker = this.makerOf(item.kind);
    const event = this.#event(item, maker, record, text);
    return {
      ...(event !== undefined && { event }),
      ...(maker.isLogged && item.event !== undefined && { post: this.#logged(item, item.event, record, text, response) }),
    };
  }

  /** Nobody can be told of a message that is gone with all its events, nor a subaccount of servers of the account above: that account's log has them. */
  #event(item: OutboxItem, maker: OutboxMaker, record: PostRecord, text: string): Omit<EventRow, 'id'> | undefined {
    if (item.message === undefined || item.message.accountId !== item.accountId) return undefined;
    const detail = maker.event(item, record, text);
    if (detail === undefined) return undefined;
    return {
      kind: typeof maker.eventKind === 'function' ? maker.eventKind(record) : maker.eventKind,
      atUs: this.#deps.clock.nowMs() * 1000,
      accountId: item.accountId,
      domainId: item.domainId,
      message: item.message.id,
      recipient: item.recipient?.id ?? 0,
      detail,
    };
  }

  #logged(item: OutboxItem, { id, kind, message, recipient }: EventRow, record: PostRecord, text: string, response = ''): PostRow {
    return {
      entry: item.kind,
      accountId: item.accountId,
      domainId: item.domainId,
      event: id,
      message,
      recipient,
      kind,
      url: item.target,
      endpoint: item.endpoint,
      payload: item.payload,
      atMs: this.#deps.clock.nowMs(),
      number: record.number,
      result: record.result,
      ...(record.status !== undefined && { status: record.status }),
      tookMs: record.tookMs,
      error: record.result === 'done' ? '' : text,
      response,
    };
  }
}

type Facts = Partial<PostRecord> & { readonly response?: string };

function shown(target: string): string {
  return URL.canParse(target) ? shownUrl(new URL(target)) : '';
}
