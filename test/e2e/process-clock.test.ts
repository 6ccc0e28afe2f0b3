/** The running program while its wall clock is stepped by an hour and more, both ways: nothing is lost, given up or delayed by it. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { after, test } from 'node:test';
import { Installation } from '../kit/installation.ts';
import { startSink } from '../kit/sink.ts';
import { until } from '../kit/until.ts';

const HOUR_MS = 3_600_000;
/** Far below an hour, far above the waits that the settings name. */
const SOON_MS = 60_000;

const home = await Installation.make(
  { after },
  {
    'delivery.shaping': JSON.stringify([{ match: 'busy.test', connections: 1 }]),
    'delivery.retry': '2s',
    'delivery.suspend_after': '2',
    'delivery.suspend_min': '3s',
    'delivery.timeouts.connect': '5s',
  },
  {
    zone: { 'busy.test': { A: ['127.0.0.2'] }, 'down.test': { A: ['127.0.0.3'] } },
    environment: { NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, '../kit/stepped-clock.ts')).href}` },
  },
);
const clockFile = join(home.data, 'clock');
const busy = await startSink({ address: '127.0.0.2', port: home.sink.port });
after(() => busy.close());
let server = await home.start({}, { TEST_CLOCK_FILE: clockFile });

/** Steps the program's clock, and waits until it lives by it. */
async function step(toMs: number): Promise<void> {
  writeFileSync(clockFile, String(toMs));
  await until(async () => {
    const id = await server.send('probe@x.test');
    const { body } = await server.mustCall('GET', `/v1/messages/${encodeURIComponent(id)}`);
    return Math.abs(Number(body['createdMs']) - (Date.now() + toMs)) < HOUR_MS / 4;
  }, 'the program has the new time');
}

async function deliveredSoon(ids: readonly string[], startedMs: number): Promise<void> {
  for (const id of ids) {
    await until(
      async () => {
        const recipients = await server.recipients(id);
        for (const { address, status } of recipients)
          assert.ok(['waiting', 'in-progress', 'delivered'].includes(status), `${address} is ${status}`);
        return recipients.every(({ status }) => status === 'delivered');
      },
      `${id} is delivered`,
      Math.max(1, startedMs + SOON_MS - performance.now()),
    );
  }
}

for (const [name, toMs] of [
  ['back by an hour', -HOUR_MS],
  ['forward by two', HOUR_MS],
  ['back by one', 0],
] as const) {
  test(`the clock is set ${name}: what was due, waited for a place, a retry or a suspended site is delivered as soon as without it`, async (t) => {
    const opened = Promise.withResolvers<void>();
    busy.configure({ gates: { dot: opened.promise } });
    busy.dropAll();
    const ids = [
      // One is being sent, some are in memory, the rest is on disk.
      await server.sendBatch(Array.from({ length: 60 }, (_, n) => `user${n}-${toMs}@busy.test`)),
      await server.send(`451-at-dot-once-${toMs}@x.test`),
    ];
    const refused = await server.sendBatch([`a-${toMs}@down.test`, `b-${toMs}@down.test`]);
    await until(async () => (await server.recipients(refused)).every(({ attempts }) => attempts > 0), 'the site is found to be down');
    ids.push(refused, await server.send(`c-${toMs}@down.test`));
    await until(async () => ((await server.recipients(ids[1] as string))[0]?.attempts ?? 0) >= 1, 'one waits for its retry');

    const startedMs = performance.now();
    await step(toMs);
    opened.resolve();
    const up = await startSink({ address: '127.0.0.3', port: home.sink.port });
    t.after(() => up.close());
    ids.push(await server.send(`after-${toMs}@x.test`), await server.send(`after-${toMs}@busy.test`));
    await deliveredSoon(ids, startedMs);
  });
}

test('what waits when the program stops is not delayed by a clock that is an hour behind when it starts again', async () => {
  await step(0);
  busy.configure({ gates: { dot: new Promise(() => undefined) } });
  busy.dropAll();
  const id = await server.sendBatch(Array.from({ length: 60 }, (_, n) => `late${n}@busy.test`));
  await until(() => busy.openConnections() > 0, 'one is being sent');
  await server.kill();
  busy.configure({});
  writeFileSync(clockFile, String(-HOUR_MS));
  server = await home.start({}, { TEST_CLOCK_FILE: clockFile });
  await deliveredSoon([id], performance.now());
});
