/**
 * A batch of messages as one statement: contents, messages, recipients, their events, the counters, and the buckets that are to be looked at sooner. Ids are given before anything
 * is written, so that the same batch can be sent again when nobody knows what became of it.
 */
import { EVENT_KINDS } from '#model/event.ts';
import type { Ending } from '#model/message.ts';
import { extraJson, STATE_DONE, STATE_LEASED, STATE_QUEUED, type Row, termsOf } from '#store/rows-json.ts';
import type { AcceptMessage, AcceptResult, SuppressionKind } from '#store/store.ts';
import { stoppedBy } from '#store/suppression-rows.ts';
import { int2Array, int4Array, int8Array, textArray } from './arrays.ts';
import { type BucketIds, lowering } from './buckets.ts';
import { COUNTER_TYPES, CounterSums, countersSql } from './counters.ts';
import type { Queries, Value } from './database.ts';
import { dayOf, firstIdOfDay, type Ids } from './ids.ts';
import type { Telling } from './outbox-put.ts';
import { parameters } from './parameters.ts';
import { Pieces } from './pieces.ts';
import type { Partitions } from './partitions.ts';

const GIVEN = parameters({
  id: 'bigint[]',
  account: 'bigint[]',
  domain: 'bigint[]',
  messageId: 'text[]',
  sender: 'text[]',
  created: 'bigint[]',
  expires: 'bigint[]',
  priority: 'smallint[]',
  first: 'bigint[]',
  count: 'integer[]',
  info: 'text[]',
  bytes: 'bytea[]',
  rId: 'bigint[]',
  rMessage: 'bigint[]',
  rBucket: 'bigint[]',
  rAddress: 'text[]',
  rState: 'smallint[]',
  rDue: 'bigint[]',
  rExpires: 'bigint[]',
  rWait: 'text[]',
  rExtra: 'text[]',
  eId: 'bigint[]',
  eAt: 'bigint[]',
  eAccount: 'bigint[]',
  eDomain: 'bigint[]',
  tDomain: 'bigint[]',
  tTag: 'text[]',
  tAt: 'bigint[]',
  tEvent: 'bigint[]',
  queuedBucket: 'bigint[]',
  queuedDue: 'bigint[]',
  ...COUNTER_TYPES,
});
const $ = GIVEN.sql;

const SUPPRESSED = (domains: string, addresses: string): string =>
  `SELECT a.n::integer AS n, s.kind AS kind, s.tags AS tags FROM unnest(${domains}, ${addresses}) WITH ORDINALITY AS a (domain_id, address, n)
    JOIN suppression s ON s.domain_id = a.domain_id AND lower(s.address) = lower(a.address COLLATE "C")`;

