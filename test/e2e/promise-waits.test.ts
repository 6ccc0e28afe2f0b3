/**
 * P6 on the running program: whatever a recipient waits for, the API, `why` and `queue` give it a name and a time.
 * `draining` is seen by nobody (the doors are closed by then), `no-source` by no configuration, and `lane-fairness` is not given by anything yet.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { WAIT_REASONS, type WaitReason } from '#model/wait-reason.ts';
import { Installation, type RecipientStory } from '../kit/installation.ts';
import { startSink } from '../kit/sink.ts';
import { until } from '../kit/until.ts';

const SITES = ['busy', 'paced', 'new', 'down', 'again'];
const CONNECTIONS = 1;
/** More than a lane of one connection holds in memory. */
const MANY = 60;

const home = await Installation.make(
  { after },
  {
    'delivery.shaping': JSON.stringify([
      { match: 'busy.test', connections: CONNECTIONS },
      { match: 'again.test', connections: CONNECTIONS },
      { match: 'paced.test', rate: '1/h' },
    ]),
    'delivery.retry': '10m',
    'delivery.suspend_after': '2',
    // Longer than this file takes, shorter than a retry: what waits for it is what its domain has next.
    'delivery.suspend_min': '5m',
    'delivery.timeouts.connect': '5s',
  },
  {
    zone: {
      ...Object.fromEntries(SITES.map((name) => [`${name}.test`, { A: [name === 'down' ? '127.0.0.9' : '127.0.0.2'] }])),
      'hint.test': { A: ['127.0.0.1'] },
      'unresolved.test': { refusal: 'SERVFAIL' },
    },
  },
);
const slow = await startSink({ address: '127.0.0.2', port: home.sink.port, gates: { dot: new Promise(() => undefined) } });
after(() => slow.close());
let server = await home.start();

const many = (domain: string): string[] => Array.from({ length: MANY }, (_, n) => `user${n}@${domain}`);

/** How long ago the next look may have been when the program was asked: it may be late, on a machine that is busy. */
const LATE_MAX_MS = 5000;

/** The message's recipients that wait, once they are that many (or more) and none of them is waiting for anything else. */
async function waiting(messageId: string, reason: WaitReason, count = 1): Promise<readonly RecipientStory[]> {
  return until(async () => {
    const recipients = (await server.recipients(messageId)).filter(({ next }) => next !== undefined && next.reason !== 'attempt');
    return recipients.length >= count && recipients.every(({ next }) => next?.reason === reason) && recipients;
  }, `${count} of ${messageId} wait for ${reason}`);
}

/** What was told by the API, for the commands to tell too. */
const told: { readonly messageId: string; readonly reason: WaitReason; readonly domain: string; readonly count: number }[] = [];

async function isTold(messageId: string, reason: WaitReason, domain: string, count: number): Promise<void> {
  await waiting(messageId, reason, count);
  const askedMs = Date.now();
  const recipients = await waiting(messageId, reason, count);
  for (const { next, address } of recipients) {
    assert.equal(next?.text, WAIT_REASONS[reason], address);
    assert.ok(next.atMs > askedMs - LATE_MAX_MS, `${address}: the next look was ${askedMs - next.atMs} ms ago`);
  }
  told.push({ messageId, reason, domain, count });
}

test('P6: scheduled', async () => {
  const at = Date.now() + 3_600_000;
  const messageId = await server.send('a@later.test', { 'o:deliverytime': new Date(at).toUTCString() });
  await isTold(messageId, 'scheduled', 'later.test', 1);
  const [recipient] = await server.recipients(messageId);
  assert.equal(Math.round((recipient?.next?.atMs ?? 0) / 1000), Math.floor(at / 1000));
});

test('P6: retry, after a temporary failure', async () => {
  await isTold(await server.send('451-at-dot@x.test'), 'retry', 'x.test', 1);
});

