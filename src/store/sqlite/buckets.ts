/** Buckets as the writer's thread knows them: their ids, and when each is to be looked at. */
import type { Database } from './database.ts';

const IDS_MAX = 20_000;

export class Buckets {
  readonly #db: Database;
  readonly #ids = new Map<string, number>();

  constructor(db: Database) {
    this.#db = db;
  }

  /** Makes it where there is none. */
  idOf(domain: string, accountId: number, priority: number): number {
    const key = `${priority} ${accountId} ${domain}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const find = 'SELECT id FROM bucket WHERE domain = ? AND account_id = ? AND priority = ?';
    const row = this.#db.get(find, domain, accountId, priority);
    const id =
      row === undefined
        ? this.#db.insert('INSERT INTO bucket (domain, account_id, priority) VALUES (?,?,?)', domain, accountId, priority)
        : Number(row['id']);
    if (this.#ids.size >= IDS_MAX) this.#ids.clear();
    this.#ids.set(key, id);
    return id;
  }

  /** Something in it is due then. */
  lookAt(bucket: number, dueAtMs: number): void {
    this.#db.run(
      'UPDATE bucket SET look_ms = max(?1, parked_ms) WHERE id = ?2 AND (look_ms IS NULL OR look_ms > max(?1, parked_ms))',
      dueAtMs,
      bucket,
    );
  }

  lookAtThatOf(recipient: number, dueAtMs: number): void {
    this.lookAt(Number(this.#db.get('SELECT bucket FROM recipient WHERE id = ?', recipient)?.['bucket']), dueAtMs);
  }

  /** What the transaction learnt must not outlive its rollback. */
  forget(): void {
    this.#ids.clear();
  }
}
