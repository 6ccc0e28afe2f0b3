/** Counters and tags of the transaction that is open: summed up in memory, and written before it ends. Many facts of one commit share a few rows. */
import { EVENT_KINDS } from '#model/event.ts';
import { COUNTER_COLUMNS, countsTooOld, HOUR_MS } from '#store/count-tables.ts';
import { TAGS_MAX } from '#store/stats-store.ts';
import type { Database } from './database.ts';
import type { PackedCounter } from './packed.ts';

/** Tags that are known to stand in their table, with this hour. */
const SEEN_MAX = 10_000;

const values = (columns: string): string =>
  columns
    .split(', ')
    .map(() => '?')
    .join(', ');
const insert = (table: keyof typeof COUNTER_COLUMNS): string =>
  `INSERT INTO ${table} (${COUNTER_COLUMNS[table]}, n) VALUES (${values(COUNTER_COLUMNS[table])}, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n`;

const HOURLY = insert('counter');
const DAILY = insert('counter_day');
const BY_RECEIVER = insert('counter_receiver');

const SEE_TAG = `INSERT INTO tag (account_id, domain_id, key, name, first_ms, last_ms)
  SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM tag WHERE account_id = ?1 AND domain_id = ?2 AND key = ?3)
    OR (SELECT count(*) FROM tag WHERE account_id = ?1) < ${TAGS_MAX}
  ON CONFLICT DO UPDATE SET last_ms = max(last_ms, excluded.last_ms)`;

type Sum = (string | number)[];

export class Counting {
  readonly #db: Database;
  /** One for all that is the same but for the time within an hour; the rows are made of it when it is written. */
  readonly #facts = new Map<string, { readonly counter: PackedCounter; readonly hour: number; count: number }>();
  #tags: { readonly accountId: number; readonly domainId: number; readonly name: string; readonly atMs: number }[] = [];
  #seen = new Set<string>();
  #seenHour = 0;

  constructor(db: Database) {
    this.#db = db;
  }

  add(counter: PackedCounter, atMs: number): void {
    const [accountId, domainId, kind, provider, tag, count, receiver = '', reason = '', source = '', country = '', device = ''] = counter;
    const hour = Math.floor(atMs / HOUR_MS);
    const name = `${hour} ${accountId} ${domainId} ${kind} ${provider}\0${tag}\0${receiver}\0${reason}\0${source}\0${country}\0${device}`;
    const fact = this.#facts.get(name);
    if (fact === undefined) this.#facts.set(name, { counter, hour, count });
    else fact.count += count;
    if (tag !== '') this.#see(accountId, domainId, tag, atMs);
  }

  #see(accountId: number, domainId: number, name: string, atMs: number): void {
    const hour = Math.floor(atMs / HOUR_MS);
    if (hour !== this.#seenHour || this.#seen.size >= SEEN_MAX) {
      this.#seen.clear();
      this.#seenHour = hour;
    }
    const mark = `${accountId} ${domainId} ${name}`;
    if (this.#seen.has(mark)) return;
    this.#seen.add(mark);
    this.#tags.push({ accountId, domainId, name, atMs });
  }

  /** Writes what the transaction counted; call before each commit. */
  flush(): void {
    const hours = new Map<string, Sum>();
    const days = new Map<string, Sum>();
    const receivers = new Map<string, Sum>();
    for (const { counter, hour, count } of this.#facts.values()) {
      const [accountId, domainId, kind, provider, tag, , receiver = '', reason = '', source = '', country = '', device = ''] = counter;
      const day = Math.floor(hour / 24);
      const key = tag.toLowerCase();
      const number = EVENT_KINDS[kind];
      const rest = [provider, source, country, device];
      add(hours, [accountId, domainId, key, hour, number, reason, ...rest], count);
      add(days, [accountId, domainId, key, day, number, reason, ...rest], count);
      if (receiver !== '') add(receivers, [accountId, domainId, key, day, number, reason, receiver, ...rest], count);
    }
    for (const sum of hours.values()) this.#db.run(HOURLY, ...sum);
    for (const sum of days.values()) this.#db.run(DAILY, ...sum);
    for (const sum of receivers.values()) this.#db.run(BY_RECEIVER, ...sum);
    for (const { accountId, domainId, name, atMs } of this.#tags) {
      this.#db.run(SEE_TAG, accountId, domainId, name.toLowerCase(), name, atMs, Math.floor(atMs / HOUR_MS) * HOUR_MS);
    }
    this.#clear();
  }

  /** Before a tag is deleted: what was counted with it goes with it, and the next message that has it begins it anew. */
  tagGoes(): void {
    this.flush();
    this.#seen.clear();
  }

  /** What the transaction learnt must not outlive its rollback. */
  forget(): void {
    this.#clear();
    this.#seen.clear();
  }

  #clear(): void {
    this.#facts.clear();
    this.#tags = [];
  }
}

function add(sums: Map<string, Sum>, key: Sum, count: number): void {
  const name = key.join('\u0000');
  const sum = sums.get(name);
  if (sum === undefined) sums.set(name, [...key, count]);
  else sum[sum.length - 1] = Number(sum.at(-1)) + count;
}

const KEYS = { ...COUNTER_COLUMNS, tag: 'account_id, domain_id, key' } as const;

/** One step of taking away what is too old; how much went. */
export function expireCounters(db: Database, nowMs: number, limit: number): number {
  let gone = 0;
  for (const { table, age, before } of countsTooOld(nowMs)) {
    const key = KEYS[table];
    gone += db.run(`DELETE FROM ${table} WHERE (${key}) IN (SELECT ${key} FROM ${table} WHERE ${age} < ? LIMIT ?)`, before, limit);
  }
  return gone;
}
