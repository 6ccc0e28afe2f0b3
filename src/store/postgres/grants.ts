/**
 * Grants on PostgreSQL, and the limits of accounts. Who is given parts of a ceiling holds the ceiling's advisory lock until the commit, so that the sum it read holds. Accepts do
 * not need it: they touch only their holder's own row, and the constraint `granted_suffices` refuses what it does not hold.
 */
import type { Row } from '#store/rows-json.ts';
import { KEPT_LONGER_MS, LIMIT_COLUMNS, limitsOf, limitValues } from '#store/grant-rows.ts';
import type { GrantAnswer, GrantAsk, GrantStore, GrantUse } from '#store/grant-store.ts';
import { int8Array, textArray } from './arrays.ts';
import type { Database, Queries } from './database.ts';
import { parameters } from './parameters.ts';

/** Rows of windows long past that one call deletes. */
const SWEPT_MAX = 500;
const SWEEP_EVERY_MS = 1000;

const LOCK =
  'SELECT pg_advisory_xact_lock(hashtextextended(n, 7072681250)) FROM (SELECT DISTINCT unnest($1::text[]) AS n ORDER BY 1) AS names';
const FREE_LOST =
  'UPDATE granted SET held = used WHERE name = ANY ($1::text[]) AND holder <> $2 AND is_counted = 1 AND until_ms <= $3 AND held > used';
const SWEEP = `DELETE FROM granted WHERE ctid = ANY (ARRAY(SELECT ctid FROM granted WHERE keep_until_ms < $1 LIMIT ${SWEPT_MAX} FOR UPDATE SKIP LOCKED))`;

const GIVEN = parameters({
  name: 'text[]',
  start: 'bigint[]',
  span: 'bigint[]',
  ceiling: 'bigint[]',
  wanted: 'bigint[]',
  used: 'bigint[]',
  holder: 'bigint',
  until: 'bigint',
  now: 'bigint',
});
const $ = GIVEN.sql;
/** `used` NULL: accepts count it. Each name stands once. */
const HOLD = `WITH ask AS (
    SELECT * FROM unnest(${$.name}, ${$.start}, ${$.span}, ${$.ceiling}, ${$.wanted}, ${$.used}) WITH ORDINALITY AS a (name, start_ms, span_ms, ceiling, wanted, used, n)),
  others AS (
    SELECT a.n, coalesce(sum(g.held), 0)::bigint AS held, coalesce(sum(g.held - g.used) FILTER (WHERE g.until_ms > ${$.now}), 0)::bigint AS idle,
      count(DISTINCT g.holder) FILTER (WHERE g.holder <> ${$.holder}) AS others, min(g.start_ms) FILTER (WHERE g.held > 0) AS oldest_ms
    FROM ask a LEFT JOIN granted g ON g.name = a.name AND g.start_ms > a.start_ms - a.span_ms AND g.start_ms < a.start_ms + a.span_ms
      AND NOT (g.holder = ${$.holder} AND g.start_ms = a.start_ms)
    GROUP BY a.n),
  own AS (
    SELECT a.*, o.held AS others_held, coalesce(g.held, 0) AS own_held, CASE WHEN a.used IS NULL THEN coalesce(g.used, 0) ELSE least(a.used, coalesce(g.held, 0)) END AS own_used
    FROM ask a JOIN others o USING (n) LEFT JOIN granted g ON g.name = a.name AND g.start_ms = a.start_ms AND g.holder = ${$.holder}),
  put AS (
    INSERT INTO granted (name, start_ms, holder, held, used, is_counted, until_ms, keep_until_ms)
    SELECT name, start_ms, ${$.holder},
      greatest(own_used, CASE WHEN wanted <= own_held THEN wanted ELSE greatest(own_held, least(wanted, ceiling - others_held)) END),
      own_used, CASE WHEN used IS NULL THEN 1 ELSE 0 END, ${$.until}, start_ms + 2 * span_ms + ${KEPT_LONGER_MS}
    FROM own
    ON CONFLICT (name, start_ms, holder) DO UPDATE SET
      -- An accept may have used some of it since it was read above.
      used = CASE WHEN granted.is_counted = 1 THEN granted.used ELSE excluded.used END,
      held = CASE WHEN granted.is_counted = 1 THEN greatest(granted.used, excluded.held) ELSE excluded.held END,
      until_ms = excluded.until_ms
    RETURNING name, held, used)
  SELECT a.n, p.held, p.used, greatest(0, a.ceiling - o.held - p.held) AS free, o.idle, o.others, least(o.oldest_ms, a.start_ms) + a.span_ms AS relief_ms
  FROM ask a JOIN others o USING (n) JOIN put p USING (name) ORDER BY a.n`;

