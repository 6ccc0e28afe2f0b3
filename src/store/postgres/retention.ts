/**
 * What time takes away: contents after their domain's retention, events and idempotency keys after theirs, and messages of which nothing is left. Nothing that is queued
 * or leased is touched, however old (P3). Each step is bounded, and one node at a time takes it.
 *
 * Events go by the day: a partition whose newest is too old is dropped. Contents go one by one while their day is small, or when their domain keeps them for a
 * shorter time than others. A large day goes as a whole when it is over by the longest retention: what has to stay is moved to `content_kept` first. So a
 * content of a busy day may stay up to 30 hours longer than its domain's retention, and no million of rows is deleted by itself.
 */
import { CONTENT_KINDS } from '#store/outbox-store.ts';
import type { Row } from '#store/rows-json.ts';
import { int8Array } from './arrays.ts';
import { FLOOR, HAS_CONTENT } from './contents.ts';
import { expireCounters } from './counters.ts';
import type { Database } from './database.ts';
import { firstIdOfDay } from './ids.ts';
import { type Partition, type Partitions, partitionName } from './partitions.ts';

const LOCK = 7_072_681_252;
const DAY_MS = 86_400_000;
const WALK_ANEW_MS = 3_600_000;
/** Rows, and recipients that belong to them, that one step of a walk looks at. */
const ROWS_EXAMINED_MAX = 5000;
const RECIPIENTS_EXAMINED_MAX = 20_000;
/** Small rows, which go by themselves: so many times more of them in a step. */
const TAGGED_TIMES = 20;
const ROWS_AT_ONCE_MAX = 500;
/** A walk has come to its end after so many that are too young; a few are passed by, as a clock that was wrong for a while leaves them. */
const YOUNG_MAX = 100;
/** A day of contents up to this size is taken away row by row, at the hour; a larger one as a whole. */
const ROW_BY_ROW_BYTES_MAX = 256 * 1024 * 1024;
/** Most of what was put off again and again is settled by then, and need not be moved. */
const GRACE_MS = 6 * 3_600_000;

/** The recipients of the message `m`: is one of them not settled, and when was the last settled. */
const SETTLED = `LATERAL (SELECT max(r.due_ms) AS at_ms, bool_or(r.state <> 2) AS is_open FROM recipient r
  WHERE r.id >= m.first_recipient AND r.id < m.first_recipient + m.recipient_count) s`;

/** An entry of the outbox needs the content of the message `m`. */
const TO_BE_POSTED = `EXISTS (SELECT 1 FROM outbox o WHERE o.message = m.id AND o.kind IN (${CONTENT_KINDS.map((kind) => `'${kind}'`).join(', ')}))`;

/** Of the messages $1, whose ids lie from $2 to $3, the contents that are past their retention. */
const DROP_CONTENTS = `WITH past AS MATERIALIZED (
    SELECT m.id FROM message m LEFT JOIN domain d ON d.id = m.domain_id CROSS JOIN ${SETTLED}
    WHERE m.id = ANY($1::bigint[]) AND NOT s.is_open AND s.at_ms + coalesce(d.retention_ms, 0) < $4::bigint AND NOT ${TO_BE_POSTED}),
  gone AS (DELETE FROM content c USING past p WHERE c.id = p.id AND c.id >= $2::bigint AND c.id <= $3::bigint),
  gone_kept AS (DELETE FROM content_kept k USING past p WHERE k.id = p.id)
  UPDATE message m SET has_content = 0 FROM past p WHERE m.id = p.id`;

const DELETE_ONE = `UPDATE message m SET has_content = 0 WHERE m.id = $1 AND m.account_id = $2 AND ${HAS_CONTENT} = 1
  AND NOT EXISTS (SELECT 1 FROM recipient r WHERE r.id >= m.first_recipient AND r.id < m.first_recipient + m.recipient_count AND r.state <> 2)
  AND NOT ${TO_BE_POSTED}`;

