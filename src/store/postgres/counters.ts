/**
 * What a batch counts, summed up before it is written: many messages share a few counters. Each node has rows of its own, so that no two wait for each other; tags, which
 * nodes share, are written once an hour.
 */
import { EVENT_KINDS } from '#model/event.ts';
import { COUNTER_COLUMNS, countsTooOld, HOUR_MS } from '#store/count-tables.ts';
import { TAGS_MAX } from '#store/stats-store.ts';
import type { CounterKey } from '#store/store.ts';
import { int2Array, int4Array, int8Array, textArray } from './arrays.ts';
import type { Queries, Value } from './database.ts';
import { parameters } from './parameters.ts';

export const COUNTER_TYPES = {
  countAccount: 'bigint[]',
  countDomain: 'bigint[]',
  countTag: 'text[]',
  countHour: 'integer[]',
  countKind: 'smallint[]',
  countReason: 'text[]',
  countReceiver: 'text[]',
  countProvider: 'text[]',
  countSource: 'text[]',
  countCountry: 'text[]',
  countDevice: 'text[]',
  countName: 'text[]',
  countAt: 'bigint[]',
  countN: 'bigint[]',
  countNode: 'bigint',
} as const;
type CounterName = keyof typeof COUNTER_TYPES;

/** Rows are touched in the order of their keys, so that two who touch the same wait for each other, but not for ever. */
export function countersSql(sql: Readonly<Record<CounterName, string>>): string {
  const into = (table: keyof typeof COUNTER_COLUMNS, where = ''): string => {
    const columns = COUNTER_COLUMNS[table];
    return `INSERT INTO ${table} AS t (${columns}, node, n) SELECT ${columns}, ${sql.countNode}, sum(n)::bigint FROM counted${where} GROUP BY ${columns} ORDER BY ${columns}
    ON CONFLICT (${columns}, node) DO UPDATE SET n = t.n + excluded.n`;
  };
  return `counted AS (
    SELECT c.*, floor(c.hour / 24.0)::integer AS day FROM unnest(${sql.countAccount}, ${sql.countDomain}, ${sql.countTag}, ${sql.countHour}, ${sql.countKind}, ${sql.countReason},
      ${sql.countReceiver}, ${sql.countProvider}, ${sql.countSource}, ${sql.countCountry}, ${sql.countDevice}, ${sql.countName}, ${sql.countAt}, ${sql.countN})
      AS c (account_id, domain_id, tag, hour, kind, reason, receiver, provider, source, country, device, name, at_ms, n)),
  counted_hours AS (${into('counter')}),
  counted_days AS (${into('counter_day')}),
  counted_receivers AS (${into('counter_receiver', " WHERE receiver <> ''")}),
  counted_tags AS (
    INSERT INTO tag AS t (account_id, domain_id, key, name, first_ms, last_ms)
    SELECT c.account_id, c.domain_id, c.tag, min(c.name), min(c.at_ms), max(c.hour) * ${HOUR_MS}::bigint FROM counted c
    LEFT JOIN tag k ON k.account_id = c.account_id AND k.domain_id = c.domain_id AND k.key = c.tag
    WHERE c.tag <> '' AND (k.last_ms < c.hour * ${HOUR_MS}::bigint
      OR (k.key IS NULL AND (SELECT count(*) FROM tag a WHERE a.account_id = c.account_id) < ${TAGS_MAX}))
    GROUP BY c.account_id, c.domain_id, c.tag ORDER BY c.account_id, c.domain_id, c.tag
    ON CONFLICT (account_id, domain_id, key) DO UPDATE SET last_ms = greatest(t.last_ms, excluded.last_ms))`;
}

export class CounterSums {
  readonly #sums = new Map<string, { readonly key: CounterKey; readonly hour: number; readonly atMs: number; count: number }>();

  get isEmpty(): boolean {
    return this.#sums.size === 0;
  }

  add(key: CounterKey, atMs: number, count: number): void {
    const hour = Math.floor(atMs / HOUR_MS);
    const { accountId, domainId, kind, provider, tag, receiver, reason, source, country, device } = key;
    const name = [accountId, domainId, tag.toLowerCase(), hour, kind, reason, receiver, provider, source, country, device].join('\u0000');
    const sum = this.#sums.get(name);
    if (sum === undefined) this.#sums.set(name, { key, hour, atMs, count });
    else sum.count += count;
  }

  values(node: number): Record<CounterName, Value> {
    const sums = [...this.#sums.values()];
    const texts = (name: 'provider' | 'receiver' | 'reason' | 'source' | 'country' | 'device'): Value =>
      textArray(sums.map(({ key }) => key[name] ?? ''));
    return {
      countAccount: int8Array(sums.map(({ key }) => key.accountId)),
      countDomain: int8Array(sums.map(({ key }) => key.domainId)),
      countTag: textArray(sums.map(({ key }) => key.tag.toLowerCase())),
      countHour: int4Array(sums.map(({ hour }) => hour)),
      countKind: int2Array(sums.map(({ key }) => EVENT_KINDS[key.kind])),
      countReason: texts('reason'),
      countReceiver: texts('receiver'),
      countProvider: texts('provider'),
      countSource: texts('source'),
      countCountry: texts('country'),
      countDevice: texts('device'),
      countName: textArray(sums.map(({ key }) => key.tag)),
      countAt: int8Array(sums.map(({ atMs }) => Math.floor(atMs))),
      countN: int8Array(sums.map(({ count }) => count)),
      countNode: node,
    };
  }
}

const ALONE = parameters(COUNTER_TYPES);
const WRITE = `WITH ${countersSql(ALONE.sql)} SELECT 1`;

/** In a transaction of other writes. */
export async function writeCounters(queries: Queries, counters: CounterSums, node: number): Promise<void> {
  if (!counters.isEmpty) await queries.all(WRITE, ...ALONE.values(counters.values(node)));
}

/** One step of taking away what is too old; how much went. */
export async function expireCounters(queries: Queries, nowMs: number, limit: number): Promise<number> {
  let gone = 0;
  for (const { table, age, before } of countsTooOld(nowMs)) {
    gone += await queries.run(
      `DELETE FROM ${table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM ${table} WHERE ${age} < $1::bigint LIMIT $2))`,
      before,
      limit,
    );
  }
  return gone;
}
