/** P8 on the running program: a backlog for a site that does not answer costs disk, not memory, and costs other sites nothing; nor does it delay a start. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { Installation, type Server } from '../kit/installation.ts';
import { startSink } from '../kit/sink.ts';
import { until } from '../kit/until.ts';

const BACKLOG = 50_000;
const PER_CALL = 1000;
const READY = 500;
const MIB = 1024 * 1024;
/** A process grows by some 65 MiB while it takes so much mail; with all of it held in memory by some 100. */
const GROWTH_MAX_BYTES = 90 * MIB;
/** Far below what the site that does not answer is waited for, which is minutes. */
const PROMPT_MS = 15_000;
/** Of the processor, over an empty start: the clock on the wall goes on while others have it. */
const FIRST_MAIL_CPU_MS = 3500;
/** Of /proc/PID/stat. */
const TICK_MS = 10;

const home = await Installation.make(
  { after },
  { 'delivery.ready_recipients': String(READY), 'delivery.connections_per_site': '5' },
  { zone: { 'dead.test': { A: ['127.0.0.2'] } } },
);
const dead = await startSink({ address: '127.0.0.2', port: home.sink.port, at: { greeting: 'hang' } });
after(() => dead.close());
const emptyStartAtMs = performance.now();
let server = await home.start();
/** What a start takes on this machine now, with nothing queued. */
const emptyStartMs = performance.now() - emptyStartAtMs;
const emptyStartCpuMs = cpuMs(server);

/** What the program has had of the processor since it was started, in all of its threads. */
function cpuMs({ pid }: Server): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13);
  return (Number(user) + Number(system)) * TICK_MS;
}

async function residentBytes(by: Server): Promise<number> {
  const { text } = await by.mustCall('GET', '/metrics');
  return Number(/^process_resident_memory_bytes (\d+)/m.exec(text)?.[1]);
}

async function queueDepth(by: Server): Promise<{ queued: number; leased: number }> {
  return (await by.mustCall('GET', '/v1/queue')).body as { queued: number; leased: number };
}

test('P8: fifty thousand recipients of a site that does not answer stay on disk, and another site gets its mail at once', async () => {
  await fill(PER_CALL);
  const before = await residentBytes(server);
  await fill(BACKLOG - PER_CALL);
  const { queued, leased } = await queueDepth(server);
  assert.equal(queued + leased, BACKLOG);
  assert.ok(leased <= READY, `${leased} in memory`);
  const grown = (await residentBytes(server)) - before;
  assert.ok(grown < GROWTH_MAX_BYTES, `grown by ${Math.round(grown / MIB)} MiB`);

  const startedMs = performance.now();
  await server.send('quick@x.test');
  await until(() => home.sink.transactions.length === 1, 'the other site has its mail');
  assert.ok(performance.now() - startedMs < PROMPT_MS, `${Math.round(performance.now() - startedMs)} ms`);
});

async function fill(count: number): Promise<void> {
  for (let from = 0; from < count; from += PER_CALL) {
    await server.sendBatch(Array.from({ length: PER_CALL }, (_, n) => `user${from + n}@dead.test`));
  }
}

test('P8: a program that starts with fifty thousand queued delivers the first of them little later than one with nothing queued', async () => {
  await server.kill();
  dead.configure({});
  const startedMs = performance.now();
  server = await home.start();
  await until(() => dead.transactions.length > 0, 'the first is delivered');
  const tookMs = performance.now() - startedMs;
  const tookCpuMs = cpuMs(server);
  assert.ok(tookCpuMs - emptyStartCpuMs < FIRST_MAIL_CPU_MS, `${tookCpuMs} ms of CPU, an empty start ${emptyStartCpuMs} ms`);
  assert.ok(tookMs - emptyStartMs < PROMPT_MS, `${Math.round(tookMs)} ms, an empty start ${Math.round(emptyStartMs)} ms`);
  assert.ok((await queueDepth(server)).queued > BACKLOG / 2, 'while the others wait');
});
