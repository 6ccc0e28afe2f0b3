/**
 * What claims cost PostgreSQL with a short queue and with a long one, and nothing else: rows are written straight into the tables, then recipients are claimed and settled through
 * the store in batches, and the processor time of the server's processes that answer us is read. What autovacuum does meanwhile is not ours and not in it.
 *
 *   node bin/pinned-node.js bench/claims.ts                  31,000 and 1,000,000 queued, each as filled and after VACUUM
 *   node bin/pinned-node.js bench/claims.ts --queued 100000  another long queue
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { openStore } from '#store/open.ts';
import type { Store } from '#store/store.ts';
import { startPostgres } from '../test/kit/postgres.ts';

const { values: options } = parseArgs({
  options: { queued: { type: 'string', default: '1000000' }, claims: { type: 'string', default: '30000' } },
});
const CLAIMED = Number(options.claims);
const BATCH = 40;
/** Of Linux's process statistics. */
const TICKS_PER_S = 100;
const NODE = { name: 'bench', version: '0', services: ['deliver'], sources: ['default'] } as const;

const ends: (() => unknown)[] = [];
const postgres = await startPostgres({ after: (end) => void ends.unshift(end) }, { fsync: true });
try {
  console.log('| queued | | ms for 40 claimed and settled | CPU-s of PostgreSQL per 1,000 |\n|---|---|---|---|');
  for (const queued of [CLAIMED + 1000, Number(options.queued)]) {
    for (const isVacuumed of [false, true]) {
      const { wallMs, cpuS } = await measured(queued, isVacuumed);
      console.log(
        `| ${queued} | ${isVacuumed ? 'after VACUUM' : 'as filled'} | ${((wallMs * BATCH) / CLAIMED).toFixed(1)} | ${((cpuS * 1000) / CLAIMED).toFixed(3)} |`,
      );
    }
  }
} finally {
  for (const end of ends) await end();
}

async function measured(queued: number, isVacuumed: boolean): Promise<{ readonly wallMs: number; readonly cpuS: number }> {
  const url = await postgres.newDatabase();
  const client = new Client({ connectionString: url });
  await client.connect();
  const store = await openStore({ url, node: NODE });
  try {
    await fill(store, client, queued);
    if (isVacuumed) await client.query('VACUUM (ANALYZE) recipient, message, bucket');
    await claimAndSettle(store, BATCH * 10);
    const before = await cpuOf(client);
    const start = performance.now();
    await claimAndSettle(store, CLAIMED);
    return { wallMs: performance.now() - start, cpuS: (await cpuOf(client)) - before };
  } finally {
    await store.close();
    await client.end();
  }
}

/** One message for each recipient, all of them due: those of one receiving domain share a bucket, which has ten batches and more. */
async function fill(store: Store, client: Client, queued: number): Promise<void> {
  const nowMs = Date.now();
  const buckets = Math.min(1000, Math.floor(queued / (10 * BATCH)));
  const { id: accountId } = await store.accounts.createAccount('bench', nowMs);
  const day = Math.floor(nowMs / 86_400_000) * 2 ** 38;
  const info = JSON.stringify({
    from: 'a@sender.example',
    to: 'b@x.example',
    subject: 'x',
    sizeBytes: 1000,
    attachments: [],
    method: 'SMTP',
    origin: {},
    options: { tags: [] },
    smtputf8: false,
    body: '7BIT',
  });
  await client.query(
    `INSERT INTO bucket (domain, account_id, priority, look_ms) SELECT 'site' || n || '.example', $1, 1, $2 FROM generate_series(0, $3::int - 1) n`,
    [accountId, nowMs - 60_000, buckets],
  );
  await client.query(
    `INSERT INTO message (id, account_id, domain_id, message_id, sender, created_ms, expires_ms, priority, first_recipient, recipient_count, info)
     SELECT $1::bigint + n, $2, 1, n || '@sender.example', 'a@sender.example', $3::bigint, $3::bigint + 432000000, 1, $1::bigint + n, 1, $4 FROM generate_series(1, $5::bigint) n`,
    [day, accountId, nowMs, info, queued],
  );
  await client.query(
    `INSERT INTO recipient (id, message, bucket, due_ms, expires_ms, state, address, wait)
     SELECT $1::bigint + n, $1::bigint + n, b.id, $2::bigint - 60000 + n % 50000, $2::bigint + 432000000, 0, 'user' || n || '@' || b.domain, 'due'
     FROM generate_series(1, $3::bigint) n JOIN bucket b ON b.domain = 'site' || (n % $4::int) || '.example'`,
    [day, nowMs, queued, buckets],
  );
}

async function claimAndSettle({ mail }: Store, count: number): Promise<void> {
  for (let left = count; left > 0;) {
    const [bucket] = await mail.dueBuckets(Date.now(), 1);
    if (bucket === undefined) throw new Error('nothing is due');
    const claimed = await mail.claim([{ bucket: bucket.id, room: BATCH }], Date.now());
    const work = claimed.flatMap(({ message, recipients }) => recipients.map((recipient) => ({ message, recipient })));
    await Promise.all(
      work.map(({ message, recipient }) =>
        mail.settle({
          recipient: recipient.id,
          epoch: recipient.epoch,
          accountId: message.accountId,
          domainId: message.domainId,
          message: message.id,
          atMs: Date.now(),
          attempts: 1,
          ending: 'delivered',
          event: { kind: 'delivered', detail: { code: 250, text: 'ok' } },
          counters: [],
        }),
      ),
    );
    left -= work.length;
  }
}

/** Seconds of those processes of the server that answer clients of this database. */
async function cpuOf(client: Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>(
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'",
  );
  const ticks = rows.map(({ pid }) => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return Number(fields[11]) + Number(fields[12]);
  });
  return ticks.reduce((sum, each) => sum + each, 0) / TICKS_PER_S;
}
