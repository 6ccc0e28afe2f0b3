import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Priority } from '#model/message.ts';
import { LaneQueue } from './lane-queue.ts';

interface Item {
  readonly name: string;
  readonly accountId: number;
  readonly priority: Priority;
  readonly groupKey: number;
}

const item = (name: string, change: Partial<Item> = {}): Item => ({ name, accountId: 1, priority: 0, groupKey: 0, ...change });
const names = (items: readonly Item[]): string => items.map(({ name }) => name).join(' ');

/** The names of so many takes, one take after the other. */
function taken(queue: LaneQueue<Item>, takes: number, groupMax = 1): string[] {
  return Array.from({ length: takes }, () => names(queue.take(groupMax)));
}

test('one account’s mail leaves in the order it came', () => {
  const queue = new LaneQueue<Item>();
  for (const name of ['a', 'b', 'c']) queue.push(item(name));
  assert.equal(queue.size, 3);
  assert.deepEqual(taken(queue, 4), ['a', 'b', 'c', '']);
  assert.equal(queue.size, 0);
});

test('accounts take turns, however much one of them has waiting', () => {
  const queue = new LaneQueue<Item>();
  for (let n = 0; n < 1000; n++) queue.push(item(`big${n}`, { accountId: 1 }));
  queue.push(item('small0', { accountId: 2 }));
  queue.push(item('small1', { accountId: 2 }));
  queue.push(item('tiny0', { accountId: 3 }));
  assert.deepEqual(taken(queue, 6), ['big0', 'small0', 'tiny0', 'big1', 'small1', 'big2']);
});

test('urgent mail goes first, whoever it belongs to', () => {
  const queue = new LaneQueue<Item>();
  queue.push(item('bulk', { priority: 2, accountId: 1 }));
  queue.push(item('normal', { priority: 1, accountId: 2 }));
  queue.push(item('urgent', { priority: 0, accountId: 1 }));
  assert.deepEqual(taken(queue, 3), ['urgent', 'normal', 'bulk']);
});

test('bulk mail is not starved, though urgent and normal mail never ends', () => {
  const queue = new LaneQueue<Item>();
  queue.push(item('bulk', { priority: 2 }));
  queue.push(item('normal', { priority: 1 }));
  queue.push(item('urgent', { priority: 0 }));
  const seen = { urgent: 0, normal: 0, bulk: 0 };
  for (let n = 0; n < 2000; n++) {
    const [next] = queue.take(1);
    assert.ok(next);
    seen[next.name as keyof typeof seen]++;
    queue.push(next);
  }
  assert.ok(seen.bulk >= 5, `bulk had ${seen.bulk} turns`);
  assert.ok(seen.normal > seen.bulk * 10, `normal had ${seen.normal} turns`);
  assert.ok(seen.urgent > seen.normal * 10, `urgent had ${seen.urgent} turns`);
});

test('neighbours of one content share a transaction, up to its limit', () => {
  const queue = new LaneQueue<Item>();
  for (let n = 0; n < 5; n++) queue.push(item(`a${n}`, { groupKey: 7 }));
  for (let n = 0; n < 2; n++) queue.push(item(`b${n}`, { groupKey: 8 }));
  assert.deepEqual(taken(queue, 3, 3), ['a0 a1 a2', 'a3 a4', 'b0 b1']);
});

test('items without a group go alone', () => {
  const queue = new LaneQueue<Item>();
  for (const name of ['a', 'b']) queue.push(item(name));
  assert.deepEqual(taken(queue, 2, 10), ['a', 'b']);
});

test('what is put back is next of its account, in its order', () => {
  const queue = new LaneQueue<Item>();
  for (let n = 0; n < 4; n++) queue.push(item(`a${n}`, { groupKey: 7 }));
  const group = queue.take(2);
  queue.putBack(group);
  assert.equal(queue.size, 4);
  assert.deepEqual(taken(queue, 4), ['a0', 'a1', 'a2', 'a3']);
  queue.putBack([item('alone', { accountId: 9 })]);
  assert.deepEqual(taken(queue, 1), ['alone']);
});

test('draining gives everything once, and leaves nothing', () => {
  const queue = new LaneQueue<Item>();
  for (let n = 0; n < 300; n++) queue.push(item(`${n}`, { accountId: n % 7, priority: (n % 3) as Priority }));
  const before = taken(queue, 200);
  const rest = queue.drain().map(({ name }) => name);
  assert.equal(new Set([...before, ...rest]).size, 300);
  assert.equal(queue.size, 0);
  assert.deepEqual(queue.take(1), []);
});
