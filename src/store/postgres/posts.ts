/** The log of what was posted to webhooks and by routes, on PostgreSQL. */
import { EVENT_KINDS } from '#model/event.ts';
import {
  endpointsOf,
  FARE_COLUMNS,
  loggedOf,
  onePerTelling,
  POST_COLUMNS,
  POST_RESULTS,
  postOf,
  replayedOf,
  storedTexts,
} from '#store/post-rows.ts';
import {
  FARES_LOOKED_AT,
  type LoggedPost,
  type PostFilter,
  type PostPosition,
  type PostRow,
  type PostStore,
  WAITING_COUNTED_MAX,
} from '#store/post-store.ts';
import type { Row } from '#store/rows-json.ts';
import { int2Array, int4Array, int8Array, textArray } from './arrays.ts';
import type { Database, Queries, Value } from './database.ts';
import { standing } from './event-rows.ts';
import { dayOf, firstIdOfDay } from './ids.ts';
import { LOCK_RECIPIENTS, putOutbox } from './outbox-put.ts';

const INSERT = `INSERT INTO webhook_post (id, ${POST_COLUMNS})
  SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::smallint[], $8::text[], $9::text[], $10::text[], $11::bigint[],
    $12::integer[], $13::smallint[], $14::smallint[], $15::bigint[], $16::text[], $17::text[], $18::text[])`;
const STANDING = `SELECT q.n::integer AS n FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[]) WITH ORDINALITY AS q (message, recipient, event, target, kind, n)
  JOIN outbox o ON o.message = q.message AND o.recipient = q.recipient AND o.event = q.event AND o.target = q.target AND o.kind = q.kind`;
/** Ids stay below 2^53. */
const DAY_MAX = 32_000;

const WAITING = `SELECT p.name, p.look_ms, p.parked_ms, (SELECT count(*) FROM (SELECT 1 FROM outbox o WHERE o.endpoint = p.id LIMIT ${WAITING_COUNTED_MAX}) AS w) AS n
  FROM outbox_endpoint p WHERE p.account_id = $1 ORDER BY p.name LIMIT $2`;
const FARES = `SELECT ${FARE_COLUMNS} FROM webhook_post WHERE account_id = $1 ORDER BY at_ms DESC, id DESC LIMIT $2`;

/** In the transaction of the entries' settlements. */
export async function insertPosts(queries: Queries, rows: readonly { readonly id: number; readonly post: PostRow }[]): Promise<void> {
  if (rows.length === 0) return;
  const numbers = (of: (post: PostRow) => number): Value => int8Array(rows.map(({ post }) => of(post)));
  const texts = (of: (post: PostRow) => string): Value => textArray(rows.map(({ post }) => of(post)));
  await queries.run(
    INSERT,
    int8Array(rows.map(({ id }) => id)),
    numbers(({ accountId }) => accountId),
    numbers(({ domainId }) => domainId),
    numbers(({ event }) => event),
    numbers(({ message }) => message),
    numbers(({ recipient }) => recipient),
    int2Array(rows.map(({ post }) => EVENT_KINDS[post.kind])),
    texts(({ url }) => url),
    texts(({ endpoint }) => endpoint),
    texts(({ payload }) => payload),
    numbers(({ atMs }) => atMs),
    int4Array(rows.map(({ post }) => post.number)),
    int2Array(rows.map(({ post }) => POST_RESULTS[post.result])),
    int2Array(rows.map(({ post }) => post.status ?? 0)),
    numbers(({ tookMs }) => tookMs),
    texts((post) => storedTexts(post).error),
    texts((post) => storedTexts(post).response),
    texts(({ entry }) => entry),
  );
}

export function postTables(db: Database): PostStore {
  return {
    listPosts: async (filter, after, limit) => (await found(db, filter, after, limit)).map(loggedOf),
    postEndpoints: async (accountId, nowMs, limit) =>
      endpointsOf(await db.all(WAITING, accountId, limit), await db.all(FARES, accountId, FARES_LOOKED_AT), nowMs, limit),
    replayPosts: (filter, nowMs, limit, after) =>
      db.transaction(async (queries) => {
        const posts = (await found(queries, filter, after, limit)).map(postOf);
        const told = await withEvent(queries, onePerTelling(posts));
        await queries.all(LOCK_RECIPIENTS, int8Array(told.map(({ recipient }) => recipient)));
        const absent = await notStanding(queries, told);
        await putOutbox(
          queries,
          absent.map(({ accountId, domainId, message, recipient, event, url, endpoint, payload, entry }) => ({
            owner: { accountId, domainId, message, recipient, atMs: nowMs, event },
            entry: { kind: entry, endpoint, target: url, payload },
          })),
        );
        return replayedOf(posts, limit, absent.length);
      }),
  };
}

type Post = LoggedPost & PostRow;

/** Those whose event is there. */
async function withEvent(queries: Queries, posts: readonly Post[]): Promise<Post[]> {
  const events = await standing(
    queries,
    'event',
    posts.map(({ event }) => event),
  );
  return posts.filter(({ event }) => events.has(event));
}

/** Those that no entry of the outbox is about to tell. */
async function notStanding(queries: Queries, posts: readonly Post[]): Promise<Post[]> {
  if (posts.length === 0) return [];
  const rows = await queries.all(
    STANDING,
    int8Array(posts.map(({ message }) => message)),
    int8Array(posts.map(({ recipient }) => recipient)),
    int8Array(posts.map(({ event }) => event)),
    textArray(posts.map(({ url }) => url)),
    textArray(posts.map(({ entry }) => entry)),
  );
  const entered = new Set(rows.map((row) => Number(row['n'])));
  return posts.filter((_, position) => !entered.has(position + 1));
}

function found(queries: Queries, filter: PostFilter, after: PostPosition | undefined, limit: number): Promise<Row[]> {
  const { accountId, domainId, url, result, kind, message, id, beginMs, endMs } = filter;
  const values: Value[] = [];
  const place = (value: Value): string => `$${values.push(value)}`;
  const [firstDay, lastDay] = [Math.max(0, dayOf(beginMs) - 1), Math.min(DAY_MAX, dayOf(endMs) + 1)];
  const where = [
    `account_id = ${place(accountId)}::bigint`,
    `at_ms >= ${place(beginMs)}::bigint`,
    `at_ms <= ${place(endMs)}::bigint`,
    // The partitions that can have it, whichever node's clock was a little ahead.
    `((id >= ${firstIdOfDay(firstDay)} AND id < ${firstIdOfDay(lastDay + 1)}) OR id < ${firstIdOfDay(1)})`,
  ];
  if (after !== undefined) where.push(`(at_ms, id) < (${place(after.atMs)}::bigint, ${place(after.id)}::bigint)`);
  // The one result that has an index of its own must stand in the text.
  if (result !== undefined) where.push(`result = ${POST_RESULTS[result]}`);
  if (domainId !== undefined) where.push(`domain_id = ${place(domainId)}::bigint`);
  if (url !== undefined) where.push(`url = ${place(url)}`);
  if (kind !== undefined) where.push(`kind = ${EVENT_KINDS[kind]}`);
  if (message !== undefined) where.push(`message = ${place(message)}::bigint`);
  if (id !== undefined) where.push(`id = ${place(id)}::bigint`);
  return queries.allOnce(
    `SELECT * FROM webhook_post WHERE ${where.join(' AND ')} ORDER BY at_ms DESC, id DESC LIMIT ${place(limit)}`,
    ...values,
  );
}
