/** The database goes away and comes back, under nodes that are loaded: restarted, cut off at once, away for longer than a lease. No node ends, and nothing is lost. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { SENDER, SENDER_DOMAIN } from '../../bench/message.ts';
import { SmtpTalk } from '../kit/smtp-talk.ts';
import { until } from '../kit/until.ts';
import { TestCluster } from './cluster.ts';

// After the database's return everybody has the time of a lease to be heard: longer than it is waited between two attempts to connect, and than a busy machine keeps a process waiting.
const cluster = await TestCluster.make({ after }, { nodes: 3, settings: 'store.lease = "6s"\ndelivery.connections_per_site = 4\n' });
const { postgres } = cluster;

for (const how of ['fast', 'immediate', 'kill'] as const) {
  test(`PostgreSQL is restarted under load (${how}): nodes use it again by themselves, and nothing accepted is lost`, async (t) => {
    const pids = cluster.nodes.map((node) => node.process.pid);
    await cluster.underLoad(async () => {
      await postgres.restart(how);
      await cluster.takesMail(60);
      await cluster.isReady();
    });
    assert.deepEqual(
      cluster.nodes.map((node) => node.process.pid),
      pids,
    );
    assert.ok(cluster.nodes.every((node) => node.isRunning));
    const { faults, repeated } = await cluster.faults();
    t.diagnostic(`${cluster.ledger.accepted().length} accepted, ${cluster.ledger.putOff} put off, ${repeated} repeated`);
    assert.deepEqual(faults, []);
  });
}

test('while the database is away mail is put off in clear words, what is being sent ends, and its outcome is kept until it can be written', async (t) => {
  const { home, process: running } = cluster.node(1);
  const answers = Promise.withResolvers<void>();
  cluster.sink.configure({ gates: { dot: answers.promise } });
  cluster.sink.dropAll();
  // What comes next needs a sink that answers and a database, however this ends.
  t.after(async () => {
    answers.resolve();
    cluster.sink.configure({});
    if (isAway) await postgres.start();
  });
  let isAway = false;
  const talk = await SmtpTalk.open(home.smtpPort);
  await talk.say('EHLO client.test');
  const before = cluster.sink.transactions.length;
  const id = await post();
  assert.equal(id.status, 200);
  await until(() => cluster.sink.transactions.length > before, 'it is being sent');

  await postgres.stop('immediate');
  isAway = true;
  await until(async () => (await post()).status === 503, 'the API puts mail off');
  const refused = await post();
  assert.match(refused.text, /cannot be stored at the moment/);
  assert.match(await talk.say(`MAIL FROM:<${SENDER}>`), /^451 4\.3\.0 .*cannot be stored at the moment/);
  const late = await SmtpTalk.open(home.smtpPort, { expectGreeting: false });
  assert.match(await late.reply(), /^421 4\.3\.0 /);
  assert.equal((await fetch(`http://127.0.0.1:${home.httpPort}/healthz`)).status, 200);
  assert.equal((await fetch(`http://127.0.0.1:${home.httpPort}/readyz`)).status, 503);

  answers.resolve();
  cluster.sink.configure({});
  await until(() => cluster.sink.transactions.slice(before).some(({ isAcknowledged }) => isAcknowledged), 'the sink has taken it');
  await postgres.start();
  isAway = false;
  const messageId = encodeURIComponent(String((JSON.parse(id.text) as { id: string }).id).slice(1, -1));
  await until(async () => {
    const { status, body } = await cluster.node(1).get(`/v1/messages/${messageId}`);
    return status === 200 && (body['recipients'] as { status: string }[])[0]?.status === 'delivered';
  }, 'its delivery is written');
  assert.equal(cluster.sink.transactions.slice(before).filter(({ isAcknowledged }) => isAcknowledged).length, 1, 'it was sent once');
  assert.ok(running.pid === cluster.node(1).process.pid && cluster.nodes.every((node) => node.isRunning));
});

test('a database that was away for longer than a lease finds every node alive: nobody is given up for it', async (t) => {
  const ids = await Promise.all([1, 2, 3].map(async (n) => (await cluster.row(n)).id));
  const ranOut = (): number[] => cluster.nodes.map((node) => node.logged('the lease of this node has run out').length);
  await cluster.underLoad(async () => {
    const before = ranOut();
    await postgres.stop('fast');
    await until(() => ranOut().every((times, n) => times > (before[n] ?? 0)), 'all leases have run out');
    await postgres.start();
    await cluster.takesMail(60);
    await cluster.isReady();
  });
  const { faults, repeated } = await cluster.faults();
  t.diagnostic(`${repeated} repeated`);
  assert.deepEqual(faults, []);
  assert.deepEqual(await Promise.all([1, 2, 3].map(async (n) => (await cluster.row(n)).id)), ids);
});

test('a node is stopped in good order while the database is away', async () => {
  await postgres.stop('fast');
  const startedMs = performance.now();
  await cluster.node(3).stop();
  assert.ok(performance.now() - startedMs < 30_000);
  await postgres.start();
  await cluster.node(3).start();
  await until(async () => (await cluster.row(3)).state === 'running', 'it runs again');
});

async function post(): Promise<{ readonly status: number; readonly text: string }> {
  const { home } = cluster.node(1);
  const response = await fetch(`http://127.0.0.1:${home.httpPort}/v3/${SENDER_DOMAIN}/messages`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`api:${home.key}`).toString('base64')}` },
    body: new URLSearchParams({ from: SENDER, to: 'a@sink1.example', subject: 'x', text: 'x' }),
    signal: AbortSignal.timeout(20_000),
  });
  return { status: response.status, text: await response.text() };
}