const RETIRE = `WITH gone AS MATERIALIZED (
    SELECT m.id, m.first_recipient, m.recipient_count FROM message m CROSS JOIN ${SETTLED}
    WHERE m.id = ANY($1::bigint[]) AND NOT s.is_open AND NOT EXISTS (SELECT 1 FROM event e WHERE e.message = m.id)),
  recipients AS (DELETE FROM recipient r USING gone g WHERE r.id >= g.first_recipient AND r.id < g.first_recipient + g.recipient_count)
  DELETE FROM message m USING gone g WHERE m.id = g.id`;

/** The next messages of a day, and those of them whose content cannot go with it. */
const STAYING = `SELECT max(m.id) AS last, count(*) AS n, array_agg(m.id) FILTER (WHERE s.is_open OR s.at_ms >= $4::bigint OR ${TO_BE_POSTED}) AS staying FROM (
    SELECT id, first_recipient, recipient_count FROM message WHERE id > $1::bigint AND id < $2::bigint AND has_content = 1 ORDER BY id LIMIT $3::bigint
  ) m CROSS JOIN ${SETTLED}`;

/** `table`: the day's own. */
const keep = (table: string): string => `WITH moved AS (DELETE FROM ${table} WHERE id = ANY($1::bigint[]) RETURNING id, bytes),
  kept AS (INSERT INTO content_kept SELECT * FROM moved ON CONFLICT DO NOTHING)
  UPDATE message m SET has_content = 2 FROM moved WHERE m.id = moved.id AND m.has_content = 1`;
/** Contents that are moved in one statement: they may be large. */
const KEPT_AT_ONCE_MAX = 50;

const RAISE_FLOOR = `INSERT INTO setting AS s (name, value) VALUES ('${FLOOR}', $1::text)
  ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE s.value::bigint < excluded.value::bigint`;

interface Walked {
  /** The last row that was looked at. */
  id: number;
  /** When it began at the oldest. */
  readonly sinceMs: number;
  /** It has come to what is too young. */
  isThrough: boolean;
  /** How long it has taken so far. */
  busyMs: number;
}

/** A stretch of ids whose contents are looked at one by one; of a large day only those that go before the day does. */
interface Stretch {
  readonly table: 'content' | 'content_kept';
  readonly from: number;
  readonly to: number;
  readonly isLarge: boolean;
}

export class Retention {
  readonly #db: Database;
  readonly #partitions: Partitions;
  readonly #rowByRowBytesMax: number;
  readonly #walked = new Map<string, Walked>();

  constructor(db: Database, partitions: Partitions, rowByRowBytesMax = ROW_BY_ROW_BYTES_MAX) {
    this.#db = db;
    this.#partitions = partitions;
    this.#rowByRowBytesMax = rowByRowBytesMax;
  }