/** Answers who is suppressed (n: the recipient's place in the batch, from 1), and a row with n = 0 for each bucket that is looked at sooner. */
const ACCEPT = `WITH messages AS (
    INSERT INTO message (id, account_id, domain_id, message_id, sender, created_ms, expires_ms, priority, first_recipient, recipient_count, info)
    SELECT * FROM unnest(${$.id}, ${$.account}, ${$.domain}, ${$.messageId}, ${$.sender}, ${$.created}, ${$.expires}, ${$.priority}, ${$.first}, ${$.count}, ${$.info})),
  contents AS (INSERT INTO content (id, bytes) SELECT * FROM unnest(${$.id}, ${$.bytes})),
  recipients AS (
    INSERT INTO recipient (id, message, bucket, address, state, ending, epoch, node, due_ms, expires_ms, wait, extra, scheduled_domain)
    SELECT r.id, r.message, r.bucket, r.address, r.state, CASE WHEN r.state = ${STATE_DONE} THEN '${'received' satisfies Ending}' END,
      r.state % 2, CASE WHEN r.state = ${STATE_LEASED} THEN ${$.countNode} END, r.due_ms, r.expires_ms, r.wait, r.extra,
      CASE WHEN r.wait = 'scheduled' THEN r.domain_id END
    FROM unnest(${$.rId}, ${$.rMessage}, ${$.rBucket}, ${$.rAddress}, ${$.rState}, ${$.rDue}, ${$.rExpires}, ${$.rWait}, ${$.rExtra}, ${$.eDomain})
      AS r (id, message, bucket, address, state, due_ms, expires_ms, wait, extra, domain_id)),
  events AS (
    INSERT INTO event (id, kind, at_us, account_id, domain_id, message, recipient)
    SELECT e.id, ${EVENT_KINDS.accepted}, e.at_us, e.account_id, e.domain_id, e.message, e.recipient
    FROM unnest(${$.eId}, ${$.eAt}, ${$.eAccount}, ${$.eDomain}, ${$.rMessage}, ${$.rId}) AS e (id, at_us, account_id, domain_id, message, recipient)),
  tagged AS (
    INSERT INTO event_tag (domain_id, tag, at_us, event, kind)
    SELECT t.*, ${EVENT_KINDS.accepted} FROM unnest(${$.tDomain}, ${$.tTag}, ${$.tAt}, ${$.tEvent}) AS t),
  ${countersSql($)},
  queued AS (SELECT * FROM unnest(${$.queuedBucket}, ${$.queuedDue}) AS q (bucket, due_ms)),
  ${lowering('queued')}
${SUPPRESSED($.eDomain, $.rAddress)} UNION ALL SELECT 0, NULL, NULL FROM lowered`;

const SUPPRESSED_ALONE = SUPPRESSED('$1::bigint[]', '$2::text[]');

export interface AcceptTools {
  readonly ids: Ids;
  readonly buckets: BucketIds;
  readonly partitions: Partitions;
  /** That leases. */
  readonly node: () => number;
}

export type Accepted = Extract<AcceptResult, { readonly kind: 'accepted' }>;

export class AcceptBatch {
  readonly #messages: readonly AcceptMessage[];
  readonly #received: ReadonlySet<AcceptMessage>;
  readonly #firsts: BatchRows['firsts'];
  readonly #values: Value[];
  readonly #suppressedValues: Value[];
  /** A bucket is to be looked at sooner than it was, which other nodes may want to know. Set by writing. */
  isSooner = false;

  private constructor(messages: readonly AcceptMessage[], received: ReadonlySet<AcceptMessage>, rows: BatchRows) {
    this.#messages = messages;
    this.#received = received;
    this.#firsts = rows.firsts;
    this.#values = rows.values;
    this.#suppressedValues = rows.suppressedValues;
  }

  /** Gives ids, and makes what must be there before: buckets and partitions. `received`: those that came in, and are done with. */
  static async prepare(
    queries: Queries,
    tools: AcceptTools,
    messages: readonly AcceptMessage[],
    received: ReadonlySet<AcceptMessage> = NONE,
  ): Promise<AcceptBatch> {
    const { ids, buckets, partitions } = tools;
    await buckets.learn(queries, bucketsOf(messages));
    await partitions.ensure(messages.map(({ createdMs }) => dayOf(createdMs)));
    const recipients = messages.reduce((sum, message) => sum + message.recipients.length, 0);
    const numbers = {
      message: await ids.take('message', messages.length),
      recipient: await ids.take('recipient', recipients),
      event: await ids.take('event', recipients),
    };
    return new AcceptBatch(messages, received, rowsOf({ messages, received, numbers, buckets, node: tools.node() }));
  }

  /** Ids of the messages, in their order. */
  get ids(): number[] {
    return this.#firsts.map(({ id }) => id);
  }

