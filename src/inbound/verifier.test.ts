import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { silentLog } from '#base/log.ts';
import { readHeader } from '#mail/header.ts';
import { processCpuMs } from '../../test/kit/cpu-time.ts';
import { createVerifier, UNKNOWN } from './verifier.ts';
import type { Verifier } from './verifier.ts';

const NOTHING = { kind: 'none' } as const;
const resolver = { txt: async () => NOTHING, mx: async () => NOTHING, addresses: async () => NOTHING, cname: async () => NOTHING };

/** A thread has its answer whenever a loaded machine lets it: tests of what takes too long bring their own. */
const LONG_MS = 60_000;

function verifierWith(t: TestContext, source: string, changes: { timeoutMs?: number; hangMs?: number } = {}): Verifier {
  const thread = new URL(`data:text/javascript,${encodeURIComponent(`import { parentPort } from 'node:worker_threads';${source}`)}`);
  const verifier = createVerifier({ resolver, hostname: 'mx.test', timeoutMs: LONG_MS, log: silentLog, thread, ...changes });
  t.after(() => verifier.close());
  return verifier;
}

function verify(verifier: Verifier, message: string): ReturnType<Verifier['verify']> {
  return verifier.verify({ header: readHeader(Buffer.from(message)), address: '192.0.2.1', helo: 'c.test', sender: 'a@b.test' });
}

const RESULT = { spf: { result: 'pass', domain: 'b.test' }, dkim: [], dmarc: { result: 'none', domain: '' }, arc: { result: 'none' } };
const ANSWER = `const done = (job) => parentPort.postMessage({ kind: 'done', job, verification: ${JSON.stringify(RESULT)} });
  const text = (request) => Buffer.from(request.bytes).toString();`;

test('a thread that ends leaves nobody waiting, and the next message has another', async (t) => {
  const verifier = verifierWith(
    t,
    `${ANSWER} parentPort.on('message', ({ job, request }) => text(request) === 'die' ? process.exit(3) : done(job));`,
  );
  assert.deepEqual(await verify(verifier, 'die'), UNKNOWN);
  assert.deepEqual(await verify(verifier, 'live'), RESULT);
});

test('a message whose verification fails inside is not known, and no more', async (t) => {
  const verifier = verifierWith(
    t,
    `parentPort.on('message', ({ job }) => parentPort.postMessage({ kind: 'failed', job, trouble: 'a bug' }));`,
  );
  assert.deepEqual(await verify(verifier, 'x'), UNKNOWN);
});

test('a message that takes too long is answered in time; a thread that hangs is ended, and another takes its place', async (t) => {
  const source = `${ANSWER} parentPort.on('message', ({ job, request }) => { while (text(request) === 'hang'); done(job); });`;
  const verifier = verifierWith(t, source, { timeoutMs: 1000, hangMs: 1000 });
  assert.deepEqual(await verify(verifier, 'hang'), UNKNOWN);
  // While it hangs, others have their answer in time too; afterwards they have a true one.
  for (;;) {
    const answer = await verify(verifier, 'live');
    if (answer.spf.result === 'pass') break;
    assert.deepEqual(answer, UNKNOWN);
  }
});

test('mail that may take long to verify holds up no ordinary mail', async (t) => {
  const source = `${ANSWER} parentPort.on('message', ({ job, request }) => { while (text(request).length > 10000); done(job); });`;
  const manyLines = `To: ${'a,\r\n '.repeat(3000)}b\r\n\r\n`;
  const large = `Subject: s\r\n\r\n${'x'.repeat(300_000)}`;
  for (const slow of [manyLines, large]) {
    const verifier = verifierWith(t, source, { hangMs: 0 });
    const hostile = verify(verifier, slow);
    assert.deepEqual(await Promise.race([hostile, verify(verifier, 'live')]), RESULT);
  }
});

test('a signature of an absurd length is not read', async (t) => {
  const verifier = createVerifier({ resolver, hostname: 'mx.test', timeoutMs: LONG_MS, log: silentLog });
  t.after(() => verifier.close());
  const hostile = `DKIM-Signature: v=1; a=rsa-sha256; d=b.test; s=s; h=from; x=a${' '.repeat(200_000)}b; bh=AAAA; b=AAAA\r\nFrom: a@b.test\r\n\r\nx`;
  const startMs = processCpuMs();
  const { spf, dkim } = await verify(verifier, hostile);
  assert.deepEqual({ spf: spf.result, dkim }, { spf: 'none', dkim: [] });
  const spentMs = processCpuMs() - startMs;
  assert.ok(spentMs < 5000, `${Math.round(spentMs)} ms, with the start of the thread`);
});

test('after the end nothing is verified', async (t) => {
  const verifier = verifierWith(t, `${ANSWER} parentPort.on('message', ({ job }) => done(job));`);
  await verifier.close();
  assert.deepEqual(await verify(verifier, 'live'), UNKNOWN);
});
