/** What a batch counts, summed up before it is written: many messages share a few counters. Each node has rows of its own, so that no two wait for each other. */
import { EVENT_KINDS } from '#model/event.ts';
import type { CounterKey } from '#store/store.ts';
import { int2Array, int4Array, int8Array, textArray } from './arrays.ts';
import type { Value } from './database.ts';

const HOUR_MS = 3_600_000;

export const COUNTER_TYPES = {
  countDomain: 'bigint[]',
  countHour: 'integer[]',
  countKind: 'smallint[]',
  countProvider: 'text[]',
  countTag: 'text[]',
  countAccount: 'bigint[]',
  countN: 'bigint[]',
  countNode: 'bigint',
} as const;
type CounterName = keyof typeof COUNTER_TYPES;

export function countersSql(sql: Readonly<Record<CounterName, string>>): string {
  return `INSERT INTO counter (domain_id, hour, kind, provider, tag, account_id, n, node)
    SELECT c.*, ${sql.countNode} FROM unnest(${sql.countDomain}, ${sql.countHour}, ${sql.countKind}, ${sql.countProvider}, ${sql.countTag}, ${sql.countAccount}, ${sql.countN}) AS c
    ON CONFLICT (domain_id, hour, kind, provider, tag, node) DO UPDATE SET n = counter.n + excluded.n`;
}

export class CounterSums {
  readonly #sums = new Map<string, { readonly key: CounterKey; readonly hour: number; count: number }>();

  add(key: CounterKey, atMs: number, count: number): void {
    const hour = Math.floor(atMs / HOUR_MS);
    const name = `${key.domainId} ${hour} ${key.kind} ${key.provider} ${key.tag}`;
    const sum = this.#sums.get(name);
    if (sum === undefined) this.#sums.set(name, { key, hour, count });
    else sum.count += count;
  }

  /** In one order whoever writes them: two that count the same wait for each other, but not for ever. */
  values(node: number): Record<CounterName, Value> {
    const sums = [...this.#sums.keys()].sort().map((name) => this.#sums.get(name) as { key: CounterKey; hour: number; count: number });
    return {
      countDomain: int8Array(sums.map(({ key }) => key.domainId)),
      countHour: int4Array(sums.map(({ hour }) => hour)),
      countKind: int2Array(sums.map(({ key }) => EVENT_KINDS[key.kind])),
      countProvider: textArray(sums.map(({ key }) => key.provider)),
      countTag: textArray(sums.map(({ key }) => key.tag)),
      countAccount: int8Array(sums.map(({ key }) => key.accountId)),
      countN: int8Array(sums.map(({ count }) => count)),
      countNode: node,
    };
  }
}