  /** One step: how much went, or `limit` when there is more to look at than one step may. Nothing while another node is at it. */
  async expire(nowMs: number, limit: number, eventsRetentionMs: number, postsRetentionMs = eventsRetentionMs): Promise<number> {
    await this.#partitions.ensureAhead(nowMs);
    // The transaction only holds the lock; what is done is done beside it.
    return this.#db.transaction(async (queries) => {
      const held = await queries.get('SELECT pg_try_advisory_xact_lock($1::bigint) AS is_mine', LOCK);
      return held?.['is_mine'] === true ? this.#step(nowMs, limit, eventsRetentionMs, postsRetentionMs) : 0;
    });
  }

  /** The content of one message that is wholly settled, at its sender's wish. */
  async deleteContent(accountId: number, message: number): Promise<boolean> {
    return this.#db.transaction(async (queries) => {
      if ((await queries.run(DELETE_ONE, message, accountId)) === 0) return false;
      await queries.run('DELETE FROM content WHERE id = $1', message);
      await queries.run('DELETE FROM content_kept WHERE id = $1', message);
      return true;
    });
  }

  async #step(nowMs: number, limit: number, eventsRetentionMs: number, postsRetentionMs: number): Promise<number> {
    const oldMs = nowMs - eventsRetentionMs;
    const retention = await this.#db.get('SELECT min(retention_ms) AS shortest, max(retention_ms) AS longest FROM domain');
    const [shortestMs, longestMs] = [Number(retention?.['shortest'] ?? 0), Number(retention?.['longest'] ?? 0)];
    const days = await this.#partitions.list('content');
    const keys = (await this.#expireKeys(nowMs, limit)) + (await expireCounters(this.#db, nowMs, limit));
    const contents = await this.#expireContents({ nowMs, limit, days, shortestMs, longestMs });
    // A day goes when nothing is left to be taken from it by itself.
    const dropped = contents < limit ? await this.#dropContents(days, nowMs, longestMs, limit) : 0;
    const posts = await this.#expireByTheDay('webhook_post', 'at_ms', nowMs - postsRetentionMs, limit);
    return keys + contents + dropped + posts + (await this.#expireEvents(oldMs, limit)) + (await this.#retireMessages(oldMs, nowMs, limit));
  }

  #expireKeys(nowMs: number, limit: number): Promise<number> {
    return this.#db.run(
      'DELETE FROM idempotency WHERE (account_id, key) IN (SELECT account_id, key FROM idempotency WHERE until_ms < $1 LIMIT $2)',
      nowMs,
      limit,
    );
  }

  /** What belongs to events goes with them. */
  async #expireEvents(oldMs: number, limit: number): Promise<number> {
    const tagged = await this.#db.run(
      'DELETE FROM event_tag WHERE ctid = ANY(ARRAY(SELECT ctid FROM event_tag WHERE at_us < $1 LIMIT $2))',
      oldMs * 1000,
      limit * TAGGED_TIMES,
    );
    const once = await this.#db.run(
      'DELETE FROM fact_once WHERE ctid = ANY(ARRAY(SELECT ctid FROM fact_once WHERE at_ms < $1 LIMIT $2))',
      oldMs,
      limit * TAGGED_TIMES,
    );
    if (tagged === limit * TAGGED_TIMES || once === limit * TAGGED_TIMES) return limit;
    return this.#expireByTheDay('event', 'at_us / 1000', oldMs, limit);
  }

  /** One day's partition; of those without a day, which came from the other driver nearly in order of time, the oldest rows. */
  async #expireByTheDay(table: 'event' | 'webhook_post', time: string, oldMs: number, limit: number): Promise<number> {
    const first = partitionName(table, 0);
    const gone = await this.#db.run(
      `DELETE FROM ${first} WHERE id IN (SELECT id FROM (SELECT id, ${time} AS at_ms FROM ${first} ORDER BY id LIMIT $1) e WHERE at_ms < $2)`,
      limit,
      oldMs,
    );
    const [oldest] = await this.#partitions.list(table);
    if (oldest === undefined || (oldest.day + 1) * DAY_MS > oldMs) return gone;
    await this.#partitions.detach(table, oldest);
    await this.#partitions.drop(table, oldest, () => Promise.resolve());
    return limit;
  }

  // ---- contents, one by one ----

  async #expireContents(given: {
    readonly nowMs: number;
    readonly limit: number;
    readonly days: readonly Partition[];
    readonly shortestMs: number;
    readonly longestMs: number;
  }): Promise<number> {
    const { nowMs, limit, days, shortestMs, longestMs } = given;
    const hasShorter = shortestMs < longestMs;
    const stretches: Stretch[] = [
      { table: 'content_kept', from: 0, to: Number.MAX_SAFE_INTEGER, isLarge: false },
      { table: 'content', from: 0, to: firstIdOfDay(1), isLarge: false },
    ];
    for (const { day, sizeBytes } of days) {
      stretches.push({ table: 'content', from: firstIdOfDay(day), to: firstIdOfDay(day + 1), isLarge: sizeBytes > this.#rowByRowBytesMax });
    }
    const step = new WalkStep(limit, nowMs - shortestMs);
    for (const stretch of stretches) {
      if (step.isOver) break;
      if (stretch.isLarge && !hasShorter) continue;
      await this.#walkContents(stretch, step, nowMs, longestMs);
    }
    for (const table of ['content', 'content_kept']) this.#walkOf(table, nowMs).isThrough = !step.isCutShort;
    return step.result;
  }

  async #walkContents(stretch: Stretch, step: WalkStep, nowMs: number, longestMs: number): Promise<void> {
    const { table, to, isLarge } = stretch;
    const walked = this.#walkOf(table, nowMs);
    const from = Math.max(stretch.from - 1, walked.id);
    if (from >= to) return;
    await step.walk(walked, {
      next: (after, count) =>
        this.#db.all(
          `SELECT c.id AS id, m.created_ms AS created_ms, m.recipient_count AS recipient_count, coalesce(d.retention_ms, 0) AS retention_ms
           FROM ${table} c JOIN message m ON m.id = c.id LEFT JOIN domain d ON d.id = m.domain_id
           WHERE c.id > $1::bigint AND c.id < $2::bigint ORDER BY c.id LIMIT $3::bigint`,
          Math.max(from, after),
          to,
          count,
        ),
      concerns: (row) => !isLarge || Number(row['retention_ms']) < longestMs,
      drop: (ids) => this.#db.run(DROP_CONTENTS, int8Array(ids), ids[0] as number, ids.at(-1) as number, nowMs),
    });
  }

  // ---- contents, a day at once ----

  /**
   * The oldest day that is over by the longest retention: what stays of it is moved, a stretch at a time, and its partition detached. Then its messages are looked
   * through once more, for what a clock that is wrong may have put there meanwhile, and the table goes.
   */
  async #dropContents(days: readonly Partition[], nowMs: number, longestMs: number, limit: number): Promise<number> {
    const [oldest] = days;
    if (oldest === undefined || (oldest.day + 1) * DAY_MS + longestMs + GRACE_MS > nowMs) return 0;
    if (oldest.state === 'detaching') await this.#partitions.detach('content', oldest);
    else if (await this.#moveStaying(oldest, nowMs, longestMs)) {
      if (oldest.state === 'attached') await this.#partitions.detach('content', oldest);
      else await this.#partitions.drop('content', oldest, (queries) => queries.run(RAISE_FLOOR, String(firstIdOfDay(oldest.day + 1))));
    }
    return limit;
  }

  /** One stretch of the day's messages. True: it was the last. */
  async #moveStaying({ day, name, state }: Partition, nowMs: number, longestMs: number): Promise<boolean> {
    const walk = `${name} ${state}`;
    const walked = this.#walkOf(walk, nowMs);
    const row = await this.#db.get(
      STAYING,
      Math.max(firstIdOfDay(day) - 1, walked.id),
      firstIdOfDay(day + 1),
      ROWS_EXAMINED_MAX,
      nowMs - longestMs,
    );
    const staying = ((row?.['staying'] ?? []) as readonly unknown[]).map(Number);
    for (let start = 0; start < staying.length; start += KEPT_AT_ONCE_MAX) {
      await this.#db.run(keep(name), int8Array(staying.slice(start, start + KEPT_AT_ONCE_MAX)));
    }
    if (Number(row?.['n']) === ROWS_EXAMINED_MAX) {
      walked.id = Number(row?.['last']);
      return false;
    }
    this.#walked.delete(walk);
    return true;
  }

  // ---- messages ----

  async #retireMessages(oldMs: number, nowMs: number, limit: number): Promise<number> {
    const walked = this.#walkOf('message', nowMs);
    const step = new WalkStep(limit, oldMs - 1);
    await step.walk(walked, {
      next: (after, count) =>
        this.#db.all(
          `SELECT m.id AS id, m.created_ms AS created_ms, m.recipient_count AS recipient_count, ${HAS_CONTENT} AS has_content
           FROM message m WHERE m.id > $1 ORDER BY m.id LIMIT $2`,
          after,
          count,
        ),
      concerns: (row) => row['has_content'] === 0,
      drop: (ids) => this.#db.run(RETIRE, int8Array(ids)),
    });
    walked.isThrough = !step.isCutShort;
    return step.result;
  }

  /** Where that walk is. It begins anew every hour, for those that had to stay; a long one more seldom, so that it takes a tenth of the time at most. */
  #walkOf(name: string, nowMs: number): Walked {
    let walked = this.#walked.get(name);
    if (walked === undefined || (walked.isThrough && Math.abs(nowMs - walked.sinceMs) >= Math.max(WALK_ANEW_MS, 10 * walked.busyMs))) {
      walked = { id: 0, sinceMs: nowMs, isThrough: false, busyMs: 0 };
      this.#walked.set(name, walked);
    }
    return walked;
  }
}

