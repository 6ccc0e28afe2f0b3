/**
 * P11 on the running program: a receiving site that several domains share is given exactly what `delivery.shaping` allows, by the count of the site itself.
 * (The lane alone, against thousands of drawn sequences: lane-simulation.test.ts.)
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Installation } from '../kit/installation.ts';
import { type Sink, startSink } from '../kit/sink.ts';
import { until } from '../kit/until.ts';

const RATE_PER_SECOND = 20;
/** A message on a new connection arrives later by the time of connecting, and so nearer to the next ones. */
const ARRIVES_LATE = 2;
const BETWEEN_ANSWERS_MS = 20;

const home = await Installation.make(
  { after },
  {
    'delivery.shaping': JSON.stringify([
      { match: 'mx.crowded.test', connections: 3, messages_per_connection: 4 },
      { match: 'mx.paced.test', connections: 5, rate: `${RATE_PER_SECOND}/s` },
    ]),
  },
  {
    sink: { at: { dot: 'late' } },
    zone: {
      'mx.crowded.test': { A: ['127.0.0.1'] },
      'mx.paced.test': { A: ['127.0.0.2'] },
      ...Object.fromEntries(['one', 'two', 'three'].map((name) => [`${name}.test`, { MX: [[10, 'mx.crowded.test']] as const }])),
      ...Object.fromEntries(['four', 'five'].map((name) => [`${name}.test`, { MX: [[10, 'mx.paced.test']] as const }])),
    },
  },
);
const paced = await startSink({ address: '127.0.0.2', port: home.sink.port });
after(() => paced.close());
const server = await home.start();

async function sendTo(domains: readonly string[], each: number): Promise<void> {
  await Promise.all(domains.map((domain) => server.sendBatch(Array.from({ length: each }, (_, n) => `user${n}@${domain}`))));
}

/** How much later than it was begun a message may have been seen: so long the program, or this process, did not answer while that went on. */
async function slowestAnswerMs(during: Promise<void>): Promise<number> {
  const state = { isOver: false };
  const over = during.finally(() => (state.isOver = true));
  let slowestMs = 0;
  while (!state.isOver) {
    const startedMs = performance.now();
    await pause(BETWEEN_ANSWERS_MS);
    assert.equal((await server.call('GET', '/healthz')).status, 200);
    slowestMs = Math.max(slowestMs, performance.now() - startedMs - BETWEEN_ANSWERS_MS);
  }
  await over;
  return slowestMs;
}

/** One message each, as a batch goes out. */
async function arrived(sink: Sink, count: number): Promise<void> {
  await until(() => sink.transactions.filter(({ isAcknowledged }) => isAcknowledged).length === count, `${count} messages arrive`);
}

test('P11: a site never has more connections, nor more messages on one, than it is given, whatever domains they are for', async () => {
  await sendTo(['one.test', 'two.test', 'three.test'], 12);
  await arrived(home.sink, 36);
  assert.equal(home.sink.peakConnections(), 3);
  const perConnection = Map.groupBy(home.sink.transactions, ({ connection }) => connection);
  assert.equal(Math.max(...[...perConnection.values()].map((transactions) => transactions.length)), 4);
  assert.deepEqual(home.sink.violations, []);
});

test('P11: no second sees more messages than the rate, whatever domains they are for, and the rate is used', async () => {
  const startedMs = performance.now();
  await sendTo(['four.test', 'five.test'], RATE_PER_SECOND);
  const lateMs = await slowestAnswerMs(arrived(paced, 2 * RATE_PER_SECOND));
  const times = paced.transactions.map(({ beganMs }) => beganMs).toSorted((a, b) => a - b);
  // What is seen late can be in one second with what was begun in the next.
  const most = Math.max(...times.map((from) => times.filter((time) => time >= from && time < from + 1000 - lateMs).length));
  assert.ok(most <= RATE_PER_SECOND + ARRIVES_LATE, `${most} messages in one second, seen ${Math.round(lateMs)} ms late at most`);
  // However late: none is seen before it may be begun.
  for (const [index, time] of times.entries())
    assert.ok(
      time - startedMs >= Math.floor(index / RATE_PER_SECOND) * 1000,
      `message ${index + 1} after ${Math.round(time - startedMs)} ms`,
    );
  assert.ok(paced.peakConnections() <= 5);
});
