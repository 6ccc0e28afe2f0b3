/**
 * Limits that hold for all nodes together, on three nodes of the real program: clients send through all of them without a pause while one node is killed, one stands still for
 * longer than its lease, and the clock of one is wrong. The quota is met to the recipient, and the ceiling is not exceeded.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Client } from 'pg';
import { SENDER, SENDER_DOMAIN } from '../../bench/message.ts';
import { startPostgres } from '../kit/postgres.ts';
import { hourLasts } from '../kit/hour.ts';
import { until } from '../kit/until.ts';
import { TestCluster, type TestNode } from './cluster.ts';

/** Longer than a busy machine keeps a process waiting. */
const LEASE_MS = 6000;
const QUOTA = 400;
const CEILING = 60;
/** What a node may have had for delivery when it was killed, and never used. */
const LOST_MAX = 25;

// A quota of the day is used up.
await hourLasts(240_000);
const postgres = await startPostgres({ after });
const url = await postgres.newDatabase();
const cluster = await TestCluster.make(
  { after },
  {
    nodes: 3,
    url,
    settings: [
      `store.lease = "${LEASE_MS}ms"`,
      `limits.recipients_per_day = ${QUOTA}`,
      `delivery.ceilings = [{ match = "*", rate = "${CEILING}/h" }]`,
      '',
    ].join('\n'),
  },
);
const database = new Client({ connectionString: url });
// The server ends before it when the file is done.
database.on('error', () => undefined);
await database.connect();
after(() => database.end().catch(() => undefined));

/** Recipients that are in the store, whoever was told of them. */
async function accepted(): Promise<number> {
  const { rows } = await database.query<{ n: number }>('SELECT count(*)::int AS n FROM recipient');
  return rows[0]?.n ?? 0;
}

/** 0: the node was killed, or does not answer. */
async function send({ home }: TestNode, count: number): Promise<number> {
  const to = Array.from({ length: count }, (_, n) => `user${n}@sink${count}.example`);
  try {
    const response = await fetch(`http://127.0.0.1:${home.httpPort}/v3/${SENDER_DOMAIN}/messages`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`api:${home.key}`).toString('base64')}` },
      body: new URLSearchParams([
        ['from', SENDER],
        ['subject', 'x'],
        ['text', 'x'],
        ...to.map((address) => ['to', address] as [string, string]),
      ]),
      signal: AbortSignal.timeout(10_000),
    });
    await response.text();
    return response.status;
  } catch {
    return 0;
  }
}

async function sending(node: TestNode, signal: AbortSignal): Promise<void> {
  for (let n = 0; !signal.aborted; n++) {
    const status = node.isRunning ? await send(node, 1 + (n % 3)) : 0;
    if (status !== 200) await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test('an account has its quota, no more and no less, whatever becomes of nodes meanwhile', async (t) => {
  const stop = new AbortController();
  const clients = cluster.nodes.flatMap((node) => [sending(node, stop.signal), sending(node, stop.signal)]);
  const reaches = (share: number): Promise<true> =>
    until(async () => (await accepted()) >= QUOTA * share, `${share} of the quota is accepted`);
  cluster.node(3).skew(7 * 60_000);
  try {
    await reaches(0.2);
    await cluster.node(1).kill();
    await reaches(0.4);
    cluster.node(2).freeze();
    await Promise.all([cluster.node(1).start(), new Promise((resolve) => setTimeout(resolve, LEASE_MS + 500))]);
    cluster.node(2).wake();
    await until(async () => (await accepted()) >= QUOTA, 'all of it is accepted, within a lease of the last loss');
  } finally {
    stop.abort();
    await Promise.all(clients);
  }
  assert.equal(await accepted(), QUOTA);
  // The one that stood still may have to come again as another node first.
  await cluster.isReady();
  for (const node of cluster.nodes) assert.equal(await send(node, 1), 429);
  t.diagnostic(`${await accepted()} of ${QUOTA} accepted`);
});

test('what all nodes deliver together is within the ceiling, and the rest waits for it by name', async () => {
  const delivered = (): number => cluster.acknowledged().reduce((sum, { recipients }) => sum + recipients.length, 0);
  const { all, settled, marked } = await until(async () => {
    const before = delivered();
    const { rows } = await database.query<{ working: number; waiting: number; settled: number; marked: number }>(
      `SELECT count(*) FILTER (WHERE state = 1)::int AS working, count(*) FILTER (WHERE state = 0 AND wait = 'ceiling')::int AS waiting,
        count(*) FILTER (WHERE state = 2)::int AS settled, count(*) FILTER (WHERE state = 0 AND possible_duplicate = 1)::int AS marked FROM recipient`,
    );
    const [seen] = rows;
    // Nothing is in work, so that nothing came while it was counted.
    return seen?.working === 0 && seen.waiting > 0 && before >= CEILING - LOST_MAX && delivered() === before && { ...seen, all: before };
  }, 'mail waits for the ceiling, and what there is of it is delivered');
  assert.ok(all <= CEILING && all >= CEILING - LOST_MAX, `${all} delivered`);
  // A node that was killed may have delivered what it could not settle any more: that waits again, marked (P4).
  const unsettled = all - settled;
  assert.ok(unsettled >= 0 && unsettled <= marked, `${unsettled} delivered and not settled`);
});