test('P6: retry-hint, as long as the other server asked for', async () => {
  const messageId = await server.send('450@hint.test');
  await isTold(messageId, 'retry-hint', 'hint.test', 1);
  const [recipient] = await server.recipients(messageId);
  const waitMs = (recipient?.next?.atMs ?? 0) - Date.now();
  assert.ok(waitMs > 280_000 && waitMs < 301_000, `${waitMs} ms`);
});

test('P6: dns-trouble', async () => {
  await isTold(await server.send('a@unresolved.test'), 'dns-trouble', 'unresolved.test', 1);
});

test('P6: lane-connections, in memory and on disk', async () => {
  await isTold(await server.sendBatch(many('busy.test')), 'lane-connections', 'busy.test', MANY - CONNECTIONS);
});

test('P6: lane-rate', async () => {
  const messageId = await server.sendBatch(['a@paced.test', 'b@paced.test', 'c@paced.test']);
  await isTold(messageId, 'lane-rate', 'paced.test', 2);
});

test('P6: lane-starting', async () => {
  await isTold(await server.sendBatch(many('new.test')), 'lane-starting', 'new.test', MANY - 3);
});

test('P6: lane-suspended', async () => {
  const tried = await server.sendBatch(['a@down.test', 'b@down.test']);
  await waiting(tried, 'retry', 2);
  await isTold(await server.send('c@down.test'), 'lane-suspended', 'down.test', 1);
});

test('P6: `why` and `queue` tell the same, also of mail that is in memory', async () => {
  let untold: readonly string[] = [];
  // One that is looked at again at this very moment waits for nothing.
  await until(async () => (untold = await untoldByCommands()).length === 0, 'all is told').catch(() => undefined);
  assert.deepEqual(untold, []);
});

/** What the API told, and the commands do not tell now. */
async function untoldByCommands(): Promise<readonly string[]> {
  const askedMs = Date.now();
  const [queue, ...whys] = await Promise.all([
    home.command('queue', '--json'),
    ...told.map(({ messageId }) => home.command('why', messageId, '--json')),
  ]);
  const { domains } = JSON.parse(queue.out) as { domains: { domain: string; wait: string; nextDueAtMs: number }[] };
  return told.flatMap(({ reason, domain, count }, position) => {
    const [story] = JSON.parse(whys[position]?.out ?? '') as { recipients: RecipientStory[] }[];
    const waits = story?.recipients.filter(({ next }) => next?.reason === reason) ?? [];
    const entry = domains.find((candidate) => candidate.domain === domain);
    return [
      ...(waits.length >= count ? [] : [`why tells ${waits.length} of ${count} that wait for ${reason}`]),
      ...(entry?.wait === reason ? [] : [`queue tells ${entry?.wait} of ${domain}, not ${reason}`]),
      ...((entry?.nextDueAtMs ?? 0) > askedMs - LATE_MAX_MS ? [] : [`queue tells ${entry?.nextDueAtMs} of ${domain}, asked at ${askedMs}`]),
    ];
  });
}

test('P6: recovered, after a kill', async () => {
  const messageId = await server.sendBatch(many('again.test'));
  await waiting(messageId, 'lane-connections', MANY - CONNECTIONS);
  await server.kill();
  slow.configure({});
  server = await home.start({ 'delivery.ready_recipients': '10' });
  const recipients = await until(async () => {
    const all = await server.recipients(messageId);
    return all.every(({ status }) => status === 'delivered') && all;
  }, 'all are delivered');
  const repeated = recipients.filter(({ possibleDuplicate }) => possibleDuplicate);
  assert.ok(repeated.length > CONNECTIONS);
  for (const { address, entries } of repeated) {
    assert.ok(
      entries.some(({ kind, reason }) => kind === 'wait' && reason === 'recovered'),
      `${address}: ${JSON.stringify(entries)}`,
    );
  }
});

test('P6: memory-limit, where memory has room for ten', async () => {
  slow.configure({ gates: { dot: new Promise(() => undefined) } });
  slow.dropAll();
  await isTold(await server.sendBatch(many('new.test')), 'memory-limit', 'new.test', MANY - 10);
});
