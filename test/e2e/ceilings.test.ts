/**
 * Ceilings that hold for all nodes together, on one running program: what a destination and a source see, what the mail that waits tells (P6), and that neither a restart nor a
 * kill gives anything twice. (Several processes over one store: test/conformance/purses.ts.)
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { WARM_UP_PLAN } from '#grants/warm-up.ts';
import { WAIT_REASONS, type WaitReason } from '#model/wait-reason.ts';
import { Installation, type RecipientStory } from '../kit/installation.ts';
import { startSink } from '../kit/sink.ts';
import { until } from '../kit/until.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const CAP = 4;
const RATE = 10;
const RATE_MS = 4000;

const home = await Installation.make(
  { after },
  {
    'delivery.sources': JSON.stringify([
      { name: 'old', address: '127.0.0.1' },
      { name: 'young', address: '127.0.0.1', pool: 'new', cap_per_day: CAP },
      { name: 'warmed', address: '127.0.0.3', pool: 'warmed' },
    ]),
    'delivery.ceilings': JSON.stringify([
      { match: 'mx.capped.test', rate: '5/h' },
      { match: 'guest.test', rate: '2/h' },
      { match: 'mx.paced.test', rate: `${RATE}/4s` },
      { match: '*', rate: '1000000/d', pool: 'new' },
    ]),
  },
  {
    zone: {
      'mx.capped.test': { A: ['127.0.0.1'] },
      'mx.paced.test': { A: ['127.0.0.2'] },
      'mx.shared.test': { A: ['127.0.0.1'] },
      ...Object.fromEntries(['one', 'two'].map((name) => [`${name}.test`, { MX: [[10, 'mx.capped.test']] as const }])),
      ...Object.fromEntries(['three', 'four'].map((name) => [`${name}.test`, { MX: [[10, 'mx.paced.test']] as const }])),
      ...Object.fromEntries(['guest', 'host'].map((name) => [`${name}.test`, { MX: [[10, 'mx.shared.test']] as const }])),
      'free.test': { A: ['127.0.0.1'] },
    },
  },
);
const paced = await startSink({ address: '127.0.0.2', port: home.sink.port });
after(() => paced.close());
let server = await home.start();

const many = (count: number, domain: string): string[] => Array.from({ length: count }, (_, n) => `user${n}@${domain}`);

/** Once so many are delivered and all others wait for the reason. */
async function settled(messageIds: readonly string[], delivered: number, reason: WaitReason): Promise<readonly RecipientStory[]> {
  return until(async () => {
    const all = (await Promise.all(messageIds.map((id) => server.recipients(id)))).flat();
    const waiting = all.filter(({ next }) => next?.reason === reason);
    return all.filter(({ status }) => status === 'delivered').length === delivered && waiting.length === all.length - delivered && waiting;
  }, `${delivered} delivered, the others wait for ${reason}`);
}

function looksAgain(waiting: readonly RecipientStory[], withinMs: number, reason: WaitReason): void {
  for (const { next, address } of waiting) {
    assert.equal(next?.text, WAIT_REASONS[reason]);
    const inMs = next.atMs - Date.now();
    assert.ok(inMs > withinMs / 2 && inMs <= withinMs * 1.1, `${address} is looked at in ${inMs} ms`);
  }
}

test('a ceiling holds for all domains of a site together; what waits names it and its time; other mail goes on', async () => {
  const messageIds = [await server.sendBatch(many(6, 'one.test')), await server.sendBatch(many(6, 'two.test'))];
  looksAgain(await settled(messageIds, 5, 'ceiling'), HOUR_MS, 'ceiling');
  const free = await server.sendBatch(many(3, 'free.test'));
  await until(async () => (await server.recipients(free)).every(({ status }) => status === 'delivered'), 'other mail is delivered');
  const [queue, why] = await Promise.all([home.command('queue', '--json'), home.command('why', messageIds[0] ?? '', '--json')]);
  const { domains } = JSON.parse(queue.out) as { domains: { domain: string; wait: string }[] };
  assert.equal(domains.find(({ domain }) => domain === 'two.test')?.wait, 'ceiling');
  assert.match(why.out, /"reason": ?"ceiling"/);
});

test('a ceiling of one domain does not count what others send to the same hosts', async () => {
  const [guest, host] = [await server.sendBatch(many(5, 'guest.test')), await server.sendBatch(many(5, 'host.test'))];
  await settled([guest], 2, 'ceiling');
  await until(async () => (await server.recipients(host)).every(({ status }) => status === 'delivered'), 'the other domain has its mail');
});

test('recipients of one message in one transaction count each', async () => {
  const beganMs = performance.now();
  await server.send(many(30, 'three.test'));
  await server.sendBatch(many(10, 'four.test'));
  const arrived = (untilMs = Number.POSITIVE_INFINITY): number =>
    paced.transactions.reduce((total, { beganMs: atMs, recipients: to }) => total + (atMs <= untilMs ? to.length : 0), 0);
  await until(() => arrived() === 40, 'all arrive');
  // Counted from the first moment: what is held up on its way comes nearer to what follows it, but never sooner than it was let go.
  for (const { beganMs: atMs } of paced.transactions) {
    const most = RATE * Math.ceil((atMs - beganMs) / RATE_MS);
    assert.ok(arrived(atMs) <= most, `${arrived(atMs)} within ${Math.round(atMs - beganMs)} ms`);
  }
});

test('a source that is warmed up sends so many in a day, and what waits says so', async () => {
  const messageId = await server.sendBatch(many(7, 'free.test'), { 'o:sending-ip-pool': 'new' });
  looksAgain(await settled([messageId], CAP, 'warm-up'), DAY_MS, 'warm-up');
});

test('an address that is warmed up by its plan holds what is too much until the plan is given up', async () => {
  const path = '/v3/ip_warmups/127.0.0.3';
  const details = async (): Promise<Record<string, unknown>> =>
    (await server.mustCall('GET', path)).body['details'] as Record<string, unknown>;
  const [first] = WARM_UP_PLAN;
  await server.mustCall('POST', path);
  assert.equal((await details())['stage_volume_limit'], first);
  // A process that starts knows the plans before it sends.
  await server.stop();
  server = await home.start();
  const messageId = await server.sendBatch(many((first as number) + 3, 'free.test'), { 'o:sending-ip': '127.0.0.3' });
  await settled([messageId], first as number, 'warm-up');
  await until(async () => (await details())['sent_within_stage'] === '100%', 'what was sent is told');
  await server.mustCall('DELETE', path);
  await until(async () => (await server.recipients(messageId)).every(({ status }) => status === 'delivered'), 'the rest is delivered');
});

test('what was used stays used when the program is killed and started again', async () => {
  const before = home.sink.transactions.length;
  await server.kill();
  server = await home.start();
  const messageIds = [await server.sendBatch(many(3, 'one.test')), await server.sendBatch(many(3, 'guest.test'))];
  await settled(messageIds, 0, 'ceiling');
  assert.equal(home.sink.transactions.length, before);
});
