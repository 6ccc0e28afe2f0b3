/** The log of what was posted to webhooks and by routes, on the embedded store. */
import { EVENT_KINDS } from '#model/event.ts';
import {
  endpointsOf,
  FARE_COLUMNS,
  loggedOf,
  onePerTelling,
  POST_COLUMNS,
  POST_RESULTS,
  postOf,
  postValues,
  replayedOf,
} from '#store/post-rows.ts';
import {
  FARES_LOOKED_AT,
  type PostFilter,
  type PostPosition,
  type PostRow,
  type PostStore,
  WAITING_COUNTED_MAX,
} from '#store/post-store.ts';
import type { Synchronous } from './accounts.ts';
import type { Database, Row, Value } from './database.ts';
import { putOutbox } from './outbox-put.ts';

const INSERT = `INSERT INTO webhook_post (${POST_COLUMNS}) VALUES (${POST_COLUMNS.split(',')
  .map(() => '?')
  .join(',')})`;
const STANDING = 'SELECT 1 FROM outbox WHERE message = ? AND recipient = ? AND event = ? AND target = ? AND kind = ? LIMIT 1';

const WAITING = `SELECT p.name, p.look_ms, p.parked_ms, (SELECT count(*) FROM (SELECT 1 FROM outbox o WHERE o.endpoint = p.id LIMIT ${WAITING_COUNTED_MAX})) AS n
  FROM outbox_endpoint p WHERE p.account_id = ? ORDER BY p.name LIMIT ?`;
const FARES = `SELECT ${FARE_COLUMNS} FROM webhook_post WHERE account_id = ? ORDER BY at_ms DESC, id DESC LIMIT ?`;

/** For use inside the transaction of the entry's settlement. */
export function insertPost(db: Database, post: PostRow): void {
  db.run(INSERT, ...postValues(post));
}

export function postTables(db: Database): Synchronous<PostStore> {
  return {
    listPosts: (filter, after, limit) => found(db, filter, after, limit).map(loggedOf),
    postEndpoints: (accountId, nowMs, limit) =>
      endpointsOf(db.all(WAITING, accountId, limit), db.all(FARES, accountId, FARES_LOOKED_AT), nowMs, limit),
    replayPosts(filter, nowMs, limit, after) {
      const posts = found(db, filter, after, limit).map(postOf);
      let entries = 0;
      for (const { accountId, domainId, message, recipient, event, url, endpoint, payload, entry } of onePerTelling(posts)) {
        const isThere = db.get('SELECT 1 FROM event WHERE id = ?', event) !== undefined;
        if (!isThere || db.get(STANDING, message, recipient, event, url, entry) !== undefined) continue;
        putOutbox(db, { accountId, domainId, message, recipient, atMs: nowMs, event }, [[entry, endpoint, url, payload]]);
        entries++;
      }
      return replayedOf(posts, limit, entries);
    },
  };
}

function found(
  db: Database,
  { accountId, domainId, url, result, kind, message, id, beginMs, endMs }: PostFilter,
  after: PostPosition | undefined,
  limit: number,
): Row[] {
  const where = ['account_id = ?', 'at_ms >= ?', 'at_ms <= ?'];
  const values: Value[] = [accountId, beginMs, endMs];
  const add = (condition: string, ...more: Value[]): void => {
    where.push(condition);
    values.push(...more);
  };
  if (after !== undefined) add('(at_ms, id) < (?, ?)', after.atMs, after.id);
  // The one result that has an index of its own must stand in the text.
  if (result !== undefined) where.push(`result = ${POST_RESULTS[result]}`);
  if (domainId !== undefined) add('domain_id = ?', domainId);
  if (url !== undefined) add('url = ?', url);
  if (kind !== undefined) add('kind = ?', EVENT_KINDS[kind]);
  if (message !== undefined) add('message = ?', message);
  if (id !== undefined) add('id = ?', id);
  return db.all(`SELECT * FROM webhook_post WHERE ${where.join(' AND ')} ORDER BY at_ms DESC, id DESC LIMIT ?`, ...values, limit);
}

/** Those of the oldest that are too old: they are written nearly in order of time. */
export function expirePosts(db: Database, oldMs: number, limit: number): number {
  return db.run(
    'DELETE FROM webhook_post WHERE id IN (SELECT id FROM (SELECT id, at_ms FROM webhook_post ORDER BY id LIMIT ?) WHERE at_ms < ?)',
    limit,
    oldMs,
  );
}
