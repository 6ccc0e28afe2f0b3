/** Three nodes on one PostgreSQL, under load through all of them: one is killed, one stands still for longer than its lease, the clock of one is wrong. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { SENDER, SENDER_DOMAIN } from '../../bench/message.ts';
import { until } from '../kit/until.ts';
import { messageIdOf, TestCluster } from './cluster.ts';

const CONNECTIONS = 4;
const cluster = await TestCluster.make(
  { after },
  // Longer than a busy machine keeps a process waiting: who is given up while it lives repeats mail, which is counted here.
  { nodes: 3, settings: `store.lease = "6s"\ndelivery.connections_per_site = ${CONNECTIONS}\n` },
);

test('nodes are killed in turn under load: nothing accepted is lost, and what is repeated says so', async (t) => {
  await cluster.underLoad(async () => {
    for (const n of [1, 2, 3]) {
      await cluster.node(n).kill();
      await cluster.takesMail();
      await cluster.node(n).start();
      await cluster.takesMail();
    }
  });
  const { faults, repeated } = await cluster.faults();
  t.diagnostic(`${cluster.ledger.accepted().length} accepted, ${repeated} repeated`);
  assert.deepEqual(faults, []);
});

test('a node that stood still for longer than its lease begins nothing of what others took over, and its late outcomes are refused', async (t) => {
  const frozen = cluster.node(2);
  const answers = Promise.withResolvers<void>();
  const before = (await cluster.faults()).repeated;
  // What comes next needs a sink that answers and a node that lives, however this ends.
  t.after(() => {
    cluster.sink.configure({});
    answers.resolve();
    frozen.wake();
  });
  await cluster.underLoad(async () => {
    cluster.sink.configure({ gates: { dot: answers.promise } });
    cluster.sink.dropAll();
    const { length } = cluster.sink.transactions;
    await until(async () => {
      const { id, leased } = await cluster.row(2);
      const its = await cluster.leasedBy(id);
      return leased > 4 * CONNECTIONS && cluster.sink.transactions.slice(length).some((transaction) => its.has(messageIdOf(transaction)));
    }, 'the node has mail in its lanes, and mail at the sink that was not acknowledged');
    frozen.freeze();
    const id = (await cluster.row(2)).id;
    // The sink took what the frozen node was sending; nobody heard it say so.
    cluster.sink.configure({});
    answers.resolve();
    await until(async () => (await cluster.list()).find((node) => node.id === id)?.state === 'lost', 'it is given up');
    await until(async () => (await cluster.list()).find((node) => node.id === id)?.leased === 0, 'its mail is with the others');
    frozen.wake();
    await until(() => frozen.logged('refused: another lease holds').length > 0, 'its late outcomes are refused');
    await until(async () => (await cluster.row(2)).state === 'running', 'it goes on as another node');
    await cluster.takesMail();
  });
  const { faults, repeated } = await cluster.faults();
  t.diagnostic(`${cluster.ledger.accepted().length} accepted, ${repeated - before} repeated`);
  assert.ok(repeated > before, 'what it was sending was sent again');
  assert.ok(repeated - before <= CONNECTIONS, 'and nothing of what waited in it');
  assert.deepEqual(faults, []);
});

test('a node that is stopped, or drained, leaves its mail to the others at once, and nothing is repeated for it', async () => {
  const before = (await cluster.faults()).repeated;
  await cluster.underLoad(async () => {
    const { id } = await cluster.row(1);
    await cluster.node(1).home.command('nodes', 'drain', 'node-1');
    await until(async () => (await cluster.row(1)).state === 'drained', 'the first is drained');
    assert.equal((await cluster.row(1)).leased, 0);
    await cluster.node(2).stop();
    assert.deepEqual([(await cluster.row(2)).state, (await cluster.row(2)).leased], ['stopped', 0]);
    await cluster.takesMail();
    await cluster.node(2).start();
    await cluster.node(1).home.command('nodes', 'resume', String(id));
    await until(async () => (await cluster.row(1)).state === 'running', 'the first goes on');
    await cluster.takesMail();
  });
  const { faults, repeated } = await cluster.faults();
  assert.deepEqual([faults, repeated - before], [[], 0]);
});

for (const byMs of [7 * 60_000, -7 * 60_000]) {
  test(`a node whose clock is ${byMs > 0 ? 'seven minutes ahead' : 'seven minutes behind'} neither hurries nor delays mail`, async () => {
    cluster.node(3).skew(byMs);
    await Promise.all([cluster.node(1).stop(), cluster.node(2).stop()]);
    const deferred = await send(3, '451-at-dot-once@sink1.example');
    const startedMs = performance.now();
    const scheduled = await send(3, 'later@sink1.example', { 'o:deliverytime': String(Math.floor(Date.now() / 1000) + 6) });
    const retried = await arrival(deferred);
    assert.ok(retried - startedMs < 60_000, 'a second attempt a second after the first');
    const late = (await arrival(scheduled)) - startedMs;
    assert.ok(late > 4000 && late < 60_000, `the message for in 6 seconds came after ${late} ms`);
    const { body } = await cluster.node(3).get(`/v1/messages/${encodeURIComponent(scheduled)}`);
    assert.ok(Math.abs(Number(body['createdMs']) - Date.now()) < 60_000, 'it tells the time that all nodes share');
    await Promise.all([cluster.node(1).start(), cluster.node(2).start()]);
  });
}

async function send(n: number, to: string, fields: Readonly<Record<string, string>> = {}): Promise<string> {
  const { home } = cluster.node(n);
  const response = await fetch(`http://127.0.0.1:${home.httpPort}/v3/${SENDER_DOMAIN}/messages`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`api:${home.key}`).toString('base64')}` },
    body: new URLSearchParams({ from: SENDER, to, subject: 'x', text: 'x', ...fields }),
    signal: AbortSignal.timeout(20_000),
  });
  assert.equal(response.status, 200);
  return String(((await response.json()) as { id: string }).id).slice(1, -1);
}

/** When the sink acknowledged it (monotonic, to a few milliseconds). */
async function arrival(messageId: string): Promise<number> {
  await until(() => cluster.acknowledged().some(({ bytes }) => bytes.includes(messageId)), `${messageId} is delivered`);
  return performance.now();
}