  /** Recipients that are leased to this node with it. */
  *leased(): Generator<number> {
    for (const [position, message] of this.#messages.entries()) {
      if (this.#received.has(message)) continue;
      const first = this.#firsts[position]?.recipient as number;
      for (const [place, { isLeased }] of message.recipients.entries()) if (isLeased) yield first + place;
    }
  }

  /** Ids that a message has got: its own, and of its recipients and their accepted events the first. */
  firstsOf(message: AcceptMessage): BatchRows['firsts'][number] {
    return this.#firsts[this.#messages.indexOf(message)] as BatchRows['firsts'][number];
  }

  /** What others are to be told of the acceptances. */
  tellings(): Telling[] {
    return this.#messages.flatMap(({ outbox = [], accountId, domainId, createdMs, recipients }, position) => {
      if (outbox.length === 0) return [];
      const { id, recipient, event } = this.#firsts[position] as BatchRows['firsts'][number];
      return recipients.flatMap((_, place) => {
        const owner = {
          accountId,
          domainId,
          message: id,
          recipient: recipient + place,
          atMs: createdMs,
          event: event + place,
          isNew: true,
        };
        return outbox.map((entry) => ({ owner, entry }));
      });
    });
  }

  async write(queries: Queries): Promise<Accepted[]> {
    const rows = await queries.all(ACCEPT, ...this.#values);
    this.isSooner = rows.some((row) => row['n'] === 0);
    return this.#answers(rows);
  }

  /** It was committed: a batch is there as a whole, or not at all. */
  async stands(queries: Queries): Promise<boolean> {
    return (await queries.get('SELECT 1 FROM message WHERE id = $1', this.#firsts[0]?.id as number)) !== undefined;
  }

  /** For a batch that was found to stand. */
  async answers(queries: Queries): Promise<Accepted[]> {
    this.isSooner = true;
    return this.#answers(await queries.all(SUPPRESSED_ALONE, ...this.#suppressedValues));
  }

  #answers(rows: readonly Row[]): Accepted[] {
    /** The first of each place, in the order of kinds. */
    const found = new Map<number, { readonly kind: string; readonly tags: string }>();
    for (const row of rows) {
      const [place, kind] = [Number(row['n']), String(row['kind'])];
      const before = found.get(place);
      if (place > 0 && (before === undefined || kind < before.kind)) found.set(place, { kind, tags: String(row['tags']) });
    }
    let start = 1;
    return this.#messages.map(({ recipients, info }, position) => {
      const { id, recipient } = this.#firsts[position] as { id: number; recipient: number };
      const suppressed: [number, SuppressionKind][] = [];
      if (found.size > 0) {
        for (let place = 0; place < recipients.length; place++) {
          const first = found.get(start + place);
          const kind = first === undefined ? undefined : stoppedBy(first.kind, first.tags, () => info.options.tags);
          if (kind !== undefined) suppressed.push([place, kind]);
        }
      }
      start += recipients.length;
      return { kind: 'accepted', id, contentId: id, firstRecipient: recipient, suppressed };
    });
  }
}

function* bucketsOf(messages: readonly AcceptMessage[]) {
  for (const { recipients, accountId, priority } of messages) for (const { domain } of recipients) yield { domain, accountId, priority };
}

const NONE: ReadonlySet<AcceptMessage> = new Set();

interface BatchRows {
  readonly firsts: readonly { readonly id: number; readonly recipient: number; readonly event: number }[];
  readonly values: Value[];
  readonly suppressedValues: Value[];
}

