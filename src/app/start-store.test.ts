import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Log, silentLog } from '#base/log.ts';
import { until } from '../../test/kit/until.ts';
import { watchStore } from './start-store.ts';

test('the loss of the store and its return are told once each, however long it takes', async (t) => {
  let [isWritable, looks] = [true, 0];
  const store = {
    health() {
      looks++;
      return { isWritable, isFull: false, commits: 0, commitMsP99: 0, ...(!isWritable && { trouble: 'io: connection refused' }) };
    },
  };
  const told: string[] = [];
  const log: Log = {
    ...silentLog,
    error: (fields, sentence) => void told.push(`${JSON.stringify(fields)} ${sentence}`),
    info: (_, sentence) => void told.push(sentence),
  };
  const watch = watchStore(store, log, 1);
  t.after(() => clearInterval(watch));
  const someLooks = (): Promise<true> => {
    const from = looks;
    return until(() => looks > from + 5, 'it is looked at a few times');
  };
  await someLooks();
  assert.deepEqual(told, []);
  isWritable = false;
  await someLooks();
  assert.equal(told.length, 1);
  assert.match(told[0] ?? '', /"trouble":"io: connection refused".* cannot be written/);
  isWritable = true;
  await someLooks();
  assert.deepEqual(told.slice(1), ['the store can be written again']);
});
