/** How calls gather into batches. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../../../test/kit/until.ts';
import { Gather, type Outcome } from './gather.ts';

interface Call {
  readonly name: string;
  readonly bytes?: number;
  readonly key?: number;
}

/** Writes nothing until it is told to; `batches` holds what was asked for. */
class Writer {
  readonly batches: string[][] = [];
  readonly #waiting: (() => void)[] = [];
  readonly gather = new Gather<Call, string>({
    lingerMs: 0,
    bytesOf: ({ bytes = 0 }) => bytes,
    keyOf: ({ key }) => key,
    write: async (batch): Promise<Outcome<string>[]> => {
      this.batches.push(batch.map(({ name }) => name));
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
      return batch.map(({ name }) => (name === 'bad' ? { error: new Error('bad') } : { value: `${name} done` }));
    },
  });

  async finish(): Promise<void> {
    await until(() => this.#waiting.length > 0, 'a batch is sent');
    this.#waiting.shift()?.();
  }
}

test('what comes while a batch is on its way shares the next one, in its order, and each is told what became of it', async () => {
  const writer = new Writer();
  const first = writer.gather.call({ name: 'a' });
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  const later = ['b', 'bad', 'c'].map((name) => writer.gather.call({ name }));
  const told = Promise.allSettled(later);
  await writer.finish();
  assert.equal(await first, 'a done');
  await writer.finish();
  assert.deepEqual(
    (await told).map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  assert.deepEqual(writer.batches, [['a'], ['b', 'bad', 'c']]);
});

test('two calls of one key are never in one batch, and nothing overtakes the second', async () => {
  const writer = new Writer();
  const calls = [
    { name: 'a', key: 1 },
    { name: 'b', key: 2 },
    { name: 'a again', key: 1 },
    { name: 'c', key: 3 },
  ].map((call) => writer.gather.call(call));
  await writer.finish();
  await writer.finish();
  await Promise.all(calls);
  assert.deepEqual(writer.batches, [
    ['a', 'b'],
    ['a again', 'c'],
  ]);
});

test('a batch ends with the call that fills its bytes', async () => {
  const writer = new Writer();
  const MB = 1024 * 1024;
  const calls = ['a', 'b', 'c'].map((name) => writer.gather.call({ name, bytes: 5 * MB }));
  await writer.finish();
  await writer.finish();
  await Promise.all(calls);
  assert.deepEqual(writer.batches, [['a', 'b'], ['c']]);
});

test('calls that bring more than may wait are refused as busy, and the others go on', async () => {
  const writer = new Writer();
  const GB = 1024 * 1024 * 1024;
  const accepted = writer.gather.call({ name: 'a', bytes: 10 });
  await assert.rejects(writer.gather.call({ name: 'b', bytes: GB }), { name: 'StoreError', kind: 'busy' });
  await writer.finish();
  assert.equal(await accepted, 'a done');
});

test('closing waits for what was handed in and refuses what comes after', async () => {
  const writer = new Writer();
  const calls = [writer.gather.call({ name: 'a', key: 1 }), writer.gather.call({ name: 'b', key: 1 })];
  let isClosed = false;
  const closing = writer.gather.close().then(() => (isClosed = true));
  await assert.rejects(writer.gather.call({ name: 'c' }), { name: 'StoreError', kind: 'closed' });
  await writer.finish();
  await calls[0];
  assert.equal(isClosed, false);
  await writer.finish();
  await Promise.all([...calls, closing]);
});