function rowsOf(given: {
  readonly messages: readonly AcceptMessage[];
  readonly received: ReadonlySet<AcceptMessage>;
  readonly numbers: { message: number; recipient: number; event: number };
  readonly buckets: BucketIds;
  readonly node: number;
}): BatchRows {
  const { messages, received, numbers, buckets, node } = given;
  const firsts: { id: number; recipient: number; event: number }[] = [];
  const r: Record<'id' | 'message' | 'bucket' | 'state' | 'due' | 'expires', number[]> = {
    id: [],
    message: [],
    bucket: [],
    state: [],
    due: [],
    expires: [],
  };
  const addresses: string[] = [];
  const waits: string[] = [];
  const extras: (string | null)[] = [];
  const e: Record<'id' | 'at' | 'account' | 'domain', number[]> = { id: [], at: [], account: [], domain: [] };
  const t: Record<'domain' | 'at' | 'event', number[]> = { domain: [], at: [], event: [] };
  const tagTexts: string[] = [];
  const queued = new Map<number, number>();
  const counters = new CounterSums();
  for (const message of messages) {
    const { accountId, domainId, priority, createdMs } = message;
    const dayStart = firstIdOfDay(dayOf(createdMs));
    const tags = new Set(message.info.options.tags.map((tag) => tag.toLowerCase()));
    const id = dayStart + numbers.message++;
    firsts.push({ id, recipient: dayStart + numbers.recipient, event: dayStart + numbers.event });
    const isReceived = received.has(message);
    for (const recipient of message.recipients) {
      const bucket = buckets.idOf({ domain: recipient.domain, accountId, priority }) as number;
      const { dueAtMs, expiresAtMs, wait } = termsOf(message, recipient);
      r.id.push(dayStart + numbers.recipient++);
      r.message.push(id);
      r.bucket.push(bucket);
      r.state.push(isReceived ? STATE_DONE : recipient.isLeased ? STATE_LEASED : STATE_QUEUED);
      r.due.push(isReceived ? createdMs : dueAtMs);
      r.expires.push(expiresAtMs);
      addresses.push(recipient.address);
      waits.push(wait);
      extras.push(extraJson(recipient));
      const event = dayStart + numbers.event++;
      e.id.push(event);
      for (const tag of tags) {
        t.domain.push(domainId);
        t.at.push(Math.round(createdMs * 1000));
        t.event.push(event);
        tagTexts.push(tag);
      }
      e.at.push(Math.round(createdMs * 1000));
      e.account.push(accountId);
      e.domain.push(domainId);
      if (!recipient.isLeased && !isReceived) queued.set(bucket, Math.min(dueAtMs, queued.get(bucket) ?? dueAtMs));
    }
    for (const counter of message.counters ?? []) counters.add(counter, createdMs, counter.count);
  }
  const eDomain = int8Array(e.domain);
  const rAddress = textArray(addresses);
  const values = GIVEN.values({
    id: int8Array(firsts.map(({ id }) => id)),
    account: int8Array(messages.map(({ accountId }) => accountId)),
    domain: int8Array(messages.map(({ domainId }) => domainId)),
    messageId: textArray(messages.map(({ messageId }) => messageId)),
    sender: textArray(messages.map(({ sender }) => sender)),
    created: int8Array(messages.map(({ createdMs }) => createdMs)),
    expires: int8Array(messages.map(({ expiresAtMs }) => expiresAtMs)),
    priority: int2Array(messages.map(({ priority }) => priority)),
    first: int8Array(firsts.map(({ recipient }) => recipient)),
    count: int4Array(messages.map(({ recipients }) => recipients.length)),
    info: textArray(messages.map(({ info }) => JSON.stringify(info))),
    bytes: Pieces.ofBytea(messages.map(({ content }) => content)),
    rId: int8Array(r.id),
    rMessage: int8Array(r.message),
    rBucket: int8Array(r.bucket),
    rAddress,
    rState: int2Array(r.state),
    rDue: int8Array(r.due),
    rExpires: int8Array(r.expires),
    rWait: textArray(waits),
    rExtra: textArray(extras),
    eId: int8Array(e.id),
    eAt: int8Array(e.at),
    eAccount: int8Array(e.account),
    eDomain,
    tDomain: int8Array(t.domain),
    tTag: textArray(tagTexts),
    tAt: int8Array(t.at),
    tEvent: int8Array(t.event),
    queuedBucket: int8Array([...queued.keys()]),
    queuedDue: int8Array([...queued.values()]),
    ...counters.values(node),
  });
  return { firsts, values, suppressedValues: [eDomain, rAddress] };
}
