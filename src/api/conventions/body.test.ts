import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
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
