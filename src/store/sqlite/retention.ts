/**
 * What time takes away: contents after their domain's retention, events and idempotency keys after theirs, and messages of which nothing is left.
 * Nothing that is queued or leased is touched, however old (P3). Each step is bounded, so that mail goes on between two of them: messages are walked in the order of
 * their ids, a stretch at a time, and the walk begins again at the oldest when it has come to those that are too young for anything.
 */
import type { Database, Row } from './database.ts';

/** Messages, and recipients of them, that one step looks at; most of them are passed by. */
const MESSAGES_EXAMINED_MAX = 5000;
const RECIPIENTS_EXAMINED_MAX = 20_000;

export class Retention {
  readonly #db: Database;
  /** The last message that was looked at. */
  #walked = 0;

  constructor(db: Database) {
    this.#db = db;
  }

  /** What the transaction learnt must not outlive its rollback. */
  forget(): void {
    this.#walked = 0;
  }

  /** One step; how much went. */
  expire(nowMs: number, limit: number, eventsRetentionMs: number): number {
    const oldMs = nowMs - eventsRetentionMs;
    return this.#expireKeys(nowMs, limit) + this.#expireEvents(oldMs, limit) + this.#walkMessages(nowMs, oldMs, limit);
  }

  /** The content of one message that is wholly settled, at its sender's wish. */
  deleteContent(accountId: number, message: number): boolean {
    const row = this.#db.get('SELECT has_content FROM message WHERE id = ? AND account_id = ?', message, accountId);
    if (row?.['has_content'] !== 1 || this.#settledAtMs(message) === undefined) return false;
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

  /** Events are written nearly in order of time: only the oldest ids are looked at. The newest stays whatever its age, so that its id is not given again. */
  #expireEvents(oldMs: number, limit: number): number {
    return this.#db.run(
      `DELETE FROM event WHERE id IN (
         SELECT id FROM (SELECT id, at_us FROM event WHERE id < (SELECT max(id) FROM event) ORDER BY id LIMIT ?) WHERE at_us < ?)`,
      limit,
      oldMs * 1000,
    );
  }

  #walkMessages(nowMs: number, oldMs: number, limit: number): number {
    const db = this.#db;
    const shortestMs = Number(db.get('SELECT min(retention_ms) AS ms FROM domain')?.['ms'] ?? 0);
    const youngMs = Math.max(nowMs - shortestMs, oldMs);
    const newest = Number(db.get('SELECT max(id) AS id FROM message')?.['id'] ?? 0);
    const rows = db.all(
      `SELECT m.id AS id, m.has_content AS has_content, m.created_ms AS created_ms, m.recipient_count AS recipient_count, d.retention_ms AS retention_ms
       FROM message m LEFT JOIN domain d ON d.id = m.domain_id WHERE m.id > ? ORDER BY m.id LIMIT ?`,
      this.#walked,
      MESSAGES_EXAMINED_MAX,
    );
    let gone = 0;
    let recipients = 0;
    for (const row of rows) {
      if (gone === limit || recipients >= RECIPIENTS_EXAMINED_MAX) return gone;
      recipients += Number(row['recipient_count']);
      if (Number(row['created_ms']) > youngMs) {
        this.#walked = 0;
        return gone;
      }
      this.#walked = Number(row['id']);
      if (this.#retire(row, nowMs, oldMs, newest)) gone++;
    }
    if (rows.length < MESSAGES_EXAMINED_MAX) this.#walked = 0;
    return gone;
  }

  /** Takes what one message no longer keeps: its content, or itself when nothing else is left. True: something went. */
  #retire(row: Row, nowMs: number, oldMs: number, newest: number): boolean {
    const id = Number(row['id']);
    if (row['has_content'] === 1) {
      const settledMs = this.#settledAtMs(id);
      if (settledMs === undefined || settledMs + Number(row['retention_ms'] ?? 0) >= nowMs) return false;
      this.#dropContent(id);
      return true;
    }
    // The newest message stays whatever its age, and its recipients with it, so that no id is given twice.
    if (id === newest || Number(row['created_ms']) >= oldMs) return false;
    if (this.#settledAtMs(id) === undefined || this.#db.get('SELECT 1 FROM event WHERE message = ? LIMIT 1', id) !== undefined)
      return false;
    this.#db.run('DELETE FROM recipient WHERE message = ?', id);
    this.#db.run('DELETE FROM message WHERE id = ?', id);
    return true;
  }

  /** When its last recipient was settled; undefined: not all are. */
  #settledAtMs(message: number): number | undefined {
    const row = this.#db.get('SELECT max(due_ms) AS at_ms, max(state <> 2) AS is_open FROM recipient WHERE message = ?', message);
    return row === undefined || row['is_open'] !== 0 ? undefined : Number(row['at_ms']);
  }

  #dropContent(message: number): void {
    this.#db.run('UPDATE message SET has_content = 0 WHERE id = ?', message);
    this.#db.run('DELETE FROM content WHERE id = ?', message);
  }
}
