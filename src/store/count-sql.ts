/** The question for sums of counters, in SQL that both engines understand. The smallest table that knows what is asked for answers it. */
import { EVENT_KINDS, type EventKind } from '#model/event.ts';
import type { Row } from './rows-json.ts';
import type { CountCondition, CountDimension, CountQuery, CountSum } from './stats-store.ts';

const COLUMNS: Readonly<Record<Exclude<CountDimension, 'time'>, string>> = {
  domain: 'domain_id',
  tag: 'tag',
  provider: 'provider',
  receiver: 'receiver',
  source: 'source',
  country: 'country',
  device: 'device',
  reason: 'reason',
};

const KINDS = new Map(Object.entries(EVENT_KINDS).map(([name, number]) => [number as number, name as EventKind]));

/** `place` takes a value and says how it stands in the text. */
export function countSql(query: CountQuery, place: (value: string) => string): string {
  const { accountId, domainIds, by, where = [], kinds } = query;
  const isAsked = (dimension: CountDimension): boolean => by.includes(dimension) || where.some((one) => one.dimension === dimension);
  const table = isAsked('receiver') ? 'counter_receiver' : query.step === 'hour' ? 'counter' : 'counter_day';
  const time = table === 'counter' ? 'hour' : 'day';
  const columnOf = (dimension: CountDimension): string => (dimension === 'time' ? time : COLUMNS[dimension]);
  const conditions = [
    `account_id = ${whole(accountId)}`,
    ...(domainIds === undefined ? [] : [`domain_id IN (${domainIds.map(whole).join(',') || 'NULL'})`]),
    isAsked('tag') ? "tag <> ''" : "tag = ''",
    `${time} >= ${whole(query.from)}`,
    `${time} < ${whole(query.until)}`,
    ...(kinds === undefined ? [] : [`kind IN (${kinds.map((kind) => EVENT_KINDS[kind]).join(',') || 'NULL'})`]),
    ...where.map((condition) => conditionSql(condition, COLUMNS[condition.dimension], place)),
  ];
  const columns = ['kind', ...by.map(columnOf)].join(', ');
  const named = ['kind AS kind', ...by.map((dimension) => `${columnOf(dimension)} AS c_${dimension}`)].join(', ');
  return `SELECT ${named}, CAST(sum(n) AS bigint) AS n FROM ${table} WHERE ${conditions.join(' AND ')} GROUP BY ${columns} LIMIT ${whole(query.rowsMax + 1)}`;
}

function conditionSql({ dimension, is, values }: CountCondition, column: string, place: (value: string) => string): string {
  const folded = dimension === 'tag' ? values.map((value) => value.toLowerCase()) : values;
  if (folded.length === 0) return is === 'in' || is === 'contains' ? '1 = 0' : '1 = 1';
  if (is === 'in' || is === 'not-in') {
    return `${column} ${is === 'in' ? 'IN' : 'NOT IN'} (${folded.map(place).join(',')})`;
  }
  const likes = folded.map((value) => `lower(${column}) LIKE ${place(pattern(value))} ESCAPE '!'`);
  return is === 'contains' ? `(${likes.join(' OR ')})` : `NOT (${likes.join(' OR ')})`;
}

function pattern(text: string): string {
  return `%${text.toLowerCase().replace(/[!%_]/g, '!$&')}%`;
}

/** Stands in the text as it is. */
function whole(value: number): string {
  if (!Number.isSafeInteger(value)) throw new Error('not a whole number');
  return String(value);
}

export function countSumOf(row: Row, by: readonly CountDimension[]): CountSum {
  const dimensions = Object.fromEntries(
    by.map((dimension) => [
      dimension,
      dimension === 'time' || dimension === 'domain' ? Number(row[`c_${dimension}`]) : String(row[`c_${dimension}`]),
    ]),
  );
  return { ...dimensions, kind: KINDS.get(Number(row['kind'])) as EventKind, n: Number(row['n']) };
}
