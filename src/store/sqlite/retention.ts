/**
 * What time takes away: contents after their domain's retention, events and idempotency keys after theirs, and messages of which nothing is left.
 * Nothing that is queued or leased is touched, however old (P3). Each step is bounded, so that mail goes on between two of them. Contents and messages are walked in
 * the order of their ids, which is that of their age; a walk goes on where the last one came to what is too young, and begins anew every hour, for those
 * that had to stay.
 */
import { CONTENT_KINDS } from '#store/outbox-store.ts';
import { tagsOf } from '#store/rows-json.ts';
import { expireCounters } from './count.ts';
import type { Database, Row } from './database.ts';
import { expirePosts } from './posts.ts';

/** Rows, and recipients that belong to them, that one step of a walk looks at. */
const ROWS_EXAMINED_MAX = 5000;
const RECIPIENTS_EXAMINED_MAX = 20_000;
const WALK_ANEW_MS = 3_600_000;
/** A walk has come to its end after so many that are too young; a few are passed by, as a clock that was wrong for a while leaves them. */
const YOUNG_MAX = 100;

const CONTENTS = `SELECT c.id AS id, m.created_ms AS created_ms, m.recipient_count AS recipient_count, d.retention_ms AS retention_ms
  FROM content c CROSS JOIN message m ON m.id = c.id LEFT JOIN domain d ON d.id = m.domain_id WHERE c.id > ? ORDER BY c.id LIMIT ?`;
/** Kinds of entries of the outbox. */
const NEEDING = CONTENT_KINDS.map((kind) => `'${kind}'`).join(', ');
// The newest message stays whatever its age, and its recipients with it, so that no id is given twice.
const MESSAGES = `SELECT id, created_ms, recipient_count, has_content FROM message
  WHERE id > ? AND id < (SELECT max(id) FROM message) ORDER BY id LIMIT ?`;

/** One way through a table from its oldest row to the first that is too young. */
interface Walk {
  readonly sql: string;
  /** Takes what the row no longer keeps; true: something went. */
  readonly retire: (row: Row) => boolean;
  /** Rows of messages that were accepted later are too young. */
  readonly youngMs: number;
}

export class Retention {
  readonly #db: Database;
  /** The last row that each walk looked at, and when it began at the oldest. */
  readonly #walked = new Map<string, { id: number; sinceMs: number }>();

  constructor(db: Database) {
    this.#db = db;
  }

  /** What the transaction learnt must not outlive its rollback. */
  forget(): void {
    this.#walked.clear();
  }

  /** One step: how much went, or `limit` when there is more to look at than one step may. */
  expire(nowMs: number, limit: number, eventsRetentionMs: number, postsRetentionMs = eventsRetentionMs): number {
    const oldMs = nowMs - eventsRetentionMs;
    const shortestMs = Number(this.#db.get('SELECT min(retention_ms) AS ms FROM domain')?.['ms'] ?? 0);
    return (
      this.#expireKeys(nowMs, limit) +
      expireCounters(this.#db, nowMs, limit) +
      this.#expireEvents(oldMs, limit) +
      this.#expireOnce(oldMs, limit) +
      expirePosts(this.#db, nowMs - postsRetentionMs, limit) +
      this.#walk({ sql: CONTENTS, retire: (row) => this.#retireContent(row, nowMs), youngMs: nowMs - shortestMs }, nowMs, limit) +
      this.#walk({ sql: MESSAGES, retire: (row) => this.#retireMessage(row), youngMs: oldMs - 1 }, nowMs, limit)
    );
  }

  /** The content of one message that is wholly settled, at its sender's wish. */
  deleteContent(accountId: number, message: number): boolean {
    const row = this.#db.get('SELECT has_content FROM message WHERE id = ? AND account_id = ?', message, accountId);
    if (row?.['has_content'] !== 1 || this.#settledAtMs(message) === undefined || this.#isToBePosted(message)) return false;
    this.#dropContent(message);
    return true;
  }

  #expireKeys(nowMs: number, limit: number): number {
    return this.#db.run(
      'DELETE FROM idempotency WHERE (account_id, key) IN (SELECT account_id, key FROM idempotency WHERE until_ms < ? LIMIT ?)',
      nowMs,
      limit,
    );
  }

  #expireOnce(oldMs: number, limit: number): number {
    return this.#db.run(
      'DELETE FROM fact_once WHERE (recipient, key) IN (SELECT recipient, key FROM fact_once WHERE at_ms < ? LIMIT ?)',
      oldMs,
      limit,
    );
  }