interface Way {
  /** The next rows in the order of ids. */
  next(after: number, count: number): Promise<readonly Row[]>;
  /** Not passed by. */
  concerns(row: Row): boolean;
  /** Takes away what can go of those messages; how many. */
  drop(ids: readonly number[]): Promise<number>;
}

/** What one step of a walk may still look at and take. */
class WalkStep {
  readonly #limit: number;
  readonly #youngMs: number;
  #rows = ROWS_EXAMINED_MAX;
  #recipients = 0;
  #young = 0;
  #gone = 0;

  /** Rows of messages that were accepted after `youngMs` are too young. */
  constructor(limit: number, youngMs: number) {
    this.#limit = limit;
    this.#youngMs = youngMs;
  }

  get isOver(): boolean {
    return this.#young >= YOUNG_MAX || this.#isFull;
  }

  get #isFull(): boolean {
    // What is left of the limit is what is looked at together: a step ends before that becomes one row after the other.
    return this.#limit - this.#gone < this.#limit / 4 || this.#recipients >= RECIPIENTS_EXAMINED_MAX || this.#rows <= 0;
  }

  /** It ended before the walk did. */
  get isCutShort(): boolean {
    return this.#isFull && this.#young < YOUNG_MAX;
  }

  /** What the step came to: at least `limit` when there is more to look at. */
  get result(): number {
    return this.isCutShort ? Math.max(this.#limit, this.#gone) : this.#gone;
  }

  /** Goes on from where the walk is until there are no more rows or the step is over. */
  async walk(walked: Walked, way: Way): Promise<void> {
    const startedMs = performance.now();
    let after = walked.id;
    while (!this.isOver) {
      const asked = Math.min(this.#rows, this.#limit - this.#gone, ROWS_AT_ONCE_MAX);
      const rows = await way.next(after, asked);
      const { ids, last } = this.#take(rows, way);
      if (ids.length > 0) this.#gone += await way.drop(ids);
      walked.id = last ?? walked.id;
      if (rows.length < asked) break;
      after = Number(rows.at(-1)?.['id']);
    }
    walked.busyMs += performance.now() - startedMs;
  }

  /** Those that are old enough and concern the walk; `last`: what it need not look at again. */
  #take(rows: readonly Row[], way: Way): { readonly ids: readonly number[]; readonly last: number | undefined } {
    const ids: number[] = [];
    let last: number | undefined;
    for (const row of rows) {
      if (this.#young >= YOUNG_MAX || this.#recipients >= RECIPIENTS_EXAMINED_MAX) break;
      this.#rows--;
      if (Number(row['created_ms']) > this.#youngMs) {
        this.#young++;
        continue;
      }
      last = Number(row['id']);
      if (!way.concerns(row)) continue;
      this.#recipients += Number(row['recipient_count']);
      ids.push(last);
    }
    return { ids, last };
  }
}
