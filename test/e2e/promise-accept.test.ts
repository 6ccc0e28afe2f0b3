/**
 * P1, P2 and P12 on the running program: what was answered 250 or 200 is on disk, all of it or nothing, and the same request is taken once.
 * (What the embedded store itself does at each arrow of a recipient's life: storage-crash.test.ts, storage-faults.test.ts; the order of its system calls: storage-order.test.ts.)
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Installation, submit } from '../kit/installation.ts';
import { until } from '../kit/until.ts';

const RECIPIENTS = 20;

// One installation for all: each test leaves it running, or starts it again.
const home = await Installation.make({ after });
let server = await home.start();

function addresses(of: string): string[] {
  return Array.from({ length: RECIPIENTS }, (_, n) => `${of}-${n}@x.test`);
}

test('P1: while nothing can be committed nobody is told that mail was taken, and everything else is answered', async () => {
  const talk = await server.smtp();
  const told: string[] = [];
  const release = await home.store.holdCommits();
  const sending = [
    server.send('a@x.test').then(() => told.push('API')),
    submit(talk, ['b@x.test'], 'Subject: x\r\n\r\nHello').then(() => told.push('SMTP')),
  ];
  for (let n = 0; n < 20; n++) assert.equal((await server.call('GET', '/healthz')).status, 200);
  assert.deepEqual(told, []);
  await release();
  await Promise.all(sending);
  assert.deepEqual(told.toSorted(), ['API', 'SMTP']);
});

test('P12: fifty equal requests at once make one message, also after a restart; another request under the key is refused', async () => {
  const headers = { 'idempotency-key': 'order-4711' };
  const send = (to: string) => server.call('POST', '/v3/ours.test/messages', { from: 'app@ours.test', to, text: 'Once' }, headers);
  const answers = await Promise.all(Array.from({ length: 50 }, () => send('once@x.test')));
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  const [id, ...others] = new Set(answers.map(({ body }) => body['id']));
  assert.deepEqual(others, []);
  assert.equal(answers.filter((answer) => answer.headers.get('idempotency-replayed') === 'true').length, 49);
  await server.kill();

  server = await home.start();
  const repeated = await send('once@x.test');
  assert.deepEqual([repeated.status, repeated.body['id'], repeated.headers.get('idempotency-replayed')], [200, id, 'true']);
  assert.equal((await send('other@x.test')).status, 409);
  const { body } = await server.mustCall('GET', '/v1/messages?recipient=once@x.test');
  assert.equal((body['items'] as unknown[]).length, 1);
});

test('P1, P2: killed straight after a reply, the program has all of what it acknowledged, nothing in part, and delivers it', async () => {
  const taken: string[] = [];
  const clients = ['smtp-a', 'smtp-b', 'smtp-c', 'http-a', 'http-b'].map((client) => load(client, taken));
  await until(() => taken.length >= 60, '60 messages are taken');
  await server.kill();
  await home.store.cutConnections();
  const acknowledged = [...taken];
  await Promise.all(clients);

  assert.deepEqual(await home.store.troubles(), []);
  const kept = await recipientsKept();
  for (const [name, recipients] of kept) assert.equal(recipients, RECIPIENTS, `${name} was kept in part`);
  for (const name of acknowledged) assert.ok(kept.has(name), `${name} was acknowledged and is lost`);

  server = await home.start();
  const missing = new Set(acknowledged.flatMap(addresses));
  await until(() => {
    for (const { recipients } of home.sink.transactions) for (const { address } of recipients) missing.delete(address);
    return missing.size === 0;
  }, 'everything that was acknowledged is delivered');
});

/** Hands mail in without pause until the server is gone; notes what was taken. */
async function load(client: string, taken: string[]): Promise<void> {
  const by = server;
  const talk = client.startsWith('smtp') ? await by.smtp() : undefined;
  for (let n = 0; by.isRunning; n++) {
    const name = `${client}-${n}`;
    try {
      if (talk === undefined) await by.send(addresses(name), { 'h:Message-Id': `<load.${name}@ours.test>` });
      else
        assert.match(await submit(talk, addresses(name), `Message-ID: <load.${name}@ours.test>\r\n\r\n${'words '.repeat(300)}`), /^250 /);
      taken.push(name);
    } catch (error) {
      if (by.isRunning) throw error;
    }
  }
}

async function recipientsKept(): Promise<Map<string, number>> {
  const rows = await home.store.rows(
    "SELECT m.message_id AS id, count(*) AS n FROM message m JOIN recipient r ON r.message = m.id WHERE m.message_id LIKE 'load.%' GROUP BY m.id, m.message_id",
  );
  return new Map(rows.map((row) => [String(row['id']).slice('load.'.length).replace('@ours.test', ''), Number(row['n'])]));
}