const USE = `UPDATE granted AS g SET used = g.used + u.count FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS u (name, start_ms, holder, count)
  WHERE g.name = u.name AND g.start_ms = u.start_ms AND g.holder = u.holder AND g.used + u.count <= g.held`;

export function grantTables(db: Database): GrantStore {
  let sweptMs = Number.NEGATIVE_INFINITY;
  return {
    async hold(holder, asks, leaseMs, nowMs) {
      if (Math.abs(nowMs - sweptMs) >= SWEEP_EVERY_MS) {
        sweptMs = nowMs;
        await db.run(SWEEP, nowMs);
      }
      return db.transaction(async (queries) => {
        const names = textArray(asks.map(({ name }) => name));
        await queries.all(LOCK, names);
        await queries.run(FREE_LOST, names, holder, nowMs);
        const answers: GrantAnswer[] = [];
        for (const round of roundsOf(asks)) {
          const rows = await holdRound(
            queries,
            holder,
            round.map((position) => asks[position] as GrantAsk),
            { nowMs, untilMs: nowMs + leaseMs },
          );
          for (const [place, row] of rows.entries()) answers[round[place] as number] = answerOf(row);
        }
        return answers;
      });
    },
    async usedOf(name, startMs) {
      const row = await db.get('SELECT coalesce(sum(used), 0)::bigint AS n FROM granted WHERE name = $1 AND start_ms = $2', name, startMs);
      return Number(row?.['n']);
    },
    limitsOf: async (accountId) => limitsOf(await db.get(`SELECT ${LIMIT_COLUMNS} FROM account_limit WHERE account_id = $1`, accountId)),
    async setLimits(accountId, limits) {
      const set = await db.run(
        `INSERT INTO account_limit (account_id, ${LIMIT_COLUMNS})
         SELECT id, $2::bigint, $3::bigint, $4::bigint, $5::bigint FROM account WHERE id = $1
         ON CONFLICT (account_id) DO UPDATE SET recipients_per_hour = excluded.recipients_per_hour,
           recipients_per_day = excluded.recipients_per_day,
           recipients_per_month = excluded.recipients_per_month, requests_per_second = excluded.requests_per_second`,
        accountId,
        ...limitValues(limits),
      );
      return set > 0;
    },
  };
}

/** Inside the transaction of the accept; false: they do not all suffice, and the transaction must not stand. */
export async function useGrants(queries: Queries, uses: readonly GrantUse[]): Promise<boolean> {
  const sorted = [...uses].sort((a, b) => (a.name < b.name ? -1 : 1));
  const used = await queries.run(
    USE,
    textArray(sorted.map(({ name }) => name)),
    int8Array(sorted.map(({ startMs }) => startMs)),
    int8Array(sorted.map(({ holder }) => holder)),
    int8Array(sorted.map(({ count }) => count)),
  );
  return used === uses.length;
}

/** Positions of the asks, in rounds in which no name stands twice: what the first of two gives back is there for the second. */
function roundsOf(asks: readonly GrantAsk[]): number[][] {
  const seen = new Map<string, number>();
  const rounds: number[][] = [];
  for (const [position, { name }] of asks.entries()) {
    const round = seen.get(name) ?? 0;
    seen.set(name, round + 1);
    (rounds[round] ??= []).push(position);
  }
  return rounds;
}

function holdRound(
  queries: Queries,
  holder: number,
  asks: readonly GrantAsk[],
  { nowMs, untilMs }: { readonly nowMs: number; readonly untilMs: number },
): Promise<Row[]> {
  return queries.all(
    HOLD,
    ...GIVEN.values({
      name: textArray(asks.map(({ name }) => name)),
      start: int8Array(asks.map(({ startMs }) => startMs)),
      span: int8Array(asks.map(({ spanMs }) => spanMs)),
      ceiling: int8Array(asks.map(({ ceiling }) => ceiling)),
      wanted: int8Array(asks.map(({ wanted }) => wanted)),
      used: int8Array(asks.map(({ used }) => used ?? null)),
      holder,
      until: untilMs,
      now: nowMs,
    }),
  );
}

function answerOf(row: Row): GrantAnswer {
  return {
    held: Number(row['held']),
    used: Number(row['used']),
    free: Number(row['free']),
    idle: Number(row['idle']),
    others: Number(row['others']),
    reliefMs: Number(row['relief_ms']),
  };
}