  /** Events are written nearly in order of time: only the oldest ids are looked at. The newest stays whatever its age, so that its id is not given again. */
  #expireEvents(oldMs: number, limit: number): number {
    const rows = this.#db.all(
      `SELECT aged.id AS id, aged.at_us AS at_us, aged.domain_id AS domain_id, m.info AS info
       FROM (SELECT * FROM event WHERE id < (SELECT max(id) FROM event) ORDER BY id LIMIT ?) aged LEFT JOIN message m ON m.id = aged.message WHERE aged.at_us < ?`,
      limit,
      oldMs * 1000,
    );
    for (const { id, at_us: atUs, domain_id: domain, info } of rows) {
      this.#db.run('DELETE FROM event WHERE id = ?', Number(id));
      for (const tag of tagsOf(String(info))) {
        this.#db.run(
          'DELETE FROM event_tag WHERE domain_id = ? AND tag = ? AND at_us = ? AND event = ?',
          Number(domain),
          tag.toLowerCase(),
          Number(atUs),
          Number(id),
        );
      }
    }
    return rows.length;
  }

  #walk({ sql, retire, youngMs }: Walk, nowMs: number, limit: number): number {
    let walked = this.#walked.get(sql);
    if (walked === undefined || Math.abs(nowMs - walked.sinceMs) >= WALK_ANEW_MS) {
      walked = { id: 0, sinceMs: nowMs };
      this.#walked.set(sql, walked);
    }
    const rows = this.#db.all(sql, walked.id, ROWS_EXAMINED_MAX);
    let gone = 0;
    let recipients = 0;
    let young = 0;
    for (const row of rows) {
      if (Number(row['created_ms']) > youngMs) {
        if (++young >= YOUNG_MAX) return gone;
        continue;
      }
      if (gone === limit || recipients >= RECIPIENTS_EXAMINED_MAX) return limit;
      recipients += Number(row['recipient_count']);
      walked.id = Number(row['id']);
      if (retire(row)) gone++;
    }
    return rows.length < ROWS_EXAMINED_MAX ? gone : limit;
  }

  #retireContent(row: Row, nowMs: number): boolean {
    const settledMs = this.#settledAtMs(Number(row['id']));
    if (settledMs === undefined || settledMs + Number(row['retention_ms'] ?? 0) >= nowMs || this.#isToBePosted(Number(row['id'])))
      return false;
    this.#dropContent(Number(row['id']));
    return true;
  }

  /** The message and its recipients, when nothing else is left of it. */
  #retireMessage(row: Row): boolean {
    const id = Number(row['id']);
    if (row['has_content'] === 1 || this.#settledAtMs(id) === undefined) return false;
    if (this.#db.get('SELECT 1 FROM event WHERE message = ? LIMIT 1', id) !== undefined) return false;
    this.#db.run('DELETE FROM recipient WHERE message = ?', id);
    this.#db.run('DELETE FROM message WHERE id = ?', id);
    return true;
  }

  /** When its last recipient was settled; undefined: not all are. */
  #settledAtMs(message: number): number | undefined {
    const row = this.#db.get('SELECT max(due_ms) AS at_ms, max(state <> 2) AS is_open FROM recipient WHERE message = ?', message);
    return row === undefined || row['is_open'] !== 0 ? undefined : Number(row['at_ms']);
  }

  /** An entry of the outbox needs the content. */
  #isToBePosted(message: number): boolean {
    return this.#db.get(`SELECT 1 FROM outbox WHERE message = ? AND kind IN (${NEEDING}) LIMIT 1`, message) !== undefined;
  }

  #dropContent(message: number): void {
    this.#db.run('UPDATE message SET has_content = 0 WHERE id = ?', message);
    this.#db.run('DELETE FROM content WHERE id = ?', message);
  }
}
