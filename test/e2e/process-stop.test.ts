/** Stopping, freezing and starting badly: what an operating system and its operator do to the running program. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { environment, postrider } from '../demo/program.ts';
import { Installation, type RecipientStory, type Server, submit } from '../kit/installation.ts';
import { startSink } from '../kit/sink.ts';
import { until } from '../kit/until.ts';

const STOP_MS_MAX = 30_000;
/** Longer than this machine stands still by itself. */
const FROZEN_TIMEOUT_S = 5;

async function allDelivered(server: Server, messageId: string): Promise<readonly RecipientStory[]> {
  return until(async () => {
    const recipients = await server.recipients(messageId);
    return recipients.every(({ status }) => status === 'delivered') && recipients;
  }, `every recipient of ${messageId} is delivered`);
}

test('SIGTERM under a backlog: ends with 0 in time although one site hangs, and the next start delivers the rest, nothing twice', async (t) => {
  const home = await Installation.make(
    t,
    { 'delivery.connections_per_site': '3' },
    { sink: { at: { dot: 'late' } }, zone: { 'hung.test': { A: ['127.0.0.2'] } } },
  );
  const hung = await startSink({ address: '127.0.0.2', port: home.sink.port, at: { greeting: 'hang' } });
  t.after(() => hung.close());
  const server = await home.start();
  const addresses = Array.from({ length: 200 }, (_, n) => `user${n}@x.test`);
  const messageId = await server.sendBatch([...addresses, 'one@hung.test', 'two@hung.test']);
  await until(() => home.sink.transactions.length >= 10 && hung.openConnections() > 0, 'mail is on its way');
  const idle = await server.smtp();

  const startedMs = performance.now();
  const stopping = server.stop();
  await until(() => idle.isClosed, 'its clients are sent away');
  assert.match(idle.pending, /^421 4\.3\.2 /);
  const { status, error } = await stopping;
  const tookMs = performance.now() - startedMs;
  assert.equal(status, 0, error);
  assert.ok(tookMs < STOP_MS_MAX, `${Math.round(tookMs)} ms`);
  assert.ok(home.sink.transactions.length < addresses.length, 'a backlog was left');

  home.sink.configure({});
  hung.configure({});
  const again = await home.start();
  const recipients = await allDelivered(again, messageId);
  assert.deepEqual(
    recipients.filter(({ possibleDuplicate }) => possibleDuplicate),
    [],
  );
  const arrived = [...home.sink.transactions, ...hung.transactions].flatMap((transaction) =>
    transaction.recipients.map(({ address }) => address),
  );
  assert.deepEqual(arrived.toSorted(), recipients.map(({ address }) => address).toSorted());
});

test('frozen for longer than its time-outs and thawed: what was answered meanwhile counts, nothing is lost or repeated, and it goes on at once', async (t) => {
  const timeouts = ['connect', 'greeting', 'command', 'data', 'dot'].map((step) => [`delivery.timeouts.${step}`, `${FROZEN_TIMEOUT_S}s`]);
  const home = await Installation.make(
    t,
    {
      ...Object.fromEntries(timeouts),
      'smtp.idle_timeout': `${FROZEN_TIMEOUT_S}s`,
      'http.request_timeout': `${FROZEN_TIMEOUT_S}s`,
      'delivery.connections_per_site': '3',
    },
    { sink: { at: { dot: 'late' } } },
  );
  const server = await home.start();
  const idle = await server.smtp();
  const messageId = await server.sendBatch(Array.from({ length: 40 }, (_, n) => `user${n}@x.test`));
  await until(() => home.sink.transactions.length >= 5, 'mail is on its way');
  process.kill(server.pid, 'SIGSTOP');
  const frozenAtMs = performance.now();
  const waiting = server.send('late@x.test');
  await until(() => performance.now() - frozenAtMs > (FROZEN_TIMEOUT_S + 1) * 1000, 'longer than the time-outs');
  process.kill(server.pid, 'SIGCONT');

  await allDelivered(server, await waiting);
  for (const { address, possibleDuplicate } of await allDelivered(server, messageId)) {
    const times = home.sink.transactions.filter(({ recipients }) => recipients[0]?.address === address).length;
    assert.deepEqual([address, times, possibleDuplicate], [address, 1, false]);
  }
  await until(() => idle.isClosed, 'a client that said nothing for so long is sent away');
  const talk = await server.smtp();
  assert.match(await submit(talk, ['again@x.test'], 'Subject: x\r\n\r\nx'), /^250 /);
  assert.equal((await server.call('GET', '/readyz')).status, 200);
});

// A second server, a taken SMTP port, a lost secret: cli-start.test.ts.
test('a taken HTTP port ends the start with one sentence', async (t) => {
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
  t.after(() => blocker.close());
  const { port } = blocker.address() as AddressInfo;
  const { status, error } = await postrider(['start'], environment(directory(), { POSTRIDER_HTTP_LISTEN: `127.0.0.1:${port}` }));
  assert.equal(status, 1);
  assert.match(error, new RegExp(`^postrider: 127\\.0\\.0\\.1:${port} is in use by another program\\n$`, 'm'));
  assert.doesNotMatch(error, /\n {4}at /, 'no stack');
});

test('a bad configuration ends the start with 2 and tells every mistake, and no secret', async () => {
  const { status, out, error } = await postrider(
    ['start'],
    environment(directory(), {
      POSTRIDER_LIMITS_CONNECTIONS: 'many',
      POSTRIDER_DELIVERY_RETRY: '5m,soon',
      POSTRIDER_DELIVERY_ROUTES: JSON.stringify([{ match: '*', hosst: 'smart.test', password: 'very-secret' }]),
      POSTRIDER_SMTP_HOSTNAME: 'not a host',
      POSTRIDER_API_KEY: 'has a space',
    }),
  );
  assert.equal(status, 2);
  assert.equal(out, '');
  for (const key of ['limits.connections', 'delivery.retry', 'delivery.routes', 'smtp.hostname', 'POSTRIDER_API_KEY']) {
    assert.match(error, new RegExp(key.replaceAll('.', '\\.')));
  }
  assert.doesNotMatch(error, /very-secret|has a space|\n {4}at /);
});

const directories: string[] = [];
after(() => {
  for (const each of directories) rmSync(each, { recursive: true, force: true });
});

function directory(): string {
  const made = mkdtempSync(join(tmpdir(), 'postrider-process-'));
  directories.push(made);
  return made;
}
