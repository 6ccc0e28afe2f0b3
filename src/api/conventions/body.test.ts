import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { ByteBudget } from '#base/byte-budget.ts';
import { readBody } from './body.ts';

const SIZE = 2_000_000;

test('a large body that was announced and does not come loses its place when others are refused for want of it', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const budget = new ByteBudget(SIZE);
  const request = Object.assign(new PassThrough(), { headers: { 'content-length': String(SIZE) } }) as unknown as IncomingMessage;
  const response = new EventEmitter() as ServerResponse;
  let end: Error | undefined;
  const read = readBody(request, response, SIZE, budget).catch((error: unknown) => (end = error as Error));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(budget.usedBytes, SIZE);
  t.mock.timers.tick(60_000);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(end, undefined, 'nobody else wants it');
  assert.equal(budget.take(1), false);
  t.mock.timers.tick(1000);
  await read;
  assert.match(String(end), /Too much is being received/);
  response.emit('close');
  assert.equal(budget.usedBytes, 0);
});

test('bombs of gzip that go off together take no more memory than bodies have', async () => {
  const budget = new ByteBudget(4_000_000);
  const bomb = gzipSync(Buffer.alloc(30_000_000));
  const before = process.memoryUsage().arrayBuffers;
  let peak = 0;
  const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage().arrayBuffers - before)), 1);
  const ends = await Promise.allSettled(
    Array.from({ length: 8 }, () => {
      const request = Object.assign(new PassThrough(), { headers: { 'content-encoding': 'gzip' } });
      request.end(bomb);
      return readBody(request as unknown as IncomingMessage, new EventEmitter() as ServerResponse, 50_000_000, budget);
    }),
  );
  clearInterval(watch);
  assert.ok(ends.every(({ status }) => status === 'rejected'));
  assert.ok(peak < 30_000_000, `${peak} octets at most`);
});
