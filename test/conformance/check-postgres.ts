/**
 * Looks at a store on PostgreSQL from outside and tells every state that is not legal, in words; an empty list is what must be found after any crash.
 * To what both stores must keep comes what the ids of this one promise: which partitions a question may leave alone is concluded from them.
 */
import { Client } from 'pg';
import { RULES, SHOWN_MAX } from './store-rules.ts';

const IDS_PER_DAY = 2 ** 38;

/** Where contents lie is this store's own affair. */
const MISSING_CONTENT = 'a message without the content it has';
const FLOOR = "coalesce((SELECT value::bigint FROM setting WHERE name = 'content.floor'), 0)";

const POSTGRES_RULES: typeof RULES = [
  {
    what: 'a recipient outside of its message’s ids',
    sql: 'SELECT r.id FROM recipient r JOIN message m ON m.id = r.message WHERE r.id < m.first_recipient OR r.id >= m.first_recipient + m.recipient_count',
  },
  {
    what: 'a message whose id has another day',
    sql: `SELECT id FROM message WHERE id >= ${IDS_PER_DAY} AND id / ${IDS_PER_DAY} <> created_ms / 86400000`,
  },
  {
    what: 'an event whose id has another day',
    sql: `SELECT id FROM event WHERE id >= ${IDS_PER_DAY} AND id / ${IDS_PER_DAY} <> at_us / 86400000000`,
  },
  {
    what: MISSING_CONTENT,
    sql: `SELECT m.id FROM message m LEFT JOIN (SELECT id FROM content UNION ALL SELECT id FROM content_kept) c ON c.id = m.id
          WHERE c.id IS NULL AND (m.has_content = 2 OR (m.has_content = 1 AND (m.id < ${IDS_PER_DAY} OR m.id >= ${FLOOR})))`,
  },
  { what: 'a content that is kept twice', sql: 'SELECT c.id FROM content c JOIN content_kept k ON k.id = c.id' },
  {
    what: 'a content that was moved without its message knowing',
    sql: 'SELECT k.id FROM content_kept k LEFT JOIN message m ON m.id = k.id AND m.has_content = 2 WHERE m.id IS NULL',
  },
  { what: 'an index that is not valid', sql: 'SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid' },
];

type Rows = readonly Record<string, unknown>[];

/** `rows`: asks one statement. */
export async function postgresTroubles(rows: (sql: string) => Promise<Rows>): Promise<string[]> {
  const troubles: string[] = [];
  for (const { what, sql } of [...RULES.filter((rule) => rule.what !== MISSING_CONTENT), ...POSTGRES_RULES]) {
    const found = (await rows(`${sql} LIMIT ${SHOWN_MAX}`)).map((row) => Object.values(row)[0]);
    if (found.length > 0) troubles.push(`${what}: ${found.join(', ')}`);
  }
  return troubles;
}

export async function checkPostgresStore(url: string): Promise<string[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    // One moment for all: what runs meanwhile is not seen half.
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    return await postgresTroubles(async (sql) => (await client.query<Record<string, unknown>>(sql)).rows);
  } finally {
    await client.end();
  }
}
